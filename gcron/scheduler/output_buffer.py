"""The output of a run on its way to the store: the beginning and the newest part wait, what lies between may go.

So a job that writes faster than a disk takes it costs a bounded amount of memory, and is not slowed down. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gcron.supervise.output import Stream

__all__ = ["OutputBuffer", "OutputPiece", "WrittenSpan"]

# Bytes and seconds within which what a stream brings is one span: a job that writes byte by byte makes no more spans
# than one that writes lines.
_SHORT, _TOGETHER = 64, 0.05


class WrittenSpan(NamedTuple):
    """Bytes of a piece that came together."""

    size: int
    time: float
    """Seconds of UTC at which they were read."""
    stream: Stream


class OutputPiece(NamedTuple):
    """A piece of a run's output. The pieces of a run come in order."""

    run_id: str
    chunks: list[bytes]
    skipped: int
    """Bytes between the piece before and this one that are not kept."""
    keep: int
    """How many bytes of the run's output are kept: half of them are its beginning, half its end."""
    spans: Sequence[WrittenSpan] = ()
    """When these bytes came, and from which stream. Together they are as long as the chunks; none: it is not known."""


_Chunk = tuple[bytes, float, Stream]


class OutputBuffer:
    """What waits of one run's output, of which `keep` bytes are to be kept."""

    def __init__(self, run_id: str, keep: int) -> None:
        self._run_id = run_id
        self._keep = keep
        self._head: list[_Chunk] = []
        self._head_left = keep // 2
        """Bytes that still belong to the beginning."""
        self._tail: deque[_Chunk] = deque()
        self._tail_size = 0
        self._skipped = 0
        """Bytes between `_head` and `_tail`."""
        self.size = 0
        """Bytes that wait."""

    def add(self, data: bytes, time: float, stream: Stream, crowded: bool = False) -> None:
        """Take in the next bytes, which came at `time`. If it is `crowded`, only in the place of older ones."""
        if crowded and not self._make_room(len(data)):
            self._head_left = 0
            self._skipped += len(data)
            return
        self.size += len(data)
        head, tail = data[: self._head_left], data[self._head_left :]
        if head:
            self._head_left -= len(head)
            self._head.append((head, time, stream))
        if tail:
            self._tail.append((tail, time, stream))
            self._tail_size += len(tail)
            while self._tail_size - len(self._tail[0][0]) >= self._keep // 2:
                self._drop_oldest()

    def _make_room(self, size: int) -> bool:
        wanted = self._tail_size - size
        while self._tail and self._tail_size > wanted:
            self._drop_oldest()
        return self._tail_size <= wanted

    def _drop_oldest(self) -> None:
        dropped = len(self._tail.popleft()[0])
        self._tail_size -= dropped
        self.size -= dropped
        self._skipped += dropped

    def take(self) -> list[OutputPiece]:
        """What waited; it does not wait any more."""
        pieces = []
        if self._head:
            pieces.append(self._piece(self._head, 0))
        if self._tail:
            pieces.append(self._piece(self._tail, self._skipped))
            self._skipped = 0
        self._head, self._tail = [], deque()
        self._tail_size = self.size = 0
        return pieces

    def _piece(self, chunks: Iterable[_Chunk], skipped: int) -> OutputPiece:
        return OutputPiece(self._run_id, [data for data, _, _ in chunks], skipped, self._keep, _spans(chunks))


def _spans(chunks: Iterable[_Chunk]) -> list[WrittenSpan]:
    spans: list[WrittenSpan] = []
    for data, time, stream in chunks:
        last = spans[-1] if spans else None
        if last and last.stream == stream and last.size < _SHORT and abs(time - last.time) < _TOGETHER:
            spans[-1] = last._replace(size=last.size + len(data))
        else:
            spans.append(WrittenSpan(len(data), time, stream))
    return spans

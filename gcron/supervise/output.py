"""A job's output: bytes to lines, what a run keeps of them, and the pump that reads one pipe.

A listener that takes its time (by parking) slows down its own pipe, and so its job, and nobody else. This module must
not know who listens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from gcron.runtime.greenlet import sleep
from gcron.runtime.hub import READ, get_hub

__all__ = ["LINE_LIMIT", "AnyPump", "Excerpt", "LineSplitter", "Lines", "Pump", "Splitter", "Stream", "Unsplit"]

Stream = Literal["stdout", "stderr"]
LINE_LIMIT = 65536
"""Bytes. A longer line is cut into pieces of this size, or up to 3 bytes less: no UTF-8 character is cut."""
# Lines handed on at a time. A job that writes only newlines brings 65,536 of them in one read. Logging so many at once
# would keep everything else waiting for a quarter of a second.
_BATCH = 1000
_HEAD = 32 * 1024
_TAIL = 64 * 1024
_READ_SIZE = 65536
# Seconds of silence after which an unfinished line is shown: a prompt, a progress bar.
_SHOW_PARTIAL_AFTER = 1.0

Part = TypeVar("Part")
Part_co = TypeVar("Part_co", covariant=True)


class Lines(NamedTuple):
    """Some lines that came one after the other, without their newlines."""

    lines: list[bytes]
    continued: bool = False
    """The last of them is not all of its line."""
    lacks_newline: bool = False
    """The last of them is the end of the output, and has no newline."""


class LineSplitter:
    """Cuts a stream of bytes at newlines, wherever the chunks end; memory is bounded by `LINE_LIMIT`.

    A carriage return begins a line anew, as on a terminal: what was before it in the line is dropped.
    """

    def __init__(self) -> None:
        self._partial = b""
        self._shown = b""
        """An overwritten line as it was handed on before its end."""
        self.is_overwritten = False
        """True while the unfinished line is one of a progress bar."""

    @property
    def has_partial(self) -> bool:
        """True while bytes wait for the rest of their line, and were not handed on."""
        return self._partial != self._shown

    def feed(self, data: bytes) -> list[Lines]:
        """Return what `data` completes: lines, and pieces of long ones."""
        data_and_before = self._partial + data
        lines = data_and_before.split(b"\n")
        if b"\r" in data_and_before or self.is_overwritten:
            self._overwrite(lines)
        self._partial = lines.pop()
        # Only the first line is made of more than `data`, which a pump reads in pieces no longer than the limit.
        suspects = lines if len(data) > LINE_LIMIT else lines[:1]
        if max(map(len, [*suspects, self._partial])) > LINE_LIMIT:
            return self._cut(lines)
        return _batches(lines)

    def flush(self, at_end: bool = True) -> list[Lines]:
        """Return what waits; unless it is `at_end`, more may come of that line."""
        if not self.has_partial:
            return []
        if self.is_overwritten:
            self._shown = self._partial
            state = self._partial.rstrip(b"\r")
            return [Lines([state])] if state else []
        partial, self._partial = self._partial, b""
        return [Lines([partial], continued=not at_end, lacks_newline=at_end)] if partial else []

    def _overwrite(self, lines: list[bytes]) -> None:
        """Keep the last state of each line. A first line that was handed on as it is now is removed."""
        if len(lines) > 1:
            self.is_overwritten = False
        self.is_overwritten |= b"\r" in lines[-1]
        lines[:] = map(_last_state, lines)
        if len(lines) > 1:
            shown, self._shown = self._shown, b""
            if shown and lines[0].rstrip(b"\r") == shown.rstrip(b"\r"):
                del lines[0]

    def _cut(self, lines: list[bytes]) -> list[Lines]:
        cut: list[Lines] = []
        whole: list[bytes] = []
        for line in [*lines, self._partial]:
            *pieces, rest = _pieces(line)
            if pieces:
                cut += _batches(whole)
                cut += [Lines([piece], continued=True) for piece in pieces]
                whole = []
            whole.append(rest)
        self._partial = whole.pop()
        return cut + _batches(whole)


def _last_state(line: bytes) -> bytes:
    """Return what follows the last carriage return, but for those at the end of the line."""
    return line[line.rfind(b"\r", 0, len(line.rstrip(b"\r"))) + 1 :]


def _batches(lines: list[bytes]) -> list[Lines]:
    return [Lines(lines[start : start + _BATCH]) for start in range(0, len(lines), _BATCH)]


def _pieces(line: bytes) -> list[bytes]:
    pieces = []
    start = 0
    while len(line) - start > LINE_LIMIT:
        end = _character_start(line, start + LINE_LIMIT)
        pieces.append(line[start:end])
        start = end
    return [*pieces, line[start:]]


def _character_start(line: bytes, index: int) -> int:
    """`index`, or where the UTF-8 character begins whose middle that is."""
    for start in range(index, index - 4, -1):
        if line[start] & 0xC0 != 0x80:
            return start
    return index


class Unsplit:
    """Hands on bytes as they come, where a `LineSplitter` would cut them into lines."""

    has_partial = False
    is_overwritten = False

    def feed(self, data: bytes) -> list[bytes]:
        """See `LineSplitter.feed`."""
        return [data]

    def flush(self, at_end: bool = True) -> list[bytes]:
        """See `LineSplitter.flush`."""
        return []


class Excerpt:
    """The head (32 KiB) and the tail (64 KiB) of an output, and its exact size."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes, all of them."""
        self._head = bytearray()
        self._tail = bytearray()

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        self.size += len(data)
        room = _HEAD - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data
            if len(self._tail) > 4 * _TAIL:  # rarely: cutting copies what stays
                del self._tail[:-_TAIL]

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return bytes(self._head)

    @property
    def tail(self) -> bytes:
        """The last bytes, of those that are not in the head."""
        return bytes(self._tail[-_TAIL:])

    @property
    def omitted(self) -> int:
        """How many bytes between head and tail are not kept."""
        return self.size - len(self._head) - len(self.tail)


class Splitter(Protocol[Part_co]):
    """Makes of bytes what a listener is handed."""

    @property
    def has_partial(self) -> bool:
        """True while bytes wait for others."""

    @property
    def is_overwritten(self) -> bool:
        """True while these bytes are the present state of a progress bar."""

    def feed(self, data: bytes) -> Sequence[Part_co]:
        """Return what `data` completes."""

    def flush(self, at_end: bool = True) -> Sequence[Part_co]:
        """Return what waits; unless it is `at_end`, more may come."""


class DataFilter(Protocol):
    """Takes something out of what was read."""

    def take(self, data: bytes) -> bytes:
        """Return what is left of `data`."""

    def finish(self) -> None:
        """No more data will come."""


class ReadEnd(Protocol):
    """The reading end of a pipe."""

    def fileno(self) -> int:
        """The descriptor, which does not block."""

    def close(self) -> None:
        """Close it."""


class Pump(Generic[Part]):
    """Reads `pipe` to its end and calls `listener(stream, part, late)` with every part that `splitter` makes of it.

    `before`: takes something out of the data first.
    """

    def __init__(
        self,
        pipe: ReadEnd,
        stream: Stream,
        excerpt: Excerpt,
        splitter: Splitter[Part],
        listener: Callable[[Stream, Part, bool], None],
        before: DataFilter | None = None,
    ) -> None:
        self._pipe = pipe
        self._stream: Stream = stream
        self._excerpt = excerpt
        self._listener = listener
        self._splitter = splitter
        self._before = before
        self.late = False
        """Set once the run has ended: what still comes is from a process that it left behind."""
        self.is_waiting_for_listener = False
        """True while something is read, and who is to get it is not done with what was before."""

    def run(self) -> None:
        """Pump until the end of file; close the pipe however it ends."""
        shown_at = get_hub().monotonic()
        try:
            while data := self._read():
                if self._before is not None:
                    data = self._before.take(data)
                self._excerpt.feed(data)
                self._hand_on(self._splitter.feed(data))
                # A progress bar need not be silent for a second until it is done.
                if self._splitter.is_overwritten and get_hub().monotonic() - shown_at >= _SHOW_PARTIAL_AFTER:
                    self._hand_on(self._splitter.flush(at_end=False))
                    shown_at = get_hub().monotonic()
            if self._before is not None:
                self._before.finish()
            self._hand_on(self._splitter.flush())
        finally:
            self._pipe.close()

    def _read(self) -> bytes:
        fd = self._pipe.fileno()
        hub = get_hub()
        while True:
            try:
                return os.read(fd, _READ_SIZE)
            except BlockingIOError:
                if not self._splitter.has_partial:
                    hub.wait_io(fd, READ)
                elif not hub.wait_io(fd, READ, _SHOW_PARTIAL_AFTER):
                    self._hand_on(self._splitter.flush(at_end=False))

    def _hand_on(self, parts: Sequence[Part]) -> None:
        self.is_waiting_for_listener = True
        try:
            for part in parts:
                self._listener(self._stream, part, self.late)
                sleep(0)  # the pipe of a job that writes fast is never empty: nothing else would ever wait here
        finally:
            self.is_waiting_for_listener = False


AnyPump = Pump[Any]

"""Bytes to lines, and what a run keeps of them. Pure: no descriptors, no time."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LINE_LIMIT", "Excerpt", "LineSplitter", "Lines", "Unsplit"]

LINE_LIMIT = 65536
"""Bytes; longer lines are cut into pieces of this size, or up to 3 bytes less: no character of UTF-8 is cut."""
# Lines handed on at a time. A job that only writes newlines brings 65,536 of them in one read; making a log of so
# many at once would keep everything else waiting for a quarter of a second.
_BATCH = 1000
_HEAD = 32 * 1024
_TAIL = 64 * 1024


class Lines(NamedTuple):
    """Some lines that came one after the other, without their newlines."""

    lines: list[bytes]
    continued: bool = False
    """The last of them is not all of its line."""


class LineSplitter:
    """Cuts a stream of bytes at newlines, wherever the chunks end; memory is bounded by `LINE_LIMIT`."""

    def __init__(self) -> None:
        self._partial = b""

    @property
    def has_partial(self) -> bool:
        """True while bytes wait for the rest of their line."""
        return bool(self._partial)

    def feed(self, data: bytes) -> list[Lines]:
        """Return what `data` completes: lines, and pieces of long ones."""
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        # Only the first line is made of more than `data`, which a pump reads in pieces no longer than the limit.
        suspects = lines if len(data) > LINE_LIMIT else lines[:1]
        if max(map(len, [*suspects, self._partial])) > LINE_LIMIT:
            return self._cut(lines)
        return _batches(lines)

    def flush(self, at_end: bool = True) -> list[Lines]:
        """Return what waits; unless it is `at_end`, more may come of that line."""
        partial, self._partial = self._partial, b""
        return [Lines([partial], continued=not at_end)] if partial else []

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

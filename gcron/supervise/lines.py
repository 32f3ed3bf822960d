"""Bytes to lines, and what a run keeps of them. Pure: no descriptors, no time."""

from __future__ import annotations

__all__ = ["LINE_LIMIT", "Excerpt", "LineSplitter"]

LINE_LIMIT = 65536
"""Bytes; longer lines are cut into pieces of this size."""
_HEAD = 32 * 1024
_TAIL = 64 * 1024


class LineSplitter:
    """Cuts a stream of bytes at newlines, wherever the chunks end; memory is bounded by `LINE_LIMIT`."""

    def __init__(self) -> None:
        self._partial = b""

    @property
    def has_partial(self) -> bool:
        """True while bytes wait for the rest of their line."""
        return bool(self._partial)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their newlines."""
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        if len(self._partial) >= LINE_LIMIT:
            *pieces, self._partial = _pieces(self._partial)
            lines.extend(pieces)
        if lines and max(map(len, lines)) > LINE_LIMIT:
            lines = [piece for line in lines for piece in (_pieces(line) if line else [line])]
        return lines

    def flush(self) -> list[bytes]:
        """Return what waits, as a line of its own."""
        partial, self._partial = self._partial, b""
        return [partial] if partial else []


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + LINE_LIMIT] for start in range(0, len(line), LINE_LIMIT)]


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

"""A request's body as the application reads it: `environ["wsgi.input"]`."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

__all__ = ["open_body"]

# Bytes of memory allocated before data has come, at most: a client may announce any length.
_PORTION = 1 << 20


def open_body(next_piece: Callable[[], bytes]) -> io.BufferedReader:
    """Return a binary file with what `next_piece` returns, until it returns b"".

    It reads only as much as the application asks for (plus its own buffer). So a client that sends faster than the
    application reads has to wait.
    """
    return _Body(_Pieces(next_piece))


class _Body(io.BufferedReader):
    """Reads in portions: `read(int(environ["CONTENT_LENGTH"]))` must not allocate what a client only announces."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size <= _PORTION:
            return super().read(size)
        pieces = []
        while size > 0 and (piece := super().read(min(size, _PORTION))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def read1(self, size: int = -1) -> bytes:
        return super().read1(min(size, _PORTION))


class _Pieces(io.RawIOBase):
    def __init__(self, next_piece: Callable[[], bytes]) -> None:
        self._next_piece = next_piece
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._rest or self._next_piece()
        size = min(len(piece), len(buffer))
        buffer[:size] = piece[:size]
        self._rest = piece[size:]
        return size

    def readall(self) -> bytes:
        pieces = [self._rest]
        self._rest = b""
        while piece := self._next_piece():
            pieces.append(piece)
        return b"".join(pieces)

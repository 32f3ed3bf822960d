"""A request's body as the application reads it: `environ["wsgi.input"]`."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

__all__ = ["open_body"]


def open_body(next_piece: Callable[[], bytes]) -> io.BufferedReader:
    """Return a binary file of what `next_piece` returns, until it returns b"".

    It reads no further than the application asks (and its own buffer holds), so that a client that sends faster than
    the application reads is held up by its own connection.
    """
    return io.BufferedReader(_Pieces(next_piece))


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

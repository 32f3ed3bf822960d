"""`gcron logs --timestamps`: each line of an output after its time and its stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

__all__ = ["Stamped", "records_of"]

_BLANK = " " * len("2026-11-30 08:00:01.123  stdout  ")


class Stamped:
    """Takes output piece by piece. A line that the other stream interrupts becomes two lines."""

    def __init__(self) -> None:
        self._stream: str | None = None
        self._is_in_line = False

    def take(self, record: dict[str, Any]) -> bytes:
        """The next piece, an `output` of the API."""
        data = record["text"].encode("utf-8", "surrogateescape")
        stamped, position = [], 0
        for span in record["spans"]:
            if self._is_in_line and span["stream"] != self._stream:
                stamped.append(b"\n")
                self._is_in_line = False
            self._stream = span["stream"]
            prefix = _prefix(span["time"], span["stream"])
            for line in _lines(data[position : position + span["bytes"]]):
                stamped.append(line if self._is_in_line else prefix + line)
                self._is_in_line = not line.endswith(b"\n")
            position += span["bytes"]
        return b"".join(stamped)


def _lines(data: bytes) -> Iterator[bytes]:
    """The lines with their newlines. `splitlines` would also cut at carriage returns."""
    while data:
        line, newline, data = data.partition(b"\n")
        yield line + newline


def _prefix(time: str | None, stream: str | None) -> bytes:
    if time is None:
        return _BLANK.encode()
    moment = datetime.fromisoformat(time).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}  {stream}  ".encode()


def records_of(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of JSON lines that come in pieces."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from map(json.loads, lines)

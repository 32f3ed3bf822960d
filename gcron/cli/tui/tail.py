"""The end of what a run prints: one thread adds text, another takes it."""

from __future__ import annotations

import re
from collections import deque
from threading import Lock

__all__ = ["MOST_LINES", "Tail"]

MOST_LINES = 3_000
"""Lines that are kept. A view that shows no more misses nothing when it is slow."""
_MOST_CHARACTERS = 1024 * 1024
# Characters of a line; a longer one is broken. Otherwise a job without newlines makes one endless line.
_LONGEST_LINE = 1_000
_PART = re.compile(rf"[^\n]{{0,{_LONGEST_LINE - 1}}}\n|[^\n]{{1,{_LONGEST_LINE}}}")


class Tail:
    """Text that was added and not taken yet, but no more than `MOST_LINES` lines and 1 MiB."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._parts: deque[str] = deque()
        """Lines, or parts of them."""
        self._size = 0
        self._column = 0
        """Characters of the last line."""
        self._is_cut = False

    def add(self, text: str) -> None:
        """Add text. What is too much is left out, the oldest first."""
        with self._lock:
            for part in _PART.findall(text):
                if self._column + len(part.rstrip("\n")) > _LONGEST_LINE:
                    self._append("\n")
                    self._column = 0
                self._append(part)
                self._column = 0 if part[-1] == "\n" else self._column + len(part)

    def take(self) -> tuple[str, bool]:
        """Return what was added since the last call, and whether older text of it was left out."""
        with self._lock:
            taken = "".join(self._parts), self._is_cut
            self._parts.clear()
            self._size, self._is_cut = 0, False
            return taken

    def _append(self, part: str) -> None:
        self._parts.append(part)
        self._size += len(part)
        while len(self._parts) > MOST_LINES or self._size > _MOST_CHARACTERS:
            self._size -= len(self._parts.popleft())
            self._is_cut = True

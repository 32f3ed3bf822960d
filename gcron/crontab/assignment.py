"""`NAME = value` lines, and the environment that they make for the entries below them (cronie's env.c).

This module does not know what the names mean.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import NamedTuple

from gcron.crontab.problem import LineError

__all__ = ["Assignment", "Environment", "History", "read_assignment"]

# A name is one quoted string, or anything without blanks; neither holds `=`. The value comes after the match.
# Possessive (`*+`): going back into the blanks would take the square of their number.
_HEAD = r"""[ \t]*+(?:"([^"=]*+)"|'([^'=]*+)'|([^\s"'=][^\s=]*+)|)[ \t]*+=[ \t]*+"""
_BLANKS = " \t\r\v\f"


class Assignment(NamedTuple):
    """A name, its value, and the columns of the value with its quotes (from 0, end exclusive)."""

    name: str
    value: str
    start: int
    end: int


def read_assignment(line: str) -> Assignment | None:
    """Return the assignment in a line, or None if the line is something else. Raises LineError.

    Cronie's quoting: unquoted and trimmed, or one quoted string with only blanks after it; no escapes.
    """
    head = re.match(_HEAD, line)
    if head is None:
        return None
    name = head[1] or head[2] or head[3] or ""
    start, end = head.end(), len(line.rstrip(_BLANKS))
    if not name:
        raise LineError("an assignment without a name", head.end() - 1, head.end(), "NAME=value")
    end = max(start, end)
    raw = line[start:end]
    value = _unquoted(raw, start) if raw[:1] in ("'", '"') else raw
    return Assignment(name, value, start, end)


def _unquoted(raw: str, start: int) -> str:
    close = raw.find(raw[0], 1)
    if close < 0:
        raise LineError("the quote is not closed", start, start + 1, f"close it with {raw[0]}")
    if close + 1 < len(raw):
        hint = "quote the whole value or nothing of it; there are no escapes"
        raise LineError("text after the closing quote", start + close + 1, start + len(raw), hint)
    return raw[1:close]


class History:
    """All assignments of a file in order: each name with its values and their lines."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[int, str]]] = {}

    def assign(self, line: int, name: str, value: str) -> Environment:
        """Add an assignment below all others. Returns the environment of the entries below it."""
        self._values.setdefault(name, []).append((line, value))
        return Environment(self._values, line)


class Environment(Mapping[str, str]):
    """The assignments above one place of a file: a view that shares its storage with all others of the file.

    Copies would make a file of alternating assignments and entries cost the square of its length.
    """

    __slots__ = ("_line", "_values")

    def __init__(self, values: dict[str, list[tuple[int, str]]] | None = None, line: int = 0) -> None:
        self._values = values if values is not None else {}
        self._line = line

    def __getitem__(self, name: str) -> str:
        values = self._values[name]
        above = bisect_right(values, self._line, key=itemgetter(0))
        if not above:
            raise KeyError(name)
        return values[above - 1][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, values in self._values.items() if values[0][0] <= self._line)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Environment({dict(self)!r})"

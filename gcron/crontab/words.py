"""The words of `shlex.split(text)`, with the columns that it does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gcron.crontab.problem import LineError

__all__ = ["split_words", "unquote"]

# Possessive (`++`, `*+`): a match never goes back, so the time is linear for any text. Groups are
# atomic (`(?>…)`) instead: Python before 3.11.5 keeps what a possessive group took in vain (python/cpython#100061).
_WORD = re.compile(r"""(?>(?:[^ \t\r\n'"\\]++|'[^']*+'|"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"|\\.)+)""")
_PIECE = re.compile(r"""([^'"\\]++)|'([^']*+)'|"([^"\\]*+(?>(?:\\.[^"\\]*+)*))"|\\(.)""")
_ESCAPED = re.compile(r'\\(["\\])')
_BLANKS = re.compile(r"[ \t\r\n]*+")


def split_words(line: str, position: int = 0) -> Iterator[tuple[int, int]]:
    """The columns (from 0, end exclusive) of each word from `position` on, quotes included.

    A word with a quote that is not closed goes to the end of the line; `unquote` refuses it.
    """
    while (start := _skip_blanks(line, position)) < len(line):
        word = _WORD.match(line, start)
        position = word.end() if word else start
        if line[position : position + 1] in ("'", '"', "\\"):
            position = len(line)
        yield start, position


def unquote(line: str, start: int, end: int) -> str:
    """What `line[start:end]`, a part of a word, says without its quotes and backslashes; raises LineError."""
    raw = line[start:end]
    if "'" not in raw and '"' not in raw and "\\" not in raw:
        return raw
    pieces: list[str] = []
    position = start
    while position < end:
        piece = _PIECE.match(line, position, end)
        if piece is None:
            raise _unfinished(line, position)
        pieces.append(_said(piece))
        position = piece.end()
    return "".join(pieces)


def _skip_blanks(line: str, position: int) -> int:
    blanks = _BLANKS.match(line, position)
    return blanks.end() if blanks else position


def _said(piece: re.Match[str]) -> str:
    bare, single, double, escaped = piece.groups()
    if double is not None:
        return _ESCAPED.sub(r"\1", double)
    return bare or single or escaped or ""


def _unfinished(line: str, position: int) -> LineError:
    if line[position] == "\\":
        hint = "write \\\\ for a backslash"
        return LineError("a backslash with nothing behind it", position, position + 1, hint)
    return LineError("the quote is not closed", position, position + 1, f"close it with {line[position]}")

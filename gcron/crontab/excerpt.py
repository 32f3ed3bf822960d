"""Any text, made fit for a terminal: nothing raw, nothing endless, carets under the right characters.

It knows nothing of crontabs.
"""

from __future__ import annotations

import unicodedata

__all__ = ["excerpt", "plain"]

_INDENT = "    "
_TAB = 8
_WIDTH = 100
_BEFORE = 40
"""Characters shown before the caret when a line is too long."""
_MESSAGE = 500
_CUT = "..."
# Controls, format characters (they turn the direction of text around), lone surrogates, private use,
# unassigned, line and paragraph separators.
_RAW_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str) -> str:
    """The text on one line, cut where it is endless, with what a terminal could act upon written out."""
    if len(text) > _MESSAGE:
        text = text[:_MESSAGE] + _CUT
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def excerpt(line: str, start: int, end: int) -> list[str]:
    """The line and the carets under `line[start:end]`, both indented; at least one caret."""
    first = _first_shown(line, start)
    last = min(len(line), first + _WIDTH)
    stop = min(max(end, start + 1), last)
    head, tail = _CUT if first else "", _CUT if last < len(line) else ""
    before = _expand(line[first:start], 0)
    marked = _expand(line[start:stop], _columns(before))
    after = _expand(line[stop:last], _columns(before + marked))
    carets = "^" * max(1, _columns(marked))
    return [
        f"{_INDENT}{head}{before}{marked}{after}{tail}".rstrip(),
        f"{_INDENT}{' ' * (len(head) + _columns(before))}{carets}",
    ]


def _first_shown(line: str, start: int) -> int:
    if len(line) <= _WIDTH or start < _WIDTH - _BEFORE // 2:
        return 0
    return start - _BEFORE


def _expand(text: str, column: int) -> str:
    """The text with tabs as blanks up to the next stop, from `column` on, and raw characters written out."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    for character in text:
        piece = " " * (_TAB - column % _TAB) if character == "\t" else _shown(character)
        column += _columns(piece)
        shown.append(piece)
    return "".join(shown)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _RAW_CATEGORIES:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # How `surrogateescape` carries a byte that is not UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _columns(text: str) -> int:
    """Cells that a terminal uses for the text."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

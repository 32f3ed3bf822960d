"""What is wrong in a crontab: as data, and as text for a terminal.

This module does not know how a crontab is read, only that problems stand at places of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from gcron.errors import GcronError

__all__ = ["CrontabError", "LineError", "Problem", "Problems", "Severity", "render", "render_all"]

Severity = Literal["error", "warning"]

_INDENT = "    "
_TAB = 8
_WIDTH = 100
"""The most characters of a line that are shown."""
_BEFORE = 40
"""Characters shown before the caret if a line is too long."""
_MESSAGE = 500
_CUT = "..."
# Controls, format characters (they change the direction of text), lone surrogates, private use, unassigned, line and
# paragraph separators.
_RAW_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Problem(NamedTuple):
    """One thing that is wrong, or probably wrong, at one place."""

    path: str
    line: int
    """From 1; 0 if the file itself is the problem."""
    column: int
    """From 1, in characters. A byte that is not UTF-8 counts as one."""
    end_column: int
    """The first column after it."""
    severity: Severity
    message: str
    hint: str = ""
    """What would be right, or empty."""
    source_line: str = ""
    """The line of the file, or empty where showing it does not help."""


class CrontabError(GcronError):
    """A crontab that cannot be used, with all its problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(render_all(problems))
        self.problems = tuple(problems)


class LineError(ValueError):
    """What is wrong in one line. Columns are counted from 0, the end exclusive, as in `ScheduleError`."""

    def __init__(self, message: str, start: int, end: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint


class Problems:
    """Collects the problems of one file, up to `LIMIT` of each severity.

    Without a limit, a wrong file of 1 MiB would cost seconds and fill a screen that nobody reads.
    """

    LIMIT = 1000

    def __init__(self, path: str) -> None:
        self._path = path
        self._kept: dict[Severity, list[Problem]] = {"error": [], "warning": []}
        self._dropped: dict[Severity, int] = {"error": 0, "warning": 0}

    @property
    def full(self) -> bool:
        """Whether there are so many errors that further reading is useless."""
        return len(self._kept["error"]) >= self.LIMIT

    def error(self, number: int, line: str, error: LineError) -> None:
        """Keep an error in line `number` (from 1)."""
        self._keep("error", number, line, error)

    def warning(self, number: int, line: str, message: str, start: int, end: int, hint: str) -> None:
        """Keep a warning about line `number` (from 1); columns as in `LineError`."""
        self._keep("warning", number, line, LineError(message, start, end, hint))

    def in_order(self) -> tuple[Problem, ...]:
        """Return all that were kept by their places, and then how many were not."""
        kept = sorted((*self._kept["error"], *self._kept["warning"]), key=lambda p: (p.line, p.column))
        if self.full:
            kept.append(self._about_the_file("error", "too many errors: the rest of the file was not read"))
        if dropped := self._dropped["warning"]:
            kept.append(self._about_the_file("warning", f"{dropped} more warnings are not shown"))
        return tuple(kept)

    def _keep(self, severity: Severity, number: int, line: str, error: LineError) -> None:
        kept = self._kept[severity]
        if len(kept) >= self.LIMIT:
            self._dropped[severity] += 1
            return
        kept.append(
            Problem(self._path, number, error.start + 1, error.end + 1, severity, error.message, error.hint, line)
        )

    def _about_the_file(self, severity: Severity, message: str) -> Problem:
        return Problem(self._path, 0, 0, 0, severity, message)


def render(problem: Problem) -> str:
    """Return the text for people: where and what, the line with carets, the hint.

    It has no control characters, whatever the file holds, and no newline at the end.
    """
    path = _plain(problem.path)
    place = f"{path}:{problem.line}:{problem.column}" if problem.line else path
    parts = [f"{place}: {problem.severity}: {_plain(problem.message)}"]
    if problem.source_line:
        parts += _with_carets(problem.source_line, problem.column - 1, problem.end_column - 1)
    if problem.hint:
        parts.append(f"  hint: {_plain(problem.hint)}")
    return "\n".join(parts)


def render_all(problems: Sequence[Problem], limit: int = 50) -> str:
    """Return the text of the first `limit` problems (errors first if not all fit), and how many more there are."""
    if len(problems) <= limit:
        return "\n".join(map(render, problems))
    # Stable: in the order of the file among the errors, then among the warnings.
    first = sorted(problems, key=lambda problem: problem.severity)[:limit]
    return "\n".join([*map(render, first), f"... and {len(problems) - limit} more"])


# -- text that is safe for a terminal ---------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """The text on one line and of limited length, with everything escaped that a terminal could act upon."""
    if len(text) > _MESSAGE:
        text = text[:_MESSAGE] + _CUT
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _with_carets(line: str, start: int, end: int) -> list[str]:
    """The line, and carets under `line[start:end]`, both indented; at least one caret."""
    first = 0 if len(line) <= _WIDTH or start < _WIDTH - _BEFORE // 2 else start - _BEFORE
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


def _expand(text: str, column: int) -> str:
    """The text with tabs as blanks up to the next tab stop, counted from `column`, and raw characters escaped."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    for character in text:
        piece = " " * (_TAB - column % _TAB) if character == "\t" else _shown(character)
        column += _columns(piece)
        shown.append(piece)
    return "".join(shown)


def _shown(character: str) -> str:
    import unicodedata  # only for what is wrong

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
    import unicodedata

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

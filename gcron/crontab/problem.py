"""What is wrong in a crontab, as data; `render` makes the text for people.

It may not know how a crontab is read: it only knows that problems stand at places of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gcron.crontab.excerpt import excerpt, plain

__all__ = ["CrontabError", "LineError", "Problem", "Problems", "Severity", "render", "render_all"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong, or suspicious, at one place."""

    path: str
    line: int
    """From 1; 0 where the file itself is the problem."""
    column: int
    """From 1, in characters; a byte that is not UTF-8 counts as one."""
    end_column: int
    """The first column behind it."""
    severity: Severity
    message: str
    hint: str = ""
    """What would be right, or empty."""
    source_line: str = ""
    """The line as it stands in the file, or empty where showing it helps nobody."""


class CrontabError(Exception):
    """A crontab that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(render_all(problems))
        self.problems = tuple(problems)


class LineError(ValueError):
    """What is wrong in one line; columns from 0, end exclusive, as in `ScheduleError`."""

    def __init__(self, message: str, start: int, end: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint


class Problems:
    """Collects the problems of one file, up to `LIMIT` of each severity.

    Without a limit a wrong file of 1 MiB would cost seconds and a screen nobody reads.
    """

    LIMIT = 1000

    def __init__(self, path: str) -> None:
        self._path = path
        self._kept: dict[Severity, list[Problem]] = {"error": [], "warning": []}
        self._dropped: dict[Severity, int] = {"error": 0, "warning": 0}

    @property
    def full(self) -> bool:
        """Whether there are so many errors that reading on is of no use."""
        return len(self._kept["error"]) >= self.LIMIT

    def error(self, number: int, line: str, error: LineError) -> None:
        """Keep an error of line `number` (from 1)."""
        self._keep("error", number, line, error)

    def warning(self, number: int, line: str, error: LineError) -> None:
        """Keep a warning about line `number` (from 1)."""
        self._keep("warning", number, line, error)

    def in_order(self) -> tuple[Problem, ...]:
        """All that were kept, by place, and a last word on those that were not."""
        kept = sorted((*self._kept["error"], *self._kept["warning"]), key=lambda p: (p.line, p.column))
        return (*kept, *self._last_words())

    def _keep(self, severity: Severity, number: int, line: str, error: LineError) -> None:
        kept = self._kept[severity]
        if len(kept) >= self.LIMIT:
            self._dropped[severity] += 1
            return
        kept.append(
            Problem(self._path, number, error.start + 1, error.end + 1, severity, error.message, error.hint, line)
        )

    def _last_words(self) -> list[Problem]:
        words: list[Problem] = []
        if self.full:
            words.append(self._about_the_file("error", "too many errors: the rest of the file was not read"))
        if self._dropped["warning"]:
            message = f"{self._dropped['warning']} more warnings are not shown"
            words.append(self._about_the_file("warning", message))
        return words

    def _about_the_file(self, severity: Severity, message: str) -> Problem:
        return Problem(self._path, 0, 0, 0, severity, message)


def render(problem: Problem) -> str:
    """The problem for people: where and what, the line with carets, the hint.

    Never holds a control character, whatever the file held; no newline at the end.
    """
    parts = [f"{_place(problem)}: {problem.severity}: {plain(problem.message)}"]
    if problem.source_line:
        parts += excerpt(problem.source_line, problem.column - 1, problem.end_column - 1)
    if problem.hint:
        parts.append(f"  hint: {plain(problem.hint)}")
    return "\n".join(parts)


def render_all(problems: Sequence[Problem], limit: int = 50) -> str:
    """The first `limit` problems, errors before warnings where not all fit, and how many more there are."""
    if len(problems) <= limit:
        return "\n".join(map(render, problems))
    # Stable: in the file's order among the errors, then among the warnings.
    first = sorted(problems, key=lambda problem: problem.severity)[:limit]
    return "\n".join([*map(render, first), f"... and {len(problems) - limit} more"])


def _place(problem: Problem) -> str:
    path = plain(problem.path)
    return f"{path}:{problem.line}:{problem.column}" if problem.line else path

"""What is wrong with a schedule's text, and where.

This module may not know files or lines: columns count inside the text that was given.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ScheduleError", "ScheduleWarning"]


class ScheduleError(ValueError):
    """A schedule's text that cannot be accepted.

    `start` and `end` are 0-based columns inside the given text, `end` exclusive; both are 0 when the fault
    lies outside the text (an unknown time zone). `hint` says what would be right, or is empty.
    """

    def __init__(self, message: str, start: int = 0, end: int = 0, hint: str = "") -> None:
        # All arguments go to the base class so that the error survives pickling.
        super().__init__(message, start, end, hint)
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def shifted(self, columns: int) -> ScheduleError:
        """Return the same error for a text in which the faulty part stands `columns` further right."""
        return ScheduleError(self.message, self.start + columns, self.end + columns, self.hint)


@dataclass(frozen=True, slots=True)
class ScheduleWarning:
    """A part of a schedule's text that is accepted but hardly meant; the fields are those of ScheduleError."""

    message: str
    start: int
    end: int
    hint: str

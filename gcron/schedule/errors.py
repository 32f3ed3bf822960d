"""What is wrong with the text of a schedule, and where.

Columns count inside the text that was given. This module knows neither files nor lines.
"""

from __future__ import annotations

from typing import NamedTuple

from gcron.errors import GcronError

__all__ = ["ScheduleError", "ScheduleWarning"]


class ScheduleError(GcronError, ValueError):
    """The text of a schedule that cannot be accepted.

    `start` and `end` are columns inside that text: from 0, `end` exclusive. Both are 0 when the fault lies outside
    the text, as an unknown time zone does. `hint` says what would be right, or is empty.
    """

    def __init__(self, message: str, start: int = 0, end: int = 0, hint: str = "") -> None:
        # The base class gets all arguments, so that the error can be pickled.
        super().__init__(message, start, end, hint)
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def shifted(self, columns: int) -> ScheduleError:
        """Return the same error for a text in which the faulty part is `columns` further right."""
        return ScheduleError(self.message, self.start + columns, self.end + columns, self.hint)


class ScheduleWarning(NamedTuple):
    """A part of a schedule's text that is accepted, but was probably not meant. Fields as in `ScheduleError`."""

    message: str
    start: int
    end: int
    hint: str

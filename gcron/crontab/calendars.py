"""The calendar files (.ics) that a crontab's `except-on=` names: each is read once."""

from __future__ import annotations

from collections.abc import Set
from datetime import date

from gcron.crontab.problem import CrontabError
from gcron.crontab.source import read
from gcron.schedule import ScheduleError, Zone
from gcron.schedule.ics import days_of

__all__ = ["Calendars"]


class Calendars:
    """The files of one crontab. The rules for crontab files hold for them, too: see `source.read`.

    `may_read`: whether it may name files at all. A user's may not, because gcron reads them as root.
    """

    def __init__(self, trusted_owners: Set[int] = frozenset(), may_read: bool = True) -> None:
        self._trusted_owners = trusted_owners
        self._may_read = may_read
        self._found: dict[tuple[str, Zone], list[tuple[date, date]] | ScheduleError] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that were asked for."""
        return tuple(dict.fromkeys(path for path, _ in self._found))

    def days_of(self, path: str, zone: Zone) -> list[tuple[date, date]]:
        """Return the days of the events in the file, in the zone. Raises ScheduleError."""
        found = self._found.get((path, zone))
        if not self._may_read:
            raise ScheduleError("except-on= with a file is not for a user's crontab", hint="write the days")
        if found is None:
            found = self._found[path, zone] = self._read(path, zone)
        if isinstance(found, ScheduleError):
            raise ScheduleError(found.message, hint=found.hint)
        return found

    def _read(self, path: str, zone: Zone) -> list[tuple[date, date]] | ScheduleError:
        try:
            return days_of(read(path, self._trusted_owners), path, zone)
        except CrontabError as error:
            problem = error.problems[0]
            return ScheduleError(f"except-on: {path} {problem.message}", hint=problem.hint)
        except ScheduleError as error:
            return ScheduleError(f"except-on: {error.message}", hint=error.hint)

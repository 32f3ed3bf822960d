"""From the text of a crontab to its entries and problems (docs/crontab.md, sections 1 and 4).

It touches no file but calendars that the text names, and bad content never makes it raise. Time and memory are linear
in the text.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from datetime import tzinfo

from gcron.crontab.calendars import Calendars
from gcron.crontab.entry import Crontab
from gcron.crontab.entry_reader import EntryReader
from gcron.crontab.lines import split_lines
from gcron.crontab.machine import Users, check_zone
from gcron.crontab.naming import Names
from gcron.crontab.problem import Problems
from gcron.crontab.scanner import Scanner
from gcron.crontab.spool import UserFile, as_of_user, job_name
from gcron.schedule import ScheduleError

__all__ = ["Draft", "parse"]


def parse(
    data: bytes | str,
    path: str = "<crontab>",
    *,
    system: bool = False,
    timezone: str | tzinfo | None = None,
    now: float | None = None,
    taken: Iterable[str] = (),
) -> Crontab:
    """Return the entries and problems of a crontab's text. `path` is its name in problems.

    With `system`, a user stands between schedule and command. `timezone` is for entries without `tz=` or CRON_TZ;
    None is UTC. A schedule that is over at `now`, in seconds since 1970 (None: the present), is warned about. `taken`:
    names that no job without `name=` gets. Bad content is in the problems; raises ScheduleError only for an unknown
    `timezone`.
    """
    if isinstance(timezone, str) and (hint := check_zone(timezone)) is not None:
        raise ScheduleError(f"unknown time zone {timezone!r}: {hint}")
    draft = Draft(data, path, system, timezone)
    return draft.finish(Names([*draft.given_names, *taken]), now)


class Draft:
    """A crontab whose lines are read, but not yet the names of all its jobs: other files may give them, too.

    `user`: whose crontab it is, if it is one of a spool directory. `names_mailer`: see `LoadSettings`. The other
    parameters are those of `parse`.
    """

    def __init__(
        self,
        data: bytes | str,
        path: str,
        system: bool = False,
        timezone: str | tzinfo | None = None,
        user: UserFile | None = None,
        trusted_owners: Set[int] = frozenset(),
        names_mailer: bool = False,
    ) -> None:
        self.path = path
        self._system = system
        self._timezone = timezone
        self._user = user
        self._calendars = Calendars(trusted_owners, may_read=user is None)
        self._problems = Problems(path)
        self._users = Users()
        self._scanner = Scanner(self._problems, path, self._users, names_mailer)
        with _no_garbage_collection():
            self._scanner.read(split_lines(data, self._problems))

    @property
    def given_names(self) -> Iterable[str]:
        """The names that its directives give."""
        names = self._scanner.names
        return names if self._user is None else [job_name(self._user.user, name) for name in names]

    def finish(self, names: Names, now: float | None = None) -> Crontab:
        """Return the crontab, with `names` for the jobs that give none; `now` as for `parse`."""
        scanner = self._scanner
        now = time.time() if now is None else now
        user = None if self._user is None else self._user.user
        reader = EntryReader(
            self.path,
            self._system,
            scanner.fields,
            self._timezone,
            now,
            self._problems,
            self._calendars,
            user,
            self._users,
        )
        with _no_garbage_collection():
            entries = reader.read(scanner.entries, names)
        groups = tuple(scanner.groups.values())
        targets = tuple(scanner.targets.values())
        problems, calendars = self._problems.in_order(), self._calendars.paths
        crontab = Crontab(self.path, entries, problems, groups, calendars, targets, reader.after_lines)
        return crontab if self._user is None else as_of_user(crontab, self._user)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Reading leaves no garbage in cycles; looking for it takes an eighth of the time of 100,000 lines."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

"""What a crontab says, as data: its entries, its groups, and what is wrong with it.

Named tuples and no dataclasses: a large crontab makes 100,000 entries, and a frozen dataclass takes three times as long
for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gcron.crontab.problem import Problem
from gcron.crontab.target import Target
from gcron.policy import Policy
from gcron.schedule import Schedule

__all__ = ["Crontab", "Entry", "Group"]


class Entry(NamedTuple):
    """One line of a crontab with its directives: what to run, when and how."""

    name: str
    """Of the job: unique in the file."""
    path: str
    line: int
    """From 1."""
    schedule: Schedule
    """With the delay of RANDOM_DELAY."""
    schedule_text: str
    """As written."""
    tz: str | None
    """The zone that `tz=` or CRON_TZ names for it; None for the default that the file was parsed with."""
    command: str
    """For the shell. Bytes that are not UTF-8 are in it as `surrogateescape` carries them."""
    stdin: bytes | None
    """The text after the first bare `%`; None if there is none."""
    environment: Mapping[str, str]
    """The assignments above the entry; one object for all entries between two assignments."""
    policy: Policy
    user: str | None
    """From a system crontab's user column, else None."""
    mail_on_failure: bool
    """`-n`: mail only if the job fails."""
    quiet: bool
    """A leading `-`: the runs are not logged."""
    owner: str = ""
    """Whose crontab it is in, for a user's crontab of a spool directory; else empty."""


class Group(NamedTuple):
    """What a `# gcron-group:` line declares: at most `limit` jobs of the group may run at once."""

    name: str
    limit: int
    line: int
    """From 1."""


class Crontab(NamedTuple):
    """A crontab as it was read: the good entries, and all problems in the order of the file."""

    path: str
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    groups: tuple[Group, ...] = ()
    calendars: tuple[str, ...] = ()
    """The .ics files that its `except-on=` names: a change of one changes the crontab."""
    targets: tuple[Target, ...] = ()
    """Where messages may go: `# gcron-notify:` lines."""
    after_lines: Mapping[int, str] = MappingProxyType({})
    """By number, the lines with `@after`: what is wrong with their names shows only beside all other jobs."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make the file unfit to run."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that are reported but do no harm."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

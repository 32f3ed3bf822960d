"""What a crontab says, as data: its entries, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gcron.crontab.problem import Problem
from gcron.policy import Policy
from gcron.schedule import Schedule

__all__ = ["Crontab", "Entry", "Group"]


# A tuple and no dataclass: a large crontab makes 100,000, and a frozen dataclass takes three times as long.
class Entry(NamedTuple):
    """One line of a crontab with its directives: what to run, when and how."""

    name: str
    """Of the job: unique in the file."""
    path: str
    line: int
    """From 1."""
    schedule: Schedule
    """With what RANDOM_DELAY puts it off by."""
    schedule_text: str
    """As written."""
    tz: str | None
    """The zone that `tz=` or CRON_TZ names for it; None for the default that the file was parsed with."""
    command: str
    """For the shell; bytes that are not UTF-8 are in it as `surrogateescape` carries them."""
    stdin: bytes | None
    """The text behind the first bare `%`; None where there is none."""
    environment: Mapping[str, str]
    """The assignments above the entry; one object for all entries between two assignments."""
    policy: Policy
    user: str | None
    """From a system crontab's user column, else None."""
    mail_on_failure: bool
    """`-n`: mail only when the job fails."""
    quiet: bool
    """A leading `-`: the runs are not logged."""


@dataclass(frozen=True, slots=True)
class Group:
    """What a `# gcron-group:` line declares: of the group's jobs, at most `limit` shall run at once."""

    name: str
    limit: int
    line: int
    """From 1."""


@dataclass(frozen=True, slots=True)
class Crontab:
    """A crontab as it was read: the entries that are good, and all problems in the order of the file."""

    path: str
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    groups: tuple[Group, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make the file unfit to run."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that are told, and do no harm."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

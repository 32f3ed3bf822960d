"""Names for the jobs that give none: the name of their program, and a number where jobs share it.

Rules (docs/crontab.md, section 4):

1. Names that directives give go first. No made-up name takes one of them.
2. `backup`, `backup-2`, `backup-3`: in the order of the lines, and of the files that are loaded together. So a file
   never changes the names of jobs in the files before it.
3. A reload keeps the name of each command that is still in its file, and gives no new command the name of one that
   went. Otherwise a line above would hand one job's runs under way, its pause and its history to another job. After a
   restart, rule 2 alone decides.

A name never depends on the schedule, which may be edited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from gcron.crontab.entry import Entry
from gcron.crontab.program import is_plain_program, program_of
from gcron.schedule.seeded import digest

__all__ = ["Named", "Names", "is_numbered"]

_LENGTH = 32
_NUMBER = r"-[1-9][0-9]*"


class Named(NamedTuple):
    """What a job was called when it was last loaded."""

    name: str
    path: str
    """Of its file."""
    command: str
    owner: str
    """See `Entry.owner`."""


class Names:
    """The names of jobs that are loaded together. Gives each made-up name once.

    `given`: names that no made-up one may take. `previous`: the jobs of the last load, whose names are kept.
    """

    def __init__(self, given: Iterable[str] = (), previous: Iterable[Named] = ()) -> None:
        self._taken = set(given)
        self._count: dict[str, int] = {}
        self._kept: dict[tuple[str, str], list[str]] = {}
        """By file and command; of equal commands the last one first."""
        for job in previous:
            if job.name not in self._taken and _is_made_up(job.name, job.command, job.owner):
                self._kept.setdefault((job.path, job.command), []).insert(0, job.name)
        self._taken.update(name for names in self._kept.values() for name in names)

    def make_up(self, path: str, command: str, prefix: str = "", program: str = "") -> str:
        """Return a name for the job with this command in this file. It begins with `prefix`.

        `program`: the base name of the command's program, if the caller knows it.
        """
        # HOT PATH: `benchmarks/crontabs.py`.
        if self._kept and (kept := self._kept.get((path, command))):
            return kept.pop()
        base = prefix + (program if program and is_plain_program(program) else _base(command))
        name = base
        while name in self._taken:
            # Counted on from the last one given, or 100,000 equal lines would look 5,000,000,000 times.
            self._count[base] = number = self._count.get(base, 1) + 1
            name = f"{base}-{number}"
        self._taken.add(name)
        return name


def _base(command: str) -> str:
    name = program_of(command)
    if name.isascii() and name[:1].isalnum() and len(name) <= _LENGTH:
        return name
    name = re.sub(r"^\W+", "", name)[:_LENGTH].rstrip("-.+")
    return name or f"job-{digest(command, 2).hex()}"


def is_numbered(entry: Entry) -> bool:
    """Whether the entry's name is one that `make_up` gives because an earlier line has that of the program."""
    is_made_up = _is_made_up(entry.name, entry.command, entry.owner)
    return is_made_up and entry.name.removeprefix(f"{entry.owner}:") != _base(entry.command)


def _is_made_up(name: str, command: str, owner: str) -> bool:
    """Whether the name is one that `make_up` gives, so that a line that lost its `name=` is named anew."""
    name, base = name.removeprefix(f"{owner}:"), _base(command)
    return name == base or (name.startswith(base) and re.fullmatch(_NUMBER, name[len(base) :]) is not None)

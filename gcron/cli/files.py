"""The files that a command was given: read, parsed, and checked against one another."""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from gcron.cli.progress import with_progress
from gcron.clock import local_timezone
from gcron.crontab import Crontab, CrontabError, Entry, Problem, load_paths, render_all
from gcron.schedule import ScheduleError, Unscheduled, find_zone

__all__ = ["Loaded", "complain", "load_files", "plural"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is in the files, and all that is wrong with them."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    timezone: tzinfo

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make them unfit to run."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def load_files(options: argparse.Namespace) -> Loaded:
    """Load the files of a command line; files that cannot be read are problems too."""
    try:
        timezone = find_zone(options.tz).tz if options.tz else local_timezone()
    except (ScheduleError, ValueError, OSError) as error:
        source = "--tz" if options.tz else "TZ"
        raise SystemExit(f"gcron: {source}: {error}") from None
    crontabs: list[Crontab] = []
    problems: list[Problem] = []
    for path in with_progress(options.files, "reading"):
        try:
            crontabs += load_paths([path], system=options.system, timezone=timezone)
        except CrontabError as error:
            problems += error.problems
    for crontab in crontabs:
        problems += crontab.problems
    entries = tuple(entry for crontab in crontabs for entry in crontab.entries)
    problems += _twice_named(entries)
    if options.command != "next":  # when something is due does not depend on whether we can run it
        problems += _not_supported(entries)
    if options.command == "run":
        problems += _for_other_users(entries)
    return Loaded(entries, tuple(problems), timezone)


def complain(problems: Sequence[Problem]) -> None:
    """Print problems for people on stderr."""
    if problems:
        print(render_all(problems), file=sys.stderr)


def plural(count: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _twice_named(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Names are unique in a file by construction; files together are only known here."""
    first: dict[str, Entry] = {}
    for entry in entries:
        earlier = first.setdefault(entry.name, entry)
        if earlier is not entry:
            message = f"the name {entry.name!r} is taken by {earlier.path}:{earlier.line}"
            yield _problem(entry, message, "give one of them another name=")


def _not_supported(entries: Sequence[Entry]) -> Iterator[Problem]:
    for entry in entries:
        if isinstance(entry.schedule, Unscheduled) and entry.schedule.kind == "service":
            yield _problem(entry, "@service is not supported by this version of gcron", "")


def _for_other_users(entries: Sequence[Entry]) -> Iterator[Problem]:
    """A line for the user that gcron runs as needs no other one; the file may be right all the same."""
    own = _own_name()
    for entry in entries:
        if entry.user is not None and entry.user != own:
            message = f"runs as {entry.user}, and this version of gcron runs jobs only as its own user, {own}"
            yield _problem(
                entry, message, f"run gcron as {entry.user}, and the lines of each user in a file of its own"
            )


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container, where the number may be all there is
        return str(os.geteuid())


def _problem(entry: Entry, message: str, hint: str) -> Problem:
    return Problem(entry.path, entry.line, 1, 2, "error", message, hint)

"""The files that a command was given: read, parsed, and checked against one another."""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from gcron.cli.moments import MomentError, read_zone
from gcron.cli.progress import with_progress
from gcron.crontab import (
    Crontab,
    CrontabError,
    Entry,
    Problem,
    find_group_mistakes,
    group_limits,
    load_paths,
    parse,
    render_all,
)
from gcron.crontab.source import MAX_SIZE
from gcron.policy import closest
from gcron.policy.services import describe_kind, find_mistakes, find_useless, is_service

__all__ = ["Loaded", "complain", "describe_unknown_job", "load_files", "plural"]

_STDIN = "-"
# `gcron run` reads its files again and again, which stdin cannot be.
_READING_STDIN = {"check", "next", "timeline"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is in the files, and all that is wrong with them."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    timezone: tzinfo
    group_limits: Mapping[str, int]
    """Of the groups that they declare."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make them unfit to run."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def load_files(options: argparse.Namespace) -> Loaded:
    """Load the files of a command line; files that cannot be read are problems too."""
    try:
        timezone = read_zone(options.tz)
    except MomentError as error:
        raise SystemExit(f"gcron: {error}") from None
    crontabs: list[Crontab] = []
    problems: list[Problem] = []
    for path in with_progress(options.files, "reading"):
        try:
            found = _load(path, options, timezone)
        except CrontabError as error:
            problems += error.problems
            continue
        if not found:
            problems.append(_nothing_in(path))
        crontabs += found
    for crontab in crontabs:
        problems += crontab.problems
    entries = tuple(entry for crontab in crontabs for entry in crontab.entries)
    problems += _twice_named(entries)
    if options.command != "next":  # when something is due does not depend on whether we can run it
        problems += _useless_options(entries)
        if not any(problem.severity == "error" for problem in problems):  # else the service may be in a wrong line
            problems += _mistaken_after(entries)
            problems += find_group_mistakes(crontabs)
    if options.command == "run":
        problems += _for_other_users(entries)
    return Loaded(entries, tuple(problems), timezone, group_limits(crontabs))


def complain(problems: Sequence[Problem]) -> None:
    """Print problems for people on stderr."""
    if problems:
        print(render_all(problems), file=sys.stderr)


def describe_unknown_job(name: str, entries: Sequence[Entry]) -> str:
    """What is wrong about a job's name, and which one was probably meant, with its place."""
    message = f"there is no job named {name!r}"
    by_name = {entry.name: entry for entry in entries}
    close = closest(name, by_name)
    if close is not None:
        return f"{message}; did you mean {close!r}? ({by_name[close].path}:{by_name[close].line})"
    shown = ", ".join(list(by_name)[:10]) or "none"
    return f"{message}; known are {shown}" + (f" and {len(entries) - 10} more" if len(entries) > 10 else "")


def plural(count: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _load(path: str, options: argparse.Namespace, timezone: tzinfo) -> Sequence[Crontab]:
    if path == _STDIN and options.command in _READING_STDIN:
        return [parse(_read_stdin(), "<stdin>", system=options.system, timezone=timezone)]
    return load_paths([path], system=options.system, timezone=timezone)


def _read_stdin() -> bytes:
    """What `crontab -l` pipes to us, up to the size of the largest file that is read."""
    try:
        with open(0, "rb", closefd=False) as stdin:
            data = stdin.read(MAX_SIZE + 1)
    except OSError as error:
        raise CrontabError([_unreadable_stdin(os.strerror(error.errno or 0).lower())]) from None
    if len(data) > MAX_SIZE:
        raise CrontabError([_unreadable_stdin("it is larger than 1 MiB")])
    return data


def _unreadable_stdin(reason: str) -> Problem:
    return Problem("<stdin>", 0, 0, 0, "error", f"cannot be read: {reason}", "")


def _nothing_in(directory: str) -> Problem:
    """Who wants `jobs/` to be read waits in vain for `jobs/backup.cron`."""
    message = "holds no crontab: names with a dot or a ~, or # in front, are passed over, as in cron.d"
    return Problem(directory, 0, 0, 0, "warning", message, "name the file itself, or give it a name without a dot")


def _twice_named(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Names are unique in a file by construction; files together are only known here."""
    first: dict[str, Entry] = {}
    for entry in entries:
        earlier = first.setdefault(entry.name, entry)
        if earlier is not entry:
            message = f"the name {entry.name!r} is taken by {earlier.path}:{earlier.line}"
            yield _problem(entry, message, "give one of them another name=")


def _mistaken_after(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Whether there is a service of that name is only known when all files are."""
    for entry, message, hint in find_mistakes(entries):
        yield _problem(entry, message, hint)


def _useless_options(entries: Sequence[Entry]) -> Iterator[Problem]:
    seen: set[tuple[int, bool]] = set()  # entries share what `# gcron-defaults:` says: one word on it is enough
    for entry in entries:
        kind = (id(entry.policy), is_service(entry))
        if kind in seen:
            continue
        seen.add(kind)
        if useless := [f"{name}=" for name in find_useless(entry)]:
            yield _warning(entry, f"{', '.join(useless)} means nothing to {describe_kind(entry)}", "it is ignored")


def _for_other_users(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Who is not root runs the lines of nobody else; the file may be right all the same."""
    if os.geteuid() == 0:
        return
    own = _own_name()
    for entry in entries:
        user = entry.policy.user or entry.user
        if user not in (None, own, str(os.geteuid())):
            message = f"runs as {user}, which only root can have it do; this gcron runs as {own}"
            others = "" if user in ("root", "0") else f", or as {user} with the lines of that user alone"
            yield _problem(entry, message, f"run gcron as root{others}")


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container, where the number may be all there is
        return str(os.geteuid())


def _problem(entry: Entry, message: str, hint: str) -> Problem:
    return Problem(entry.path, entry.line, 1, 2, "error", message, hint)


def _warning(entry: Entry, message: str, hint: str) -> Problem:
    return Problem(entry.path, entry.line, 1, 2, "warning", message, hint)

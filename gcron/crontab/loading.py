"""From paths to crontabs: one file, several, or several that run together and are checked against one another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from typing import NamedTuple

from gcron.crontab.checks import (
    find_group_mistakes,
    find_lines_of_others,
    find_taken_names,
    find_useless_options,
    find_wrong_after,
    group_limits,
)
from gcron.crontab.entry import Crontab, Entry
from gcron.crontab.naming import Names
from gcron.crontab.parser import Draft, parse, scan
from gcron.crontab.problem import CrontabError, Problem
from gcron.crontab.source import members_of, read
from gcron.schedule import find_zone

__all__ = ["LoadSettings", "Loaded", "load", "load_all", "load_paths"]

_Path = str | os.PathLike[str]
_STDIN = "-"


class LoadSettings(NamedTuple):
    """How crontabs are read, and how much of them is checked."""

    system: bool = False
    """Whether they have a user column."""
    timezone: str | tzinfo | None = None
    """For entries without `tz=` or CRON_TZ; None is UTC."""
    check_options: bool = True
    """Whether options, services and groups are checked. When an entry is due does not depend on them."""
    check_users: bool = False
    """Whether a line of another user is an error, as it is where this process shall run it and is not root's."""


class Loaded(NamedTuple):
    """What several crontabs say together."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    """Of the files, and between them."""
    group_limits: Mapping[str, int]
    """Of the groups that they declare."""
    timezone: tzinfo
    """Of entries without a zone of their own."""
    calendars: tuple[str, ...] = ()
    """The .ics files that their `except-on=` names: a change of one changes the crontabs."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make them unfit to run."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def load(
    path: _Path, *, system: bool = False, timezone: str | tzinfo | None = None, taken: Iterable[str] = ()
) -> Crontab:
    """Read and parse one file. The problems of its content are in the result. The parameters are those of `parse`.

    Raises CrontabError if the file cannot be read (one problem), ValueError for an unknown `timezone`.
    """
    return parse(read(path), os.fspath(path), system=system, timezone=timezone, taken=taken)


def load_paths(
    paths: Iterable[_Path], *, system: bool = False, timezone: str | tzinfo | None = None
) -> tuple[Crontab, ...]:
    """Read and parse files, and for each directory its files in the manner of cron.d (see `members_of`).

    Raises CrontabError with a problem for each path that cannot be read.
    """
    problems: list[Problem] = []
    settings = LoadSettings(system, timezone)
    drafts = [draft for path in paths for draft in _drafts(os.fspath(path), settings, None, problems)]
    if errors := [problem for problem in problems if problem.severity == "error"]:
        raise CrontabError(errors)
    return _finished(drafts)


def load_all(
    paths: Iterable[str],
    settings: LoadSettings,
    read_stdin: Callable[[], bytes] | None = None,
    previous: Sequence[Entry] = (),
) -> Loaded:
    """Read, parse and check crontabs that run together. Files that cannot be read are problems, too.

    With `read_stdin`, the path `-` means what that returns; it may raise CrontabError. `previous`: the entries of the
    last load, whose jobs keep the names that were made up for them. Raises ValueError for an unknown time zone.

        loaded = load_all(["/etc/crontab", "/etc/cron.d"], LoadSettings(system=True))
        print(render_all(loaded.problems))
    """
    problems: list[Problem] = []
    drafts = [draft for path in paths for draft in _drafts(path, settings, read_stdin, problems)]
    crontabs = _finished(drafts, previous)
    for crontab in crontabs:
        problems += crontab.problems
    entries = tuple(entry for crontab in crontabs for entry in crontab.entries)
    problems += _find_problems(crontabs, entries, settings, any(problem.severity == "error" for problem in problems))
    calendars = tuple(dict.fromkeys(path for crontab in crontabs for path in crontab.calendars))
    return Loaded(entries, tuple(problems), group_limits(crontabs), find_zone(settings.timezone).tz, calendars)


def _drafts(
    path: str, settings: LoadSettings, read_stdin: Callable[[], bytes] | None, problems: list[Problem]
) -> Iterator[Draft]:
    """Yield the crontabs at a path, and add to `problems` what is wrong with the path."""
    if path == _STDIN and read_stdin is not None:
        with _reporting(problems):
            yield scan(read_stdin(), "<stdin>", system=settings.system, timezone=settings.timezone)
        return
    with _reporting(problems):
        members = members_of(path)
        problems += map(_passed_over, members.passed_over)
        if not members.crontabs and not members.passed_over:
            problems.append(_nothing_in(path))
        for member in members.crontabs:
            with _reporting(problems):
                yield scan(read(member), member, system=settings.system, timezone=settings.timezone)


@contextmanager
def _reporting(problems: list[Problem]) -> Iterator[None]:
    try:
        yield
    except CrontabError as error:
        problems += error.problems


def _finished(drafts: Sequence[Draft], previous: Sequence[Entry] = ()) -> tuple[Crontab, ...]:
    """Return the crontabs. Names are unique among all of them, except for given ones."""
    names = Names((name for draft in drafts for name in draft.given_names), previous)
    return tuple(draft.finish(names) for draft in drafts)


def _find_problems(
    crontabs: Sequence[Crontab], entries: Sequence[Entry], settings: LoadSettings, has_errors: bool
) -> Iterator[Problem]:
    for taken in find_taken_names(entries):
        has_errors = True
        yield taken
    if settings.check_options:
        yield from find_useless_options(entries)
        if not has_errors:  # else the service or the group may be in a wrong line
            yield from find_wrong_after(entries)
            yield from find_group_mistakes(crontabs)
    if settings.check_users:
        uid = os.geteuid()
        yield from find_lines_of_others(entries, uid, _name_of(uid))


def _name_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container the number may be all there is
        return str(uid)


def _nothing_in(directory: str) -> Problem:
    message = "holds no crontab: names with a dot or a ~, or # in front, are passed over, as in cron.d"
    return Problem(directory, 0, 0, 0, "warning", message, "name the file itself, or give it a name without a dot")


def _passed_over(path: str) -> Problem:
    """The warning for `jobs/backup.cron`: its jobs would be waited for in vain."""
    message = "is passed over: in a directory, names with a dot or a ~ are no crontabs, as in cron.d"
    return Problem(path, 0, 0, 0, "warning", message, "rename it, or name the file itself")

"""From paths to crontabs: one file, several, or several that run together and are checked against one another."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from functools import partial
from typing import NamedTuple

from gcron.crontab.checks import (
    find_group_mistakes,
    find_lines_of_others,
    find_not_shared,
    find_taken_names,
    find_target_mistakes,
    find_useless_options,
    find_wrong_after,
    find_wrong_after_jobs,
    group_limits,
    targets_of,
)
from gcron.crontab.entry import Crontab, Entry
from gcron.crontab.naming import Named, Names
from gcron.crontab.parser import Draft, parse
from gcron.crontab.problem import CrontabError, Problem
from gcron.crontab.source import find_open_places, members_of, read, read_of_user
from gcron.crontab.spool import files_of
from gcron.crontab.spool import left_out as report_left_out
from gcron.crontab.target import Target
from gcron.schedule import find_zone

__all__ = ["LoadSettings", "Loaded", "load", "load_all", "load_paths"]

_Path = str | os.PathLike[str]
_STDIN = "-"


class LoadSettings(NamedTuple):
    """How crontabs are read, and how much of them is checked."""

    system: bool = False
    """Whether they have a user column. Those in `spools` never have one."""
    timezone: str | tzinfo | None = None
    """For entries without `tz=` or CRON_TZ; None is UTC."""
    check_options: bool = True
    """Whether options, services and groups are checked. When an entry is due does not depend on them."""
    check_users: bool = False
    """Whether a line of another user is an error, as it is where this process shall run it and is not root's."""
    spools: tuple[str, ...] = ()
    """Directories of user crontabs, such as /var/spool/cron/crontabs: the name of a file is its user."""
    trusted_owners: frozenset[int] = frozenset()
    """Ids of users other than root whose files root reads: the owner in a bind mount, for example."""
    is_shared: bool = False
    """Whether several machines share the jobs. What they cannot share is an error then."""
    names_mailer: bool = False
    """Whether somebody has said what sends mail: then MAILTO is fine without a sendmail on this machine."""


class Loaded(NamedTuple):
    """What several crontabs say together."""

    crontabs: tuple[Crontab, ...]
    """Those that are used, in order."""
    problems: tuple[Problem, ...]
    """Of the files, and between them."""
    timezone: tzinfo
    """Of entries without a zone of their own."""
    left_out: tuple[str, ...] = ()
    """The user crontabs whose errors do not count: they are not used, or as they were in the last load."""
    known_names: Callable[[], Iterable[Named]] | None = None
    """Returns what the jobs are called, where there are no entries any more."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that are used."""
        return tuple(entry for crontab in self.crontabs for entry in crontab.entries)

    @property
    def named(self) -> Iterable[Named]:
        """What the jobs are called."""
        if self.known_names is not None:
            return self.known_names()
        return (Named(entry.name, entry.path, entry.command, entry.owner) for entry in self.entries)

    def without_entries(self, known_names: Callable[[], Iterable[Named]]) -> Loaded:
        """The same without entries, except those of users' crontabs: these may have to stay as they are."""
        kept = (crontab if _is_of_user(crontab) else crontab._replace(entries=()) for crontab in self.crontabs)
        return self._replace(crontabs=tuple(kept), known_names=known_names)

    @property
    def group_limits(self) -> Mapping[str, int]:
        """Of the groups that the crontabs declare."""
        return group_limits(self.crontabs)

    @property
    def targets(self) -> Mapping[str, Target]:
        """Where messages may go, by name."""
        return targets_of(self.crontabs)

    @property
    def calendars(self) -> tuple[str, ...]:
        """The .ics files that their `except-on=` names: a change of one changes the crontabs."""
        return tuple(dict.fromkeys(path for crontab in self.crontabs for path in crontab.calendars))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make them unfit to run."""
        return tuple(problem for problem in self.problems if _counts(problem, self.left_out))


def load(
    path: _Path, *, system: bool = False, timezone: str | tzinfo | None = None, taken: Iterable[str] = ()
) -> Crontab:
    """Read and parse one file. The problems of its content are in the result. The parameters are those of `parse`.

    Raises CrontabError if the file cannot be read (one problem), ScheduleError for an unknown `timezone`.
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
    if errors := [problem for problem in problems if _counts(problem)]:
        raise CrontabError(errors)
    return _finished(drafts)


def load_all(
    paths: Iterable[str],
    settings: LoadSettings,
    read_stdin: Callable[[], bytes] | None = None,
    previous: Loaded | None = None,
) -> Loaded:
    """Read, parse and check crontabs that run together. Files that cannot be read are problems, too.

    With `read_stdin`, the path `-` means what that returns; it may raise CrontabError. `previous`: the last load. Jobs
    keep the names that were made up for them then, and a user's crontab that has errors now stays as it was. Raises
    ScheduleError for an unknown time zone.

        loaded = load_all(["/etc/crontab", "/etc/cron.d"], LoadSettings(system=True))
        print(render_all(loaded.problems))
    """
    zone = find_zone(settings.timezone)
    problems: list[Problem] = []
    drafts = [draft for path in paths for draft in _drafts(path, settings, read_stdin, problems)]
    own = len(drafts)
    drafts += [draft for spool in settings.spools for draft in _user_drafts(spool, settings, problems)]
    # Where several machines share the jobs, a name may not depend on what a file has said before.
    named = () if previous is None or settings.is_shared else previous.named
    crontabs = _finished(drafts, named)
    problems += [problem for crontab in crontabs for problem in crontab.problems]
    of_users = {crontab.path for crontab in crontabs[own:]}
    used, left_out = _checked(crontabs, of_users, settings, problems)
    kept = _kept(left_out, used, previous)
    problems += [report_left_out(path, path in kept) for path in left_out]
    return Loaded((*used, *kept.values()), tuple(problems), zone.tz, left_out)


def _is_of_user(crontab: Crontab) -> bool:
    return any(entry.owner for entry in crontab.entries[:1])


def _kept(left_out: Sequence[str], used: Sequence[Crontab], previous: Loaded | None) -> dict[str, Crontab]:
    """Return the crontabs of the last load for those that are left out, unless root has taken one of their names."""
    if not left_out or previous is None:
        return {}
    names = {entry.name for entry in _entries_of(used)}
    before = [crontab for crontab in previous.crontabs if crontab.path in left_out]
    return {crontab.path: crontab for crontab in before if names.isdisjoint(entry.name for entry in crontab.entries)}


# -- reading ----------------------------------------------------------------------------------------------------------


def _drafts(
    path: str, settings: LoadSettings, read_stdin: Callable[[], bytes] | None, problems: list[Problem]
) -> Iterator[Draft]:
    """Yield the crontabs at a path, and add to `problems` what is wrong with the path."""
    owners = settings.trusted_owners
    draft = partial(
        Draft,
        system=settings.system,
        timezone=settings.timezone,
        trusted_owners=owners,
        names_mailer=settings.names_mailer,
    )
    with _reporting(problems):
        if path == _STDIN and read_stdin is not None:
            yield draft(read_stdin(), "<stdin>")
            return
        members = members_of(path, owners)
        problems += map(_passed_over, members.passed_over)
        if not members.crontabs and not members.passed_over:
            problems.append(_nothing_in(path))
        for member in members.crontabs:
            problems += [problem for problem in find_open_places(member) if problem not in problems]
            with _reporting(problems):
                yield draft(read(member, owners), member)


def _user_drafts(spool: str, settings: LoadSettings, problems: list[Problem]) -> Iterator[Draft]:
    """Yield the user crontabs in a directory. A file that must not be read is warned about, as in cron."""
    with _reporting(problems):
        for file in files_of(spool):
            if isinstance(file, Problem):
                problems.append(file)
                continue
            try:
                data = read_of_user(file.path, file.uid, settings.trusted_owners)
            except CrontabError as error:
                problems += [problem._replace(severity="warning") for problem in error.problems]
                continue
            yield Draft(data, file.path, timezone=settings.timezone, user=file, names_mailer=settings.names_mailer)


@contextmanager
def _reporting(problems: list[Problem]) -> Iterator[None]:
    try:
        yield
    except CrontabError as error:
        problems += error.problems


def _finished(drafts: Sequence[Draft], previous: Iterable[Named] = ()) -> tuple[Crontab, ...]:
    """Return the crontabs. Names are unique among all of them, except for given ones."""
    names = Names((name for draft in drafts for name in draft.given_names), previous)
    return tuple(draft.finish(names) for draft in drafts)


# -- checking ---------------------------------------------------------------------------------------------------------


def _checked(
    crontabs: Sequence[Crontab], of_users: Collection[str], settings: LoadSettings, problems: list[Problem]
) -> tuple[Sequence[Crontab], tuple[str, ...]]:
    """Check the crontabs against one another, and add to `problems`.

    Returns those that are used, and the paths of the user crontabs that are left out because of errors.
    """
    left_out: dict[str, None] = {}
    for find in (_find_taken_names, _find_wrong_options, _find_wrong_users):
        problems += find(crontabs, settings, any(_counts(problem, left_out) for problem in problems))
        wrong = [problem.path for problem in problems if problem.path in of_users and _counts(problem)]
        left_out.update(dict.fromkeys(wrong))
        crontabs = [crontab for crontab in crontabs if crontab.path not in left_out]
    return crontabs, tuple(left_out)


def _find_taken_names(crontabs: Sequence[Crontab], settings: LoadSettings, has_errors: bool) -> Iterator[Problem]:
    return find_taken_names(_entries_of(crontabs))


def _find_wrong_options(crontabs: Sequence[Crontab], settings: LoadSettings, has_errors: bool) -> Iterator[Problem]:
    if settings.check_options:
        entries = _entries_of(crontabs)
        yield from find_useless_options(entries)
        if not has_errors:  # else the service or the group may be in a wrong line
            yield from find_wrong_after(entries)
            yield from find_wrong_after_jobs(crontabs)
            yield from find_group_mistakes(crontabs)
            yield from find_target_mistakes(crontabs)
            if settings.is_shared:
                yield from find_not_shared(crontabs)


def _find_wrong_users(crontabs: Sequence[Crontab], settings: LoadSettings, has_errors: bool) -> Iterator[Problem]:
    if settings.check_users:
        uid = os.geteuid()
        yield from find_lines_of_others(_entries_of(crontabs), uid, _name_of(uid))


def _entries_of(crontabs: Sequence[Crontab]) -> list[Entry]:
    return [entry for crontab in crontabs for entry in crontab.entries]


def _counts(problem: Problem, left_out: Collection[str] = ()) -> bool:
    return problem.severity == "error" and problem.path not in left_out


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

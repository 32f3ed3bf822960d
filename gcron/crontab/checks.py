"""What can be wrong across crontabs that are loaded together: names, options, services, groups, targets, users.

The checks are functions from entries to problems. This module touches no file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from gcron.crontab.entry import Crontab, Entry
from gcron.crontab.naming import is_numbered
from gcron.crontab.problem import Problem, Severity
from gcron.crontab.target import Target
from gcron.policy import nearest
from gcron.policy.services import (
    describe_kind,
    find_chain_mistakes,
    find_mistakes,
    find_unshareable,
    find_useless,
    is_chained,
    is_service,
    is_shared,
)
from gcron.schedule import AfterJobsSchedule, core_of

__all__ = [
    "find_group_mistakes",
    "find_lines_of_others",
    "find_not_shared",
    "find_taken_names",
    "find_target_mistakes",
    "find_useless_options",
    "find_wrong_after",
    "find_wrong_after_jobs",
    "group_limits",
    "targets_of",
]

# To look for the nearest of many names, for each of many, takes too long.
_MOST_COMPARED = 100
_NONE: Mapping[str, int] = MappingProxyType({})


def find_taken_names(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Yield an error for each name that an earlier entry has. Inside one file there are none."""
    first: dict[str, Entry] = {}
    for entry in entries:
        earlier = first.setdefault(entry.name, entry)
        if earlier is not entry:
            message = f"the name {entry.name!r} is taken by {earlier.path}:{earlier.line}"
            yield _problem("error", entry, message, "give one of them another name=")


def find_useless_options(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Yield a warning for options that mean nothing to an entry: restart= of a job, retries= of a service."""
    seen: set[tuple[int, bool, bool]] = set()  # entries share what `# gcron-defaults:` says: it is reported once
    for entry in entries:
        kind = (id(entry.policy), is_service(entry), is_chained(entry))
        if kind in seen:
            continue
        seen.add(kind)
        if useless := [f"{name}=" for name in find_useless(entry)]:
            message = f"{', '.join(useless)} means nothing to {describe_kind(entry)}"
            yield _problem("warning", entry, message, "it is ignored")


def find_wrong_after(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Yield an error for each entry that waits for what never comes (see `find_mistakes`)."""
    for entry, message, hint in find_mistakes(entries):
        yield _problem("error", entry, message, hint)


def find_wrong_after_jobs(crontabs: Sequence[Crontab]) -> Iterator[Problem]:
    """Yield an error for each wrong name of an `@after`, at its place in the line."""
    lines = {(crontab.path, number): line for crontab in crontabs for number, line in crontab.after_lines.items()}
    entries = [entry for crontab in crontabs for entry in crontab.entries]
    for entry, name, message, hint in find_chain_mistakes(entries):
        line = lines.get((entry.path, entry.line))
        if line is None:  # a directive says it
            yield _problem("error", entry, message, hint)
            continue
        start, end = _place_of_name(line, name.removeprefix(f"{entry.owner}:" if entry.owner else ""))
        yield Problem(entry.path, entry.line, start + 1, end + 1, "error", message, hint, line)


def _place_of_name(line: str, name: str) -> tuple[int, int]:
    """Return the columns, from 0, of a name that stands after the `@after` of the line."""
    found = re.search(rf"@after[ \t]+(?:[^ \t]*,)?({re.escape(name)})(?=[, \t]|$)", line)
    assert found is not None, f"no {name!r} in {line!r}"
    return found.span(1)


def find_lines_of_others(entries: Sequence[Entry], uid: int, name: str) -> Iterator[Problem]:
    """Yield an error for each entry of another user than `name`, whose number is `uid`: only root may run those."""
    if uid == 0:
        return
    for entry in entries:
        user = entry.policy.user or entry.user
        if user not in (None, name, str(uid)):
            message = f"runs as {user}, which only root can have it do; this gcron runs as {name}"
            others = "" if user in ("root", "0") else f", or as {user} with the lines of that user alone"
            yield _problem("error", entry, message, f"run gcron as root{others}")


def find_not_shared(crontabs: Sequence[Crontab]) -> Iterator[Problem]:
    """Yield an error for what several machines that share the jobs could not keep to.

    Which machine runs a job is decided fire by fire. So one machine knows neither the others' queues nor their runs,
    and a name means the same job everywhere only if it does not depend on other lines.
    """
    lines = {(crontab.path, number): line for crontab in crontabs for number, line in crontab.after_lines.items()}
    entries = [entry for crontab in crontabs for entry in crontab.entries]
    shared = {entry.name for entry in entries if is_shared(entry)}
    for entry in entries:
        if is_numbered(entry):
            message = f"the name {entry.name!r} depends on other lines, and machines that share jobs know them by name"
            yield _problem("error", entry, message, "give it a name of its own: # gcron: name=…")
        what = find_unshareable(entry) or _find_shared_upstream(entry, shared)
        if what:
            line = lines.get((entry.path, entry.line), "") if what == "@after" else ""
            start, end = (line.find(what), line.find(what) + len(what)) if line else (0, 1)
            message = f"{what} is not offered where several machines share the job{' or one before it' * bool(line)}"
            hint = _INSTEAD.get(what.partition("=")[0], _ON_EVERY)
            yield Problem(entry.path, entry.line, start + 1, end + 1, "error", message, hint, line)


def _find_shared_upstream(entry: Entry, shared: Collection[str]) -> str:
    """Return `@after` if the entry runs after a job that machines share: this one would not see all of its runs."""
    core = core_of(entry.schedule)
    return "@after" if isinstance(core, AfterJobsSchedule) and not set(core.jobs).isdisjoint(shared) else ""


_ON_EVERY = "run-on=every runs it on each machine for itself"
_INSTEAD = {
    "@after": "run-on=every for all of them, or one line that calls them one after the other",
    "a schedule by the end of the last run": f"@every with overlap=skip; or {_ON_EVERY}",
    "overlap": f"overlap=skip or overlap=allow; or {_ON_EVERY}",
    "catchup": f"catchup=last; or {_ON_EVERY}",
    "orphans": f"orphans=adopt or orphans=kill; or {_ON_EVERY}",
}


def group_limits(crontabs: Sequence[Crontab]) -> dict[str, int]:
    """Return the limit of each declared group. A group of one file holds for all that are loaded with it."""
    return {group.name: group.limit for crontab in crontabs for group in crontab.groups}


def find_group_mistakes(crontabs: Sequence[Crontab], known: Mapping[str, int] = _NONE) -> Iterator[Problem]:
    """Yield an error for a group with two limits, and for an entry whose group is not declared.

    `known` are limits that a program declares.
    """
    where = dict.fromkeys(known, "the program")
    limits = dict(known)
    for crontab in crontabs:
        for group in crontab.groups:
            place = where.setdefault(group.name, f"{crontab.path}:{group.line}")
            if limits.setdefault(group.name, group.limit) != group.limit:
                message = f"the group {group.name} has limit={limits[group.name]} in {place}"
                hint = "give it one limit, or another name"
                yield Problem(crontab.path, group.line, 1, 2, "error", message, hint)
    reported: set[tuple[str, str]] = set()
    for entry in (entry for crontab in crontabs for entry in crontab.entries):
        name = entry.policy.group
        if name is not None and name not in limits and (entry.path, name) not in reported:
            reported.add((entry.path, name))
            declare = f"declare it: # gcron-group: {name} limit=1"
            few = 0 < len(limits) <= _MOST_COMPARED
            hint = f"{nearest(name, limits)}; or {declare}" if few else declare
            yield _problem("error", entry, f"there is no group {name}", hint)


def targets_of(crontabs: Sequence[Crontab]) -> dict[str, Target]:
    """Return the declared targets by name. All files that are loaded together can name the targets of one of them."""
    return {target.name: target for crontab in crontabs for target in crontab.targets}


def find_target_mistakes(crontabs: Sequence[Crontab]) -> Iterator[Problem]:
    """Yield an error for a name that two targets have, and for `notify=` with a name that no target has."""
    targets: dict[str, Target] = {}
    for target in (target for crontab in crontabs for target in crontab.targets):
        first = targets.setdefault(target.name, target)
        if first is not target:
            message = f"the target {target.name} is declared in {first.path}:{first.line}"
            yield Problem(target.path, target.line, 1, 2, "error", message, "give one of them another name")
    reported: set[tuple[str, str]] = set()
    for entry in (entry for crontab in crontabs for entry in crontab.entries if entry.policy.notify):
        for name in entry.policy.notify:
            if name not in targets and (entry.path, name) not in reported:
                reported.add((entry.path, name))
                declare = f"declare it: # gcron-notify: {name} url=https://…"
                few = 0 < len(targets) <= _MOST_COMPARED
                hint = f"{nearest(name, targets)}; or {declare}" if few else declare
                yield _problem("error", entry, f"notify= names {name!r}, which is no target", hint)


def _problem(severity: Severity, entry: Entry, message: str, hint: str) -> Problem:
    return Problem(entry.path, entry.line, 1, 2, severity, message, hint)

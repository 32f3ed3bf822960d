"""The groups of several crontab files together: their limits, and what is wrong with them.

A group that one file declares holds for the others that are loaded with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from gcron.crontab.entry import Crontab
from gcron.crontab.problem import Problem
from gcron.policy import nearest

__all__ = ["find_group_mistakes", "group_limits"]

# Looking for the nearest of many names, for each of many, is for nobody's good.
_MOST_COMPARED = 100
_NONE: Mapping[str, int] = MappingProxyType({})


def group_limits(crontabs: Sequence[Crontab]) -> dict[str, int]:
    """The limit of each group that is declared, by its name."""
    return {group.name: group.limit for crontab in crontabs for group in crontab.groups}


def find_group_mistakes(crontabs: Sequence[Crontab], known: Mapping[str, int] = _NONE) -> Iterator[Problem]:
    """A group with two limits, an entry whose group nobody declares; `known`: limits declared elsewhere."""
    where = dict.fromkeys(known, "the program")
    limits = dict(known)
    for crontab in crontabs:
        for group in crontab.groups:
            place = where.setdefault(group.name, f"{crontab.path}:{group.line}")
            if limits.setdefault(group.name, group.limit) != group.limit:
                message = f"the group {group.name} has limit={limits[group.name]} in {place}"
                yield _error(crontab.path, group.line, message, "give it one limit, or another name")
    told: set[tuple[str, str]] = set()
    for entry in (entry for crontab in crontabs for entry in crontab.entries):
        name = entry.policy.group
        if name is not None and name not in limits and (entry.path, name) not in told:
            told.add((entry.path, name))
            yield _error(entry.path, entry.line, f"there is no group {name}", _hint(name, limits))


def _hint(name: str, limits: Mapping[str, int]) -> str:
    declare = f"declare it: # gcron-group: {name} limit=1"
    if not limits or len(limits) > _MOST_COMPARED:
        return declare
    return f"{nearest(name, limits)}; or {declare}"


def _error(path: str, line: int, message: str, hint: str) -> Problem:
    return Problem(path, line, 1, 2, "error", message, hint)

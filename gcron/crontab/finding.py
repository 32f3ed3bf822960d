"""Which job a person means: by its name, by a part of it, or by the place of its line. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

from gcron.spelling import closest

__all__ = ["JobNotFound", "Placed", "find_job"]

_MOST_SHOWN = 10
_PLACE = r"(?:(.*):)?([0-9]{1,7})"


class Placed(Protocol):
    """An entry, or whatever else has a name and a place."""

    @property
    def name(self) -> str:
        """Of the job."""

    @property
    def path(self) -> str:
        """Of its crontab."""

    @property
    def line(self) -> int:
        """From 1."""


J = TypeVar("J", bound=Placed)


class JobNotFound(LookupError):
    """No job is meant by a text, or more than one. `candidates` are the names of those that may have been meant."""

    def __init__(self, text: str, message: str, candidates: Sequence[str]) -> None:
        super().__init__(message)
        self.text = text
        self.message = message
        self.candidates = tuple(candidates)


def find_job(text: str, jobs: Sequence[J]) -> J:
    """Return the one job that `text` means, of those in `jobs`.

    It is a whole name; a place, as `crontab:12`, `/etc/crontab:12` or, if there is one file, `12`; or a part of one
    name alone, whatever its case. The first of these that fits counts. Raises JobNotFound, which lists the candidates.

        find_job("pg", entries)     the only job with "pg" in its name
    """
    for job in jobs:
        if job.name == text:
            return job
    if (match := re.fullmatch(_PLACE, text)) and (found := _at(match[1], int(match[2]), jobs)):
        return _only(text, found, "jobs are in that line")
    if found := [job for job in jobs if text and text.lower() in job.name.lower()]:
        return _only(text, found, "names have that part")
    raise _unknown(text, jobs)


def _at(path: str | None, line: int, jobs: Sequence[J]) -> list[J]:
    if path is None and len({job.path for job in jobs}) > 1:
        return []
    return [job for job in jobs if job.line == line and (path is None or _is_end_of(path, job.path))]


def _is_end_of(short: str, path: str) -> bool:
    """Whether a path may be written like this: whole, or its last parts."""
    short = short.removeprefix("./")
    return path.removeprefix("./") == short or path.endswith("/" + short)


def _only(text: str, found: Sequence[J], what: str) -> J:
    if len(found) == 1:
        return found[0]
    names = [job.name for job in found]
    raise JobNotFound(text, f"{text!r} is not one job: {len(found)} {what}: {_listed(found)}", names)


def _unknown(text: str, jobs: Sequence[J]) -> JobNotFound:
    by_name = {job.name: job for job in jobs}
    message = f"there is no job {text!r}"
    near = closest(text, by_name)
    if near is not None:
        return JobNotFound(text, f"{message}; did you mean {_shown(by_name[near])}?", [near])
    if not jobs:
        return JobNotFound(text, f"{message}: there are no jobs at all", [])
    return JobNotFound(text, f"{message}; the jobs are {_listed(jobs)}", list(by_name))


def _listed(jobs: Sequence[Placed]) -> str:
    shown = ", ".join(map(_shown, jobs[:_MOST_SHOWN]))
    return shown if len(jobs) <= _MOST_SHOWN else f"{shown} and {len(jobs) - _MOST_SHOWN} more"


def _shown(job: Placed) -> str:
    return f"{job.name} ({job.path}:{job.line})"

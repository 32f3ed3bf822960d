"""The rules that every store follows: how much it keeps, and what it knows of jobs besides their runs.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import NoneType

from gcron.frozen import frozen
from gcron.schedule import Schedule
from gcron.schedule.seeded import digest
from gcron.scheduler.history import Chain, StoredRun, Upstream
from gcron.scheduler.job import Job

__all__ = [
    "KEEP",
    "KEPT_FAILURES",
    "RUN_COLUMNS",
    "Keep",
    "keep_of",
    "read_chain",
    "schedule_digests",
    "valid_chain",
    "write_chain",
]

RUN_COLUMNS = StoredRun.__match_args__
"""Columns of a table of runs that are the fields of a `StoredRun`."""

# -- how much is kept -------------------------------------------------------------------------------------------

KEPT_FAILURES = 10
"""The newest failures of a job, which are kept in any case."""


@frozen
class Keep:
    """What is kept, where a job does not say otherwise (`keep-runs`, `keep-for`, `keep-output`)."""

    runs: int = 100
    """Of each job."""
    age: float = 30 * 86400.0
    """Seconds."""
    output: int = 1024 * 1024
    """Bytes of a run's output: one half its beginning, one half its end."""


KEEP = Keep()


def keep_of(job: Job, default: Keep) -> Keep:
    """What is kept of a job's history."""
    runs, age = job.policy.keep_runs, job.policy.keep_for
    if runs is None and age is None:
        return default
    return Keep(default.runs if runs is None else runs, default.age if age is None else age, default.output)


# -- whether a job fires as before ------------------------------------------------------------------------------


def schedule_digests(jobs: Iterable[Job]) -> dict[str, str]:
    """For each job, by name, a text that is the same as long as its schedule is, also in the next version of gcron."""
    known: dict[tuple[int, bool], str] = {}  # jobs of a large crontab share schedules
    digests = {}
    for job in jobs:
        key = id(job.schedule), job.policy.enabled
        if key not in known:
            text = "\0".join(_words(job.schedule))
            known[key] = digest(text if job.policy.enabled else f"{text}\0not enabled", 8).hex()
        digests[job.name] = known[key]
    return digests


def _words(schedule: Schedule) -> Iterator[str]:
    """What it was written as, and the plain values of its fields. Not the patterns: how these are built may change."""
    yield schedule.text
    yield str(schedule.zone.tz)
    for name in getattr(schedule, "__match_args__", ()):
        value = getattr(schedule, name)
        if isinstance(value, Schedule):
            yield from _words(value)
        elif value is None or isinstance(value, bool | int | str):
            yield f"{name}={value!r}"


# -- jobs that run after others ---------------------------------------------------------------------------------


def valid_chain(chain: Chain | None, claimed: int | None) -> Chain | None:
    """What is remembered of a chain: nothing that was before a start that was claimed since."""
    if claimed is None or (chain is not None and claimed <= chain.start):
        return chain
    return Chain(claimed)  # later starts have larger numbers


def write_chain(chain: Chain) -> str:
    """A chain as text."""
    import json  # 2 ms that most starts need not

    ends = [[getattr(each, name) for name in Upstream.__match_args__] for each in chain.upstream]
    return json.dumps({"start": chain.start, "upstream": ends})


def read_chain(text: str | None) -> Chain | None:
    """The chain that a text stands for; None for what is none, such as damaged text: the other jobs keep their past."""
    if text is None:
        return None
    import json

    try:
        read = json.loads(text)
        chain = Chain(read["start"], tuple(Upstream(*values) for values in read["upstream"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    is_sound = type(chain.start) is int and all(map(_is_sound, chain.upstream))
    return chain if is_sound else None


def _is_sound(upstream: Upstream) -> bool:
    texts = upstream.job, upstream.outcome, upstream.reason
    return all(type(text) is str for text in texts) and type(upstream.ended) in (float, int, NoneType)

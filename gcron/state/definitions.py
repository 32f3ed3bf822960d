"""Whether a job fires as it did before a restart: a digest of what decides when it is due. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gcron.schedule import Schedule
from gcron.schedule.seeded import digest
from gcron.scheduler.job import Job

__all__ = ["schedule_digests"]


def schedule_digests(jobs: Iterable[Job]) -> dict[str, str]:
    """For each job, by name, a text that is the same as long as its schedule is, also in the next version of gcron."""
    texts: dict[int, str] = {}  # jobs of a large crontab share schedules
    digests = {}
    for job in jobs:
        key = id(job.schedule)
        if key not in texts:
            texts[key] = "\0".join(_words(job.schedule))
        enabled = "" if job.policy.enabled else "\0not enabled"
        digests[job.name] = digest(texts[key] + enabled, 8).hex()
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

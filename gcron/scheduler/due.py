"""Which instants are due now, and which were missed: the rules for late looks and for steps of the clock.

Pure arithmetic over schedules. The watch asks, and acts.
"""

from __future__ import annotations

from collections.abc import Sequence

from gcron.frozen import frozen
from gcron.policy.services import is_service
from gcron.schedule import Schedule
from gcron.schedule.clock import Clock
from gcron.scheduler.job import Job

__all__ = [
    "LONGEST_MADE_UP_STEP",
    "Counter",
    "Due",
    "StepDetector",
    "latest_start",
    "resolve_before_start",
    "resolve_due",
    "resolve_waiting",
]

LONGEST_MADE_UP_STEP = 3 * 3600
"""Seconds. After a larger step the clock must have been wrong: nothing is made up."""
_LATEST_START_OF_WILDCARD = 60
# Seconds by which the two clocks may differ more than at the last look before that counts as a step.
_STEP_THRESHOLD = 1.0
_MOST_READINGS = 10
# A job that is due each second misses 30,000 fires in a night. To count one costs up to 20 us, and there may be 100,000
# jobs.
_MOST_COUNTED = 100
_MOST_COUNTED_AT_ONCE = 20_000


@frozen
class Due:
    """What to do with a job whose instant has come."""

    fires: tuple[int, ...]
    """The instants to fire, oldest first; none when even the newest is too old."""
    missed: tuple[int, int] | None
    """The first and the last instant that are not fired; None when there are none."""
    caught_up: bool = False
    """The fires come from `catchup` only, and run one after the other."""


def resolve_due(job: Job, due: int, now: float, most: int = 1000) -> Due:
    """Decide on `job`, which was due at `due` and is looked at only `now` (docs/running.md, section 4).

    At most one fire, never a burst: a fixed-time job is made up for 3 hours, any other job starts only within its
    minute. `catchup` may add fires, up to `most`. A job that is due by the end of its last run is never too late.
    """
    if due == int(now) or job.schedule.follows_end:
        return Due((due,), None)
    newest = max(due, job.schedule.previous_before(int(now) + 1) or due)
    in_time = now - newest < latest_start(job)
    fires: tuple[int, ...] = (newest,) if in_time else ()
    if job.policy.catchup != "none":
        fires = _caught_up(job, due, newest, now, most) or fires
    return _decide(job, due, newest, fires, caught_up=job.policy.catchup == "all" and (len(fires) > 1 or not in_time))


def latest_start(job: Job) -> float:
    """Seconds after which a fire that nothing makes up does not start any more."""
    return LONGEST_MADE_UP_STEP if job.is_fixed_time else _LATEST_START_OF_WILDCARD


def resolve_before_start(job: Job, due: int, now: float, most: int = 1000) -> Due:
    """Decide on the fires from `due` to `now` of `job`, when gcron did not run: only `catchup` makes any of them up."""
    newest = max(due, job.schedule.previous_before(int(now) + 1) or due)
    fires = () if job.policy.catchup == "none" else _caught_up(job, due, newest, now, most)
    return _decide(job, due, newest, fires, caught_up=job.policy.catchup == "all")


def resolve_waiting(
    job: Job, waiting: Sequence[int], now: float, has_later: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Decide on fires that `catchup` was to make up when gcron ended: which to make up now, and which are missed.

    `has_later`: a later fire of the job is made up anyway; with `catchup=last`, it is then the only one.
    """
    if job.policy.catchup == "none" or not job.policy.enabled or is_service(job):
        return (), tuple(waiting)
    oldest = now - job.policy.start_deadline + 1e-6
    fires = tuple(fire for fire in waiting if oldest <= fire <= now)
    if job.policy.catchup == "last":
        fires = () if has_later else fires[-1:]
    return fires, tuple(fire for fire in waiting if fire not in fires)


def _decide(job: Job, due: int, newest: int, fires: tuple[int, ...], caught_up: bool) -> Due:
    if not fires:
        return Due((), (due, newest))
    missed = None if fires[0] == due else (due, job.schedule.previous_before(fires[0]) or due)
    return Due(fires, missed, caught_up)


def _caught_up(job: Job, due: int, newest: int, now: float, most: int) -> tuple[int, ...]:
    """The fires from `due` to `newest` that are within the start deadline; with `catchup=last` only the newest."""
    oldest = max(due, now - job.policy.start_deadline + 1e-6)
    most = most if job.policy.catchup == "all" else 1
    fires: list[int] = []
    fire: int | None = newest
    while fire is not None and fire >= oldest and len(fires) < most:
        fires.append(fire)
        fire = job.schedule.previous_before(fire)
    return tuple(reversed(fires))


class Counter:
    """Counts the missed fires of one look at the clock: each span up to a hundred, and not too many in all."""

    def __init__(self) -> None:
        self._left = _MOST_COUNTED_AT_ONCE
        self._counted: dict[tuple[int, int, int], int] = {}

    def count(self, schedule: Schedule, first: int, last: int) -> int:
        """The number of fires from `first` to `last`, both included; fewer where they are too many to count."""
        span = id(schedule), first, last  # jobs of a large crontab share schedules
        if span not in self._counted:
            self._counted[span] = self._count(schedule, first, last)
        return self._counted[span]

    def _count(self, schedule: Schedule, first: int, last: int) -> int:
        if first == last:
            return 1
        count, instant = 2, schedule.next_after(first)
        while instant is not None and instant < last and count < _MOST_COUNTED and self._left > 0:
            count, instant = count + 1, schedule.next_after(instant)
            self._left -= 1
        return count


class StepDetector:
    """Detects that the wall clock was set, by comparing it with the monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._read()

    def step(self) -> float:
        """Seconds by which the wall clock was set since the last call; 0 if it was not."""
        offset = self._read()
        step, self._offset = offset - self._offset, offset
        return step if abs(step) >= _STEP_THRESHOLD else 0.0

    def _read(self) -> float:
        """The wall clock's distance from the monotonic one. A machine that stops for seconds in between is no step."""
        for _ in range(_MOST_READINGS):
            before = self._clock.monotonic()
            now = self._clock.now()
            after = self._clock.monotonic()
            if after - before < _STEP_THRESHOLD / 2:
                break
        return now - after

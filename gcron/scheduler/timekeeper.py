"""Which instants are due now, and which were missed: the rules for late looks and for a clock that is set.

Pure arithmetic over schedules; the scheduler asks, and acts.
"""

from __future__ import annotations

from dataclasses import dataclass

from gcron.clock import Clock
from gcron.scheduler.job import Job

__all__ = ["Due", "StepDetector", "resolve_due"]

LONGEST_MADE_UP_STEP = 3 * 3600
"""Seconds. A larger step of the clock means that it was wrong: nothing is made up."""
_LATEST_START_OF_WILDCARD = 60
# Seconds by which the clocks may drift apart between two looks before it counts as a step.
_STEP_THRESHOLD = 1.0


@dataclass(frozen=True, slots=True)
class Due:
    """What to do about a job whose instant has come."""

    fire_at: int | None
    """The instant to fire for; None when even the newest is too old."""
    missed: tuple[int, int] | None
    """The first and the last of the instants that are not fired; None when there are none."""


def resolve_due(job: Job, due: int, now: float) -> Due:
    """Decide on `job`, due at `due` and looked at only at `now`: at most one fire, never a burst.

    A fixed-time job is made up for 3 hours, any other one starts only within its minute.
    """
    if due == int(now):
        return Due(due, None)
    latest_start = LONGEST_MADE_UP_STEP if job.is_fixed_time else _LATEST_START_OF_WILDCARD
    newest = max(due, job.schedule.previous_before(int(now) + 1) or due)
    if now - newest >= latest_start:
        return Due(None, (due, newest))
    if newest == due:
        return Due(due, None)
    return Due(newest, (due, job.schedule.previous_before(newest) or due))


class StepDetector:
    """Tells when the wall clock was set, by holding it against the monotonic one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now() - clock.monotonic()

    def step(self) -> float:
        """Seconds by which the wall clock was set since the last call; 0 when it was not."""
        offset = self._clock.now() - self._clock.monotonic()
        step, self._offset = offset - self._offset, offset
        return step if abs(step) >= _STEP_THRESHOLD else 0.0

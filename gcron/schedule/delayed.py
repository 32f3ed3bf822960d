"""A schedule whose every fire comes a fixed time later: what `RANDOM_DELAY` makes of one."""

from __future__ import annotations

from dataclasses import dataclass

from gcron.schedule.base import Schedule
from gcron.schedule.draws import draw
from gcron.schedule.every import Unscheduled
from gcron.schedule.zones import Zone

__all__ = ["DelayedSchedule", "put_off"]


@dataclass(frozen=True, slots=True)
class DelayedSchedule(Schedule):
    """The fires of `schedule`, each `delay` seconds later."""

    schedule: Schedule
    delay: int

    @property
    def text(self) -> str:  # type: ignore[override]
        """As written."""
        return self.schedule.text

    @property
    def zone(self) -> Zone:  # type: ignore[override]
        """Where the wall clock of `schedule` hangs."""
        return self.schedule.zone

    def next_after(self, instant: int) -> int | None:
        """Return the first fire strictly after `instant`, or None."""
        fire = self.schedule.next_after(instant - self.delay)
        return None if fire is None else fire + self.delay

    def previous_before(self, instant: int) -> int | None:
        """Return the last fire strictly before `instant`, or None."""
        fire = self.schedule.previous_before(instant - self.delay)
        return None if fire is None else fire + self.delay


def put_off(schedule: Schedule, minutes: int, seed: str) -> Schedule:
    """Put `schedule` off by 0 to `minutes` whole minutes, drawn once for each `seed` (docs/crontab.md).

    What no clock starts stays as it is.
    """
    delay = 60 * draw("RANDOM_DELAY", 0, minutes, seed)
    return DelayedSchedule(schedule, delay) if delay and not isinstance(schedule, Unscheduled) else schedule

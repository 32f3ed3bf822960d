"""A schedule of one instant."""

from __future__ import annotations

from dataclasses import dataclass

from gcron.schedule.base import Schedule
from gcron.schedule.zones import Zone

__all__ = ["OnceSchedule"]


@dataclass(frozen=True, slots=True)
class OnceSchedule(Schedule):
    """Fires at `instant`, once."""

    text: str
    zone: Zone
    instant: int

    def next_after(self, instant: int) -> int | None:
        """Return the instant if it is still to come, else None."""
        return self.instant if instant < self.instant else None

    def previous_before(self, instant: int) -> int | None:
        """Return the instant if it is over, else None."""
        return self.instant if self.instant < instant else None

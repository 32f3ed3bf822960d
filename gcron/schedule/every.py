"""Schedules without a calendar: `@every 90s`, and those that no clock starts."""

from __future__ import annotations

from dataclasses import dataclass

from gcron.schedule.base import Schedule
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT, Zone

__all__ = ["EverySchedule", "Unscheduled"]


@dataclass(frozen=True, slots=True)
class EverySchedule(Schedule):
    """Fires at every multiple of `period` seconds since 1970: the same on every host and after a restart."""

    text: str
    zone: Zone
    period: int

    def next_after(self, instant: int) -> int | None:
        """Return the grid point after `instant`; None behind the end of the calendar."""
        fire = (max(instant, FIRST_INSTANT - 1) // self.period + 1) * self.period
        return fire if fire <= LAST_INSTANT else None

    def previous_before(self, instant: int) -> int | None:
        """Return the grid point before `instant`; None ahead of the start of the calendar."""
        fire = (min(instant, LAST_INSTANT + 1) - 1) // self.period * self.period
        return fire if fire >= FIRST_INSTANT else None


@dataclass(frozen=True, slots=True)
class Unscheduled(Schedule):
    """Never fires by the clock. `kind` is `reboot` (once at start), `service` (keep running) or `manual`."""

    text: str
    zone: Zone
    kind: str

    def next_after(self, instant: int) -> int | None:
        """Return None."""
        return None

    def previous_before(self, instant: int) -> int | None:
        """Return None."""
        return None

"""Whether a time zone exists, and what its name may have been meant to be."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import available_timezones

from gcron.policy import closest
from gcron.schedule import ScheduleError, find_zone

__all__ = ["check_zone"]


@lru_cache(maxsize=1024)
def check_zone(name: str) -> str | None:
    """None if the zone is in the system's zone data, else a hint at what would be right."""
    try:
        find_zone(name)
    except ScheduleError as error:
        near = closest(name, _known())
        return f"did you mean {near}?" if near else error.hint
    return None


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())

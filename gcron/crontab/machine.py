"""Which users and time zones exist on this machine, and which one a wrong name was probably meant to be."""

from __future__ import annotations

from functools import lru_cache

from gcron.policy import closest
from gcron.schedule import ScheduleError, find_zone

__all__ = ["check_user", "check_zone"]


def check_user(name: str) -> str | None:
    """Return None if the machine has the user (getpwnam(3)), else a hint at what would be right."""
    import pwd  # only for system crontabs

    try:
        pwd.getpwnam(name)
    except KeyError:
        near = closest(name, [user.pw_name for user in pwd.getpwall()])
        return f"did you mean {near}?" if near else "cron leaves the line out where there is no such user"
    return None


@lru_cache(maxsize=1024)
def check_zone(name: str) -> str | None:
    """Return None if the system's zone data has the zone, else a hint at what would be right."""
    try:
        find_zone(name)
    except ScheduleError as error:
        near = closest(name, _known_zones())
        return f"did you mean {near}?" if near else error.hint
    return None


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    from zoneinfo import available_timezones

    return frozenset(available_timezones())

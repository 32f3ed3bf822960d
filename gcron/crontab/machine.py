"""What there is here: users, time zones (and which one a wrong name was meant to be), variables, mail."""

from __future__ import annotations

import os
from functools import lru_cache

from gcron.policy import closest
from gcron.schedule import ScheduleError, find_zone

__all__ = [
    "MAX_ARGUMENT",
    "SENDMAIL",
    "Users",
    "check_user",
    "check_zone",
    "has_mailer",
    "has_variable",
    "is_too_long",
]

SENDMAIL = "/usr/sbin/sendmail"
"""Where every mail system has a program that takes mail."""
MAX_ARGUMENT = 32 * os.sysconf("SC_PAGE_SIZE") - 1
"""Bytes of the longest argument or variable that Linux hands to a program (execve(2))."""
# A wrong guess is dangerous here: `rt` is no misspelt root.
_LIKENESS_OF_USERS = 0.8


def is_too_long(text: str) -> bool:
    """Whether the text cannot be handed to a program: as an argument, or as `NAME=value`."""
    # A character has at most four bytes.
    return len(text) * 4 > MAX_ARGUMENT and len(text.encode("utf-8", "surrogateescape")) > MAX_ARGUMENT


def check_user(name: str) -> str | None:
    """Return None if the machine has the user (getpwnam(3)) or nobody can say, else a hint at what would be right."""
    import pwd  # only for system crontabs

    try:
        pwd.getpwnam(name)
    except KeyError:
        known = [user.pw_name for user in pwd.getpwall()]
        if not known:  # accounts cannot be read here, so nothing is known of any user
            return None
        near = closest(name, known, _LIKENESS_OF_USERS)
        return f"did you mean {near}?" if near else "cron leaves the line out where there is no such user"
    return None


class Users:
    """Looks each user up once: the answer may come over the network."""

    def __init__(self) -> None:
        self._hints: dict[str, str | None] = {}

    def check(self, name: str) -> str | None:
        """As `check_user`."""
        if name not in self._hints:
            self._hints[name] = check_user(name)
        return self._hints[name]


def has_variable(name: str) -> bool:
    """Whether the environment of this process has a variable."""
    return name in os.environ


def has_mailer() -> bool:
    """Whether there is a program that takes mail where sendmail(8) is."""
    return os.access(SENDMAIL, os.X_OK)


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

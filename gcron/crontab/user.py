"""Whether a user exists on this machine, and what its name may have been meant to be."""

from __future__ import annotations

import pwd

from gcron.policy import closest

__all__ = ["check_user"]


def check_user(name: str) -> str | None:
    """None if the machine has such a user (getpwnam(3)), else a hint at what would be right."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        near = closest(name, [user.pw_name for user in pwd.getpwall()])
        return f"did you mean {near}?" if near else "cron leaves the line out where there is no such user"
    return None

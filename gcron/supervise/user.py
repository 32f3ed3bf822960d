"""The user whom a job runs as, by the system's user database.

Looking there may take long (LDAP, NIS): it is for a thread, and done anew for each start.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

__all__ = ["Account", "find_account", "variables_of"]

# What a login has, and nothing of root's (login(1), cron(8)).
_PATH = "/usr/local/bin:/usr/bin:/bin"
_ROOTS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Account:
    """A user with exactly the groups that the system gives them."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def find_account(user: str) -> Account | None:
    """The account of this name or number; None when it is the one that gcron runs as.

    Raises PermissionError when gcron may not become somebody else, ValueError when there is no such user.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return _account_by_number(user)
    if entry.pw_uid == os.geteuid():
        return None
    _check_privilege(user)
    groups = tuple(sorted({entry.pw_gid, *os.getgrouplist(entry.pw_name, entry.pw_gid)}))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir)


def _account_by_number(user: str) -> Account | None:
    if not user.isdecimal():
        raise ValueError(f"there is no user {user!r}")
    number = int(user)
    if number == os.geteuid():
        return None
    _check_privilege(user)
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        # As containers have them: a number without a name, in the group of the same number alone.
        return Account(user, number, number, (number,), "/")
    return find_account(name)


def _check_privilege(user: str) -> None:
    if os.geteuid() != 0:
        raise PermissionError(f"only root can run a job as {user}")


def variables_of(account: Account) -> dict[bytes, bytes]:
    """The whole environment that a process of this user begins with."""
    values = {
        "HOME": account.home,
        "LOGNAME": account.name,
        "USER": account.name,
        "SHELL": "/bin/sh",
        "PATH": _PATH if account.uid else _ROOTS_PATH,
    }
    return {os.fsencode(name): os.fsencode(value) for name, value in values.items()}

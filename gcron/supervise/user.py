"""The user whom a job runs as, by the system's user database.

Looking there may take long (LDAP, NIS): it is for a thread, and done anew for each start.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping

from gcron.frozen import frozen

__all__ = ["Account", "find_account", "variables_of"]

# What a login has (login(1), environ(7)).
_PATH = "/usr/local/bin:/usr/bin:/bin"
_ROOTS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# They say how this machine writes texts and times: without them a job's `date` and gcron's log would disagree. All
# else is root's own business, and may hold its secrets (a proxy's password is in a variable too).
_OF_THE_MACHINE = (b"LANG", b"LANGUAGE", b"TZ")
_LOCALE = b"LC_"
# setreuid(2) takes the number above this one for "no change".
_HIGHEST_ID = 2**32 - 2


@frozen
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
    return _account(entry)


def _account_by_number(user: str) -> Account | None:
    number = int(user) if user.isdecimal() else _HIGHEST_ID + 1
    if number > _HIGHEST_ID:
        raise ValueError(f"there is no user {user}")
    try:
        return _account(pwd.getpwuid(number))
    except KeyError:
        if number == os.geteuid():
            return None
        _check_privilege(user)
        # As containers have them: a number without a name, in the group of the same number alone.
        return Account(user, number, number, (number,), "/")


def _account(entry: pwd.struct_passwd) -> Account | None:
    if entry.pw_uid == os.geteuid():
        return None
    _check_privilege(entry.pw_name)
    groups = tuple(sorted({entry.pw_gid, *os.getgrouplist(entry.pw_name, entry.pw_gid)}))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir or "/")


def _check_privilege(user: str) -> None:
    if os.geteuid() != 0:
        raise PermissionError(f"only root can run a job as {user}")


def variables_of(account: Account, inherited: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The whole environment that a process of this user begins with; of what gcron inherited, language and time."""
    values = {
        "HOME": account.home,
        "LOGNAME": account.name,
        "USER": account.name,
        "SHELL": "/bin/sh",
        "PATH": _PATH if account.uid else _ROOTS_PATH,
    }
    kept = {name: inherited[name] for name in inherited if name in _OF_THE_MACHINE or name.startswith(_LOCALE)}
    return kept | {os.fsencode(name): os.fsencode(value) for name, value in values.items()}

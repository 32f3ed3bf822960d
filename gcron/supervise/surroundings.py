"""What is looked up before a command can start: the account of its user, and the variables of its env-file.

It is looked up anew for each start; starts at the same moment share a lookup. Both lookups may hang (LDAP, a dead
network file system). So each one runs in a thread of its own, which ends with it: one that hangs delays no other, and
no idle thread takes the place of a process (RLIMIT_NPROC counts both).
"""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable, Mapping, Set
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from gcron.crontab.assignment import read_assignment
from gcron.crontab.problem import CrontabError, LineError
from gcron.crontab.source import read
from gcron.frozen import frozen
from gcron.runtime.event import AsyncResult, Event
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.threadpool import ThreadPool
from gcron.runtime.waiting import wait
from gcron.supervise.command import Command

__all__ = ["Account", "Surroundings", "find_account", "find_surroundings", "read_env_file", "variables_of"]

T = TypeVar("T")

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


@frozen
class Surroundings:
    """What the lookups found."""

    account: Account | None = None
    """The user that the process runs as; None for gcron's own."""
    variables: Mapping[str, str] = MappingProxyType({})
    """Those of the env-file."""


_NOTHING = Surroundings()
# Lookups that have not come back, and that nobody waits for any more.
_hanging: set[str] = set()
# Lookups that have not come back. A thousand jobs of a user that start at once share one: a thousand threads froze the
# loop.
_under_way: dict[tuple[Hub, str], AsyncResult[Any]] = {}
os.register_at_fork(after_in_child=_under_way.clear)


def find_surroundings(command: Command, given_up: Event, seconds: float) -> Surroundings | None:
    """Look them up, parking the caller for at most `seconds`; None when `given_up` is set first.

    Raises ValueError for what is wrong, OSError for what cannot be had (TimeoutError for what takes too long).
    """
    if command.user is None and command.env_file is None:
        return _NOTHING
    account = variables = None
    if command.user is not None:
        account = _look_up("user", command.user, find_account, given_up, seconds)
    if command.env_file is not None and not given_up.is_set():
        read_variables = partial(read_env_file, trusted_owners=command.trusted_owners)
        variables = _look_up("env-file", command.env_file, read_variables, given_up, seconds)
    return None if given_up.is_set() else Surroundings(account, variables or {})


def _look_up(kind: str, name: str, function: Callable[[str], T], given_up: Event, seconds: float) -> T | None:
    what = f"{kind} {name}"
    if what in _hanging:
        raise TimeoutError(f"{what}: an earlier lookup still hangs")
    found = _under_way.get((get_hub(), what)) or _begin_look_up(what, function, name)
    wait([found, given_up], seconds, count=1)
    if found.ready():
        result: T = found.get()
        return result
    _hanging.add(what)
    found.rawlink(lambda _: _hanging.discard(what))
    if given_up.is_set():
        return None
    raise TimeoutError(f"{what}: no answer within {seconds:.3g} s")


def _begin_look_up(what: str, function: Callable[[str], object], name: str) -> AsyncResult[Any]:
    try:
        found: AsyncResult[Any] = ThreadPool(1).spawn(function, name)
    except RuntimeError:  # the system allows no further thread, and it would allow no further process
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
    key = get_hub(), what
    _under_way[key] = found
    found.rawlink(lambda _: _under_way.pop(key, None))
    return found


def read_env_file(path: str, trusted_owners: Set[int] = frozenset()) -> dict[str, str]:
    """The variables of the file. It may hang: for a thread.

    The rules for crontab files hold: a regular file of at most 1 MiB, and for root one that belongs to root alone.
    Blank lines and comments (`#` first) are skipped. Raises ValueError with file and line for what is no assignment.
    """
    try:
        text = read(path, trusted_owners).decode("utf-8", "surrogateescape")
    except CrontabError as error:
        raise ValueError(f"env-file {path} {error.problems[0].message}") from None
    variables = {}
    # Not `splitlines`, which takes a dozen other characters for ends of lines.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.strip(" \t\r")
        if stripped and not stripped.startswith("#"):
            name, value = _assignment(line.removesuffix("\r"), f"env-file {path}:{number}")
            variables[name] = value
    return variables


def _assignment(line: str, place: str) -> tuple[str, str]:
    try:
        assignment = read_assignment(line)
    except LineError as error:
        raise ValueError(f"{place}:{error.start + 1}: {error.message} ({error.hint})") from None
    if assignment is None:
        raise ValueError(f"{place}: no assignment: NAME=value is one")
    if "\0" in line:
        raise ValueError(f"{place}: a NUL byte, which no variable can hold")
    return assignment.name, assignment.value


# -- the user ------------------------------------------------------------------------------------------------------


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
    # `isdecimal` alone holds for the digits of all scripts, and `int` reads them: such a name was root's number.
    number = int(user) if user.isascii() and user.isdecimal() else _HIGHEST_ID + 1
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

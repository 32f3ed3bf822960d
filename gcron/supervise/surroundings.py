"""What has to be looked up before a command can be started: its user's account, its file of variables.

Both may hang (LDAP, a dead network file system), so each look is done in a thread of its own, which ends with it: one
that hangs keeps no other waiting, and none is kept where it would take a process's room (RLIMIT_NPROC counts both).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gcron.runtime.event import AsyncResult, Event
from gcron.runtime.threadpool import ThreadPool
from gcron.runtime.waiting import wait
from gcron.supervise.command import Command
from gcron.supervise.env_file import read_env_file
from gcron.supervise.room import check_room
from gcron.supervise.user import Account, find_account

__all__ = ["Surroundings", "find_surroundings"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found."""

    account: Account | None = None
    """Whom the process is to belong to; None for gcron's own user."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Those of the env-file."""


_NOTHING = Surroundings()
# Those of which an earlier look has not come back, and which nobody waits for any more.
_hanging: set[str] = set()


def find_surroundings(command: Command, given_up: Event, seconds: float) -> Surroundings | None:
    """Look them up, parking the caller for at most `seconds`; None when `given_up` is set before they are there.

    Raises ValueError for what is wrong, OSError (TimeoutError for what takes too long) for what cannot be had.
    """
    if command.user is None and command.env_file is None:
        return _NOTHING
    check_room()  # a look needs some, too
    account = variables = None
    if command.user is not None:
        account = _look("user", command.user, find_account, given_up, seconds)
    if command.env_file is not None and not given_up.is_set():
        variables = _look("env-file", command.env_file, read_env_file, given_up, seconds)
    return None if given_up.is_set() else Surroundings(account, variables or {})


def _look(kind: str, name: str, function: Callable[[str], T], given_up: Event, seconds: float) -> T | None:
    what = f"{kind} {name}"
    if what in _hanging:
        raise TimeoutError(f"{what}: an earlier look at it still hangs")
    try:
        found: AsyncResult[Any] = ThreadPool(1).spawn(function, name)
    except RuntimeError:  # the system allows no further thread, as it would no process
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
    wait([found, given_up], seconds, count=1)
    if found.ready():
        result: T = found.get()
        return result
    _hanging.add(what)
    found.rawlink(lambda _: _hanging.discard(what))
    if given_up.is_set():
        return None
    raise TimeoutError(f"{what}: no answer within {seconds:.3g} s")

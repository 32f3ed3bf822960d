"""What is looked up before a command can start: the account of its user, and the variables of its env-file.

Both lookups may hang (LDAP, a dead network file system). So each one runs in a thread of its own, which ends with it:
one that hangs delays no other, and no idle thread takes the place of a process (RLIMIT_NPROC counts both).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Set
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from gcron.crontab.assignment import read_assignment
from gcron.crontab.problem import CrontabError, LineError
from gcron.crontab.source import read
from gcron.frozen import frozen
from gcron.runtime.event import AsyncResult, Event
from gcron.runtime.threadpool import ThreadPool
from gcron.runtime.waiting import wait
from gcron.supervise.command import Command
from gcron.supervise.user import Account, find_account

__all__ = ["Surroundings", "find_surroundings", "read_env_file"]

T = TypeVar("T")


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
    try:
        found: AsyncResult[Any] = ThreadPool(1).spawn(function, name)
    except RuntimeError:  # the system allows no further thread, and it would allow no further process
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

"""Starting one process as its command says: as whom, with what, and with room left for gcron itself."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from gcron.hub import get_hub
from gcron.subprocess import DEVNULL, PIPE, Popen
from gcron.supervise.command import Command, arguments, environment, open_stdin
from gcron.supervise.env_file import read_env_file
from gcron.supervise.user import Account, find_account, variables_of

__all__ = ["PASSING", "start"]

PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Errors of a start that another job's end may mend."""
# Descriptors kept free for the log, for reading files again, and for the hub.
_RESERVE = 24


def start(command: Command, identity: Mapping[str, str]) -> Popen:
    """Start the command in a session of its own, its outputs pipes; `identity` is added to its variables.

    Parks for what has to be looked up. Raises OSError, and ValueError for a file of variables or a user that is wrong.
    """
    account, own = _look_up(command)
    inherited: Mapping[bytes, bytes] = os.environb if account is None else variables_of(account)
    variables = environment(command, identity, inherited, own)
    cwd = None if account is None else os.fsdecode(variables[b"HOME"]) or "/"
    _keep_reserve()
    stdin = open_stdin(command)
    try:
        with _priority(command.nice):
            return _spawn(arguments(command, cwd), variables, stdin, account, command.umask)
    finally:
        if stdin is not None:
            stdin.close()


def _look_up(command: Command) -> tuple[Account | None, dict[str, str]]:
    if command.user is None and command.env_file is None:
        return None, {}
    found: tuple[Account | None, dict[str, str]] = get_hub().threadpool.apply(_look_up_now, (command,))
    return found


def _look_up_now(command: Command) -> tuple[Account | None, dict[str, str]]:
    account = None if command.user is None else find_account(command.user)
    return account, {} if command.env_file is None else read_env_file(command.env_file)


def _keep_reserve() -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    lowest_free = os.dup(2)
    os.close(lowest_free)
    if 0 <= limit <= lowest_free + _RESERVE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@contextmanager
def _priority(nice: int) -> Iterator[None]:
    """Go first for as long as the child is made, which inherits it. On Linux that is this thread's alone."""
    if nice >= 0:
        yield
        return
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(-20, before + nice))
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def _spawn(
    argv: list[str],
    variables: dict[bytes, bytes],
    stdin: BinaryIO | None,
    account: Account | None,
    umask: int | None,
) -> Popen:
    options: dict[str, Any] = {}
    if account is not None:
        options = {"user": account.uid, "group": account.gid, "extra_groups": account.groups}
    if umask is not None:
        options["umask"] = umask
    return Popen(
        argv,
        stdin=DEVNULL if stdin is None else stdin,
        stdout=PIPE,
        stderr=PIPE,
        bufsize=0,
        env=variables,
        start_new_session=True,
        **options,
    )

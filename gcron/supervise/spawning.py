"""Starting one process as its command says, with file descriptors left for gcron itself."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from gcron.runtime.subprocess import DEVNULL, PIPE, Popen
from gcron.supervise.command import Command, Identity, environment, open_stdin
from gcron.supervise.start_script import arguments, needs_start_script
from gcron.supervise.surroundings import Surroundings
from gcron.supervise.user import Account, variables_of

__all__ = ["NO_CAPACITY", "check_capacity", "start"]

NO_CAPACITY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Errors of a start that the end of something else may cure."""
# Descriptors kept free for the log, for reading files again, and for the hub.
_RESERVE = 24


def check_capacity() -> None:
    """Raise OSError (EMFILE) when another process would take the last file descriptors, which gcron itself needs."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # The lowest free number is enough to know: higher ones are taken only while there is none below.
    lowest_free = os.dup(2)
    os.close(lowest_free)
    if 0 <= limit <= lowest_free + min(_RESERVE, limit // 4):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def start(command: Command, surroundings: Surroundings, identity: Identity, output: int = PIPE) -> Popen:
    """Start the command in a session of its own; `identity` is added to its variables.

    `output`, PIPE or DEVNULL, is where both its outputs go. Raises OSError when it cannot start, ValueError for a NUL
    where none is allowed.
    """
    check_capacity()
    account = surroundings.account
    inherited: Mapping[bytes, bytes] = os.environb if account is None else variables_of(account, os.environb)
    variables = environment(command, identity.variables(), inherited, surroundings.variables)
    home = None if account is None else os.fsdecode(variables[b"HOME"]) or "/"
    stdin = open_stdin(command)
    try:
        with _going_first(command.nice):
            argv = arguments(command, home, discard=output == DEVNULL)
            errors = PIPE if needs_start_script(command, home) else output  # its error messages are not discarded
            return _spawn(argv, variables, stdin, (output, errors), account, command.umask)
    finally:
        if stdin is not None:
            stdin.close()


@contextmanager
def _going_first(nice: int) -> Iterator[None]:
    """For a negative `nice`, let the child inherit it: its own user could not set it. On Linux a thread's own."""
    if nice >= 0:
        yield
        return
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, max(-20, before + nice))
    except PermissionError:
        raise PermissionError(f"only root can have a job go first with nice={nice}") from None
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def _spawn(
    argv: list[str],
    variables: dict[bytes, bytes],
    stdin: BinaryIO | None,
    outputs: tuple[int, int],
    account: Account | None,
    umask: int | None,
) -> Popen:
    options: dict[str, Any] = {}
    if account is not None:
        options = {"user": account.uid, "group": account.gid, "extra_groups": account.groups}
    if umask is not None:
        options["umask"] = umask
    try:
        process = Popen(
            argv,
            stdin=DEVNULL if stdin is None else stdin,
            stdout=outputs[0],
            stderr=outputs[1],
            bufsize=0,
            env=variables,
            start_new_session=True,
            **options,
        )
    except PermissionError as error:
        # EPERM comes of the switch, as root of a container that was left without the right to; EACCES of the program.
        if account is not None and error.errno == errno.EPERM:
            raise PermissionError(
                f"gcron is root, but may not run a job as {account.name} (CAP_SETUID, CAP_SETGID)"
            ) from None
        raise
    if account is not None:
        _give_outputs(process, account)
    return process


def _give_outputs(process: Popen, account: Account) -> None:
    """Let the job open /dev/stdout and /dev/stderr, which are root's else; it is still in its start script now."""
    for pipe in (process.stdout, process.stderr):
        if pipe is None:
            continue
        with suppress(OSError):  # in a user namespace without that number; the job runs all the same
            os.fchown(pipe.fileno(), account.uid, account.gid)

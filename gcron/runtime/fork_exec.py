"""`start`: a process with as few steps as possible. It takes half of the processor time of `subprocess.Popen`.

It uses the function below the standard library's `subprocess`, which is private and changes with Python. With a Python
that this module does not know, the standard library starts the process. This module must not know who waits for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

__all__ = ["SwitchTo", "start"]

_fork_exec: Any = None
if (3, 11) <= sys.version_info < (3, 14):
    with suppress(ImportError):
        from _posixsubprocess import fork_exec as _fork_exec
# Bytes of a message from the child: the name of an exception, an error number, and where it was.
_LONGEST_MESSAGE = 500


class SwitchTo(NamedTuple):
    """The user whom the process belongs to, with exactly these groups."""

    uid: int
    gid: int
    groups: Sequence[int]


def start(
    argv: Sequence[str],
    variables: Mapping[bytes, bytes],
    descriptors: tuple[int, int, int],
    user: SwitchTo | None = None,
    umask: int | None = None,
) -> int:
    """Execute `argv`, whose first word is an absolute path, in a session of its own; returns the pid.

    `descriptors` become its stdin, stdout and stderr; all others are closed. Signals have their default dispositions.
    Raises OSError when it cannot be started, ValueError for a NUL in a word or in a variable, or `=` in a name.
    """
    if not os.path.isabs(argv[0]):
        raise FileNotFoundError(2, os.strerror(2), argv[0])
    if _fork_exec is None:
        return _start_by_standard_library(argv, variables, descriptors, user, umask)
    words = [os.fsencode(word) for word in argv]
    assignments = [_assignment(name, value) for name, value in variables.items()]
    read_end, write_end = os.pipe()
    try:
        try:
            pid: int = _fork_exec(
                words,
                (words[0],),
                True,  # close all other descriptors
                (write_end,),
                None,  # directory
                assignments,
                *(descriptors[0], -1),
                *(-1, descriptors[1]),
                *(-1, descriptors[2]),
                *(read_end, write_end),
                True,  # default dispositions
                True,  # a session of its own
                -1,  # process group
                *((None, None, None) if user is None else (user.gid, list(user.groups), user.uid)),
                -1 if umask is None else umask,
                None,
                True,  # vfork, where the user stays the same
            )
        finally:
            os.close(write_end)
        message = b""
        while piece := os.read(read_end, _LONGEST_MESSAGE):  # nothing comes when it executes its program
            message += piece
    finally:
        os.close(read_end)
    if message:
        os.waitpid(pid, 0)
        raise _error(message, argv[0])
    return pid


def _assignment(name: bytes, value: bytes) -> bytes:
    if b"=" in name:
        raise ValueError("illegal environment variable name")
    return name + b"=" + value


def _error(message: bytes, executable: str) -> OSError:
    """What the child says before it exits: `OSError:2:noexec`, with a hexadecimal number."""
    number = int(message.split(b":")[1] or b"0", 16)
    at_exec = not message.endswith(b"noexec")  # else a step before it failed: the switch of the user
    return OSError(number, os.strerror(number), executable) if at_exec else OSError(number, os.strerror(number))


def _start_by_standard_library(
    argv: Sequence[str],
    variables: Mapping[bytes, bytes],
    descriptors: tuple[int, int, int],
    user: SwitchTo | None,
    umask: int | None,
) -> int:
    options: dict[str, Any] = {}
    if user is not None:
        options = {"user": user.uid, "group": user.gid, "extra_groups": list(user.groups)}
    stdin, stdout, stderr = descriptors
    process = subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=variables,
        start_new_session=True,
        umask=-1 if umask is None else umask,
        **options,
    )
    process.returncode = 0  # its status is not for this object, which would keep it in a list of the unfinished
    return process.pid

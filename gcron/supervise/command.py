"""What to start, as data, and the exact argument vector, environment and standard input that come of it. Pure."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from gcron.policy import Policy

__all__ = ["Command", "Limits", "arguments", "command_of", "environment", "open_stdin"]

DEFAULT_SHELL = "/bin/sh"
# What follows is done by /bin/sh, after exec and as the job itself: a directory that hangs so hangs nobody but its
# job, and a limit that is too low cannot hit gcron. 126 is what shells mean by "cannot be executed".
_ENTER = 'cd -- "$1" || exit 126'
_RUN = 'exec "$2" -c "$3"'
_RUN_NICELY = 'exec nice -n {} "$2" -c "$3"'
# By the names of the policy: the letters of `ulimit` and the bytes that it counts by (POSIX leaves most of them open;
# dash, bash as sh and busybox agree but for the number of processes).
_ULIMIT = {
    "rlimit_as": ("-v", 1024),
    "rlimit_core": ("-c", 512),
    "rlimit_cpu": ("-t", 1),
    "rlimit_data": ("-d", 1024),
    "rlimit_fsize": ("-f", 512),
    "rlimit_nofile": ("-n", 1),
    "rlimit_nproc": ("-u", 1),
    "rlimit_stack": ("-s", 1024),
}

Limits = tuple[tuple[str, int], ...]
"""Names of a policy's limits with their values; -1 for none."""


@dataclass(frozen=True, slots=True)
class Command:
    """A shell command and its surroundings."""

    text: str
    """Handed to the shell as it is; bytes that are not UTF-8 stand in it as `surrogateescape` carries them."""
    stdin: bytes | None = None
    """What it reads; None for the null device."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables added to those that gcron itself was started with."""
    shell: str | None = None
    """None for the environment's SHELL assignment, or /bin/sh."""
    cwd: str | None = None
    """Directory to start in; None for gcron's own, or the user's home when there is a `user`."""
    user: str | None = None
    """Name or number of the user whom the process belongs to; None for gcron's own."""
    umask: int | None = None
    nice: int = 0
    """Added to the niceness."""
    env_file: str | None = None
    """A file of assignments, read before each start."""
    limits: Limits = ()


def command_of(
    text: str,
    policy: Policy,
    *,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> Command:
    """The command that a policy asks for; its `user` goes before the `user` of a system crontab's column."""
    limits = ((name, getattr(policy, name)) for name in _ULIMIT)
    return Command(
        text,
        stdin=stdin,
        environment={} if environment is None else environment,
        shell=policy.shell,
        cwd=policy.cwd,
        user=policy.user or user,
        umask=policy.umask,
        nice=policy.nice or 0,
        env_file=policy.env_file,
        limits=tuple((name, value) for name, value in limits if value is not None),
    )


def arguments(command: Command, cwd: str | None = None) -> list[str]:
    """The argument vector to execute; in `cwd`, unless the command names a directory."""
    # Not the SHELL that gcron was started with: that is the taste of whoever sits at the terminal.
    shell = command.shell or command.environment.get("SHELL") or DEFAULT_SHELL
    cwd = command.cwd or cwd
    # Who goes first needs privileges that the job's user may not have: see `gcron.supervise.spawning`.
    if cwd is None and command.nice <= 0 and not command.limits:
        return [shell, "-c", command.text]
    steps = [_limit(name, value) for name, value in command.limits]
    if cwd is not None:
        steps.append(_ENTER)
        # `cd` looks a bare name up in CDPATH, and takes `-` for the directory before.
        cwd = cwd if cwd.startswith("/") else f"./{cwd}"
    steps.append(_RUN_NICELY.format(command.nice) if command.nice > 0 else _RUN)
    return [DEFAULT_SHELL, "-c", "; ".join(steps), "gcron", cwd or "", shell, command.text]


def _limit(name: str, value: int) -> str:
    letter, unit = _ULIMIT[name]
    number = "unlimited" if value < 0 else str(value // unit)
    if name != "rlimit_nproc":
        return f"ulimit {letter} {number} || exit 126"
    return f"ulimit -u {number} 2>/dev/null || ulimit -p {number} || exit 126"


def environment(
    command: Command, identity: Mapping[str, str], inherited: Mapping[bytes, bytes], own: Mapping[str, str]
) -> dict[bytes, bytes]:
    """The job's variables: `inherited`, then the command's, then its `own`, then `identity` (GCRON_JOB and its kin).

    gcron's own settings (GCRON_…) are not passed on: they may hold secrets and would configure a gcron that the job
    itself starts.
    """
    # Bytes, as the system has them: to make texts of all the inherited ones and back would cost as much as the rest.
    variables = {name: value for name, value in inherited.items() if not name.startswith(b"GCRON_")}
    for added in (command.environment, own, identity):
        for name, value in added.items():
            variables[os.fsencode(name)] = os.fsencode(value)
    return variables


def open_stdin(command: Command) -> BinaryIO | None:
    """A file at its start that holds what the command reads, or None for the null device.

    A file and not a pipe: nobody has to feed it, and a job that does not read blocks nothing.
    """
    if command.stdin is None:
        return None
    file: BinaryIO = _anonymous_file()
    file.write(command.stdin)
    file.seek(0)
    return file


def _anonymous_file() -> Any:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("gcron-stdin"), "w+b")
    return tempfile.TemporaryFile()

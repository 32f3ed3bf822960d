"""What to start, as data, and the environment and standard input that follow from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

from gcron.policy import Policy, options_of

__all__ = [
    "OF_PROCESSES",
    "RUN_ID",
    "Command",
    "Identity",
    "Limits",
    "command_of",
    "environment",
    "new_run_id",
    "open_stdin",
]

OF_PROCESSES = options_of("processes")
"""The fields of a policy that say how a process is set up; None means as gcron itself."""
_LIMITS = tuple(name for name in OF_PROCESSES if name.startswith("rlimit_"))
_values_of = attrgetter(*_LIMITS)
_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
_UNLIMITED = (None,) * len(_LIMITS)
RUN_ID = "GCRON_RUN_ID"
"""The variable that marks every process of a run. A process cannot lose it by forking."""

Limits = tuple[tuple[str, int], ...]
"""Names of a policy's limits with their values; -1 for none."""


class Command(NamedTuple):
    """A shell command and its surroundings. A tuple: 100,000 of them are made in a third of a dataclass's time."""

    text: str
    """Handed to the shell as it is; bytes that are not UTF-8 stand in it as `surrogateescape` carries them."""
    stdin: bytes | None = None
    """What it reads; None for the null device."""
    environment: Mapping[str, str] = _NO_VARIABLES
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
    trusted_owners: frozenset[int] = frozenset()
    """Ids of users other than root whose env-file root reads."""
    limits: Limits = ()


class Identity(NamedTuple):
    """Which attempt of which run a process is. It learns that from its environment (docs/running.md, section 2)."""

    job: str
    """Name of the job."""
    run_id: str
    fire_at: int | None = None
    """Seconds of UTC; None: triggered by hand."""
    attempt: int = 1

    def variables(self) -> dict[str, str]:
        """The variables for the environment."""
        return {
            "GCRON_JOB": self.job,
            "GCRON_FIRE_AT": "" if self.fire_at is None else str(self.fire_at),
            "GCRON_ATTEMPT": str(self.attempt),
            RUN_ID: self.run_id,
        }


def new_run_id() -> str:
    """An id that no other run has."""
    return os.urandom(8).hex()


def command_of(
    text: str,
    policy: Policy,
    *,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    trusted_owners: frozenset[int] = frozenset(),
) -> Command:
    """The command that a policy asks for; its `user` goes before the `user` of a system crontab's column."""
    return Command(
        text,
        stdin=stdin,
        environment=_NO_VARIABLES if environment is None else environment,
        shell=policy.shell,
        cwd=policy.cwd,
        user=policy.user or user,
        umask=policy.umask,
        nice=policy.nice or 0,
        env_file=policy.env_file,
        trusted_owners=trusted_owners,
        limits=_limits_of(policy),
    )


def _limits_of(policy: Policy) -> Limits:
    values = _values_of(policy)
    if values == _UNLIMITED:
        return ()  # as most of 100,000 jobs are
    return tuple((name, value) for name, value in zip(_LIMITS, values, strict=True) if value is not None)


def environment(
    command: Command, identity: Mapping[str, str], inherited: Mapping[bytes, bytes], own: Mapping[str, str]
) -> dict[bytes, bytes]:
    """The job's variables: `inherited`, then the command's, then its `own`, then `identity` (GCRON_JOB and its kin).

    gcron's own settings (GCRON_…) are not passed on: they may hold secrets and would configure a gcron that the job
    itself starts.
    """
    # Bytes, as the system has them: texts of all the inherited ones, and back, would cost as much as the rest.
    variables = {name: value for name, value in _items_of(inherited) if not name.startswith(b"GCRON_")}
    for added in (command.environment, own, identity):
        for name, value in added.items():
            variables[os.fsencode(name)] = os.fsencode(value)
    return variables


def _items_of(variables: Mapping[bytes, bytes]) -> Iterable[tuple[bytes, bytes]]:
    # `os.environb` wraps a dictionary of bytes, and takes 25 us to hand out its items one by one. HOT PATH.
    wrapped = getattr(variables, "_data", None)
    return wrapped.items() if isinstance(wrapped, dict) else variables.items()


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
    import tempfile  # 3 ms of a start, and not needed on Linux

    return tempfile.TemporaryFile()

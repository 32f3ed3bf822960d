"""What to start, as data, and the environment and standard input that follow from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

from gcron.policy import Policy, options_of
from gcron.schedule.seeded import digest
from gcron.supervise.process_reader import new_reader
from gcron.variables import MARK, OF_NODES, OF_RUNS

__all__ = [
    "MARK",
    "OF_PROCESSES",
    "Command",
    "Identity",
    "Limits",
    "Maker",
    "cgroup_limits_of",
    "command_of",
    "environment",
    "instance_digest",
    "maker_of",
    "new_mark",
    "new_run_id",
    "open_stdin",
    "use_instance",
]

OF_PROCESSES = options_of("processes")
"""The fields of a policy that say how a process is set up; None means as gcron itself."""
_LIMITS = tuple(name for name in OF_PROCESSES if name.startswith("rlimit_"))
_CGROUP_LIMITS = ("memory_max", "cpu_max", "tasks_max")
_values_of = attrgetter(*_LIMITS)
_cgroup_values_of = attrgetter(*_CGROUP_LIMITS)
_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
# See sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
_OF_SERVICE_MANAGER = frozenset(
    {b"NOTIFY_SOCKET", b"WATCHDOG_PID", b"WATCHDOG_USEC", b"LISTEN_PID", b"LISTEN_FDS", b"LISTEN_FDNAMES"}
)
_COERCED = (b"C.UTF-8", b"C.utf8", b"UTF-8")

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
    """Of each process."""
    cgroup_limits: Limits = ()
    """Of all processes together: see `gcron.supervise.cgroup_limits`."""


class Identity(NamedTuple):
    """Which attempt of which run a process is. It learns that from its environment (docs/running.md, section 2)."""

    job: str
    """Name of the job."""
    run_id: str
    fire_at: int | None = None
    """Seconds of UTC; None: triggered by hand."""
    attempt: int = 1
    mark: str = ""
    """The same for all attempts of a run, and secret, unlike `run_id`. Empty: the attempt makes one."""
    node: str = ""
    """Where several nodes share the work: the one that runs it."""
    fence: int = 0
    """The number of the run's claim, where it has one: later claims have larger ones."""

    def variables(self) -> dict[str, str]:
        """The variables for the environment."""
        values: dict[str, object] = {variable: getattr(self, field) for variable, field in OF_RUNS.items()}
        if self.node:
            values |= {variable: found for variable, field in OF_NODES.items() if (found := getattr(self, field))}
        return {variable: "" if value is None else str(value) for variable, value in values.items()}


def new_run_id() -> str:
    """An id that no other run has."""
    return os.urandom(8).hex()


class Maker(NamedTuple):
    """The gcron that has made a mark."""

    namespace: str
    """Of its pid."""
    pid: int
    start: str
    instance: str
    """A digest of the name of its instance; empty in a program."""


_instance = ""


def use_instance(name: str) -> None:
    """Let marks from now on say that they are of the instance of this name."""
    global _instance
    _instance = instance_digest(name)


def instance_digest(name: str) -> str:
    """How marks name an instance: they are public to their user, and the name may hold any character."""
    return digest(name, 4).hex()


def new_mark() -> str:
    """A value for `MARK`. It begins with the identity of this gcron: see `maker_of`."""
    return f"{_own_identity(os.getpid())}-{_instance}-{os.urandom(16).hex()}"


def maker_of(mark: str) -> Maker:
    """Return the gcron that has made the mark. Raises ValueError for what is none."""
    namespace, pid, start, instance, _ = mark.split("-")
    return Maker(namespace, int(pid), start, instance)


@cache
def _own_identity(pid: int) -> str:
    try:
        start = new_reader().start_of(pid)
    except OSError:  # where processes are not shown, no other gcron will see them either
        start = None
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{namespace}-{pid}-{start}"


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
        limits=_limits(_LIMITS, _values_of(policy)),
        cgroup_limits=cgroup_limits_of(policy),
    )


def cgroup_limits_of(policy: Policy) -> Limits:
    """The limits of all processes of a job together, as a policy has them."""
    return _limits(_CGROUP_LIMITS, _cgroup_values_of(policy))


def _limits(names: tuple[str, ...], values: tuple[int | None, ...]) -> Limits:
    if values.count(None) == len(values):
        return ()  # as most of 100,000 jobs are
    return tuple((name, value) for name, value in zip(names, values, strict=True) if value is not None)


def environment(
    command: Command, identity: Mapping[str, str], inherited: Mapping[bytes, bytes], own: Mapping[str, str]
) -> dict[bytes, bytes]:
    """The job's variables: `inherited`, then the command's, then its `own`, then `identity` (GCRON_JOB and its kin).

    gcron's own settings (GCRON_…) are not passed on: they may hold secrets and would configure a gcron that the job
    itself starts. Nor are the sockets of the service manager, which are for gcron alone, and what Python has added.
    """
    dropped = _not_for_jobs()
    # Bytes, as the system has them: texts of all the inherited ones, and back, would cost as much as the rest.
    variables = {
        name: value for name, value in _items_of(inherited) if name not in dropped and not name.startswith(b"GCRON_")
    }
    for added in (command.environment, own, identity):
        for name, value in added.items():
            variables[os.fsencode(name)] = os.fsencode(value)
    return variables


def _items_of(variables: Mapping[bytes, bytes]) -> Iterable[tuple[bytes, bytes]]:
    # `os.environb` wraps a dictionary of bytes, and takes 25 us to hand out its items one by one. HOT PATH.
    wrapped = getattr(variables, "_data", None)
    return wrapped.items() if isinstance(wrapped, dict) else variables.items()


@cache
def _not_for_jobs() -> frozenset[bytes]:
    # In the C locale, Python sets LC_CTYPE for itself and for all it starts (PEP 538): the output of a job's `sort`
    # and `ls` would depend on gcron being written in Python.
    is_pythons = os.environb.get(b"LC_CTYPE") in _COERCED and not _was_started_with(b"LC_CTYPE")
    return _OF_SERVICE_MANAGER | {b"LC_CTYPE"} if is_pythons else _OF_SERVICE_MANAGER


def _was_started_with(name: bytes) -> bool:
    try:
        with open("/proc/self/environ", "rb") as file:
            return (b"\0" + file.read()).find(b"\0" + name + b"=") >= 0
    except OSError:
        return True  # as far as can be known here


def open_stdin(command: Command) -> BinaryIO | None:
    """What holds the text that the command reads, at its start; None for the null device.

    Nobody has to feed it, and a job that does not read blocks nothing.
    """
    text = command.stdin
    if text is None:
        return None
    try:
        return _filled(os.fdopen(os.memfd_create("gcron-stdin"), "w+b"), text)
    except (AttributeError, OSError):  # not Linux, or a sandbox that forbids it
        return _filled_pipe(text) or _filled_file(text)


def _filled(file: Any, text: bytes) -> BinaryIO:
    file.write(text)
    file.seek(0)
    opened: BinaryIO = file
    return opened


def _filled_pipe(text: bytes) -> BinaryIO | None:
    """A pipe that holds all of it; None when it is too long for one."""
    read_end, write_end = os.pipe()
    try:
        os.set_blocking(write_end, False)
        if os.write(write_end, text) == len(text):
            return os.fdopen(read_end, "rb")
    finally:
        os.close(write_end)
    os.close(read_end)
    return None


def _filled_file(text: bytes) -> BinaryIO:
    import tempfile  # 3 ms of a start, and not needed on Linux

    return _filled(tempfile.TemporaryFile(), text)

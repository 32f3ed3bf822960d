"""Starting one process as its command says, with file descriptors left for gcron itself."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from gcron.runtime.children import Child, ensure_reapable
from gcron.runtime.fork_exec import SwitchTo
from gcron.runtime.fork_exec import start as fork_and_execute
from gcron.runtime.hub import get_hub
from gcron.runtime.threadpool import ThreadPool
from gcron.supervise.capacity import check_capacity
from gcron.supervise.command import Command, Identity, environment, open_stdin
from gcron.supervise.start_script import arguments, needs_start_script, new_script_name
from gcron.supervise.surroundings import Account, Surroundings, variables_of

__all__ = ["PipeEnd", "Process", "start"]

# Numbers of keyctl(2), which the C library has no function for.
_KEYCTL = {
    "x86_64": 250,
    "i686": 288,
    "aarch64": 219,
    "riscv64": 219,
    "loongarch64": 219,
    "armv7l": 311,
    "ppc64le": 271,
    "s390x": 280,
}
_JOIN_SESSION_KEYRING = 1
# A kernel without keys; a sandbox that forbids the call, to jobs as well.
_WITHOUT_KEYS = {errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP}
_null_device: int | None = None


class PipeEnd:
    """The reading end of a pipe. It does not block."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def close(self) -> None:
        """Close it; a greenlet that waits for it gets `OSError` (`EBADF`)."""
        get_hub().io.closing(self._fd, OSError(errno.EBADF, os.strerror(errno.EBADF)))
        os.close(self._fd)


class Process(Child):
    """The first process of a job. `pipes` has the outputs that gcron reads: stdout, stderr, or both.

    `script`: the name as which its start script speaks; empty without one.
    """

    def __init__(self, pid: int, pipes: tuple[PipeEnd | None, PipeEnd | None], script: str) -> None:
        super().__init__(pid)
        self.stdout, self.stderr = pipes
        self.script = script

    def poll(self) -> int | None:
        """The exit status, as `Popen.returncode`; None while it runs."""
        self.check()
        return self.status


def start(command: Command, surroundings: Surroundings, identity: Identity, discard: bool = False) -> Process:
    """Start the command in a session of its own; `identity` is added to its variables.

    `discard`: its outputs go to the null device. Raises OSError when it cannot start, ValueError for a NUL where none
    is allowed.
    """
    check_capacity()
    ensure_reapable()
    account = surroundings.account
    inherited: Mapping[bytes, bytes] = os.environb if account is None else variables_of(account, os.environb)
    variables = environment(command, identity.variables(), inherited, surroundings.variables)
    home = None if account is None else os.fsdecode(variables[b"HOME"]) or "/"
    script = new_script_name() if needs_start_script(command, home) else ""
    argv = arguments(command, home, discard, script)
    reads_errors = not discard or bool(script)  # its error messages are not discarded
    stdin = open_stdin(command)
    try:
        with _Outputs(not discard, reads_errors) as outputs:
            descriptors = (_null() if stdin is None else stdin.fileno(), *outputs.of_job)
            execute = partial(_execute, command, argv, variables, descriptors, account)
            if account is None:
                pid = execute()
            else:
                outputs.give_to(account)
                pid = _call_with_new_keyring(execute)
            return Process(pid, outputs.keep(), script)
    except PermissionError as error:
        # EPERM comes from the switch, when root of a container has not the right to; EACCES from the program.
        if account is not None and error.errno == errno.EPERM:
            raise PermissionError(
                f"gcron is root, but may not run a job as {account.name} (CAP_SETUID, CAP_SETGID)"
            ) from None
        raise
    finally:
        if stdin is not None:
            stdin.close()


def _execute(
    command: Command,
    argv: list[str],
    variables: Mapping[bytes, bytes],
    descriptors: tuple[int, int, int],
    account: Account | None,
) -> int:
    switch = None if account is None else SwitchTo(account.uid, account.gid, account.groups)
    with _going_first(command.nice):
        return fork_and_execute(argv, variables, descriptors, switch, command.umask)


def _call_with_new_keyring(execute: Callable[[], int]) -> int:
    """Call `execute` in a thread with a new session keyring: see session-keyring(7). Parks.

    What it starts inherits that keyring. With root's, a job of another user could read the keys of root's session, and
    jobs that share one would share their keys. Raises OSError when there can be no thread (EAGAIN) or no keyring.
    """

    def call() -> int:
        _join_new_keyring()
        return execute()

    try:
        result = ThreadPool(1).spawn(call)
    except RuntimeError:  # no thread is to be had, and so no process
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
    pid: int = result.get()
    return pid


def _join_new_keyring() -> None:
    """Give this thread a new session keyring: a keyring belongs to a thread until it starts something."""
    system = os.uname()
    number = _KEYCTL.get(system.machine) if system.sysname == "Linux" else None
    if number is None or ctypes.CDLL(None, use_errno=True).syscall(number, _JOIN_SESSION_KEYRING, None) != -1:
        return
    error = ctypes.get_errno()
    if error not in _WITHOUT_KEYS:
        raise OSError(error, f"there is no session keyring for it: {os.strerror(error)}")


def _null() -> int:
    """A descriptor of the null device, opened once."""
    global _null_device
    if _null_device is None:
        _null_device = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return _null_device


class _Outputs:
    """The pipes for the outputs of a job. What `keep` does not take is closed at the end of the block."""

    def __init__(self, reads_output: bool, reads_errors: bool) -> None:
        self._wanted = reads_output, reads_errors
        self._ours: list[int | None] = []
        self._theirs: list[int | None] = []

    @property
    def of_job(self) -> tuple[int, int]:
        """The descriptors that become the job's stdout and stderr."""
        stdout, stderr = (_null() if fd is None else fd for fd in self._theirs)
        return stdout, stderr

    def give_to(self, account: Account) -> None:
        """Let a job of another user open /dev/stdout and /dev/stderr: else they are root's."""
        for fd in self._ours:
            with suppress(OSError):  # in a user namespace without that number; the job runs all the same
                if fd is not None:
                    os.fchown(fd, account.uid, account.gid)

    def keep(self) -> tuple[PipeEnd | None, PipeEnd | None]:
        """The ends to read from."""
        stdout, stderr = (None if fd is None else PipeEnd(fd) for fd in self._ours)
        self._ours = []
        return stdout, stderr

    def __enter__(self) -> _Outputs:
        try:
            for wanted in self._wanted:
                ours, theirs = os.pipe() if wanted else (None, None)
                self._ours.append(ours)
                self._theirs.append(theirs)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        for fd in (*self._ours, *self._theirs):
            if fd is not None:
                os.close(fd)


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

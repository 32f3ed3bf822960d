"""Starting one process as its command says, with file descriptors left for gcron itself."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from gcron.runtime.children import Child, ensure_reapable
from gcron.runtime.fork_exec import SwitchTo
from gcron.runtime.fork_exec import start as fork_and_execute
from gcron.runtime.hub import get_hub
from gcron.supervise.command import Command, Identity, environment, open_stdin
from gcron.supervise.start_script import arguments, needs_start_script
from gcron.supervise.surroundings import Surroundings
from gcron.supervise.user import Account, variables_of

__all__ = ["NO_CAPACITY", "PipeEnd", "Process", "check_capacity", "start"]

NO_CAPACITY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Errors of a start that the end of something else may cure."""
# Descriptors kept free for the log, for reading files again, and for the hub.
_RESERVE = 24
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
    """The first process of a job. `pipes` has the outputs that gcron reads: stdout, stderr, or both."""

    def __init__(self, pid: int, pipes: tuple[PipeEnd | None, PipeEnd | None]) -> None:
        super().__init__(pid)
        self.stdout, self.stderr = pipes

    def poll(self) -> int | None:
        """The exit status, as `Popen.returncode`; None while it runs."""
        self.check()
        return self.status


def check_capacity() -> None:
    """Raise OSError (EMFILE) when another process would take the last file descriptors, which gcron itself needs."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # The lowest free number is enough to know: higher ones are taken only while there is none below.
    lowest_free = os.dup(2)
    os.close(lowest_free)
    if 0 <= limit <= lowest_free + min(_RESERVE, limit // 4):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


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
    argv = arguments(command, home, discard)
    reads_errors = not discard or needs_start_script(command, home)  # its error messages are not discarded
    stdin = open_stdin(command)
    try:
        with _going_first(command.nice), _Outputs(not discard, reads_errors) as outputs:
            if account is not None:
                outputs.give_to(account)
            descriptors = (_null() if stdin is None else stdin.fileno(), *outputs.of_job)
            pid = fork_and_execute(argv, variables, descriptors, _switch_to(account), command.umask)
            return Process(pid, outputs.keep())
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


def _switch_to(account: Account | None) -> SwitchTo | None:
    return None if account is None else SwitchTo(account.uid, account.gid, account.groups)


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

"""What the system says about processes: on Linux from /proc, elsewhere through psutil.

To read about a process may take forever. While its execve(2) or its memory waits for a dead file system, a reader of
its /proc/PID/stat or /proc/PID/environ waits too. The list of processes, the directory of one and its `status` are
not known to wait. All of it is for a thread (`gcron.supervise.scan_thread`).
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from gcron.frozen import frozen

__all__ = [
    "Key",
    "LinuxReader",
    "NotReadable",
    "ProcessInfo",
    "PsutilReader",
    "Reader",
    "describe",
    "new_reader",
    "send_signal",
]

Key = int | float | None
"""Identifies a process among all that ever have its pid, as long as it is not None and still the same."""

# The states of proc_pid_status(5), in psutil's words.
_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "disk-sleep",
    "T": "stopped",
    "t": "tracing-stop",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
}
_FIELDS = re.compile(
    rb"^Name:\t([^\n]*)\n.*?^State:\t(.).*?^PPid:\t([0-9]+)\n.*?^Uid:\t([0-9]+)", re.MULTILINE | re.DOTALL
)
# Bytes that are read: of `status`, whose first fields are wanted; of an environment, which may be as large as its
# process likes. What comes later is not found.
_STATUS_SIZE, _ENVIRONMENT_SIZE = 1024, 1024 * 1024
_AT_ONCE = 32 * 1024


class NotReadable(Exception):
    """Nothing can be known about processes. `may_pass`: for lack of something that may be there again soon."""

    def __init__(self, why: str, may_pass: bool = False) -> None:
        super().__init__(why)
        self.may_pass = may_pass


@frozen
class ProcessInfo:
    """A process as it was when it was read."""

    pid: int
    key: Key
    parent: int
    session: int
    uid: int
    """The real user id."""
    name: str
    state: str
    """As psutil has it: `sleeping`, `disk-sleep`, `zombie`."""

    @property
    def is_alive(self) -> bool:
        """False for a zombie: only its exit status is left."""
        return self.state not in ("zombie", "dead")

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.name}, {self.state})" if self.name else f"pid {self.pid}"


def describe(processes: Iterable[ProcessInfo]) -> str:
    """Name processes for people: `pid 123 (sleep, sleeping), pid 124 (cat, disk-sleep)`."""
    return ", ".join(str(process) for process in processes)


class Reader(Protocol):
    """How processes are read on one platform. Its methods raise OSError for a process that has gone or is hidden."""

    def list_all(self) -> dict[int, Key]:
        """Every pid. Raises NotReadable when the system does not show processes."""

    def read(self, pid: int) -> ProcessInfo:
        """The process that has this pid now."""

    def variable_of(self, pid: int, name: str) -> str | None:
        """A variable of its environment; empty without it, None while there is no environment. May hang."""

    def start_of(self, pid: int) -> Key:
        """When it was started: with the pid, this identifies it forever. May hang."""

    def is_same(self, process: ProcessInfo) -> bool:
        """True while the process that was read still has its pid."""


def new_reader() -> Reader:
    """The reader for this platform."""
    return LinuxReader() if sys.platform.startswith("linux") else PsutilReader()


class LinuxReader:
    """Reads /proc. The key of a process is the inode number of its directory there.

    The kernel counts these numbers up. It may give a process another number when it is short of memory, and never
    gives a number to another process.
    """

    def list_all(self) -> dict[int, Key]:
        """See `Reader.list_all`."""
        try:
            own = os.readlink("/proc/self")
        except FileNotFoundError:
            raise NotReadable("/proc does not show this process: it is not mounted, or for other processes") from None
        if own != str(os.getpid()):
            raise NotReadable("/proc is that of another PID namespace")
        with os.scandir("/proc") as entries:
            return {int(entry.name): entry.inode() for entry in entries if entry.name[0] in "123456789"}

    def read(self, pid: int) -> ProcessInfo:
        """See `Reader.read`."""
        key = os.stat(f"/proc/{pid}").st_ino
        name, state, parent, uid = _status(f"/proc/{pid}/status")
        if state == "zombie" and (thread := _other_thread(pid)) is not None:
            state = _status(f"/proc/{pid}/task/{thread}/status")[1]
        return ProcessInfo(pid, key, parent, os.getsid(pid), uid, name, state)

    def variable_of(self, pid: int, name: str) -> str | None:
        """See `Reader.variable_of`."""
        text = _read(f"/proc/{pid}/environ", _ENVIRONMENT_SIZE, _AT_ONCE)
        if not text and (thread := _other_thread(pid)) is not None:
            text = _read(f"/proc/{pid}/task/{thread}/environ", _ENVIRONMENT_SIZE, _AT_ONCE)
        if not text:  # it is just executing a program; or it was started without variables
            return None
        _, found, value = (b"\0" + text).partition(b"\0" + os.fsencode(name) + b"=")
        return os.fsdecode(value.partition(b"\0")[0]) if found else ""

    def start_of(self, pid: int) -> Key:
        """See `Reader.start_of`."""
        text = _read(f"/proc/{pid}/stat", _STATUS_SIZE)
        return int(text.rpartition(b")")[2].split()[19])  # a name may contain anything, also `)`

    def is_same(self, process: ProcessInfo) -> bool:
        """See `Reader.is_same`."""
        try:
            return os.stat(f"/proc/{process.pid}").st_ino == process.key
        except OSError:
            return False


def _status(path: str) -> tuple[str, str, int, int]:
    """Name, state, parent and real user."""
    text = _read(path, _STATUS_SIZE)
    match = _FIELDS.match(text)
    if match is None:  # it has gone meanwhile
        raise ProcessLookupError
    name, state, parent, uid = match.groups()
    letter = state.decode("latin-1")
    return name.decode("utf-8", "backslashreplace"), _STATES.get(letter, letter), int(parent), int(uid)


def _other_thread(pid: int) -> str | None:
    """Another thread of a process whose first thread has ended: Linux then shows the whole process as a zombie."""
    threads = os.listdir(f"/proc/{pid}/task")
    return next((thread for thread in threads if thread != str(pid)), None)


def _read(path: str, most: int, at_once: int = 1024) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = piece = os.read(fd, at_once)
        while len(piece) == at_once and len(text) < most:
            piece = os.read(fd, at_once)
            text += piece
        return text
    finally:
        os.close(fd)


class PsutilReader:
    """Reads through psutil. The key of a process is the time of its start."""

    def __init__(self) -> None:
        import psutil  # 15 ms, which Linux does not need

        self._psutil = psutil

    def list_all(self) -> dict[int, Key]:
        """See `Reader.list_all`."""
        try:
            return dict.fromkeys(self._psutil.pids())
        except Exception as error:  # whatever psutil makes of a system that it does not know
            raise NotReadable(f"psutil cannot list processes: {error}") from None

    def read(self, pid: int) -> ProcessInfo:
        """See `Reader.read`."""
        with self._errors():
            process = self._psutil.Process(pid)
            with process.oneshot():
                return ProcessInfo(
                    pid,
                    process.create_time(),
                    process.ppid(),
                    os.getsid(pid),
                    process.uids().real,
                    process.name(),
                    str(process.status()),
                )

    def variable_of(self, pid: int, name: str) -> str | None:
        """See `Reader.variable_of`."""
        with self._errors():
            return self._psutil.Process(pid).environ().get(name, "")

    def start_of(self, pid: int) -> Key:
        """See `Reader.start_of`."""
        with self._errors():
            return self._psutil.Process(pid).create_time()

    def is_same(self, process: ProcessInfo) -> bool:
        """See `Reader.is_same`."""
        with suppress(OSError):
            return self.start_of(process.pid) == process.key
        return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._psutil.NoSuchProcess:
            raise ProcessLookupError from None
        except self._psutil.AccessDenied:
            raise PermissionError from None
        except OSError:
            raise
        except Exception as error:  # an IndexError, where a file of the system is empty
            raise OSError(str(error)) from None


def send_signal(reader: Reader, process: ProcessInfo, signum: signal.Signals) -> None:
    """Send `signum` to this process, and never to another one that has its pid now."""
    pidfd = None
    with suppress(AttributeError, OSError):  # no such call here, or no descriptor left
        pidfd = os.pidfd_open(process.pid)
    try:
        # In this order: if it is still the same, then the descriptor, which is older, is for it.
        if not reader.is_same(process):
            return
        with suppress(OSError):  # it has just ended, or belongs to another user
            if pidfd is None:
                os.kill(process.pid, signum)
            else:
                signal.pidfd_send_signal(pidfd, signum)
    finally:
        if pidfd is not None:
            os.close(pidfd)

"""Lets a process of its own write a log file that may stop answering: a file on a network or FUSE file system.

The child of each start closes its copies of gcron's stdout and stderr (close(2)), and gcron waits until the child has
executed its program. Some file systems answer a close only when their server does. So gcron must not have such a file
open: it writes to a socket, and the writer copies that to the file. A stop of gcron is bounded too, because the kernel
keeps a process that waits for such a file system even when it is killed.

The writer ends when gcron does: at the end of the socket. No signal but KILL ends it, so that it gets the last lines.
After a KILL another one goes on, and nothing is lost: gcron holds both ends of the socket, and a writer takes out what
it has written, not what it is about to write. What was written and not taken out yet is written again.

gcron keeps the file for the next writer without having it open: in a message that nobody takes out of a second socket
(SCM_RIGHTS in unix(7)). Such a file is in no table of descriptors, so no child closes it.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from gcron.daemon.sink import PASSING_ERRORS
from gcron.runtime.children import UNKNOWN_STATUS, Child, Wait
from gcron.runtime.event import Event
from gcron.runtime.hub import Timer, get_hub

__all__ = ["LogWriter"]

# A network that fails: the file is there again later.
_PASSING = PASSING_ERRORS | {errno.EAGAIN, errno.ETIMEDOUT, errno.EHOSTDOWN}
# Milliseconds after which a write is tried again.
_TRY_AGAIN = 500
# Bytes that are written at once.
_PIECE = 64 * 1024
_STDIN, _STDOUT = 0, 1
_NAMES = {1: "stdout", 2: "stderr"}
# Exit statuses of a writer. With any other it is replaced.
_WROTE_ALL, _GAVE_UP, _DID_NOT_BEGIN = 0, 1, 2
# The longest pause before the next writer, as a multiple of the first one.
_LONGEST = 60
# Seconds before the next writer once gcron ends: a writer that is killed again and again must not keep it busy.
_AT_THE_END = 0.1


def _ignore(*args: object) -> None:
    """Do nothing."""


class LogWriter:
    """A process that writes the file which `descriptors` are. They become a socket to it.

    When it is killed, another one is started after `back_off` seconds. The pause doubles up to 60 times that, and is
    short again after a writer has lived for so long. A writer that gives up, because its file can never be written
    again, ends the log as a reader that has gone: writes fail with EPIPE.

    Belongs to the thread that makes it. Raises OSError when there can be no process.
    """

    def __init__(self, descriptors: Sequence[int], back_off: float) -> None:
        self.on_killed: Callable[[str, Sequence[int]], object] = _ignore
        """Called when a writer was killed, with a text for people and the descriptors."""
        self.on_next: Callable[[], object] = _ignore
        """Called before the next one is started."""
        self._descriptors = descriptors
        self._names = " and ".join(_NAMES[fd] for fd in descriptors)
        self._first, self._longest = back_off, back_off * _LONGEST
        self._pause = self._first
        self._timer: Timer | None = None
        self._has_ended = Event()
        """Set when a writer has ended by itself: it has written all, or cannot go on."""
        self._file = _keep(descriptors[0])
        self._source, target = socket.socketpair()
        try:
            self._start()
        except OSError:
            target.close()
            self._source.close()
            self._file.close()
            raise
        self._replace_by(target.detach())

    @property
    def pid(self) -> int | None:
        """Its process id; None while there is no process."""
        return None if self._process.ended else self._process.pid

    def hurry(self) -> None:
        """Start the next writer at once from now on: gcron ends."""
        self._first = self._longest = self._pause = _AT_THE_END
        if self._timer is not None:
            self._timer.cancel()
            self._start_next()

    def close(self, timeout: float) -> None:
        """End the socket, and wait until all is written, for at most `timeout` seconds. Parks."""
        self._replace_by(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
        self.hurry()
        self._has_ended.wait(timeout)
        self._wait.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._source.close()
        self._file.close()

    def _start(self) -> None:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            # A fork, not a new program: that could be on a file system that hangs. The child only makes system calls,
            # so it needs no lock that another thread of gcron may have.
            if not (pid := os.fork()):
                _be_writer(self._source, self._file)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._started = get_hub().monotonic()
        self._process = Child(pid)
        self._wait: Wait = self._process.at_end(self._on_end)

    def _on_end(self) -> None:
        status = self._process.status
        assert status is not None
        if status in (_WROTE_ALL, _GAVE_UP):
            self._source.close()
            self._has_ended.set()
            return
        if get_hub().monotonic() - self._started > self._longest:
            self._pause = self._first
        how = f"was killed by signal {-status}" if UNKNOWN_STATUS < status < 0 else "has ended"
        self._start_later(f"the process that writes {self._names} (pid {self._process.pid}) {how}")

    def _start_later(self, why: str) -> None:
        pause, self._pause = self._pause, min(self._pause * 2, self._longest)
        self._timer = get_hub().call_later(pause, self._start_next)
        self.on_killed(f"{why}; the next one starts in {pause:g} s", self._descriptors)

    def _start_next(self) -> None:
        self._timer = None
        self.on_next()
        try:
            self._start()
        except OSError as error:
            why = os.strerror(error.errno or 0)
            self._start_later(f"no process that writes {self._names} can be started ({why})")

    def _replace_by(self, fd: int) -> None:
        for descriptor in self._descriptors:
            os.dup2(fd, descriptor)
        os.close(fd)


def _keep(fd: int) -> socket.socket:
    """A socket with a message that holds the open file `fd`."""
    kept, sender = socket.socketpair()
    with sender:
        sender.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))])
    return kept


# -- the process of the writer -----------------------------------------------------------------------------------


def _be_writer(source: socket.socket, file: socket.socket) -> NoReturn:
    """Copy `source` to the file that is kept in `file`, and exit. All signals are blocked."""
    status = _DID_NOT_BEGIN
    try:
        _, ((_, _, data), *_), *_ = file.recvmsg(1, socket.CMSG_SPACE(array("i").itemsize), socket.MSG_PEEK)
        os.dup2(array("i", data)[0], _STDOUT)
        os.dup2(source.fileno(), _STDIN)
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd > _STDOUT:
                # What gcron was started with may be a lock, or a pipe whose reader waits for its end.
                with suppress(OSError):
                    os.close(fd)
        with suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as name:
            name.write("gcron-log")
        status = _copy(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=_STDIN))
    finally:
        os._exit(status)


def _copy(source: socket.socket) -> int:
    """Copy `source` to stdout until nobody can write to it any more; returns the exit status."""
    end = select.poll()
    end.register(source, 0)  # its end is reported whatever is asked for
    has_ended = False
    while piece := source.recv(_PIECE, socket.MSG_PEEK):
        try:
            written = os.write(_STDOUT, piece)
        except OSError as error:
            if error.errno not in _PASSING or has_ended:
                return _GAVE_UP
            has_ended = bool(end.poll(_TRY_AGAIN))  # gcron waits no longer: one more try
            continue
        while written:
            written -= len(source.recv(written))
    return _WROTE_ALL

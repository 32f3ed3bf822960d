"""Lets a process of its own write a log file that may stop answering: a file on a network or FUSE file system.

The child of each start closes its copies of gcron's stdout and stderr (close(2)), and gcron waits until the child has
executed its program. Some file systems answer a close only when their server does. So gcron must not have such a file
open: it writes to a pipe, and the writer copies that to the file. A stop of gcron is bounded too, because the kernel
keeps a process that waits for such a file system even when it is killed.

The writer ends when gcron does: at the end of the pipe. No signal but KILL ends it, so that it gets the last lines.
"""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from gcron.daemon.sink import PASSING_ERRORS
from gcron.runtime.children import Child

__all__ = ["LogWriter", "start_log_writers"]

# Types of file systems whose close waits for a server, or may do so. FUSE has a type for each program: `fuse.sshfs`.
_REMOTE = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "glusterfs",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "orangefs",
    "smb3",
    "virtiofs",
}
_FUSE = re.compile(r"fuse(blk)?(\..*)?")
# Of mountinfo, see proc_pid_mountinfo(5): the device, and the type of the file system.
_MOUNT = re.compile(r"^\S+ \S+ (\d+):(\d+) .* - (\S+) ", re.MULTILINE)
# A network that fails: the file is there again later.
_PASSING = PASSING_ERRORS | {errno.EAGAIN, errno.ETIMEDOUT, errno.EHOSTDOWN}
# Milliseconds after which a write is tried again.
_TRY_AGAIN = 500
# Bytes that are read at once: as many as a pipe holds.
_PIECE = 64 * 1024
_STDIN, _STDOUT, _STDERR = 0, 1, 2


class LogWriter:
    """A process that writes the file which `descriptors` are. They become a pipe to it.

    Make it before there are threads: the process is a fork of this one. Raises OSError when there can be none.
    """

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._descriptors = descriptors
        source, pipe = os.pipe()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            if not (pid := os.fork()):
                _be_writer(source, descriptors[0])
        except OSError:
            os.close(pipe)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(source)
        self._process = Child(pid)
        self._replace_by(pipe)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def close(self, timeout: float) -> None:
        """End the pipe, and wait until the writer has written all, for at most `timeout` seconds. Parks."""
        self._replace_by(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
        self._process.wait(timeout)

    def _replace_by(self, fd: int) -> None:
        for descriptor in self._descriptors:
            os.dup2(fd, descriptor)
        os.close(fd)


def start_log_writers() -> list[LogWriter]:
    """Start a writer for each file that stdout or stderr is and that may hang; usually there is none.

    Raises OSError when there can be no further process.
    """
    files: dict[tuple[int, int], list[int]] = {}
    for fd in (_STDOUT, _STDERR):
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            files.setdefault((status.st_dev, status.st_ino), []).append(fd)
    if not files:
        return []
    remote = _remote_devices()
    sys.stdout.flush()
    return [LogWriter(descriptors) for (device, _), descriptors in files.items() if device in remote]


def _remote_devices() -> set[int]:
    """The devices of mounted file systems that may hang. None of them is asked; empty without `/proc`."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            mounts = _MOUNT.findall(file.read())
    except OSError:
        return set()
    return {
        os.makedev(int(major), int(minor)) for major, minor, type in mounts if type in _REMOTE or _FUSE.fullmatch(type)
    }


# -- the process of the writer -----------------------------------------------------------------------------------


def _be_writer(source: int, target: int) -> NoReturn:
    """Copy the pipe `source` to `target`, and exit. All signals are blocked."""
    status = 1
    try:
        os.dup2(source, _STDIN)
        os.dup2(target, _STDOUT)
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd > _STDOUT:
                # What gcron was started with may be a lock, or a pipe whose reader waits for its end.
                with suppress(OSError):
                    os.close(fd)
        with suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as name:
            name.write("gcron-log")
        status = _copy()
    finally:
        os._exit(status)


def _copy() -> int:
    """Copy stdin to stdout until nobody can write to it any more; returns the exit status."""
    end = select.poll()
    end.register(_STDIN, 0)  # its end is reported whatever is asked for
    while piece := os.read(_STDIN, _PIECE):
        rest = memoryview(piece)
        while rest:
            try:
                rest = rest[os.write(_STDOUT, rest) :]
            except OSError as error:
                if error.errno not in _PASSING or end.poll(_TRY_AGAIN):
                    return 1  # nothing can be written any more, or gcron has ended
    return 0

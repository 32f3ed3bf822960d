"""Which of the files that gcron logs to may stop answering, and a process for each of them."""

from __future__ import annotations

import os
import re
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gcron.daemon.log_writer import LogWriter

__all__ = ["start_log_writers"]

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
_STDOUT, _STDERR = 1, 2


def start_log_writers(back_off: float) -> list[LogWriter]:
    """Start a writer for each file that stdout or stderr is and that may hang; usually there is none.

    `back_off`: see `LogWriter`. Raises OSError when there can be no further process.
    """
    files: dict[tuple[int, int], list[int]] = {}
    for fd in (_STDOUT, _STDERR):
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            files.setdefault((status.st_dev, status.st_ino), []).append(fd)
    if not files:
        return []
    remote = _remote_devices()
    found = [descriptors for (device, _), descriptors in files.items() if device in remote]
    if not found:
        return []
    from gcron.daemon.log_writer import LogWriter  # it needs modules that other starts do not load

    sys.stdout.flush()
    return [LogWriter(descriptors, back_off) for descriptors in found]


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

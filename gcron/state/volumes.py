"""Volumes that are open to all users, as Kubernetes makes an `emptyDir`: root's own mount, with mode 0777.

Root keeps no history where others can change it. A pod has no easy way to close such a volume, so root does it here.
"""

from __future__ import annotations

import os
import stat

from gcron.trust import Untrusted, check_directory

__all__ = ["close_to_others", "keep_entries"]

_ROOT = frozenset({0})


def keep_entries(volume: str) -> str:
    """Set the sticky bit of an open volume; returns what people should know, or an empty text.

    Otherwise any user could rename the directory that root makes in it, and put a link to another one in its place.
    """
    if not _is_open(volume):
        return ""
    os.chmod(volume, stat.S_IMODE(os.stat(volume).st_mode) | stat.S_ISVTX)
    return f"{volume} is a volume that all users can write: gcron has set its sticky bit, to keep them from its history"


def close_to_others(volume: str) -> str:
    """Close an open volume that is to hold the history itself, if nobody else has anything in it; returns as above."""
    if not _is_open(volume) or any(entry.stat(follow_symlinks=False).st_uid for entry in os.scandir(volume)):
        return ""
    os.chmod(volume, 0o700)
    return f"{volume} was a volume that all users can write: gcron has closed it to them (mode 0700)"


def _is_open(path: str) -> bool:
    if os.geteuid() != 0 or not os.path.ismount(path):
        return False
    try:
        check_directory(os.path.dirname(path), _ROOT)
    except (Untrusted, OSError):  # another user could have put a link here
        return False
    status = os.stat(path)
    # One that only a group can write is shared on purpose, and so is one with the sticky bit, as /tmp and /dev/shm are.
    return status.st_uid == 0 and bool(status.st_mode & stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX

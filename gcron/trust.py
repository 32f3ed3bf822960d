"""Who can change a file, or put another one in its place: its owner, mode and ACL, and every directory on its way.

root runs what a crontab says. So nobody else may be able to decide what it says, now or at a reload. Nothing can be
swapped between a check and the read: each name of the real path is opened below the descriptor of its directory.

It is for crontabs and for the directory of the history; this module knows neither. Sources: path_resolution(7),
acl(5), symlink(7).
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable, Iterator, Set

__all__ = ["Untrusted", "check_directory", "open_checked", "open_to_anybody", "other_writer"]

# O_PATH: root may have no right to list a directory of NFS or FUSE, and it only has to come through.
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# The kernel follows as many links.
_MOST_LINKS = 40
_ACL = "system.posix_acl_access"
# linux/posix_acl_xattr.h: a version, then a tag, rights and an id for each entry, little-endian.
_ACL_VERSION = struct.Struct("<I")
_ACL_ENTRY = struct.Struct("<HHI")
_USER, _OWNING_GROUP, _GROUP = 0x02, 0x04, 0x08
_WRITE = 0x02
_NO_ACL = (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS)


class Untrusted(Exception):
    """Somebody who is not trusted decides what stands there. `hint`: what would be right."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def open_checked(path: str, flags: int, owners: Set[int], file_owners: Set[int] = frozenset()) -> int:
    """Open a file, if nobody but `owners` (user ids) can put another one in its place; returns the descriptor.

    Each directory of the real path belongs to one of them, and nobody else can write it; links are followed, and the
    directories of their targets checked. A directory with the sticky bit, as /tmp, may be open to all: then the entry
    in it must belong to `owners` (the file itself also to `file_owners`), and have no second name, which anybody might
    have given it. With O_NOFOLLOW in `flags`, the file itself is no link. The file is not checked: see `other_writer`.

    Raises Untrusted, or OSError.
    """
    # Not `join`: it would ask for a working directory that may have been removed, also for an absolute path.
    names = _names(path if os.path.isabs(path) else os.path.join(os.getcwd(), path))
    directory, here, is_shared = _enter(None, "/", "/", owners)
    links = 0
    try:
        while True:
            name = names.pop() if names else "."
            there = os.path.join(here, name)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if is_shared:
                _check_shared(there, status, owners if names else owners | file_owners)
            if stat.S_ISLNK(status.st_mode) and (names or not flags & os.O_NOFOLLOW):
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = os.readlink(name, dir_fd=directory)
                names += _names(target)
                if not target.startswith("/"):
                    continue
                deeper, here, is_shared = _enter(None, "/", "/", owners)
            elif not names:
                return os.open(name, flags | os.O_NOFOLLOW, dir_fd=directory)
            else:
                deeper, here, is_shared = _enter(directory, name, os.path.normpath(there), owners)
            os.close(directory)
            directory = deeper
    finally:
        os.close(directory)


def check_directory(path: str, owners: Set[int]) -> None:
    """Raise Untrusted if others than `owners` can put files into the directory, OSError if it cannot be opened."""
    descriptor = open_checked(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, owners)
    try:
        _is_shared(descriptor, path, owners)
    finally:
        os.close(descriptor)


def other_writer(descriptor: int, status: os.stat_result, owners: Set[int]) -> str:
    """Return who else can write an open file: `anybody`, `group 12`, `uid 1001 (by its ACL)`; or an empty text.

    The owner is not looked at. Root's own group is trusted as root is: a checkout under umask 002 in a container image
    has such files. Raises OSError.
    """
    return _other_writer(status, owners, lambda: _read_acl(descriptor))


def open_to_anybody(path: str) -> Iterator[str]:
    """Yield the file, and the directories of its real path, that anybody can write, or put another entry into."""
    real = os.path.realpath(path)
    mode = os.stat(real).st_mode
    if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        yield path
    while (parent := os.path.dirname(real)) != real:
        real = parent
        mode = os.stat(real).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield real


def _names(path: str) -> list[str]:
    """The names of a path, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _enter(above: int | None, name: str, path: str, owners: Set[int]) -> tuple[int, str, bool]:
    """Open a directory and check it. Returns its descriptor, its path, and whether others can add entries to it."""
    descriptor = os.open(name, _DIRECTORY, dir_fd=above)
    try:
        return descriptor, path, _is_shared(descriptor, path, owners)
    except BaseException:
        os.close(descriptor)
        raise


def _is_shared(descriptor: int, path: str, owners: Set[int]) -> bool:
    status = os.fstat(descriptor)
    if status.st_uid not in owners:
        reason = f"the directory {path} belongs to uid {status.st_uid}, not to root"
        raise Untrusted(reason, f"chown root {path}, or --trust-owner {status.st_uid}")
    writer = _other_writer(status, owners, lambda: _read_acl_of_directory(descriptor))
    if not writer:
        return False
    if status.st_mode & stat.S_ISVTX:
        return True
    if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
        return False  # Kubernetes mounts its volumes with mode 0777, and read-only
    raise Untrusted(f"{writer} can write the directory {path}, and put another file in its place", f"chmod go-w {path}")


def _check_shared(path: str, status: os.stat_result, owners: Set[int]) -> None:
    """The sticky bit keeps an entry from everybody but its owner and the directory's."""
    if status.st_uid not in owners:
        raise Untrusted(
            f"{path} belongs to uid {status.st_uid}, not to root, in a directory that others can write",
            "move it to a directory of root's own",
        )
    if not stat.S_ISDIR(status.st_mode) and status.st_nlink != 1:
        raise Untrusted(
            f"{path} has {status.st_nlink} names (hard links), in a directory that others can write",
            "copy it, into a directory of root's own",
        )


def _other_writer(status: os.stat_result, owners: Set[int], read_acl: Callable[[], bytes]) -> str:
    if status.st_mode & stat.S_IWOTH:
        return "anybody"
    # With an ACL, the rights of the group in the mode are the ACL's mask: without this bit no entry of it can write.
    if not status.st_mode & stat.S_IWGRP:
        return ""
    if acl := read_acl():
        return next(_writers(acl, status.st_gid, owners), "")
    return "" if status.st_gid == 0 else f"group {status.st_gid}"


def _writers(acl: bytes, owning_group: int, owners: Set[int]) -> Iterator[str]:
    for tag, rights, number in _ACL_ENTRY.iter_unpack(acl[_ACL_VERSION.size :]):
        if not rights & _WRITE:
            continue
        if tag == _USER and number not in owners:
            yield f"uid {number} (by its ACL)"
        elif tag == _GROUP and number != 0:
            yield f"group {number} (by its ACL)"
        elif tag == _OWNING_GROUP and owning_group != 0:
            yield f"group {owning_group}"


def _read_acl(descriptor: int) -> bytes:
    """The POSIX ACL, or nothing where there is none (and on other systems than Linux)."""
    if not hasattr(os, "getxattr"):
        return b""
    try:
        return os.getxattr(descriptor, _ACL)
    except OSError as error:
        if error.errno in _NO_ACL:
            return b""
        raise


def _read_acl_of_directory(descriptor: int) -> bytes:
    # A descriptor that was opened with O_PATH has no attributes.
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
    try:
        return _read_acl(readable)
    finally:
        os.close(readable)

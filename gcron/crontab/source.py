"""From a path to the bytes of a crontab (docs/crontab.md, section 5).

A wrong path costs one clear line and no time: nothing here waits for a FIFO's writer, reads a device, or swallows a
gigabyte. This module does not know what a crontab says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Set
from functools import partial
from typing import NamedTuple

from gcron.crontab.problem import CrontabError, Problem
from gcron.trust import Untrusted, check_directory, open_checked, open_to_anybody, other_writer

__all__ = ["MAX_SIZE", "Members", "find_open_places", "members_of", "read", "read_of_user", "reason_of", "unreadable"]

MAX_SIZE = 1024 * 1024
"""Bytes of the largest crontab that is read."""

_Path = str | os.PathLike[str]
# Without O_NONBLOCK the open of a FIFO waits for its writer; a terminal must not become ours.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 256 * 1024
_NOBODY: Set[int] = frozenset()
_Check = Callable[[str, int, os.stat_result], None]
# Of a user's crontab (cronie's database.c): its owner can read and not execute it; nobody else can do more than read.
_MODE_MASK = 0o7533
_LEFT_OVER = (
    "~", ".bak", ".cfsaved", ".disabled", ".off", ".old", ".orig", ".pacnew", ".pacsave", ".rpmnew", ".rpmorig",
    ".rpmsave", ".save", ".swp",
)  # fmt: skip

_KINDS = (
    (stat.S_ISREG, ""),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


def read(path: _Path, trusted_owners: Set[int] = _NOBODY) -> bytes:
    """Return the bytes of a regular file of at most `MAX_SIZE`, unchanged while it was read.

    For root, the file must belong to root, the caller or one of `trusted_owners` (user ids), and nobody else may be
    able to write it or to put another file in its place (see `open_checked`). Raises CrontabError with one problem.
    """
    owners = _owners(trusted_owners)
    return _read(os.fspath(path), _FLAGS, owners, _NOBODY, partial(_check_owner, owners=owners))


def read_of_user(path: str, uid: int, trusted_owners: Set[int] = _NOBODY) -> bytes:
    """Return the bytes of a user's crontab in a spool directory, by the rules of cronie.

    As `read`; but the file must belong to this user, root or one of `trusted_owners`. It is no symbolic link, has no
    second name, may not be executed, and nobody but its owner can write it. Raises CrontabError with one problem.
    """
    owners = _owners(trusted_owners)
    return _read(path, _FLAGS | os.O_NOFOLLOW, owners, {uid}, partial(_check_of_user, uid=uid, owners=owners))


def find_open_places(path: _Path) -> list[Problem]:
    """Return a warning for the file, and for each directory of its real path, that anybody can write. Not for root.

    What root must not read is refused by `read`. Others decide for themselves, but should know.
    """
    name = os.fspath(path)
    if os.geteuid() == 0:
        return []
    try:
        return [_open_place(place, name) for place in open_to_anybody(name)]
    except (OSError, ValueError):
        return []  # `read` says why


def _open_place(place: str, name: str) -> Problem:
    if place == name:
        return Problem(name, 0, 0, 0, "warning", "anybody can write it", f"chmod o-w {name}")
    message = "anybody can write this directory, and put other crontabs into it"
    return Problem(place, 0, 0, 0, "warning", message, f"chmod o-w {place}")


def _owners(trusted_owners: Set[int]) -> Set[int]:
    return trusted_owners | ({0, os.getuid()} if os.geteuid() == 0 else {0})


def _read(name: str, flags: int, owners: Set[int], file_owners: Set[int], check: _Check) -> bytes:
    try:
        descriptor = open_checked(name, flags, owners, file_owners) if os.geteuid() == 0 else os.open(name, flags)
    except Untrusted as error:
        raise unreadable(name, error.reason, error.hint) from None
    except (OSError, ValueError) as error:
        raise unreadable(name, reason_of(error)) from None
    try:
        return _read_descriptor(name, descriptor, check)
    except OSError as error:
        raise unreadable(name, reason_of(error)) from None
    finally:
        os.close(descriptor)


class Members(NamedTuple):
    """The files of a directory, by name."""

    crontabs: tuple[str, ...]
    passed_over: tuple[str, ...] = ()
    """Files that are no crontabs by their name, but may have been meant as such: `my.job`."""


def members_of(path: _Path, trusted_owners: Set[int] = _NOBODY) -> Members:
    """Return the paths of a directory's crontabs in the manner of cron.d; for a file, its own path.

    Names with a dot or a `~`, or with `#` in front, are left over by editors and package managers. Directories below
    are not entered. For root, nobody but root and `trusted_owners` may be able to put files into it. Raises
    CrontabError with one problem.
    """
    name = os.fspath(path)
    try:
        if not os.path.isdir(name):
            return Members((name,))
        if os.geteuid() == 0:
            check_directory(name, _owners(trusted_owners))
        with os.scandir(name) as found:
            files = sorted((member for member in found if not member.is_dir()), key=lambda member: member.path)
    except Untrusted as error:
        raise unreadable(name, error.reason, error.hint) from None
    except (OSError, ValueError) as error:
        raise unreadable(name, reason_of(error)) from None
    crontabs = tuple(file.path for file in files if _is_crontab(file.name))
    passed_over = tuple(file.path for file in files if not _is_crontab(file.name) and not _is_left_over(file.name))
    return Members(crontabs, passed_over)


def _is_crontab(name: str) -> bool:
    return "." not in name and "~" not in name and not name.startswith("#")


def _is_left_over(name: str) -> bool:
    """Whether an editor or a package manager has named the file, or somebody who wants it to be passed over."""
    return name.startswith((".", "#")) or name.endswith(_LEFT_OVER) or ".dpkg-" in name or ".ucf-" in name


def _read_descriptor(name: str, descriptor: int, check: _Check) -> bytes:
    before = os.fstat(descriptor)
    _check_kind(name, before)
    check(name, descriptor, before)
    _check_size(name, before.st_size)
    data = _read_all(descriptor)
    _check_size(name, len(data))
    if _version(before) != _version(os.fstat(descriptor)):
        raise unreadable(name, "it changed while it was read", "try again; move a finished file into place")
    return data


def _check_kind(name: str, status: os.stat_result) -> None:
    kind = next((kind for is_kind, kind in _KINDS if is_kind(status.st_mode)), "no file")
    if kind:
        raise unreadable(name, f"it is {kind}, not a regular file")


def _check_owner(name: str, descriptor: int, status: os.stat_result, owners: Set[int]) -> None:
    """Root runs what the file says, so nobody else may be able to change it."""
    if os.geteuid() != 0:
        return
    uid = status.st_uid
    if uid not in owners:
        raise unreadable(name, f"it belongs to uid {uid}, not to root", f"chown root it, or --trust-owner {uid}")
    if writer := other_writer(descriptor, status, owners):
        acl = "setfacl -b it" if "ACL" in writer else f"chmod {'o' if writer == 'anybody' else 'g'}-w it"
        raise unreadable(name, f"{writer} can write it", acl)


def _check_of_user(name: str, descriptor: int, status: os.stat_result, uid: int, owners: Set[int]) -> None:
    if status.st_uid != uid and status.st_uid not in owners:
        reason = f"it belongs to uid {status.st_uid}, not to its user, whose uid is {uid}, and not to root"
        raise unreadable(name, reason, f"chown {uid} it")
    if stat.S_IMODE(status.st_mode) & _MODE_MASK != stat.S_IRUSR:
        raise unreadable(name, f"its mode is {stat.S_IMODE(status.st_mode):04o}", "chmod 600 it")
    if status.st_nlink != 1:
        raise unreadable(name, f"it has {status.st_nlink} names (hard links)", "copy it")


def _check_size(name: str, size: int) -> None:
    if size > MAX_SIZE:
        raise unreadable(name, "it is larger than 1 MiB", "is this the right file?")


def _read_all(descriptor: int) -> bytes:
    """Read to the end, or one byte more than allowed: a file may grow, or have no size (/proc)."""
    data = bytearray()
    while len(data) <= MAX_SIZE:
        block = os.read(descriptor, min(_BLOCK, MAX_SIZE + 1 - len(data)))
        if not block:
            break
        data += block
    return bytes(data)


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def reason_of(error: OSError | ValueError) -> str:
    """Return what went wrong, as the end of a sentence."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)


def unreadable(name: str, reason: str, hint: str = "") -> CrontabError:
    """Return the error of a file that cannot be read."""
    return CrontabError([Problem(name, 0, 0, 0, "error", f"cannot be read: {reason}", hint)])

"""Where the socket of each gcron is, and which gcrons there are: the same for both sides.

    DIRECTORY/INSTANCE/control.sock     the socket, mode 0600
    DIRECTORY/INSTANCE/control.lock     held by the gcron that serves it
    DIRECTORY/INSTANCE/instance.json    who that is, for people and clients

DIRECTORY is the first that can be had of `$XDG_RUNTIME_DIR/gcron`, `/run/user/UID/gcron`, `/run/gcron` and
`/tmp/gcron-UID`. It does not depend on where gcron keeps its state: a client finds the socket without being told.
Nobody else may write there. Both sides check that.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from gcron.frozen import frozen

__all__ = [
    "INSTANCE_FILE",
    "LOCK",
    "SOCKET",
    "Running",
    "make_place",
    "running",
    "short_address",
]

SOCKET, LOCK, INSTANCE_FILE = "control.sock", "control.lock", "instance.json"

# Bytes of a socket's path, with its end (unix(7)); a few systems have less than Linux.
_LONGEST_ADDRESS = 104
_MOST_BYTES = 64 * 1024
# In one directory. Another user may make as many as he likes, and root looks there.
_MOST_INSTANCES = 1000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@frozen
class Running:
    """A gcron that runs, as its files say."""

    name: str
    """Of the instance."""
    socket: str
    """Path of its socket."""
    pid: int
    since: str
    """RFC 3339, UTC."""
    crontabs: tuple[str, ...]
    """Absolute paths."""
    is_own: bool = True
    """False: it is another user's, and root looks."""
    owner: int | None = None
    """The user whose gcron it is; None for the present one."""


# -- the gcron that serves ----------------------------------------------------------------------------------------


def make_place(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the directory of an instance, which is made if needed. Raises OSError that says what was tried."""
    tried = []
    for directory in _directories(environ, os.getuid()):
        try:
            _make_private(directory, also_root=True)
            place = os.path.join(directory, name)
            _make_private(place)
            return place
        except OSError as error:
            tried.append(f"{error.filename or directory}: {error.strerror or error}")
    raise OSError("there is no directory for the control socket: " + "; ".join(tried))


def _directories(environ: Mapping[str, str], uid: int) -> Iterator[str]:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        yield os.path.join(runtime, "gcron")
    if uid != 0 and os.path.isdir(f"/run/user/{uid}"):
        yield f"/run/user/{uid}/gcron"
    yield "/run/gcron"
    yield f"/tmp/gcron-{uid}"


def _make_private(directory: str, also_root: bool = False) -> None:
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    if why_not := _why_not_private(os.lstat(directory), (os.getuid(), 0) if also_root else (os.getuid(),)):
        raise OSError(0, why_not, directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(13, "permission denied", directory)


def _why_not_private(status: os.stat_result, owners: Sequence[int]) -> str:
    """Why nobody should trust what is in a directory; empty when it is private to one of the owners."""
    if not stat.S_ISDIR(status.st_mode):
        return "is no directory"
    if status.st_uid not in owners:
        return f"belongs to the user {status.st_uid}"
    return "others may write there" if status.st_mode & 0o022 else ""


def short_address(path: str, directory_fd: int) -> str:
    """Return the path of a socket, or where that is too long for one, a short one through its open directory.

    Raises OSError when the path is too long and the system has no such way.
    """
    if len(os.fsencode(path)) < _LONGEST_ADDRESS:
        return path
    through = f"/proc/self/fd/{directory_fd}"
    if not os.path.isdir(through):
        raise OSError(36, f"is longer than a socket's path may be ({_LONGEST_ADDRESS - 1} bytes)", path)
    return f"{through}/{os.path.basename(path)}"


# -- the client ---------------------------------------------------------------------------------------------------


def running(environ: Mapping[str, str] = os.environ) -> list[Running]:
    """Return the gcrons of this user that run, for root all of them, in the order of their names.

    What others wrote there is text of theirs: escape it before people see it.
    """
    uid = os.getuid()
    directories = dict.fromkeys(_directories(environ, uid))
    if uid == 0:
        directories.update(dict.fromkeys(sorted([*glob.glob("/run/user/*/gcron"), *glob.glob("/tmp/gcron-*")])))
    found: dict[str, Running] = {}
    for directory in directories:
        with suppress(OSError):
            for one in _running_below(directory, uid):
                found.setdefault(one.socket, one)
    return sorted(found.values(), key=lambda one: (one.name, one.socket))


def _running_below(directory: str, uid: int) -> Iterator[Running]:
    """The gcrons whose directories are in this one. Raises OSError."""
    base = os.open(directory, _DIRECTORY)
    try:
        status = os.fstat(base)
        if _why_not_private(status, (uid or _owner_by_name(directory, status.st_uid), 0)):
            return
        owner = uid or status.st_uid
        with os.scandir(base) as entries:
            names = sorted(entry.name for entry in islice(entries, _MOST_INSTANCES))
        for name in names:
            # Another error than OSError: the file of facts is not as gcron writes it.
            with suppress(OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
                place = os.open(name, _DIRECTORY, dir_fd=base)
                try:
                    if facts := _facts_of_running(place, owner):
                        path = os.path.join(directory, name, SOCKET)
                        crontabs = tuple(map(str, facts["crontabs"]))
                        pid, since = int(facts["pid"]), str(facts["since"])
                        yield Running(name, path, pid, since, crontabs, owner == uid, owner)
                finally:
                    os.close(place)
    finally:
        os.close(base)


def _owner_by_name(directory: str, owner: int) -> int:
    """The user that root expects as the owner: that of the directory's name; in /run only root can have decided it."""
    match = re.fullmatch(r"/tmp/gcron-([0-9]{1,10})|/run/user/([0-9]{1,10})/gcron", directory)
    if match:
        return int(match[1] or match[2])
    return 0 if directory.startswith("/tmp/gcron-") else owner


def _facts_of_running(place: int, owner: int) -> Any:
    """What the file of facts says, if a gcron of this owner runs in the open directory; else None.

    The owner may put there what he likes, also a pipe that nobody writes to, or a link: root must not wait for the
    one, nor follow the other.
    """
    socket = os.stat(SOCKET, dir_fd=place, follow_symlinks=False)
    if _why_not_private(os.fstat(place), (owner,)) or not stat.S_ISSOCK(socket.st_mode) or socket.st_uid != owner:
        return None
    lock = _open_file(LOCK, place, owner)
    try:
        if not _is_held(lock):
            return None
    finally:
        os.close(lock)
    with open(_open_file(INSTANCE_FILE, place, owner), "rb") as file:
        return json.loads(file.read(_MOST_BYTES))


def _open_file(name: str, place: int, owner: int) -> int:
    """Open a regular file of this owner to read it; never waits. Raises OSError."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != owner:
        os.close(fd)
        raise OSError(0, f"is no file of user {owner}", name)
    return fd


def _is_held(lock: int) -> bool:
    """Whether a process holds the lock: then it runs, whatever files an earlier one left."""
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True  # held, or a file system without locks: the connection will show
    return False

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
    if why_not := _why_not_private(directory, (os.getuid(), 0) if also_root else (os.getuid(),)):
        raise OSError(0, why_not, directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(13, "permission denied", directory)


def _why_not_private(directory: str, owners: Sequence[int]) -> str:
    """Why nobody should trust what is in a directory; empty when it is private to one of the owners."""
    status = os.lstat(directory)
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
    """Return the gcrons of this user that run, for root all of them, in the order of their names."""
    uid = os.getuid()
    directories = dict.fromkeys(_directories(environ, uid))
    if uid == 0:
        directories.update(dict.fromkeys(sorted([*glob.glob("/run/user/*/gcron"), *glob.glob("/tmp/gcron-*")])))
    found: dict[str, Running] = {}
    for directory in directories:
        with suppress(OSError):
            owners = (uid, 0) if uid else (_owner_by_name(directory), 0)
            if _why_not_private(directory, owners):
                continue
            for name in sorted(os.listdir(directory)):
                if (one := _running_in(os.path.join(directory, name), name, uid)) is not None:
                    found.setdefault(one.socket, one)
    return sorted(found.values(), key=lambda one: (one.name, one.socket))


def _owner_by_name(directory: str) -> int:
    """Whom root expects as the owner: the name of the directory says it, or anybody for one in /run."""
    match = re.fullmatch(r"/tmp/gcron-([0-9]{1,10})|/run/user/([0-9]{1,10})/gcron", directory)
    return int(match[1] or match[2]) if match else os.lstat(directory).st_uid


def _running_in(place: str, name: str, uid: int) -> Running | None:
    """The gcron whose directory this is, if it runs."""
    try:
        owner = os.lstat(place).st_uid
        if _why_not_private(place, (owner,) if uid == 0 else (uid,)) or not _is_held(os.path.join(place, LOCK)):
            return None
        facts = _read_facts(os.path.join(place, INSTANCE_FILE))
        crontabs = tuple(str(path) for path in facts["crontabs"])
        return Running(name, os.path.join(place, SOCKET), int(facts["pid"]), str(facts["since"]), crontabs)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_facts(path: str) -> Any:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        return json.loads(file.read(_MOST_BYTES))


def _is_held(lock: str) -> bool:
    """Whether a process holds the lock: then it runs, whatever files an earlier one left."""
    fd = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return True  # a file system without locks: the connection will show
    finally:
        os.close(fd)
    return False

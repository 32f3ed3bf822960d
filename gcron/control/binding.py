"""The file of the Unix socket: made by the holder of its lock, replaced where a killed gcron left it, and removed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket as _stdlib
import time
from contextlib import suppress

from gcron.control.instance import Instance
from gcron.control.places import INSTANCE_FILE, LOCK, SOCKET, make_place, short_address
from gcron.runtime.socket_files import remove_dead_socket
from gcron.scheduler.records import instant

__all__ = ["Bound", "bind"]

_BACKLOG = 64
# A client that looks whether the lock is held holds it for a moment: seconds of patience, and between two looks.
_LOCK_PATIENCE, _LOCK_PAUSE = 1.0, 0.02


class Bound:
    """A listening socket, the lock that makes its file ours, and the files."""

    def __init__(self, listener: _stdlib.socket, path: str, lock: int, files: list[str], directory: str | None) -> None:
        self.listener = listener
        self._directory = directory
        self.path = path
        self._lock = lock
        self._files = files

    def close(self) -> None:
        """Remove the files, that of the lock last, and give up the lock."""
        self.listener.close()
        for path in self._files:
            with suppress(OSError):
                os.unlink(path)
        if self._directory is not None:
            with suppress(OSError):
                os.rmdir(self._directory)
        os.close(self._lock)


def bind(gcron: Instance, path: str | None) -> Bound:
    """Listen. Raises OSError. It may hang as files do: call it in a thread."""
    place = make_place(gcron.name) if path is None else os.path.dirname(path)
    socket_path = os.path.join(place, SOCKET) if path is None else path
    lock_path = os.path.join(place, LOCK) if path is None else f"{path}.lock"
    lock = _take_lock(lock_path)
    try:
        listener = _listen(socket_path, place)
        if path is not None:
            return Bound(listener, socket_path, lock, [socket_path, lock_path], None)
        facts_path = os.path.join(place, INSTANCE_FILE)
        _write_facts(facts_path, gcron)  # last: who finds them can connect
        return Bound(listener, socket_path, lock, [facts_path, socket_path, lock_path], place)
    except BaseException:
        os.close(lock)
        raise


def _take_lock(path: str) -> int:
    """Hold the lock until the descriptor is closed, also by the end of this process."""
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if _try_lock(fd) and _is_file_of(fd, path):
            return fd
        os.close(fd)
        if time.monotonic() > deadline:
            text = "another gcron has this socket; --instance NAME gives this one a socket of its own"
            raise OSError(errno.EADDRINUSE, text, path)
        time.sleep(_LOCK_PAUSE)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Another error is that of a file system without locks: there, `_make_way` decides.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _is_file_of(fd: int, path: str) -> bool:
    """Whether the lock's file is still there: a gcron that ended may have removed the one that we opened."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _write_facts(path: str, gcron: Instance) -> None:
    facts = {
        "pid": os.getpid(),
        "since": instant(int(gcron.since)),
        "crontabs": [os.path.abspath(crontab) for crontab in gcron.crontabs],
    }
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w") as file:
        json.dump(facts, file)
    os.replace(f"{path}.new", path)


def _listen(path: str, place: str) -> _stdlib.socket:
    directory = os.open(place or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    made = _stdlib.socket(_stdlib.AF_UNIX, _stdlib.SOCK_STREAM)
    try:
        address = short_address(path, directory)
        remove_dead_socket(path, address)
        made.bind(address)
        os.chmod(path, 0o600)  # before it listens: until then nobody can connect
        made.listen(_BACKLOG)
        made.setblocking(False)
        return made
    except BaseException:
        made.close()
        raise
    finally:
        os.close(directory)

"""Where gcron remembers: the directory of an instance, and the lock that makes it one process.

DIRECTORY/lock         held while gcron lives (flock(2)); the kernel lets it go, also after a KILL. In it: the instance
DIRECTORY/pid          for people; changed when gcron started. It is gone when gcron has ended in order
DIRECTORY/history.db   runs, pauses, claims
DIRECTORY/output/      what runs wrote
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from weakref import WeakSet

from gcron.errors import StateError
from gcron.frozen import frozen
from gcron.schedule.seeded import digest
from gcron.state.schema import why_file_is_refused
from gcron.state.volumes import close_to_others, keep_entries
from gcron.trust import Untrusted, check_directory

__all__ = [
    "DATABASE",
    "LOCK",
    "OUTPUT",
    "PID",
    "Holder",
    "InUse",
    "NoHome",
    "Place",
    "find_holder",
    "find_instances",
    "instance_name",
    "is_instance_name",
    "open_place",
    "state_home",
]

DATABASE = "history.db"
OUTPUT = "output"
LOCK = "lock"
PID = "pid"

_LONGEST_NAME = 64
_TRIES, _BETWEEN_TRIES = 5, 0.02
# A file system that cannot lock, mostly one of a network.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}

# A directory that another user named may have a pipe instead of a file: never wait for its writer.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_DIGITS = 32
_ROOT = frozenset({0})


class NoHome(Exception):
    """There is no usual place for state."""


@frozen
class Holder:
    """The gcron that has an instance now."""

    pid: int | None
    """None when it could not write its file."""
    since: float | None
    """Seconds of UTC."""
    instance: str
    """Its name; empty for a program that is no `gcron run`."""

    def __str__(self) -> str:
        if self.pid is None or self.since is None:
            return "another gcron"
        return f"process {self.pid}, since {datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M:%S}Z"


class InUse(StateError):
    """Another process has the directory."""

    def __init__(self, directory: str, holder: Holder) -> None:
        super().__init__(f"{directory} is in use ({holder})")
        self.directory = directory
        self.holder = holder


class Place:
    """The directory of an instance that this process has; `close` gives it back.

    A forked child does not have it. Otherwise it would keep the lock when the parent has ended.
    """

    def __init__(self, directory: str, lock: int, note: str = "", after_kill: bool = False) -> None:
        self.directory = directory
        self.after_kill = after_kill
        """True when the gcron that had it before did not give it back."""
        self.note = note
        """What people should know of it; empty when all is well."""
        self._lock: int | None = lock
        _held.add(self)

    def close(self) -> None:
        """Let the lock go, once."""
        if self._lock is not None:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, PID))
            self.leave_to_parent()

    def leave_to_parent(self) -> None:
        """Close this process's descriptor of the lock. A lock lives as long as any descriptor of it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


_held: WeakSet[Place] = WeakSet()


def _after_fork_in_child() -> None:
    for place in list(_held):
        place.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)


# -- names ------------------------------------------------------------------------------------------------------


def instance_name(paths: Sequence[str]) -> str:
    """The name of the instance that runs these crontabs: readable, and the same at each start.

    `/etc/cron.d` and `/home/ann/jobs` together are `cron.d-jobs-` and eight digits of all absolute paths.
    """
    absolute = sorted(os.path.abspath(path) for path in paths)
    words = "-".join(dict.fromkeys(os.path.basename(path) for path in absolute))
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", words).strip("._-")[:40] or "gcron"
    return f"{readable}-{digest(chr(0).join(absolute), 4).hex()}"


def is_instance_name(text: str) -> bool:
    """True for letters, digits, `.`, `_` and `-`: it becomes the name of a directory."""
    return re.fullmatch(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{_LONGEST_NAME - 1}}}", text) is not None


def state_home() -> str:
    """The directory with the directories of this user's instances. Raises NoHome."""
    if os.geteuid() == 0:
        return "/var/lib/gcron"
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # others are to be ignored: XDG Base Directory Specification
        home = os.path.expanduser("~")
        if not os.path.isabs(home) or home == "/":  # what HOME is for users that have none
            raise NoHome("this user has no home directory")
        base = os.path.join(home, ".local", "state")
    return os.path.join(base, "gcron")


def find_instances(home: str) -> Iterator[str]:
    """The directories of instances below `home`, by name. Raises OSError."""
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(home)):
            if os.path.exists(os.path.join(home, name, LOCK)):
                yield os.path.join(home, name)


# -- opening ----------------------------------------------------------------------------------------------------


def open_place(directory: str, instance: str) -> Place:
    """Make the directory if it is missing, and take its lock. `instance`: empty for a program.

    A volume that is open to all users, as Kubernetes makes them, is closed for that. Raises OSError when the directory
    cannot be written, InUse when somebody else has it, StateError when it should not be used.
    """
    above = _deepest_existing(os.path.dirname(directory))
    notes = [keep_entries(above)]
    _check_way(above)
    try:
        os.makedirs(os.path.dirname(directory), 0o700, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    notes.append(close_to_others(directory))
    _check(directory)
    lock = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        note = _take(lock, directory)
        _write_instance(lock, instance)
        if reason := why_file_is_refused(os.path.join(directory, DATABASE)):
            raise StateError(reason)
        after_kill = os.path.lexists(os.path.join(directory, PID))
        _write_pid(directory)
    except BaseException:
        os.close(lock)
        raise
    return Place(directory, lock, "; ".join(filter(None, [*notes, note])), after_kill)


def _deepest_existing(directory: str) -> str:
    while not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    return directory


def _check_way(path: str) -> None:
    """Raise StateError when others than root could put another directory in place of this one, or of one above it.

    They would decide where root writes: a link to /etc that has the name of a directory of ours. What cannot be opened
    is left to the caller, who will see the error.
    """
    if os.geteuid() != 0:
        return
    try:
        check_directory(path, _ROOT)
    except Untrusted as error:
        remedy = "give a directory of root's own with --state DIR, or --state memory"
        raise StateError(f"history cannot be kept safely: {error.reason}: {remedy}") from None
    except OSError:
        return


def _check(directory: str) -> None:
    """Raise StateError when root would write where others can change what it writes."""
    status = os.stat(directory)
    if not stat.S_ISDIR(status.st_mode):
        raise StateError(f"{directory} is no directory")
    if os.geteuid() != 0:
        return
    for owner in (status.st_uid, os.lstat(directory).st_uid):  # of the directory, and of a symbolic link to it
        if owner != 0:
            raise StateError(f"{directory} belongs to user {owner}, not to root: use another one with --state DIR")
    if status.st_mode & 0o022:
        raise StateError(f"{directory} can be written by others: chmod go-w {directory}")
    _check_way(directory)
    for name in (LOCK, PID, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", OUTPUT):
        _check_entry(os.path.join(directory, name))


def _check_entry(path: str) -> None:
    """Raise StateError for a link, or what another user made before the directory was root's."""
    with suppress(FileNotFoundError):
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            raise StateError(f"{path} is a symbolic link, which root does not follow: use another --state DIR")
        if status.st_uid != 0:
            raise StateError(f"{path} belongs to user {status.st_uid}, not to root: use another --state DIR")
        if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o022:
            raise StateError(f"{path} can be written by others: chmod go-w {path}")


def _take(lock: int, directory: str) -> str:
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_TRIES)  # perhaps it is only `find_holder`
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return f"{directory} cannot be locked ({os.strerror(error.errno)}): start only one gcron with it"
        else:
            return ""
    raise InUse(directory, _holder(directory))


def _write_instance(lock: int, instance: str) -> None:
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, instance.encode(), 0)


def _write_pid(directory: str) -> None:
    """A full disk is no reason not to start. The file is there all the same, but empty."""
    with suppress(OSError):
        path = os.path.join(directory, PID)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.write(file, b"%d\n" % os.getpid())
        os.close(file)


def find_holder(directory: str) -> Holder | None:
    """The gcron that has this instance; None when it is free. Raises OSError."""
    lock = os.open(os.path.join(directory, LOCK), _READ)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(directory)
    finally:
        os.close(lock)
    return None


def _holder(directory: str) -> Holder:
    instance = ""
    with suppress(OSError, ValueError), open(os.open(os.path.join(directory, LOCK), _READ), encoding="ascii") as file:
        written = file.read(_LONGEST_NAME + 1)
        instance = written if is_instance_name(written) else ""
    try:
        with open(os.open(os.path.join(directory, PID), _READ), encoding="ascii") as file:
            return Holder(int(file.read(_MOST_DIGITS)), os.fstat(file.fileno()).st_mtime, instance)
    except (OSError, ValueError):
        return Holder(None, None, instance)

"""A control group for each run, on Linux: nobody who is born in it gets out, whatever they shed.

Used where the program that starts the runs asks for it (`use_cgroups`) and may make groups below its own: as root, or
where systemd has delegated them. See cgroups(7) and the kernel's cgroup-v2.rst. A group whose processes outlive their
run is removed when they have gone.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from functools import cache
from itertools import chain, count
from pathlib import Path

__all__ = [
    "Cgroup",
    "abandoned_groups",
    "count_oom_kills",
    "enter_cgroup",
    "group_of_run",
    "remove_cgroups",
    "use_cgroups",
]

# Of mountinfo, see proc_pid_mountinfo(5): the root of the mount in its file system, where it is mounted, its type, and
# the options of its file system: the controllers of version 1.
_MOUNT = re.compile(r"^\S+ \S+ \S+ (\S+) (\S+) .* - (cgroup2?) \S+ (\S+)$")
_OOM_KILLS = re.compile(rb"^oom_kill ([0-9]+)$", re.MULTILINE)

_OF_GCRON, _OF_RUN = "gcron-{}", "run-{}-{}"
# Others may look, and only root may make groups below, whatever the umask.
_MODE = 0o755

_parent: Path | None = None
_lock: int | None = None
"""Holds a lock on the group of this gcron: it shows others that this gcron lives."""
_left: set[Path] = set()


class Cgroup:
    """The group of one run, with its leader in it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pids(self) -> set[int]:
        """Who is in it, or in a group that a job has made below it."""
        pids: set[int] = set()
        for directory, _, _ in os.walk(self._path):
            with suppress(OSError):
                pids.update(map(int, Path(directory, "cgroup.procs").read_text().split()))
        return pids

    def is_populated(self) -> bool:
        """True while a process in it has not ended."""
        try:
            return "populated 1" in (self._path / "cgroup.events").read_text()
        except OSError:
            return False

    def kill(self) -> None:
        """Kill everybody in it, at once: who is just forking does not get away (Linux 5.14)."""
        with suppress(OSError):
            (self._path / "cgroup.kill").write_text("1")

    def count_oom_kills(self) -> int | None:
        """How many of its processes the kernel has killed for lack of memory; None without the memory controller."""
        return _read_oom_kills(self._path / "memory.events")

    def remove(self) -> None:
        """Remove it, as soon as it is empty."""
        _left.add(self._path)
        for path in list(_left):
            if _remove(path):
                _left.discard(path)


def use_cgroups() -> bool:
    """Have each run that this process starts from now on put into a group of its own; False where that cannot be."""
    global _parent, _lock
    own = _own_group()
    if own is None:
        return False
    for group in abandoned_groups():
        _remove(group)
    if _parent is not None:
        return True
    parent = _new_path(own / _OF_GCRON.format(os.getpid()))
    try:
        _make(parent)
        has_kill = (parent / "cgroup.kill").exists()
        _lock = _try_to_lock(parent)
    except OSError:
        return False
    if has_kill:
        _parent = parent
    return has_kill


def _new_path(path: Path) -> Path:
    """This path, or one with a number: an earlier gcron may have had our pid."""
    paths = chain([path], (path.with_name(f"{path.name}-{n}") for n in count(2)))
    return next(path for path in paths if not path.exists())


def remove_cgroups() -> None:
    """Have runs put into groups no longer, and remove what is empty of those there were."""
    global _parent, _lock
    parent, _parent = _parent, None
    if parent is not None:
        _remove(parent)
    if _lock is not None:
        os.close(_lock)
        _lock = None


def abandoned_groups() -> list[Path]:
    """The groups, below that of this process, of each gcron that has ended without removing them."""
    own = _own_group()
    groups = [] if own is None else sorted(own.glob(_OF_GCRON.format("*")))
    abandoned = []
    for group in groups:
        with suppress(OSError):  # another gcron removes it just now
            if (lock := _try_to_lock(group)) is not None:
                os.close(lock)
                abandoned.append(group)
    return abandoned


def group_of_run(run_id: str) -> Cgroup | None:
    """The group into which a gcron that has ended had put a run; None where there is none."""
    for group in abandoned_groups():
        for path in group.glob(_OF_RUN.format(run_id, "*")):
            return Cgroup(path)
    return None


def enter_cgroup(run_id: str, pid: int) -> Cgroup | None:
    """Put a process, of which the caller has the status still to collect, into a new group; None where it cannot be.

    What the process has started before stays outside.
    """
    if _parent is None:
        return None
    path = _parent / _OF_RUN.format(run_id, pid)
    try:
        _make(path)
        (path / "cgroup.procs").write_bytes(b"%d" % pid)
    except OSError:
        with suppress(OSError):
            path.rmdir()
        return None
    return Cgroup(path)


def _make(path: Path) -> None:
    with suppress(FileExistsError):
        path.mkdir(_MODE)
    path.chmod(_MODE)


def _try_to_lock(path: Path) -> int | None:
    """A descriptor that holds a lock on the directory; None when another gcron has it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def count_oom_kills() -> int | None:
    """How many processes the kernel has killed for lack of memory, in the group of this process and those below it.

    None where the kernel does not count them.
    """
    path = _oom_kills_path()
    return None if path is None else _read_oom_kills(path)


@cache
def _oom_kills_path() -> Path | None:
    paths = [directory / "memory.events" for directory in _own_directories()]
    paths += [directory / "memory.oom_control" for directory in _own_directories("memory")]
    return next((path for path in paths if _read_oom_kills(path) is not None), None)


def _read_oom_kills(path: Path) -> int | None:
    try:
        match = _OOM_KILLS.search(path.read_bytes())
    except OSError:
        return None
    return int(match[1]) if match else None


def _own_group() -> Path | None:
    """The group of this process, if it may make groups there."""
    return next((path for path in _own_directories() if os.access(path, os.W_OK)), None)


def _own_directories(controller: str = "") -> list[Path]:
    """Where the group of this process is mounted; `controller`: one of version 1 of control groups."""
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return []
    of_group = {name: path for _, names, path in (line.split(":", 2) for line in groups) for name in names.split(",")}
    own = of_group.get(controller)
    directories = []
    for match in filter(None, map(_MOUNT.match, mounts)):
        root, where, kind, options = match.groups()
        is_it = controller in options.split(",") if controller else kind == "cgroup2"
        if own is not None and is_it and not (below := os.path.relpath(own, root)).startswith(".."):
            directories.append(Path(where, below))
    return directories


def _remove(path: Path) -> bool:
    """Remove a group, and those that a job has made below it, as far as they are empty; True when it is gone."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # somebody is in it, or a group
        below = [entry for entry in path.glob("*/") if _remove(entry)]
        return bool(below) and _remove(path)
    return True

"""A control group for each run, on Linux: nobody who is born in it gets out, whatever they shed.

Used where the program that starts the runs asks for it (`use_cgroups`) and may make groups below its own: as root, or
where systemd has delegated them. See cgroups(7) and the kernel's cgroup-v2.rst. A group whose processes outlive their
run is removed when they have gone.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

__all__ = ["Cgroup", "enter_cgroup", "remove_cgroups", "use_cgroups"]

# Of mountinfo, see proc_pid_mountinfo(5): the root of the mount in its file system, and where it is mounted.
_MOUNT = re.compile(r"^\S+ \S+ \S+ (\S+) (\S+) .* - cgroup2 ")

_parent: Path | None = None
_left: set[Path] = set()


class Cgroup:
    """The group of one run, with its leader in it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pids(self) -> list[int]:
        """Who is in it, also the dead that nobody has collected."""
        try:
            return [int(line) for line in (self._path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def kill(self) -> None:
        """Kill everybody in it, at once: who is just forking does not get away (Linux 5.14)."""
        with suppress(OSError):
            (self._path / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Remove it, as soon as it is empty."""
        _left.add(self._path)
        for path in list(_left):
            if _remove(path):
                _left.discard(path)


def use_cgroups() -> bool:
    """Have each run that this process starts from now on put into a group of its own; False where that cannot be."""
    global _parent
    own = _own_group()
    if own is None:
        return False
    for stale in own.glob("gcron-*"):
        _remove(stale)
    parent = own / f"gcron-{os.getpid()}"
    try:
        parent.mkdir(exist_ok=True)
        has_kill = (parent / "cgroup.kill").exists()
    except OSError:
        return False
    if has_kill:
        _parent = parent
    return has_kill


def remove_cgroups() -> None:
    """Have runs put into groups no longer, and remove what is empty of those there were."""
    global _parent
    parent, _parent = _parent, None
    if parent is not None:
        _remove(parent)


def enter_cgroup(run_id: str, pid: int) -> Cgroup | None:
    """Put a process, of which the caller has the status still to collect, into a new group; None where it cannot be.

    What the process has started before stays outside.
    """
    if _parent is None:
        return None
    path = f"{_parent}/run-{run_id}-{pid}"
    try:
        os.makedirs(path)
        with open(f"{path}/cgroup.procs", "wb", buffering=0) as members:
            members.write(b"%d" % pid)
    except OSError:
        with suppress(OSError):
            os.rmdir(path)
        return None
    return Cgroup(Path(path))


def _own_group() -> Path | None:
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    own = next((line[3:] for line in groups if line.startswith("0::")), None)
    if own is None:
        return None
    for match in filter(None, map(_MOUNT.match, mounts)):
        root, where = match.groups()
        path = Path(where, os.path.relpath(own, root))
        if not os.path.relpath(own, root).startswith("..") and os.access(path, os.W_OK):
            return path
    return None


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

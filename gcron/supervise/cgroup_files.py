"""The files of control groups (version 2): who is in a group, what it used, and where the group of this process is.

See cgroups(7), proc_pid_mountinfo(5) and the kernel's cgroup-v2.rst.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

from gcron.supervise.usage import Usage

__all__ = ["Cgroup", "count_oom_kills", "own_directories", "remove_group"]

# Of mountinfo, see proc_pid_mountinfo(5): the root of the mount in its file system, where it is mounted, its type, and
# the options of its file system: the controllers of version 1.
_MOUNT = re.compile(r"^\S+ \S+ \S+ (\S+) (\S+) .* - (cgroup2?) \S+ (\S+)$")
_CPU_TIME = re.compile(rb"^usage_usec ([0-9]+)$", re.MULTILINE)
_OOM_KILLS = re.compile(rb"^oom_kill ([0-9]+)$", re.MULTILINE)

_left: set[Path] = set()
"""Groups to be removed, with processes in them."""


class Cgroup:
    """The group of one run. `is_whole`: all its processes were in it from their first command on."""

    def __init__(self, path: Path, is_whole: bool = False) -> None:
        self._path = path
        self._is_whole = is_whole

    def enter(self, pid: int) -> None:
        """Put a process into it, of which the caller has the status still to collect. Raises OSError.

        What the process has started before stays outside.
        """
        (self._path / "cgroup.procs").write_bytes(b"%d" % pid)

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

    def memory_max(self) -> int | None:
        """Bytes of memory that it may have; None for no limit."""
        limit = _read(self._path / "memory.max").strip()
        return int(limit) if limit.isdigit() else None

    def usage(self) -> Usage:
        """What all that were ever in it have used, as far as the kernel counts it."""
        match = _CPU_TIME.search(_read(self._path / "cpu.stat"))
        # Since Linux 5.19, with the memory controller. Memory that a process had before it entered is not counted.
        peak = _read(self._path / "memory.peak") if self._is_whole else b""
        return Usage(int(match[1]) / 1e6 if match else None, int(peak) if peak else None)

    def remove(self) -> None:
        """Remove it, as soon as it is empty."""
        _left.add(self._path)
        for path in list(_left):
            if remove_group(path):
                _left.discard(path)


def remove_group(path: Path) -> bool:
    """Remove a group, and those that a job has made below it, as far as they are empty; True when it is gone."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # somebody is in it, or a group
        below = [entry for entry in path.glob("*/") if remove_group(entry)]
        return bool(below) and remove_group(path)
    return True


# -- of this process --------------------------------------------------------------------------------------------


def own_directories(controller: str = "") -> list[Path]:
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


def count_oom_kills() -> int | None:
    """How many processes the kernel has killed for lack of memory, in the group of this process and those below it.

    None where the kernel does not count them.
    """
    path = _oom_kills_path()
    return None if path is None else _read_oom_kills(path)


@cache
def _oom_kills_path() -> Path | None:
    paths = [directory / "memory.events" for directory in own_directories()]
    paths += [directory / "memory.oom_control" for directory in own_directories("memory")]
    return next((path for path in paths if _read_oom_kills(path) is not None), None)


def _read_oom_kills(path: Path) -> int | None:
    match = _OOM_KILLS.search(_read(path))
    return int(match[1]) if match else None


def _read(path: Path) -> bytes:
    """The content of a file of a group; empty where there is no such file."""
    try:
        return path.read_bytes()
    except OSError:
        return b""

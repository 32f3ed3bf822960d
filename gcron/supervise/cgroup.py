"""A control group for each run, on Linux: nobody who is born in it gets out, whatever they shed.

Used where the program that starts the runs asks for it (`use_cgroups`) and may make groups below its own: as root, or
where systemd has delegated them. See cgroups(7) and the kernel's cgroup-v2.rst. A group whose processes outlive their
run is removed when they have gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

from gcron.supervise.cgroup_files import Cgroup, own_directories, remove_group

__all__ = [
    "abandoned_groups",
    "enter_cgroup",
    "group_of_run",
    "hand_down",
    "make_cgroup",
    "own_group",
    "remove_cgroups",
    "use_cgroups",
    "uses_cgroups",
]


_OF_GCRON, _OF_RUN = "gcron-{}", "run-{}-{}"
_OF_ITSELF = "gcron"
_LIMITED = "limited"
# Others may look, and only root may make groups below, whatever the umask.
_MODE = 0o755

_helpers: Callable[[], Iterable[int]] = tuple
"""Returns the processes of this program that are no run's."""
_home: Path | None = None
"""The group in which this process was when it began to use groups."""
_parent: Path | None = None
"""The group below that, with the groups of runs; None while groups are not used."""
_handed_down: list[tuple[Path, str]] = []
"""Which group has begun to hand down which controller, in order."""
_lock: int | None = None
"""Holds a lock on the group of this gcron: it shows others that this gcron lives."""


def use_cgroups(helpers: Callable[[], Iterable[int]] = tuple) -> bool:
    """Have each run that this process starts from now on put into a group of its own; False where that cannot be.

    `helpers` returns the pids of children that are no runs. They are moved with this process where it has to move.
    """
    global _helpers, _home, _parent, _lock
    _helpers = helpers
    if _parent is None:
        _home = None  # it may be in another group than the last time
    own = own_group()
    if own is None:
        return False
    for group in abandoned_groups():
        remove_group(group)
    if _parent is not None:
        return True
    _home = own
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
        if not any(Cgroup(path).is_populated() for path in parent.glob(_OF_RUN.format("*", "*"))):
            _take_back(parent)  # else what is left would lose its limits
        remove_group(parent)
    if _lock is not None:
        os.close(_lock)
        _lock = None


def abandoned_groups() -> list[Path]:
    """The groups, below that of this process, of each gcron that has ended without removing them."""
    own = own_group()
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
            return Cgroup(path, is_whole=_LIMITED in path.name)
    return None


def enter_cgroup(run_id: str, pid: int) -> Cgroup | None:
    """Put a process into a new group, as `Cgroup.enter` does; None where it cannot be."""
    if _parent is None:
        return None
    path = _parent / _OF_RUN.format(run_id, pid)
    cgroup = Cgroup(path)
    try:
        _make(path)
        cgroup.enter(pid)
    except OSError:
        with suppress(OSError):
            path.rmdir()
        return None
    return cgroup


def make_cgroup(run_id: str, settings: Mapping[str, str]) -> Cgroup:
    """A new group for a run, without processes; `settings`: what to write into its files. Raises OSError."""
    assert _parent is not None, "use_cgroups was not called"
    path = _new_path(_parent / _OF_RUN.format(run_id, _LIMITED))
    _make(path)
    try:
        for name, text in settings.items():
            (path / name).write_text(text)
    except OSError:
        path.rmdir()
        raise
    return Cgroup(path, is_whole=True)


# -- controllers ------------------------------------------------------------------------------------------------


def uses_cgroups() -> bool:
    """Whether runs are put into groups."""
    return _parent is not None


def hand_down(controller: str) -> None:
    """Let the groups of runs have the files of a controller: `memory`, `cpu` or `pids`. Raises OSError.

    All groups but the root hand down only while there is no process in them ("No Internal Process Constraint" in
    cgroup-v2.rst). So this process may move into a group below. The kernel would not refuse `cpu` and `pids` beside a
    process, but then no process could enter a group below.
    """
    assert _home is not None, "use_cgroups was not called"
    assert _parent is not None, "use_cgroups was not called"
    for group in (_home, _parent):
        control = group / "cgroup.subtree_control"
        if controller not in control.read_text().split():
            if group is _home and (_home / "cgroup.type").exists():  # it is not the root
                _move_out(_home, _parent / _OF_ITSELF)
            control.write_text(f"+{controller}")
            _handed_down.append((group, controller))


def _move_out(home: Path, leaf: Path) -> None:
    """Move this process, its helpers, and its init in a container (`gcron_boot`), into a group below.

    Nothing if that was done.
    """
    own = {os.getpid(), *_helpers()} | ({1} if os.getppid() == 1 else set())
    members = set(map(int, (home / "cgroup.procs").read_text().split()))
    if others := sorted(members - own):
        raise OSError(errno.EBUSY, f"other processes are in it: {', '.join(f'pid {pid}' for pid in others[:5])}")
    if members:
        _make(leaf)
    for pid in members:
        Cgroup(leaf).enter(pid)


def _take_back(parent: Path) -> None:
    """Undo what `hand_down` did, as far as the kernel allows it now."""
    while _handed_down:
        group, controller = _handed_down.pop()
        with suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"-{controller}")
    with suppress(OSError):
        for pid in (parent / _OF_ITSELF / "cgroup.procs").read_text().split():
            Cgroup(parent.parent).enter(int(pid))


# -- files ------------------------------------------------------------------------------------------------------


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


def own_group() -> Path | None:
    """The group of this process, if it may make groups there. `hand_down` does not change it."""
    return _home or next((path for path in own_directories() if os.access(path, os.W_OK)), None)

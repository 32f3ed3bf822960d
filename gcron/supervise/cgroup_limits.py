"""The limits of a run's control group (memory, processor time, tasks), and why one cannot be kept.

The kernel keeps such a limit if version 2 of control groups has its controller, and if the groups above hand that down:
see cgroup-v2.rst, "Controllers". Limits go by their names in a policy, as in `Command`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from gcron.supervise.cgroup import hand_down, own_group, uses_cgroups
from gcron.supervise.cgroup_files import own_directories
from gcron.supervise.command import Limits
from gcron.wording import option_size

__all__ = ["divide", "foresee", "report_once", "settings_of"]

# Microseconds in which a group may use its share of processor time.
_PERIOD = 100_000
_CONTROLLERS = "<controllers>"


class _Limit(NamedTuple):
    controller: str
    file: str
    setting: Callable[[int], str]
    """What the kernel reads."""
    value: Callable[[int], str]
    """What a directive says."""


_LIMITS: Mapping[str, _Limit] = MappingProxyType(
    {
        "memory_max": _Limit("memory", "memory.max", str, option_size),
        "cpu_max": _Limit("cpu", "cpu.max", lambda percent: f"{percent * _PERIOD // 100} {_PERIOD}", "{}%".format),
        "tasks_max": _Limit("pids", "pids.max", str, str),
    }
)

_reported: set[tuple[str, str]] = set()
"""Which job's limits were reported, with the text."""


def settings_of(limits: Limits) -> dict[str, str]:
    """What to write into the files of a group that shall keep these limits."""
    return {_LIMITS[name].file: _LIMITS[name].setting(value) for name, value in limits}


def divide(limits: Limits) -> tuple[Limits, str]:
    """The limits that the groups of runs can keep, and why they cannot keep the others; empty when there are none.

    This process may move into a group of its own (see `hand_down`).
    """
    return _divide(limits, _why_not_handed_down)


def foresee(limits: Limits) -> str:
    """Why a `gcron run` that this user starts here cannot keep the limits, as far as can be seen; changes nothing."""
    return _divide(limits, _why_no_controller)[1]


def report_once(job: str, limits: Limits) -> str:
    """Why some limits of a job cannot be kept; empty when they can, and when that was reported before."""
    if not limits:
        return ""
    _, problem = divide(limits)
    if not problem or (job, problem) in _reported:
        return ""
    _reported.add((job, problem))
    return problem


def _divide(limits: Limits, find_obstacle: Callable[[str], str]) -> tuple[Limits, str]:
    possible = []
    lost: dict[str, list[tuple[str, int]]] = {}
    for limit in limits:
        if obstacle := find_obstacle(_LIMITS[limit[0]].controller):
            lost.setdefault(obstacle, []).append(limit)
        else:
            possible.append(limit)
    return tuple(possible), "; ".join(_describe(obstacle, some) for obstacle, some in lost.items())


def _describe(obstacle: str, limits: Sequence[tuple[str, int]]) -> str:
    options = " and ".join(f"{name.replace('_', '-')}={_LIMITS[name].value(value)}" for name, value in limits)
    controllers = " and ".join(_LIMITS[name].controller for name, _ in limits)
    plural = "" if len(limits) == 1 else "s"
    return f"{options} cannot be kept: {obstacle.replace(_CONTROLLERS, f'controller{plural} {controllers}')}"


# -- what is missing, and what would be right ---------------------------------------------------------------------
# `_CONTROLLERS` in a text stands for those that all limits with this obstacle need.


def _why_not_handed_down(controller: str) -> str:
    if obstacle := _why_no_controller(controller):
        return obstacle
    if not uses_cgroups():
        return "this program uses no control groups (it may call gcron.supervise.cgroup.use_cgroups)"
    try:
        hand_down(controller)
    except OSError as error:
        return (
            f"the control group {own_group()} cannot hand down the {_CONTROLLERS} ({error.strerror or error});"
            " start gcron in a group of its own, with systemd's Delegate=yes"
        )
    return ""


def _why_no_controller(controller: str) -> str:
    group = own_group()
    if group is None:
        return _why_no_group()
    if controller in _words_of(group / "cgroup.controllers"):
        return ""
    if _is_of_version_1(controller):
        return f"version 1 of control groups has the {_CONTROLLERS} (boot with cgroup_no_v1=all)"
    return f"the control group {group} has no {_CONTROLLERS} (systemd: Delegate=yes)"


def _why_no_group() -> str:
    if not sys.platform.startswith("linux"):
        return "only Linux has control groups"
    directories = own_directories()
    if not directories:
        return "version 2 of control groups is not mounted (mount -t cgroup2 cgroup2 /sys/fs/cgroup)"
    return (
        f"gcron may not write its control group {directories[0]}"
        " (run it as root or with systemd's Delegate=yes; a container needs a writable /sys/fs/cgroup)"
    )


def _is_of_version_1(controller: str) -> bool:
    """Whether a hierarchy of version 1 has it: its number in /proc/cgroups is not 0 then (cgroups(7))."""
    try:
        lines = Path("/proc/cgroups").read_text().splitlines()
    except OSError:
        return False
    return any(line.split()[:1] == [controller] and line.split()[1:2] != ["0"] for line in lines)


def _words_of(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []

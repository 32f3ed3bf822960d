"""The start of a process with limits of a control group: it is in the group before its command begins.

Memory that a process has taken before it enters a group is not counted there, and a child that it has started before
stays outside. So the start script stops itself first (`gcron.supervise.start_script`), and goes on when the process is
in its group.
"""

from __future__ import annotations

import os
import signal

from gcron.runtime.greenlet import sleep, spawn
from gcron.supervise.cgroup import make_cgroup
from gcron.supervise.cgroup_files import Cgroup
from gcron.supervise.cgroup_limits import divide, settings_of
from gcron.supervise.command import Command, Identity
from gcron.supervise.spawning import Process, start
from gcron.supervise.surroundings import Surroundings

__all__ = ["start_limited"]

# Seconds between two looks whether the process has stopped: at first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.05


def start_limited(
    command: Command, surroundings: Surroundings, identity: Identity, discard: bool
) -> tuple[Process, Cgroup | None, str]:
    """Start the command (see `start`) in a group that keeps its limits; returns the group, and what went wrong.

    Limits that cannot be kept here at all (`report_once`) are left out.
    """
    possible, _ = divide(command.cgroup_limits)
    unlimited = command._replace(cgroup_limits=())
    if not possible:
        return start(unlimited, surroundings, identity, discard), None, ""
    try:
        cgroup = make_cgroup(identity.run_id, settings_of(possible))
    except OSError as error:
        problem = f"its limits are not kept: no control group can be made: {error}"
        return start(unlimited, surroundings, identity, discard), None, problem
    try:
        process = start(command, surroundings, identity, discard)
    except BaseException:
        cgroup.remove()
        raise
    problem = ""
    try:
        cgroup.enter(process.pid)
    except OSError as error:
        problem = f"its limits are not kept: it cannot enter its control group: {error}"
    spawn(_release, cgroup, process)
    return process, cgroup, problem


def _release(cgroup: Cgroup, leader: Process) -> None:
    """Let it go on once it has stopped: a signal that comes earlier has no effect."""
    pause = _FIRST_PAUSE
    while leader.poll() is None:
        if _has_stopped(leader.pid):
            _continue(cgroup, leader.pid)
            return
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _has_stopped(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG) is not None
    except ChildProcessError:  # another part of the program has collected it
        return False


def _continue(cgroup: Cgroup, pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except PermissionError:  # another user's, without CAP_KILL: it would stay stopped for ever
        cgroup.kill()

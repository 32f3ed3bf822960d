"""A process tree: one session, everything that came of it, and how to end all of it.

`gcron.supervise.membership` says what belongs to it. Where that cannot be seen, the leader's process group is ended,
and the end says that there may be more.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from resource import struct_rusage
from typing import Protocol

from gcron.frozen import frozen
from gcron.runtime.greenlet import sleep
from gcron.runtime.hub import get_hub
from gcron.supervise.cgroup import enter_cgroup
from gcron.supervise.cgroup_files import Cgroup, count_oom_kills
from gcron.supervise.command import Command, Identity, new_mark
from gcron.supervise.membership import Membership
from gcron.supervise.output import Stream
from gcron.supervise.process_reader import NotReadable, ProcessInfo
from gcron.supervise.process_table import process_table
from gcron.supervise.spawning import PipeEnd, start
from gcron.supervise.start_turns import start_turns
from gcron.supervise.surroundings import Surroundings
from gcron.supervise.timing import TIMING, Timing
from gcron.supervise.usage import Usage, own_peak, usage_of
from gcron.wording import describe_size, option_size

__all__ = ["Leader", "ProcessTree", "TreeEnd", "start_tree"]

# Seconds between two looks at a dying tree: short at first, because most trees die at once. Longest while it may obey,
# when it has been sent KILL, and when only its process group can be asked about.
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE, _LONGEST_AFTER_KILL, _LONGEST_UNSEEN = 0.5, 1.0, 0.05


@frozen
class TreeEnd:
    """What is known of a tree when all has been done to end it."""

    left: tuple[ProcessInfo, ...] = ()
    """Processes that KILL has not ended within `Timing.unkillable_after` seconds."""
    unseen: str = ""
    """Why there may be more; empty when all of it was seen."""


class Leader(Protocol):
    """The first process of a tree."""

    pid: int
    ended: bool
    """True once its status is collected, or once it is known that it has gone."""
    usage: struct_rusage | None
    """What it and the children that it waited for have used; None before its end, and if that is not known."""

    @property
    def script(self) -> str:
        """The name as which its start script speaks; empty without one."""

    def poll(self) -> int | None:
        """The exit status, as `Popen.returncode`; None while it runs."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end. False after `timeout` seconds."""

    def at_end(self, function: Callable[[], object]) -> object:
        """Call `function()` when it has ended."""


def start_tree(
    command: Command,
    surroundings: Surroundings,
    identity: Identity,
    discard: bool = False,
    timing: Timing = TIMING,
) -> ProcessTree:
    """Start a command as a tree of its own; `discard`: what it prints goes nowhere.

    Raises `OSError` when it cannot be started, `ValueError` when what it is started with is wrong.
    """
    identity = identity if identity.mark else identity._replace(mark=new_mark())
    cgroup: Cgroup | None = None
    problem = ""
    if command.cgroup_limits:
        from gcron.supervise.limited_start import start_limited  # few jobs have such limits

        leader, cgroup, problem = start_limited(command, surroundings, identity, discard)
    else:
        leader = start(command, surroundings, identity, discard)
    account = surroundings.account
    tree = ProcessTree(leader, identity, os.getuid() if account is None else account.uid, timing)
    tree.use_cgroup(cgroup)
    tree.problem = problem
    pipes: dict[Stream, PipeEnd | None] = {"stdout": leader.stdout, "stderr": leader.stderr}
    tree.outputs = {stream: pipe for stream, pipe in pipes.items() if pipe is not None}
    # After all other starts of this instant: the kernel stops every fork and exec while it moves a process.
    start_turns().call_afterwards(tree.prepare_end)
    return tree


class ProcessTree:
    """A started command, whose first process is `leader`, and whatever it starts; all of them belong to `uid`."""

    def __init__(self, leader: Leader, identity: Identity, uid: int, timing: Timing = TIMING) -> None:
        self._timing = timing
        self.run_id = identity.run_id
        self.leader = leader
        self.pid = leader.pid
        self._membership = Membership(leader, identity.mark, uid)
        self._oom_kills_before: int | None = None
        self._peak_at_start = own_peak()
        self.unseen = ""
        """Why the last look did not show all members; empty when it did."""
        self._cannot_look: NotReadable | None = None
        self.was_killed = False
        """The stop signal was not enough, or was not tried."""
        self.problem = ""
        """What did not work when it was started; empty when all did."""
        self.outputs: dict[Stream, PipeEnd] = {}
        """Its pipes; none when its output is discarded."""

    def stop(self, stop_signal: signal.Signals, kill_after: float) -> TreeEnd:
        """Ask every member to stop, and kill those that still run after `kill_after` seconds."""
        members = self._look() or ()  # first: a process that loses its parent by the signal could not be found any more
        signums = stop_signal, signal.SIGCONT  # a stopped process would not see the request
        grouped = self._has_group()
        for signum in signums if grouped else ():
            _send_to_group(self.pid, signum)
        others = [member for member in members if not (grouped and _is_in_group(member.pid, self.pid))]
        with suppress(NotReadable):  # no thread: the next look will say so
            process_table().send(others, signums)
        if self._wait_until_gone(kill_after):
            return TreeEnd((), self.unseen)
        return self.kill()

    def kill(self) -> TreeEnd:
        """Kill every member, again and again, until two looks in a row find none."""
        self.was_killed = True
        if self._wait_until_gone(self._timing.unkillable_after, kill=True):
            return TreeEnd((), self.unseen)
        left = self._look()
        if self.leader.poll() is not None:
            return TreeEnd(tuple(process for process in left or () if process.pid != self.pid), self.unseen)
        return TreeEnd(left or (self._nameless_leader(),), self.unseen)

    def members(self) -> tuple[ProcessInfo, ...]:
        """Every process of this tree that is alive now, as far as one look can show."""
        return self._look() or ()

    def describe_oom_kill(self, looks_like_one: bool) -> str:
        """Say that the kernel has killed a process for lack of memory; empty when it did not, or cannot be asked.

        `looks_like_one`: its exit status is that of a kill. Only then it counts what happened outside of its own group.
        """
        cgroup = self._membership.cgroup
        own = None if cgroup is None else cgroup.count_oom_kills()
        if cgroup is not None and own is not None:
            return f"out of memory{_describe_memory(cgroup)}: the kernel killed a process of the job" if own else ""
        before, after = self._oom_kills_before, count_oom_kills() if looks_like_one else None
        if before is None or after is None or after <= before:
            return ""
        return "out of memory: the kernel killed a process of gcron's control group meanwhile"

    def usage(self) -> Usage:
        """What it has used so far, once its leader has ended."""
        usage = usage_of(self.leader.usage, self._peak_at_start)
        cgroup = self._membership.cgroup
        # The group does not know what its members did before they entered it.
        return usage if cgroup is None else usage.completed_by(cgroup.usage())

    def release(self) -> None:
        """The run is over: remove its control group as soon as that is empty."""
        if self._membership.cgroup is not None:
            self._membership.cgroup.remove()

    def prepare_end(self) -> None:
        """Put it into a control group, where that is possible, and have a thread for looks at it."""
        if self.leader.poll() is None:
            self._oom_kills_before = count_oom_kills()
            if self._membership.cgroup is None:
                self._membership.cgroup = enter_cgroup(self.run_id, self.pid)
        with suppress(NotReadable):
            process_table().prepare()

    def use_cgroup(self, cgroup: Cgroup | None) -> None:
        """It is in this control group already."""
        self._membership.cgroup = cgroup

    # -- looks ----------------------------------------------------------------------------------------------

    def _look(self, kill: bool = False) -> tuple[ProcessInfo, ...] | None:
        """The members; None when they cannot be seen. `kill`: they, and all of the leader's group, are sent KILL."""
        self.leader.poll()
        if kill and self._membership.cgroup is not None:
            self._membership.cgroup.kill()
        table = process_table()
        try:
            sighting = table.kill(self._membership) if kill else table.look(self._membership)
        except NotReadable as error:
            self._cannot_look = error
            self.unseen = f"{error}; so gcron does not see which processes the job has left"
            return None
        else:
            self._cannot_look = None
            self.unseen = _describe_unread(sighting.unread)
            return sighting.members
        finally:
            if kill and self._has_group():
                _send_to_group(self.pid, signal.SIGKILL)

    def _wait_until_gone(self, seconds: float, kill: bool = False) -> bool:
        """Wait until two looks in a row find no member; False after `seconds`. `kill`: send KILL each time."""
        now = get_hub().monotonic
        longest = _LONGEST_AFTER_KILL if kill else _LONGEST_PAUSE
        pause = _FIRST_PAUSE
        deadline = None
        empty_looks = 0
        while True:
            members = self._look(kill)
            # Not before the first look, which takes a second when it comes upon a process that hangs.
            deadline = deadline or now() + seconds
            is_gone = self._seems_gone() if members is None else not members
            empty_looks = empty_looks + 1 if is_gone else 0
            if empty_looks == 2:
                return True
            left = deadline - now()
            if left <= 0:
                return False
            if members is None:
                pause = min(pause, _LONGEST_UNSEEN)
            had_leader = not self.leader.ended
            self._sleep(min(pause, max(0.001, left)))
            has_lost_leader = had_leader and self.leader.ended  # the others may follow soon
            pause = _FIRST_PAUSE if has_lost_leader else min(pause * 2, longest)

    def _sleep(self, seconds: float) -> None:
        """Sleep, at most until the end of the leader."""
        if self.leader.ended:
            sleep(seconds)
        else:
            self.leader.wait(seconds)

    def _nameless_leader(self) -> ProcessInfo:
        return ProcessInfo(self.pid, None, 0, self.pid, self._membership.uid, "", "")

    def _seems_gone(self) -> bool:
        """Whether it is of no use to go on, where members cannot be seen."""
        cgroup = self._membership.cgroup
        may_see = self._cannot_look is not None and self._cannot_look.may_pass
        return not (may_see or self._has_group() or (cgroup is not None and cgroup.is_populated()))

    def _has_group(self) -> bool:
        """True until the leader's status is collected: so long no other group can have its number."""
        return not self.leader.ended


def _describe_unread(pids: tuple[int, ...]) -> str:
    if not pids:
        return ""
    numbers = ", ".join(f"pid {pid}" for pid in pids)
    return f"processes of its user hang so that they cannot be read, and may belong to it: {numbers}"


def _describe_memory(cgroup: Cgroup) -> str:
    limit, peak = cgroup.memory_max(), cgroup.usage().max_rss_bytes
    words = f" at memory-max={option_size(limit)}" if limit is not None else ""
    return words + (f" (peak {describe_size(peak)})" if peak is not None else "")


def _is_in_group(pid: int, pgid: int) -> bool:
    try:
        return os.getpgid(pid) == pgid
    except OSError:
        return False


def _send_to_group(pgid: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, signum)

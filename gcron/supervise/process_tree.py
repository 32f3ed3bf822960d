"""A process tree: one session, everything that came of it, and how to end all of it.

Members are found by the run's id in their environment: a process cannot lose it by forking. Members that dropped it
otherwise (`env -i`, sudo) are found in the run's control group, if it has one; in the leader's session while there is
a leader; and as children of members. Once found, a member is remembered. A signal goes only to a process whose
identity (pid and start time) was just confirmed, so never to one that reuses a pid.
"""

from __future__ import annotations

import os
import signal

from gcron.runtime.greenlet import sleep
from gcron.runtime.hub import get_hub
from gcron.supervise.cgroup import Cgroup, enter_cgroup
from gcron.supervise.command import Command, Identity
from gcron.supervise.output import Stream
from gcron.supervise.process_table import ProcessInfo, Snapshot, process_table, signal_each
from gcron.supervise.spawning import PipeEnd, start
from gcron.supervise.surroundings import Surroundings
from gcron.supervise.timing import TIMING, Timing

__all__ = ["ProcessTree"]

# Seconds between two snapshots of a dying tree: short at first, most trees die at once.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class ProcessTree:
    """A started command and whatever it starts; `discard`: what they print goes nowhere.

    Raises `OSError` when it cannot be started, `ValueError` when what it is started with is wrong.
    """

    def __init__(
        self,
        command: Command,
        surroundings: Surroundings,
        identity: Identity,
        discard: bool = False,
        timing: Timing = TIMING,
    ) -> None:
        self._timing = timing
        self.run_id = identity.run_id
        self.leader = start(command, surroundings, identity, discard)
        self.pid = self.leader.pid
        self._cgroup: Cgroup | None = None
        # After all other starts of this instant: the kernel stops every fork and exec while it moves a process.
        get_hub().call_soon(self._enter_cgroup)
        self._known: dict[int, ProcessInfo] = {}
        self._can_see = True
        self.was_killed = False
        """The stop signal was not enough, or was not tried."""
        pipes: dict[Stream, PipeEnd | None] = {"stdout": self.leader.stdout, "stderr": self.leader.stderr}
        self.outputs = {stream: pipe for stream, pipe in pipes.items() if pipe is not None}
        """Its pipes; none when its output is discarded."""

    def stop(self, stop_signal: signal.Signals, kill_after: float) -> list[ProcessInfo]:
        """Ask every member to stop, and kill those that still run after `kill_after` seconds.

        Returns what is left `Timing.unkillable_after` seconds after that: processes that even KILL does not end.
        """
        self.send(stop_signal, signal.SIGCONT)  # a stopped process would not see the request
        if self._wait_until_gone(kill_after):
            return []
        return self.kill()

    def kill(self) -> list[ProcessInfo]:
        """Kill every member, again and again, until two snapshots find none; returns the unkillable ones."""
        self.was_killed = True
        being_killed = process_table().being_killed
        being_killed.add(self.run_id)
        try:
            if self._wait_until_gone(self._timing.unkillable_after, signal.SIGKILL):
                return []
        finally:
            being_killed.discard(self.run_id)
        return self.members()

    def send(self, *signums: signal.Signals) -> None:
        """Send each of `signums` to every member, once."""
        members = self.members()  # first: a process that loses its parent by the signal could not be found any more
        # Until the leader's status is collected, no other group can have its number.
        grouped = self.leader.poll() is None
        others = [member for member in members if not (grouped and _is_in_group(member.pid, self.pid))]
        if grouped:
            for signum in signums:
                _send_to_group(self.pid, signum)
        if self._cgroup is not None and signal.SIGKILL in signums:
            self._cgroup.kill()
        for signum in signums:
            signal_each(others, signum)

    def members(self) -> list[ProcessInfo]:
        """Every process of this run that is alive now, as far as one snapshot can show.

        The leader counts until its status is collected, with or without the mark: it may have emptied its
        environment, its first thread may have ended before the others, and a debugger may hold it when it is dead.
        """
        try:
            snapshot = process_table().snapshot()
            found = self._certain_members(snapshot)
            self._add_children(snapshot, found)
        except OSError:  # no descriptor left: nothing new can be known
            self._can_see = False
            return list(self._known.values())
        self._can_see = True
        self._known = found
        return list(found.values())

    def _add_children(self, snapshot: Snapshot, found: dict[int, ProcessInfo]) -> None:
        links = [link for link in snapshot.descendants(found.values()) if link[0].pid not in found]
        if not links:
            return
        confirmed = {child.pid for child in process_table().confirm(links)}
        for child, parent in links:
            if child.pid in confirmed and parent.pid in found:
                found[child.pid] = child

    def _certain_members(self, snapshot: Snapshot) -> dict[int, ProcessInfo]:
        found = {process.pid: process for process in snapshot.of_run.get(self.run_id, ()) if process.pid != self.pid}
        for pid in () if self._cgroup is None else self._cgroup.pids():
            inside = snapshot.of_pid.get(pid)
            if inside is not None and inside.is_alive:
                found[pid] = inside
        for pid, known in self._known.items():
            again = snapshot.of_pid.get(pid)
            if again is not None and again.is_alive and known.identity is not None and known.identity == again.identity:
                found[pid] = again
        if self.leader.poll() is None:
            # Only now: while the leader is not collected, every process with its session's number belongs to it.
            found.update((process.pid, process) for process in snapshot.of_session.get(self.pid, ()))
            found[self.pid] = snapshot.of_pid.get(self.pid) or ProcessInfo(self.pid, None, 0, self.pid, "", "")
        else:
            found.pop(self.pid, None)
        return found

    def release(self) -> None:
        """The run is over: remove its control group as soon as that is empty."""
        if self._cgroup is not None:
            self._cgroup.remove()

    def _enter_cgroup(self) -> None:
        if self.leader.poll() is None:
            self._cgroup = enter_cgroup(self.run_id, self.pid)

    def _wait_until_gone(self, seconds: float, signum: signal.Signals | None = None) -> bool:
        """Wait until two snapshots in a row find no member, sending `signum` each time; False after `seconds`."""
        hub = get_hub()
        deadline = hub.monotonic() + seconds
        pause = _FIRST_PAUSE
        empty_snapshots = 0
        while True:
            if signum is not None:
                self.send(signum)
            empty_snapshots = 0 if self.members() or not self._can_see else empty_snapshots + 1
            if empty_snapshots == 2:
                return True
            if hub.monotonic() >= deadline:
                return False
            sleep(min(pause, max(0.001, deadline - hub.monotonic())))
            pause = min(pause * 2, _LONGEST_PAUSE)


def _is_in_group(pid: int, pgid: int) -> bool:
    try:
        return os.getpgid(pid) == pgid
    except OSError:
        return False


def _send_to_group(pgid: int, signum: signal.Signals) -> None:
    try:
        os.killpg(pgid, signum)
    except (ProcessLookupError, PermissionError):
        return

"""A process tree: one session, everything that came of it, and how to end all of it.

Members are found by what they cannot shed by forking: the run's id in their environment. Those who shed it otherwise
(`env -i`, sudo) are found in the run's control group if it has one, in the leader's session while there is a leader,
and as children of members, and are not forgotten then. A signal goes only to a process whose identity (pid and start
time) was just confirmed, so never to one that reuses a pid.
"""

from __future__ import annotations

import os
import signal
from typing import IO, Any

from gcron.runtime.greenlet import sleep
from gcron.runtime.hub import get_hub
from gcron.runtime.subprocess import DEVNULL, PIPE
from gcron.supervise.census import RUN_ID, Look, Sighting, census, signal_each
from gcron.supervise.cgroup import Cgroup, enter_cgroup
from gcron.supervise.command import Command
from gcron.supervise.output import Stream
from gcron.supervise.spawning import start
from gcron.supervise.surroundings import Surroundings

__all__ = ["ProcessTree"]

# Seconds between two looks at a dying tree: quick at first, most trees die at once.
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.5
# Seconds after KILL until what still lives counts as unkillable.
_UNKILLABLE_AFTER = 10.0


class ProcessTree:
    """A started command and whatever it starts; `discard`: what they print goes nowhere.

    Raises `OSError` when it cannot be started, `ValueError` when what it is started with is wrong.
    """

    def __init__(
        self,
        command: Command,
        surroundings: Surroundings,
        run_id: str,
        identity: dict[str, str],
        discard: bool = False,
    ) -> None:
        self.run_id = run_id
        self.leader = start(command, surroundings, {**identity, RUN_ID: run_id}, DEVNULL if discard else PIPE)
        self.pid = self.leader.pid
        self._cgroup: Cgroup | None = None
        # Behind what else is to be started now: the kernel stops every fork and every exec while it moves a process.
        get_hub().call_soon(self._enter_cgroup)
        self._known: dict[int, Sighting] = {}
        self._can_look = True
        self.was_killed = False
        """Asking was not enough, or was not tried."""
        pipes: dict[Stream, IO[Any] | None] = {"stdout": self.leader.stdout, "stderr": self.leader.stderr}
        self.outputs = {stream: pipe for stream, pipe in pipes.items() if pipe is not None}
        """Its pipes; none when its output is discarded."""

    def stop(self, stop_signal: signal.Signals, kill_after: float) -> list[Sighting]:
        """Ask every member to stop, and kill those that have not after `kill_after` seconds.

        Returns what is left all the same 10 s after that: processes that even KILL does not end.
        """
        self.send(stop_signal, signal.SIGCONT)  # a stopped process would not see the request
        if self._wait_until_gone(kill_after):
            return []
        return self.kill()

    def kill(self) -> list[Sighting]:
        """Kill every member, again and again until none is found twice; returns the unkillable ones."""
        self.was_killed = True
        condemned = census().condemned
        condemned.add(self.run_id)
        try:
            if self._wait_until_gone(_UNKILLABLE_AFTER, signal.SIGKILL):
                return []
        finally:
            condemned.discard(self.run_id)
        return self.members()

    def send(self, *signums: signal.Signals) -> None:
        """Send each of `signums` to every member, once."""
        members = self.members()  # first: who has lost its parent by the signal could not be told any more
        # While the leader's status is not collected, its group's number cannot belong to anybody else.
        grouped = self.leader.poll() is None
        others = [member for member in members if not (grouped and _is_in_group(member.pid, self.pid))]
        if grouped:
            for signum in signums:
                _send_to_group(self.pid, signum)
        if self._cgroup is not None and signal.SIGKILL in signums:
            self._cgroup.kill()
        for signum in signums:
            signal_each(others, signum)

    def members(self) -> list[Sighting]:
        """Every process of this run that is alive now, as far as one look can tell.

        The leader counts until its status is collected, marked or not: it may have emptied its environment, its
        first thread may have ended before the others, and a debugger may hold it when it is dead.
        """
        try:
            look = census().take()
            found = self._certain_members(look)
            self._add_children(look, found)
        except OSError:  # no descriptor left: nothing new can be told
            self._can_look = False
            return list(self._known.values())
        self._can_look = True
        self._known = found
        return list(found.values())

    def _add_children(self, look: Look, found: dict[int, Sighting]) -> None:
        links = [link for link in look.descendants(found.values()) if link[0].pid not in found]
        if not links:
            return
        confirmed = {child.pid for child in census().confirm(links)}
        for child, parent in links:
            if child.pid in confirmed and parent.pid in found:
                found[child.pid] = child

    def _certain_members(self, look: Look) -> dict[int, Sighting]:
        found = {sighting.pid: sighting for sighting in look.of_run.get(self.run_id, ()) if sighting.pid != self.pid}
        for pid in () if self._cgroup is None else self._cgroup.pids():
            inside = look.of_pid.get(pid)
            if inside is not None and inside.is_alive:
                found[pid] = inside
        for pid, known in self._known.items():
            again = look.of_pid.get(pid)
            if again is not None and again.is_alive and known.identity is not None and known.identity == again.identity:
                found[pid] = again
        if self.leader.poll() is None:
            # Only now: what has the session's number belongs to it while the leader is not collected.
            found.update((sighting.pid, sighting) for sighting in look.of_session.get(self.pid, ()))
            found[self.pid] = look.of_pid.get(self.pid) or Sighting(self.pid, None, 0, self.pid, "", "")
        else:
            found.pop(self.pid, None)
        return found

    def release(self) -> None:
        """The run is over: its control group goes, as soon as nobody is in it."""
        if self._cgroup is not None:
            self._cgroup.remove()

    def _enter_cgroup(self) -> None:
        if self.leader.poll() is None:
            self._cgroup = enter_cgroup(self.run_id, self.pid)

    def _wait_until_gone(self, seconds: float, signum: signal.Signals | None = None) -> bool:
        """Look until no member is found twice in a row, signalling after each look; False after `seconds`."""
        hub = get_hub()
        deadline = hub.monotonic() + seconds
        pause = _FIRST_LOOK
        empty_looks = 0
        while True:
            if signum is not None:
                self.send(signum)
            empty_looks = 0 if self.members() or not self._can_look else empty_looks + 1
            if empty_looks == 2:
                return True
            if hub.monotonic() >= deadline:
                return False
            sleep(min(pause, max(0.001, deadline - hub.monotonic())))
            pause = min(pause * 2, _LONGEST_LOOK)


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

"""One attempt: start a process tree, pump its output, bound its time, learn its end.

The end of an attempt is *exit first, pipes second*: it is over when the leader's status is known and its pipes are at
their end or 2 s have passed. A process left behind that holds the pipe does not keep it; what such a process still
writes is read for a while, marked late. Nothing here waits for the end of a pipe without a deadline.
"""

from __future__ import annotations

import os
from typing import IO, Any, Protocol

from gcron.policy import Policy
from gcron.runtime.event import Event
from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.runtime.hub import get_hub
from gcron.runtime.pool import Group
from gcron.runtime.subprocess import UNKNOWN_STATUS
from gcron.supervise.census import describe
from gcron.supervise.command import Command
from gcron.supervise.lines import Excerpt, Lines, LineSplitter, Unsplit
from gcron.supervise.outcome import Outcome, RunResult, exit_reason
from gcron.supervise.output import AnyPump, Pump, Stream
from gcron.supervise.prologue import why_refused
from gcron.supervise.room import NO_ROOM
from gcron.supervise.surroundings import find_surroundings
from gcron.supervise.tree import ProcessTree

__all__ = ["Attempt", "Listener"]

# Seconds between two tries to start, while there is no room for another process or descriptor.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
# Seconds after the start in which nothing is made of the process: it begins on our processor, and has it to itself then
# (a shell's first command runs 0.15 ms sooner); and what else is due at that instant is started first.
_HEAD_START = 0.001
# Seconds after the exit: for the pipes to reach their end, and for a process left behind to go on writing.
_PIPES_AFTER_EXIT = 2.0
_LATE_OUTPUT = 60.0


class Listener(Protocol):
    """Who is told what happens in an attempt. Its methods may park: that slows this attempt alone."""

    def process_started(self, pid: int) -> None:
        """The process runs."""

    def output(self, stream: Stream, lines: list[bytes], late: bool, continued: bool = False) -> None:
        """It wrote lines; `continued`: the last of them is not all of its line."""

    def raw_output(self, stream: Stream, data: bytes, late: bool) -> None:
        """It wrote bytes, which its policy wants as they are."""

    def notice(self, text: str) -> None:
        """Something a person would want to know."""


class Attempt:
    """One process from start to end; `perform()` runs it in the calling greenlet."""

    def __init__(
        self, command: Command, policy: Policy, run_id: str, identity: dict[str, str], listener: Listener
    ) -> None:
        self._command = command
        self._policy = policy
        self._run_id = run_id
        self._identity = identity
        self._listener = listener
        self._tree: ProcessTree | None = None
        self._ended_tree: ProcessTree | None = None
        self._stopper: Greenlet | None = None
        self._killing = False
        """True once the stopper asks no more. It is not begun anew: who holds Ctrl-C down would never see its end."""
        self._stopped: tuple[Outcome, str] | None = None
        self._over = Event()
        """Set when the leader has ended, or when all means to end it have failed."""
        self._no_room = ""
        """Why it cannot start just now; empty when nothing keeps it."""
        self._left_behind = ""
        self._excerpt = Excerpt()
        self._started_at = 0.0
        self._ended_at: float | None = None

    def perform(self) -> RunResult:
        """Start, wait, and say how it ended. Never raises for what the job does."""
        self._started_at = get_hub().monotonic()
        if self._stopped is not None:
            return self._result(*self._stopped)
        tree = self._tree = self._start()
        if tree is None:
            assert self._stopped is not None
            return self._result(*self._stopped)
        self._started_at = get_hub().monotonic()
        sleep(_HEAD_START)
        pumps = [self._pump(pipe, stream) for stream, pipe in tree.outputs.items()]
        self._listener.process_started(tree.pid)
        pumping = Group([spawn(pump.run) for pump in pumps])
        code = self._wait_for_exit(tree)
        self._ended_at = get_hub().monotonic()
        verdict = self._verdict(code, tree.was_killed)
        self._tree, self._ended_tree = None, tree  # from here on there is nothing to stop
        if not _reach_their_ends(pumps, pumping):
            self._leave_to_late_reader(tree, pumps, pumping)
        tree.release()
        if self._stopped is None and (refusal := why_refused(code, self._excerpt.head)):
            return self._result(Outcome.START_FAILED, f"cannot start: {refusal}")
        return self._result(*verdict, code, self._left_behind)

    def stop(self, outcome: Outcome, reason: str, now: bool = False) -> None:
        """End the whole tree, politely first unless `now`; returns at once. The outcome will be `outcome`.

        Who has ended by itself, while gcron could not look, ended as it did.
        """
        if self._has_ended_unasked() and outcome is not Outcome.STOPPED:
            return
        if self._stopped is None:
            self._stopped = (outcome, reason)
        if self._tree is None:
            self._killing = self._killing or now
            self._over.set()  # it may wait for room to start
            return
        if self._stopper is None or (now and not self._killing):
            if self._stopper is not None:
                self._stopper.kill(block=False)
            self._killing = now
            self._stopper = spawn(self._end_tree, self._tree, now)

    def give_up_starting(self, why: str) -> None:
        """If it waits for room to start, wait no longer; who has a process goes on."""
        if self._no_room:
            self.stop(Outcome.START_FAILED, f"cannot start: {self._no_room}; {why}")

    # -- the start ------------------------------------------------------------------------------------------

    def _start(self) -> ProcessTree | None:
        """Start it, again and again while others leave no room; None when it is `_stopped`, also by an error."""
        deadline = self._started_at + self._policy.start_deadline
        pause = _FIRST_PAUSE
        while True:
            try:
                tree = self._try_to_start(deadline)
            except OSError as error:
                left = deadline - get_hub().monotonic()
                if error.errno not in NO_ROOM or left <= 0:
                    self._stopped = self._stopped or (Outcome.START_FAILED, f"cannot start: {_reason(error)}")
                    return None
                if not self._no_room:
                    self._listener.notice(f"waits for room to start: {_reason(error)}")
                self._no_room = _reason(error)
            except ValueError as error:  # a NUL in the command or in a variable, an unknown user, a wrong env-file
                self._stopped = self._stopped or (Outcome.START_FAILED, f"cannot start: {error}")
                return None
            else:
                self._no_room = ""
                return tree
            if self._over.wait(min(pause, left)):
                return None
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _try_to_start(self, deadline: float) -> ProcessTree | None:
        left = max(0.0, deadline - get_hub().monotonic())
        surroundings = find_surroundings(self._command, self._over, left)
        if surroundings is None:
            return None
        discard = self._policy.output == "discard"
        return ProcessTree(self._command, surroundings, self._run_id, self._identity, discard)

    def _pump(self, pipe: IO[Any], stream: Stream) -> AnyPump:
        if self._policy.output == "raw":
            return Pump(pipe, stream, self._excerpt, Unsplit(), self._listener.raw_output)
        return Pump(pipe, stream, self._excerpt, LineSplitter(), self._hand_on)

    def _hand_on(self, stream: Stream, lines: Lines, late: bool) -> None:
        self._listener.output(stream, lines.lines, late, lines.continued)

    # -- the end --------------------------------------------------------------------------------------------

    def _has_ended_unasked(self) -> bool:
        """Timers go before news of processes: after a pause of gcron, both have been there for long."""
        return self._stopped is None and self._tree is not None and self._tree.leader.poll() is not None

    def _wait_for_exit(self, tree: ProcessTree) -> int | None:
        """The leader's status; None when it could not be ended."""
        limit = self._policy.timeout
        timer = None
        if limit is not None:
            timer = get_hub().call_later(limit, self.stop, Outcome.TIMED_OUT, f"still running after {limit:g} s")
        tree.leader.rawlink(lambda leader: self._over.set())
        self._over.wait()
        if timer is not None:
            timer.cancel()
        while (stopper := self._stopper) is not None and not stopper.dead:
            stopper.join()  # the leader's end is not the tree's
        return tree.leader.poll()

    def _end_tree(self, tree: ProcessTree, now: bool) -> None:
        """End it, and name what is left all the same."""
        try:
            left = tree.kill() if now else tree.stop(self._policy.stop_signal, self._policy.kill_after)
            self._left_behind = describe(left)
        finally:
            self._over.set()

    def _verdict(self, code: int | None, killed: bool) -> tuple[Outcome, str]:
        if self._stopped is not None:
            outcome, reason = self._stopped
            if killed and outcome is Outcome.STOPPED:
                return Outcome.KILLED, f"{reason}, and did not when asked"
            return outcome, reason
        if code is None or code == UNKNOWN_STATUS:
            return Outcome.UNKNOWN_EXIT, "somebody else collected the exit status"
        if code in self._policy.success_codes:
            return Outcome.SUCCEEDED, "" if code == 0 else exit_reason(code)
        return Outcome.FAILED, exit_reason(code)

    def _result(self, outcome: Outcome, reason: str, code: int | None = None, left_behind: str = "") -> RunResult:
        return RunResult(
            outcome,
            reason,
            code,
            duration=(self._ended_at or get_hub().monotonic()) - self._started_at,
            output_head=self._excerpt.head,
            output_tail=self._excerpt.tail,
            output_size=self._excerpt.size,
            left_behind=left_behind,
        )

    # -- after the end --------------------------------------------------------------------------------------

    def end_remnants(self) -> str:
        """End, politely first, what the process left behind when it ended; returns who that was, or nothing.

        A service that is started again and again would fill the machine with the children of its dead lives, and each
        of its lives would meet the ones before at its port.
        """
        tree = self._ended_tree
        if tree is None or not (remnants := tree.members()):
            return ""
        tree.stop(self._policy.stop_signal, self._policy.kill_after)
        tree.release()
        return describe(remnants)

    def _leave_to_late_reader(self, tree: ProcessTree, pumps: list[AnyPump], pumping: Group) -> None:
        for pump in pumps:
            pump.late = True
        spawn(self._read_late, tree, pumps, pumping)

    def _read_late(self, tree: ProcessTree, pumps: list[AnyPump], pumping: Group) -> None:
        self._listener.notice(
            f"has ended, but its output is still open; what comes within {_LATE_OUTPUT:g} s is marked late"
        )
        if pumping.join(_LATE_OUTPUT):
            return
        while any(pump.is_waiting_for_listener for pump in pumps):  # what has been read is not thrown away
            if pumping.join(_PIPES_AFTER_EXIT):
                return
        holders = describe(tree.members()) or "a process that gcron cannot see"
        self._listener.notice(f"its output was closed: still held by {holders}")
        pumping.kill()


def _reach_their_ends(pumps: list[AnyPump], pumping: Group) -> bool:
    """Wait for the pipes of a process that has ended; False when somebody else keeps one open.

    Lines that wait for their listener, a slow log mostly, are not late: they were there in time.
    """
    for _ in range(int(_LATE_OUTPUT / _PIPES_AFTER_EXIT)):
        if pumping.join(_PIPES_AFTER_EXIT):
            return True
        if not any(pump.is_waiting_for_listener for pump in pumps):
            return False
    return False


def _reason(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{what}: {os.fsdecode(error.filename)}" if error.filename else what

"""One attempt: start a process tree, read its output, limit its time, learn how it ended.

The end of an attempt is *exit first, pipes second*. It is over when the leader's status is known, and its pipes are at
their end or `Timing.pipes_after_exit` seconds have passed. A process left behind that holds the pipe does not keep the
attempt: what it still writes is read for a while, marked late. Nothing here waits for the end of a pipe without a
deadline.
"""

from __future__ import annotations

import os
import signal
from math import inf

from gcron.policy import Policy
from gcron.runtime.children import UNKNOWN_STATUS
from gcron.runtime.event import Event
from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.runtime.hub import get_hub
from gcron.runtime.pool import Group
from gcron.schedule.clock import Clock
from gcron.supervise.capacity import NO_CAPACITY, Order, capacity, check_capacity
from gcron.supervise.command import Command, Identity
from gcron.supervise.events import Emit, JobOutput, Notice, ProcessStarted, RawOutput
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode, RunResult, exit_reason
from gcron.supervise.output import AnyPump, Excerpt, Lines, LineSplitter, Pump, Stream, Unsplit
from gcron.supervise.process_reader import describe
from gcron.supervise.process_tree import ProcessTree, TreeEnd, start_tree
from gcron.supervise.spawning import PipeEnd
from gcron.supervise.start_script import ScriptMessages, why_refused
from gcron.supervise.start_turns import start_turns
from gcron.supervise.surroundings import find_surroundings
from gcron.supervise.timing import TIMING, Timing
from gcron.supervise.usage import NO_USAGE

__all__ = ["Attempt"]

# Seconds in which the other processes of a service may notice that its main process has died.
_TIME_TO_NOTICE = 0.1
# Seconds for the rest of the output, when a process that cannot be ended has the pipe.
_SHORT_PATIENCE = 0.1
# Seconds after the start in which gcron leaves the processor to the process: a shell's first command runs 0.15 ms
# sooner, and what else is due at that instant is started first.
_HEAD_START = 0.001
# Seconds for which it waits then while other jobs are being started: to attend to a process takes as long as to start
# one, and the last of a thousand would start in twice the time.
_LONGEST_HEAD_START = 1.0
# KILL, and what a shell makes of it for its command.
_LIKE_OUT_OF_MEMORY = (-signal.SIGKILL, 128 + signal.SIGKILL)


class Attempt:
    """One process from start to end; `perform()` runs it in the calling greenlet.

    `sweep`: when the process has ended by itself, those that it left behind are ended, too. Else the children of a
    service's dead lives would fill the machine, and each new life would find its port taken.
    """

    def __init__(
        self,
        command: Command,
        policy: Policy,
        identity: Identity,
        emit: Emit,
        clock: Clock,
        timing: Timing = TIMING,
        sweep: bool = False,
    ) -> None:
        self._command = command
        self._policy = policy
        self._identity = identity
        self._emit = emit
        self._clock = clock
        self._timing = timing
        self._sweeps = sweep
        self._tree: ProcessTree | None = None
        self._stopper: Greenlet | None = None
        self._kill_after = policy.kill_after
        self._killing = False
        """The stopper kills without asking. It is not begun again then: repeated Ctrl-C would restart it each time."""
        self._stopped: tuple[Outcome, Reason] | None = None
        self._over = Event()
        """Set when the leader has ended, or when all means to end it have failed."""
        self._no_capacity = ""
        """Why it cannot start at the moment; empty otherwise."""
        self._end = TreeEnd()
        self._usage = NO_USAGE
        self._script_says: list[str] = []
        self._excerpt = Excerpt()
        self._started_at = 0.0
        self._age = 0.0
        """Seconds for which it runs already when it is attended to."""
        self._leader_ended_at: float | None = None
        self._ended_at: float | None = None

    _is_under_way = False
    """Its process was there before it was asked to perform."""

    @property
    def waits_for_capacity(self) -> bool:
        """True while it cannot start for lack of room."""
        return bool(self._no_capacity)

    def perform(self) -> RunResult:
        """Start it, wait for it, and return how it ended. Never raises for what the job does."""
        self._started_at = get_hub().monotonic()
        tree = self._start() if self._stopped is None or self._is_under_way else None
        if tree is None:
            assert self._stopped is not None
            return self._result(*self._stopped)
        self._tree = tree
        try:
            return self._attend(tree)
        except BaseException:  # its greenlet was killed, or this is a bug: nothing of it shall live on unseen
            spawn(tree.kill)
            raise

    def _attend(self, tree: ProcessTree) -> RunResult:
        self._started_at = get_hub().monotonic() - self._age
        if self._stopped is not None:  # while it was being started
            self._begin_to_end(tree, self._killing)
        started = self._clock.now(), self._clock.monotonic()
        sleep(_HEAD_START)
        tree.leader.at_end(self._note_end)  # from here on virtual time stands still
        start_turns().wait_while_busy(_LONGEST_HEAD_START)
        pumps = [self._pump(tree, pipe, stream) for stream, pipe in tree.outputs.items()]
        self._announce(tree, *started)
        pumping = Group([spawn(pump.run) for pump in pumps])
        code = self._wait_for_exit(tree)
        if self._sweeps and self._stopper is None:
            self._sweep(tree)
        self._wait_for_stopper()
        verdict = self._verdict(code, tree)
        self._usage = tree.usage()
        self._tree = None  # from here on there is nothing to stop
        if not self._reach_their_ends(pumps, pumping):
            self._leave_to_late_reader(tree, pumps, pumping)
        tree.release()
        if self._stopped is None and (refusal := why_refused(code, self._script_says)):
            return self._result(Outcome.START_FAILED, _cannot_start(refusal))
        return self._result(*verdict, code)

    def _announce(self, tree: ProcessTree, now: float, since_boot: float) -> None:
        identity = self._identity
        self._emit(ProcessStarted(now, identity.job, identity.run_id, tree.pid, identity.attempt, since_boot))
        if tree.problem:
            self._notice(tree.problem)

    def stop(self, outcome: Outcome, reason: Reason, now: bool = False, kill_after: float | None = None) -> None:
        """End the whole tree, first by the stop signal unless `now`; returns at once. The outcome will be `outcome`.

        `kill_after`: instead of that of the policy. A process that already exited by itself keeps its own outcome.
        """
        if self._has_exited_unasked() and outcome is not Outcome.STOPPED:
            if self._sweeps and now and not self._killing and self._tree is not None:
                self._begin_to_end(self._tree, now)
            return
        if kill_after is not None:
            self._kill_after = kill_after
        if self._stopped is None:
            self._stopped = (outcome, reason)
        if self._tree is None:
            self._killing = self._killing or now
            self._over.set()  # it may wait for capacity to start
        elif self._stopper is None or (now and not self._killing):
            self._begin_to_end(self._tree, now)

    def give_up_starting(self, why: Reason) -> None:
        """Stop waiting for capacity to start, if it does. A process that exists goes on."""
        if self._no_capacity:
            text = f"cannot start: {self._no_capacity}; {why}"
            self.stop(Outcome.START_FAILED, Reason(ReasonCode.NO_CAPACITY, text))

    # -- the start ------------------------------------------------------------------------------------------

    def _start(self) -> ProcessTree | None:
        """Start it, again and again while there is no capacity; None when it is `_stopped`, also by an error."""
        deadline = self._started_at + self._policy.start_deadline
        while True:
            try:
                tree = self._try_to_start(deadline)
            except OSError as error:
                left = deadline - get_hub().monotonic()
                if error.errno not in NO_CAPACITY or left <= 0:
                    code = ReasonCode.NO_CAPACITY if error.errno in NO_CAPACITY else ReasonCode.CANNOT_START
                    reason = Reason(code, f"cannot start: {_reason(error)}")
                    self._stopped = self._stopped or (Outcome.START_FAILED, reason)
                    return None
                if not self._no_capacity:
                    self._notice(f"waits for room to start: {_reason(error)}")
                self._no_capacity = _reason(error)
            except ValueError as error:  # a NUL in the command or in a variable, an unknown user, a wrong env-file
                self._stopped = self._stopped or (Outcome.START_FAILED, _cannot_start(str(error)))
                return None
            else:
                self._no_capacity = ""
                capacity().note_room()
                return tree
            capacity().wait(self._order(), self._over, left)
            if self._over.is_set():
                return None

    def _order(self) -> Order:
        """Where fires may be skipped, the newest one starts first: the older ones are of less use."""
        if self._policy.overlap != "skip":
            return 0, 0.0
        return 1, -inf if self._identity.fire_at is None else -self._identity.fire_at

    def _try_to_start(self, deadline: float) -> ProcessTree | None:
        check_capacity()  # a lookup needs some, too
        left = max(0.0, deadline - get_hub().monotonic())
        surroundings = find_surroundings(self._command, self._over, left)
        if surroundings is None:
            return None
        discard = self._policy.output == "discard"
        user = None if surroundings.account is None else surroundings.account.uid
        left = max(0.0, deadline - get_hub().monotonic())
        with start_turns().turn(user, self._over, left) as has_come:
            if not has_come:
                return None
            return start_tree(self._command, surroundings, self._identity, discard, self._timing)

    def _pump(self, tree: ProcessTree, pipe: PipeEnd, stream: Stream) -> AnyPump:
        script = None
        if stream == "stderr" and tree.leader.script:
            script = ScriptMessages(tree.leader.script, self._hear_script)
        if self._policy.output == "raw":
            return Pump(pipe, stream, self._excerpt, Unsplit(), self._hand_on_raw, script)
        return Pump(pipe, stream, self._excerpt, LineSplitter(), self._hand_on, script)

    def _hear_script(self, message: str, is_note: bool) -> None:
        if is_note:
            self._notice(message)
        else:
            self._script_says.append(message)

    def _hand_on(self, stream: Stream, lines: Lines, late: bool) -> None:
        job, run_id = self._identity.job, self._identity.run_id
        now = self._clock.now()
        self._emit(JobOutput(now, job, run_id, stream, lines.lines, late, lines.continued, lines.lacks_newline))

    def _hand_on_raw(self, stream: Stream, data: bytes, late: bool) -> None:
        self._emit(RawOutput(self._clock.now(), self._identity.job, self._identity.run_id, stream, data, late))

    def _notice(self, text: str) -> None:
        self._emit(Notice(self._clock.now(), self._identity.job, self._identity.run_id, text))

    # -- the end --------------------------------------------------------------------------------------------

    def _has_exited_unasked(self) -> bool:
        """After a pause of gcron, timers fire before news of processes: its timeout may be older than its exit."""
        return self._stopped is None and self._tree is not None and self._tree.leader.poll() is not None

    def _note_end(self) -> None:
        self._leader_ended_at = get_hub().monotonic()
        self._over.set()

    def _wait_for_exit(self, tree: ProcessTree) -> int | None:
        """The leader's status; None when it could not be ended."""
        limit = self._policy.timeout
        timer = None
        if limit is not None:
            reason = Reason(ReasonCode.TIMEOUT, f"still running after {limit:g} s")
            left = self._started_at + limit - get_hub().monotonic()
            timer = get_hub().call_later(max(0.0, left), self.stop, Outcome.TIMED_OUT, reason)
        self._over.wait()
        if timer is not None:
            timer.cancel()
        self._ended_at = self._leader_ended_at
        if self._stopper is not None or self._ended_at is None:
            self._wait_for_stopper()  # the leader has ended, and its tree may not have
            self._ended_at = get_hub().monotonic()
        capacity().note_room()
        return tree.leader.poll()

    def _begin_to_end(self, tree: ProcessTree, now: bool) -> None:
        if self._stopper is not None:
            self._stopper.kill(block=False)
        self._killing = now
        self._stopper = spawn(self._end_tree, tree, now)

    def _end_tree(self, tree: ProcessTree, now: bool) -> None:
        """End it, and remember what is left."""
        try:
            self._end = tree.kill() if now else tree.stop(self._policy.stop_signal, self._kill_after)
        finally:
            self._over.set()

    def _wait_for_stopper(self) -> None:
        while (stopper := self._stopper) is not None and not stopper.dead:
            stopper.join()

    def _sweep(self, tree: ProcessTree) -> None:
        """End the processes that it left behind."""
        if tree.members():
            sleep(_TIME_TO_NOTICE)
        remnants = tree.members() if self._stopper is None else ()
        if remnants and self._stopper is None:
            self._begin_to_end(tree, now=False)
            self._wait_for_stopper()
            self._notice(f"ended what it had left behind: {describe(remnants)}")
        elif tree.unseen:
            self._notice(f"what it may have left behind was not looked for: {tree.unseen}")

    def _verdict(self, code: int | None, tree: ProcessTree) -> tuple[Outcome, Reason]:
        if self._stopped is not None:
            outcome, reason = self._stopped
            if tree.was_killed and outcome is Outcome.STOPPED:
                outcome, reason = Outcome.KILLED, reason.extended(", and ignored the stop signal")
            return outcome, reason.extended(f"; {self._end.unseen}") if self._end.unseen else reason
        if code is None or code == UNKNOWN_STATUS:
            reason = Reason(ReasonCode.EXIT_STATUS_LOST, "another part of the program collected the exit status")
            return Outcome.UNKNOWN_EXIT, reason
        if code in self._policy.success_codes:
            return Outcome.SUCCEEDED, NO_REASON if code == 0 else exit_reason(code)
        reason = exit_reason(code)
        if oom_kill := tree.describe_oom_kill(looks_like_one=code in _LIKE_OUT_OF_MEMORY):
            reason = Reason(ReasonCode.OUT_OF_MEMORY, f"{reason}; {oom_kill}")
        return Outcome.FAILED, reason

    def _result(self, outcome: Outcome, reason: Reason, code: int | None = None) -> RunResult:
        return RunResult(
            outcome,
            reason,
            None if code == UNKNOWN_STATUS else code,
            duration=(self._ended_at or get_hub().monotonic()) - self._started_at,
            output_head=self._excerpt.head,
            output_tail=self._excerpt.tail,
            output_size=self._excerpt.size,
            left_behind=describe(self._end.left),
            usage=self._usage,
        )

    # -- after the end --------------------------------------------------------------------------------------

    def _reach_their_ends(self, pumps: list[AnyPump], pumping: Group) -> bool:
        """Wait for the pipes of a process that has ended; False when another process keeps one open.

        Lines that wait for their listener, a slow log mostly, are not late: they were written in time.
        """
        # What not even KILL ends keeps them open: it has been waited for long enough.
        patience = _SHORT_PATIENCE if self._end.left else self._timing.pipes_after_exit
        for _ in range(int(self._timing.late_output / patience)):
            if pumping.join(patience):
                return True
            if not any(pump.is_waiting_for_listener for pump in pumps):
                return False
        return False

    def _leave_to_late_reader(self, tree: ProcessTree, pumps: list[AnyPump], pumping: Group) -> None:
        for pump in pumps:
            pump.late = True
        spawn(self._read_late, tree, pumps, pumping)

    def _read_late(self, tree: ProcessTree, pumps: list[AnyPump], pumping: Group) -> None:
        patience = self._timing.late_output
        what = "has ended" if tree.leader.ended else "could not be ended"
        how = "but" if tree.leader.ended else "and"
        self._notice(f"{what}, {how} its output is still open; what comes within {patience:g} s is marked late")
        if pumping.join(patience):
            return
        while any(pump.is_waiting_for_listener for pump in pumps):  # what has been read is not thrown away
            if pumping.join(self._timing.pipes_after_exit):
                return
        holders = describe(tree.members()) or "a process that gcron cannot see"
        self._notice(f"its output was closed: still held by {holders}")
        pumping.kill()


def _cannot_start(why: str) -> Reason:
    return Reason(ReasonCode.CANNOT_START, f"cannot start: {why}")


def _reason(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{what}: {os.fsdecode(error.filename)}" if error.filename else what

"""A Python function as an attempt: the same start, limits and outcomes as a process has.

It runs in a greenlet, which can be killed, or in a thread, which cannot: a thread is abandoned when its time is over.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Protocol

from gcron.frozen import frozen
from gcron.policy import Policy
from gcron.runtime.event import AsyncResult, Event
from gcron.runtime.greenlet import Greenlet, GreenletExit, spawn
from gcron.runtime.hub import describe, get_hub
from gcron.runtime.waiting import wait
from gcron.schedule.clock import Clock
from gcron.supervise.command import Identity
from gcron.supervise.events import Emit, JobOutput, Notice
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode, RunResult

__all__ = ["GreenletCall", "InThread", "ThreadCall", "Threads", "python_call"]

# Seconds that a call waits for a thread before a notice says so.
_SHORT_WAIT = 1.0


class Threads(Protocol):
    """A pool of threads: `gcron.threadpool.ThreadPool`."""

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Call the function in a thread, as soon as one is free."""


@frozen(uncompared=("pool",))
class InThread:
    """A function that is called in a thread of `pool`."""

    function: Callable[[], Any]
    pool: Threads


def python_call(
    action: Callable[[], Any] | InThread, policy: Policy, identity: Identity, emit: Emit, clock: Clock
) -> GreenletCall | ThreadCall:
    """An attempt that calls `action`."""
    if isinstance(action, InThread):
        return ThreadCall(action, policy, identity, emit, clock)
    return GreenletCall(action, policy, identity, emit, clock)


class GreenletCall:
    """One call of `function`, in a greenlet of its own; a policy's `timeout` kills that greenlet."""

    def __init__(
        self, function: Callable[[], Any], policy: Policy, identity: Identity, emit: Emit, clock: Clock
    ) -> None:
        self._function = function
        self._policy = policy
        self._identity = identity
        self._emit = emit
        self._clock = clock
        self._greenlet: Greenlet | None = None
        self._stopped: tuple[Outcome, Reason] | None = None

    def perform(self) -> RunResult:
        """Call it and return how that ended. Never raises for what the function does."""
        hub = get_hub()
        started_at = hub.monotonic()
        if self._stopped is not None:
            return RunResult(*self._stopped)
        greenlet = self._greenlet = spawn(_call, self._function)
        limit = self._policy.timeout
        timer = None
        if limit is not None:
            timer = hub.call_later(limit, self.stop, Outcome.TIMED_OUT, _too_long(limit))
        greenlet.join()
        self._greenlet = None
        if timer is not None:
            timer.cancel()
        end = _end_of(greenlet)
        _emit_traceback(end.error, self._identity, self._emit, self._clock)
        return end.result(hub.monotonic() - started_at, self._stopped)

    def stop(self, outcome: Outcome, reason: Reason, now: bool = False, kill_after: float | None = None) -> None:
        """Raise `GreenletExit` in it; returns at once. A function that catches it goes on."""
        if self._stopped is None:
            self._stopped = (outcome, reason)
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def give_up_starting(self, why: Reason) -> None:
        """Do nothing: a greenlet always starts at once."""

    @property
    def waits_for_capacity(self) -> bool:
        """False: a call starts at once, or waits for a thread."""
        return False


class ThreadCall:
    """One call of a function in a thread. A policy's `timeout` ends the attempt; the thread goes on."""

    def __init__(self, action: InThread, policy: Policy, identity: Identity, emit: Emit, clock: Clock) -> None:
        self._action = action
        self._policy = policy
        self._identity = identity
        self._emit = emit
        self._clock = clock
        self._turn = [True]
        """Taken by the thread, which then begins, or by the waiter, who then gives up."""
        self._never_begins = False
        self._has_begun = Event()
        self._is_given_up = Event()
        self._stopped: tuple[Outcome, Reason] | None = None

    def perform(self) -> RunResult:
        """Call it and return how that ended. Never raises for what the function does."""
        if self._stopped is not None:
            return RunResult(*self._stopped)
        call = self._action.pool.spawn(self._perform)
        try:
            self._wait_for_thread()
        finally:
            never_began = self._take_turn() or self._never_begins
        if never_began:
            return RunResult(*self._verdict())
        hub = get_hub()
        started_at = hub.monotonic()
        limit = self._policy.timeout
        if not wait([call, self._is_given_up], limit, count=1) and limit is not None:
            self.stop(Outcome.TIMED_OUT, _too_long(limit))
        duration = hub.monotonic() - started_at
        if call.ready():
            end: _End = call.get()
            _emit_traceback(end.error, self._identity, self._emit, self._clock)
            return end.result(duration, self._stopped)
        outcome, reason = self._verdict()
        function = self._action.function
        thread = f"the thread that calls {getattr(function, '__qualname__', None) or describe(function)}"
        return RunResult(outcome, reason.extended("; its thread goes on"), duration=duration, left_behind=thread)

    def stop(self, outcome: Outcome, reason: Reason, now: bool = False, kill_after: float | None = None) -> None:
        """Stop waiting for it; returns at once."""
        if self._stopped is None:
            self._stopped = (outcome, reason)
        self._is_given_up.set()

    def give_up_starting(self, why: Reason) -> None:
        """Stop waiting for a free thread, if it does."""
        if self._take_turn():
            self._never_begins = True
            self.stop(Outcome.START_FAILED, Reason(ReasonCode.NO_CAPACITY, f"no thread was free; {why}"))

    @property
    def waits_for_capacity(self) -> bool:
        """False: a call starts at once, or waits for a thread."""
        return False

    def _wait_for_thread(self) -> None:
        """Park until it begins or is given up: at the latest by the start deadline."""
        signs = [self._has_begun, self._is_given_up]
        deadline = self._policy.start_deadline
        if wait(signs, min(_SHORT_WAIT, deadline), count=1):
            return
        if deadline > _SHORT_WAIT:
            text = "waits for a thread: all of them are busy with Python jobs"
            self._emit(Notice(self._clock.now(), self._identity.job, self._identity.run_id, text))
        if not wait(signs, max(0.0, deadline - _SHORT_WAIT), count=1):
            reason = Reason(ReasonCode.NO_CAPACITY, f"no thread was free for {deadline:g} s")
            self.stop(Outcome.START_FAILED, reason)

    def _verdict(self) -> tuple[Outcome, Reason]:
        assert self._stopped is not None, "nobody gave it up"
        return self._stopped

    def _take_turn(self) -> bool:
        try:
            return self._turn.pop()  # one step: the thread may come at the same time
        except IndexError:
            return False

    def _perform(self) -> _End | None:
        # In the thread.
        if not self._take_turn():
            return None
        self._has_begun.set()
        try:
            return _call(self._action.function)
        except KeyboardInterrupt as error:  # not a real Ctrl-C: that one comes to the main thread
            return _failed(error)


@frozen
class _End:
    """How a call ended by itself."""

    outcome: Outcome
    reason: Reason = NO_REASON
    value: object = None
    error: BaseException | None = None

    def result(self, duration: float, stopped: tuple[Outcome, Reason] | None) -> RunResult:
        """The result of the attempt. If it was stopped, that decides."""
        if stopped is not None:
            return RunResult(*stopped, duration=duration, error=self.error)
        return RunResult(self.outcome, self.reason, duration=duration, value=self.value, error=self.error)


def _emit_traceback(error: BaseException | None, identity: Identity, emit: Emit, clock: Clock) -> None:
    """Make the traceback part of the run's output."""
    if error is None:
        return
    text = "".join(traceback.format_exception(error)).rstrip("\n")
    lines = text.encode("utf-8", "backslashreplace").split(b"\n")
    emit(JobOutput(clock.now(), identity.job, identity.run_id, "stderr", lines, late=False))


def _call(function: Callable[[], Any]) -> _End:
    try:
        value = function()
    except GreenletExit:
        return _End(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "its greenlet was killed"))
    except KeyboardInterrupt:  # not raised by the job: Ctrl-C reaches whatever runs
        raise
    except BaseException as error:  # SystemExit and Timeout too: no job can stop another
        if isinstance(error, SystemExit) and not error.code:
            return _End(Outcome.SUCCEEDED)
        return _failed(error)
    return _End(Outcome.SUCCEEDED, value=value)


def _failed(error: BaseException) -> _End:
    trace = error.__traceback__
    own = error.with_traceback(trace and trace.tb_next)  # without our own frame
    return _End(Outcome.FAILED, Reason(ReasonCode.EXCEPTION, f"{type(error).__name__}: {_text_of(error)}"), error=own)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as second:  # the job's own code
        return f"<its text raises {type(second).__name__}>"


def _end_of(greenlet: Greenlet) -> _End:
    if isinstance(greenlet.exception, KeyboardInterrupt):
        return _End(Outcome.KILLED, Reason(ReasonCode.INTERRUPTED, "interrupted"))
    end = greenlet.value
    if isinstance(end, _End):
        return end
    return _End(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "killed before it began"))


def _too_long(limit: float) -> Reason:
    return Reason(ReasonCode.TIMEOUT, f"still running after {limit:g} s")

"""A Python function as an attempt: the same start, limits and outcomes as a process has.

It runs in a thread, or in a greenlet of the scheduler's thread. A greenlet can be killed, a coroutine can be cancelled.
A thread can be neither, so it is abandoned when its time is over. The module is long because all three kinds of calls
share what an end means: a result, an exception, a limit, a fork that came back.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from functools import partial
from types import GeneratorType, MappingProxyType
from typing import Any, Protocol, TypeGuard, TypeVar

from gcron.frozen import frozen, replace
from gcron.policy import Policy
from gcron.runtime.event import AsyncResult, Event
from gcron.runtime.greenlet import Greenlet, GreenletExit, spawn
from gcron.runtime.hub import describe, get_hub
from gcron.runtime.waiting import wait
from gcron.schedule.clock import Clock
from gcron.supervise.command import Identity
from gcron.supervise.events import Emit, JobOutput, Notice
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.run import Run, enter_run
from gcron.supervise.usage import NO_USAGE, Usage

__all__ = [
    "JOB_CALL",
    "GreenletCall",
    "PythonCall",
    "ThreadCall",
    "Threads",
    "end_if_forked",
    "in_main_thread",
    "is_a",
    "python_call",
]

# Of the code of an `async def`: inspect.CO_COROUTINE, but that module takes long to load.
_CO_COROUTINE = 0x80

E = TypeVar("E", bound=BaseException)

# Seconds that a call waits for a thread before a notice says so.
_SHORT_WAIT = 1.0


class Threads(Protocol):
    """A pool of threads: `gcron.threadpool.ThreadPool`."""

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Call the function in a thread, as soon as one is free."""


@frozen
class PythonCall:
    """What a Python job calls, as data: `function(*args, **kwargs)`."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})
    greenlet: bool = False
    """In a greenlet of the scheduler's thread. The function must then wait by gcron's own means."""


def python_call(
    call: PythonCall, policy: Policy, run: Run, identity: Identity, emit: Emit, clock: Clock, threads: Threads
) -> GreenletCall | ThreadCall:
    """An attempt of `run` that makes the call, in a greenlet or in one of `threads`."""
    if call.greenlet:
        return GreenletCall(call, policy, run, identity, emit, clock)
    return ThreadCall(call, policy, run, identity, emit, clock, threads)


class GreenletCall:
    """One call in a greenlet of its own. A policy's `timeout` kills that greenlet."""

    def __init__(
        self, call: PythonCall, policy: Policy, run: Run, identity: Identity, emit: Emit, clock: Clock
    ) -> None:
        self._call = call
        self._policy = policy
        self._run = run
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
        greenlet = self._greenlet = spawn(_make_call, self._call, self._run)
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
    """One call in a thread. A policy's `timeout` ends the attempt. A coroutine is cancelled, a thread goes on."""

    def __init__(
        self,
        call: PythonCall,
        policy: Policy,
        run: Run,
        identity: Identity,
        emit: Emit,
        clock: Clock,
        threads: Threads,
    ) -> None:
        self._call = call
        self._policy = policy
        self._run = run
        self._identity = identity
        self._emit = emit
        self._clock = clock
        self._threads = threads
        self._coroutine = _CoroutineRunner(call.function)
        self._turn = [True]
        """Taken by the thread, which then begins, or by the waiter, who then gives up."""
        self._never_begins = False
        self._has_begun = Event()
        self._is_given_up = Event()
        self._at_once = Event()
        """Set when nobody waits for its clean-up any more."""
        self._stopped: tuple[Outcome, Reason] | None = None

    def perform(self) -> RunResult:
        """Call it and return how that ended. Never raises for what the function does."""
        if self._stopped is not None:
            return RunResult(*self._stopped)
        call = self._threads.spawn(self._perform)
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
        if not call.ready() and self._may_end_soon():
            wait([call, self._at_once], self._policy.kill_after, count=1)
        duration = hub.monotonic() - started_at
        if call.ready():
            end: _End = call.get()
            _emit_traceback(end.error, self._identity, self._emit, self._clock)
            return end.result(duration, self._stopped)
        outcome, reason = self._verdict()
        thread = f"the thread that calls {_describe_function(self._call.function)}"
        return RunResult(outcome, reason.extended("; its thread goes on"), duration=duration, left_behind=thread)

    def stop(self, outcome: Outcome, reason: Reason, now: bool = False, kill_after: float | None = None) -> None:
        """Cancel its coroutine, or else stop waiting for it. Returns at once."""
        if self._stopped is None:
            self._stopped = (outcome, reason)
        if now:
            self._at_once.set()
        self._is_given_up.set()

    def _may_end_soon(self) -> bool:
        """Whether it knows that it is to end: it is a cancelled coroutine, or a service, which can ask its run."""
        return self._coroutine.cancel() or self._verdict()[0] is Outcome.STOPPED

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
        before = time.thread_time()
        end = _make_call(self._call, self._run, self._coroutine)
        return replace(end, usage=Usage(time.thread_time() - before))


class _CoroutineRunner:
    """Runs the coroutine of `function` by asyncio in the calling thread. Another thread may cancel it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        flags: int = getattr(getattr(function, "__code__", None), "co_flags", 0)
        self._will_come = bool(flags & _CO_COROUTINE)
        """A coroutine comes as soon as the function is called."""
        self._lock = threading.Lock()
        """A cancellation comes either before the task is known, or reaches it; and it comes once."""
        self._cancel_task: Callable[[], object] | None = None
        self._is_cancelled = False

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return what it returns, or raise what it raises."""
        import asyncio  # 50 ms and 7 MB, in the thread of the job that needs it

        with asyncio.Runner() as runner:
            return runner.run(self._supervise(coroutine))

    async def _supervise(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        import asyncio

        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "it runs as a task"
        with self._lock:
            self._will_come = False
            if self._is_cancelled:
                coroutine.close()
                raise asyncio.CancelledError
            self._cancel_task = partial(loop.call_soon_threadsafe, task.cancel)
        try:
            return await coroutine
        finally:
            with self._lock:
                self._cancel_task = None

    def cancel(self) -> bool:
        """Cancel it, maybe before it begins. Returns whether it will end because of that."""
        with self._lock:
            self._is_cancelled = True
            if self._cancel_task is None:
                return self._will_come
            self._cancel_task()
            return True


@frozen
class _End:
    """How a call ended by itself."""

    outcome: Outcome
    reason: Reason = NO_REASON
    value: object = None
    error: BaseException | None = None
    usage: Usage = NO_USAGE

    def result(self, duration: float, stopped: tuple[Outcome, Reason] | None) -> RunResult:
        """The result of the attempt. If it was stopped, that decides."""
        verdict, value = ((self.outcome, self.reason), self.value) if stopped is None else (stopped, None)
        return RunResult(*verdict, duration=duration, value=value, error=self.error, usage=self.usage)


def _emit_traceback(error: BaseException | None, identity: Identity, emit: Emit, clock: Clock) -> None:
    """Make the traceback part of the run's output."""
    if error is None:
        return
    text = _traceback_of(error).rstrip("\n")
    lines = text.encode("utf-8", "backslashreplace").split(b"\n")
    emit(JobOutput(clock.now(), identity.job, identity.run_id, "stderr", lines, late=False))


def _make_call(call: PythonCall, run: Run, coroutine_runner: _CoroutineRunner | None = None) -> _End:
    """Make the call in the calling thread or greenlet. Without a `coroutine_runner` a coroutine is refused."""
    process = os.getpid()
    enter_run(run)
    try:
        end = _end_of_call(call, coroutine_runner)
    except KeyboardInterrupt as error:
        end_if_forked(process, error)
        raise
    end_if_forked(process, end.error)
    return end


JOB_CALL = _make_call.__code__
"""In the stack of whatever a job's function does; `run` is a local variable there."""


def _end_of_call(call: PythonCall, coroutine_runner: _CoroutineRunner | None) -> _End:
    try:
        value = call.function(*call.args, **call.kwargs)
        if isinstance(value, Coroutine) and coroutine_runner is not None:
            value = coroutine_runner.run(value)
    except GreenletExit:
        return _End(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "its greenlet was killed"))
    except KeyboardInterrupt as error:
        if in_main_thread():  # not raised by the job: Ctrl-C reaches whatever runs
            raise
        return _failed(error)
    except BaseException as error:  # SystemExit and Timeout too: no job can stop another
        if is_a(error, SystemExit) and not error.code:
            return _End(Outcome.SUCCEEDED)
        return _failed(error)
    if hint := _why_unfinished(value):
        if isinstance(value, Coroutine):
            value.close()  # otherwise Python warns that it was never awaited
        return _failed(TypeError(f"{_describe_function(call.function)} returned {describe(value)}, and {hint}"))
    return _End(Outcome.SUCCEEDED, value=value)


def _why_unfinished(value: object) -> str:
    """Why the function has done nothing yet, or not all, when it returned this; empty when it has ended."""
    if isinstance(value, Run):
        return ""  # it goes on by itself
    if isinstance(value, Coroutine):
        return "a job with greenlet=True cannot run a coroutine: leave greenlet=True out"
    if isinstance(value, Awaitable):
        return "nobody awaits that: await it in an async function, which gcron runs"
    if isinstance(value, AsyncGenerator):
        return "nobody iterates over that: do so in an async function, which gcron runs"
    has_not_begun = isinstance(value, GeneratorType) and value.gi_frame is not None and not value.gi_suspended
    return "nobody iterates over that, so nothing was done: return list(…) of it" if has_not_begun else ""


def end_if_forked(process: int, error: BaseException | None) -> None:
    """End this process if it is not `process`: a function has forked it and returned, or raised `error`.

    It has no scheduler and no other threads, so nothing could go on.
    """
    if os.getpid() == process:
        return
    status = 0
    if is_a(error, SystemExit):
        status = error.code if isinstance(error.code, int) else 1
    elif error is not None:
        status = 1
        import traceback

        traceback.print_exception(error)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status & 0xFF)


def is_a(error: BaseException | None, kind: type[E]) -> TypeGuard[E]:
    """Whether it is an instance of `kind`. `isinstance` asks for `__class__`, which may be a property that raises."""
    return issubclass(type(error), kind)


def in_main_thread() -> bool:
    """Whether the caller is in the main thread. Only there a KeyboardInterrupt comes from Ctrl-C."""
    return threading.get_ident() == threading.main_thread().ident


def _describe_function(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or describe(function)


def _failed(error: BaseException) -> _End:
    own = error.with_traceback(_own_part(error))
    return _End(Outcome.FAILED, Reason(ReasonCode.EXCEPTION, f"{type(error).__name__}: {_text_of(error)}"), error=own)


def _own_part(error: BaseException) -> Any:
    """The traceback without the frames of gcron and asyncio that come before those of the job."""
    trace = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module != __name__ and not module.startswith("asyncio."):
            return trace
        trace = trace.tb_next
    return error.__traceback__


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:  # the job's own code
        if is_a(second, KeyboardInterrupt) and in_main_thread():
            raise
        return f"<its text raises {type(second).__name__}>"


def _traceback_of(error: BaseException) -> str:
    try:
        import traceback

        return "".join(traceback.format_exception(error))
    except BaseException as second:  # the job's own code
        if is_a(second, KeyboardInterrupt) and in_main_thread():
            raise
        return f"{type(error).__name__}: <its traceback raises {type(second).__name__}>"


def _end_of(greenlet: Greenlet) -> _End:
    if is_a(greenlet.exception, KeyboardInterrupt):
        return _End(Outcome.KILLED, Reason(ReasonCode.INTERRUPTED, "interrupted"))
    end = greenlet.value
    if isinstance(end, _End):
        return end
    return _End(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "killed before it began"))


def _too_long(limit: float) -> Reason:
    return Reason(ReasonCode.TIMEOUT, f"still running after {limit:g} s")

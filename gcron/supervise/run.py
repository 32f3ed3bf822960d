"""A run: what comes of one fire, or of one manual trigger, from claim to outcome."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from gcron.errors import StateError
from gcron.runtime.event import AsyncResult, Event
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.links import Linkable
from gcron.runtime.timeout import Timeout
from gcron.runtime.waiting import wait
from gcron.schedule.clock import Clock
from gcron.supervise.command import new_mark
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.run_state import RunState, next_state

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["AnyAttempt", "Run", "current_run", "enter_run"]


class AnyAttempt(Protocol):
    """A process or a Python call."""

    def perform(self) -> RunResult:
        """Run it to its end, parking the caller."""

    def stop(self, outcome: Outcome, reason: Reason, now: bool = False, kill_after: float | None = None) -> None:
        """End it soon, at once if `now`; its outcome will be `outcome`. `kill_after`: instead of its policy's."""

    def give_up_starting(self, why: Reason) -> None:
        """Stop waiting for what a start needs. What has started goes on."""

    @property
    def waits_for_capacity(self) -> bool:
        """True while it cannot start for lack of room."""


class _Result(AsyncResult[RunResult]):
    """The result of a run. Another thread may wait for it without a timeout, and gets no `LoopExit`."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub = hub

    def get(self, block: bool = True, timeout: float | Timeout | None = None) -> RunResult:
        """See `AsyncResult.get`."""
        if not block or self.ready() or (here := get_hub()) is self.hub:
            return super().get(block, timeout)
        release = here.hold()
        try:
            return super().get(block, timeout)
        finally:
            release()

    def wait(self, timeout: float | Timeout | None = None) -> RunResult | None:
        """See `AsyncResult.wait`."""
        if self.ready() or (here := get_hub()) is self.hub:
            return super().wait(timeout)
        release = here.hold()
        try:
            return super().wait(timeout)
        finally:
            release()


class Run(Linkable):
    """One run of a job. `result` arrives when it ends: `run.result.get(timeout=60)`, in any thread.

    `gcron.wait([run, ...])` waits for several, and `await run` does in an asyncio program. Times are seconds of UTC.
    """

    def __init__(self, run_id: str, job: str, fire_at: int | None, clock: Clock) -> None:
        self.run_id = run_id
        self.mark = new_mark()
        """By which the processes of all its attempts are found; a secret."""
        self.job = job
        """Name of the job."""
        self.fire_at = fire_at
        """When it was due; None when it was triggered by hand."""
        self.created_at = clock.now()
        """When its fire was claimed, or when it was triggered."""
        self.started_at: float | None = None
        """When its first attempt began; None before."""
        self.ended_at: float | None = None
        """When it had its outcome; None before."""
        self.attempt = 0
        """Number of its present or last attempt, from 1; 0 before the first."""
        self.who = ""
        """Who triggered it, if known; empty for a run that was due."""
        self.why = ""
        """The reason that was given for the trigger."""
        self.node = ""
        """Where several nodes share the work: the one that runs it."""
        self.fence = 0
        """The number of its claim, where it has one: later claims have larger ones."""
        self.pid: int | None = None
        """Process of its present attempt; None without one, and for Python jobs."""
        self.describe_wait: Callable[[], str] = str
        """Returns what it waits for now, in words: `waits for the service db: starting`; empty when it does not."""
        self._is_taken_up = False
        self._process = os.getpid()
        self.hub = get_hub()
        """The hub of the scheduler's thread."""
        self.result: AsyncResult[RunResult] = _Result(self.hub)
        """Set after the observers of `run-finished` have returned."""
        self.ended = Event()
        """Set when it has its outcome, before observers know. For the scheduler: no observer delays the next run."""
        self.outcome: RunResult | None = None
        """What `result` will bring; None until `ended` is set."""
        self._clock = clock
        self._state = RunState.WAITING
        self._futures: deque[Future[RunResult]] = deque()
        self._present_attempt: AnyAttempt | None = None
        self._stopped: tuple[Outcome, Reason] | None = None
        self._no_more_attempts = Event()
        self._why_no_more = NO_REASON

    def take_up(self, mark: str, created_at: float, started_at: float | None, attempts: int, pid: int | None) -> None:
        """An earlier gcron began it; its present attempt is the one to be performed next."""
        self.mark = mark
        self.pid = pid
        self.created_at = created_at
        self.started_at = started_at
        self.attempt = max(0, attempts - 1)
        self._is_taken_up = True

    @property
    def due(self) -> datetime | None:
        """When it was due, in UTC; None when it was triggered by hand."""
        return None if self.fire_at is None else datetime.fromtimestamp(self.fire_at, UTC)

    # -- its state ------------------------------------------------------------------------------------------

    @property
    def state(self) -> RunState:
        """Where it is between claim and outcome."""
        return self._state

    def _enter(self, state: RunState) -> None:
        """Change the state. Nothing else assigns it."""
        self._state = next_state(self._state, state)

    @property
    def has_begun(self) -> bool:
        """True once its first attempt is under way."""
        return self.attempt > 0 or self._is_taken_up

    @property
    def waits_for_capacity(self) -> bool:
        """True while its attempt cannot start for lack of room."""
        return self._present_attempt is not None and self._present_attempt.waits_for_capacity

    @property
    def is_stopping(self) -> bool:
        """True once it was told to stop, also after its end."""
        return self._stopped is not None

    # -- waiting for its end --------------------------------------------------------------------------------

    def ready(self) -> bool:
        """True once `result` is there."""
        return self.result.ready()

    def future(self) -> Future[RunResult]:
        """Its result as a `concurrent.futures.Future`.

        Callbacks run in the scheduler's thread, which waits for them. To cancel the future does not end the run.
        """
        from concurrent.futures import Future  # loads logging, which few programs need

        future: Future[RunResult] = Future()
        self._futures.append(future)
        if self.ready():  # maybe since a moment ago, in its own thread
            self._fulfil_futures()
        return future

    def _fulfil_futures(self) -> None:
        with suppress(IndexError):
            while True:  # two threads may be here: each takes some
                future = self._futures.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_result(self.result.get())

    def __await__(self) -> Generator[Any, None, RunResult]:
        """Wait for the result in an asyncio program."""
        from asyncio import wrap_future

        return wrap_future(self.future()).__await__()

    # -- attempts -------------------------------------------------------------------------------------------

    def perform(self, attempt: AnyAttempt) -> RunResult:
        """Run `attempt` to its end, whatever happens; its result is not yet that of the run."""
        self._present_attempt = attempt
        self.attempt += 1
        if self.started_at is None:
            self.started_at = self._clock.now()
        if self._stopped is None:
            self._enter(RunState.RUNNING)
        else:
            attempt.stop(*self._stopped)
        try:
            return attempt.perform()
        finally:
            self._present_attempt = None
            self.pid = None

    def wait(self, seconds: float) -> Reason:
        """Let `seconds` pass; returns why there shall be no (more) attempts, or `NO_REASON`."""
        self._no_more_attempts.wait(seconds)
        return self._why_no_more

    def wait_for(self, other: Event, seconds: float | None = None) -> Reason:
        """As `wait`, but at most until `other` is set; None: as long as that takes."""
        wait([self._no_more_attempts, other], seconds, count=1)
        return self._why_no_more

    def begin_retry(self) -> None:
        """An attempt failed, and another one follows unless somebody ends the run."""
        if self._stopped is None:
            self._enter(RunState.RETRYING)

    # -- the end --------------------------------------------------------------------------------------------

    def end(self, result: RunResult) -> RunResult:
        """Give it its outcome. `deliver` hands that to those who wait for `result`."""
        self._enter(RunState.ENDED)
        self.ended_at = self._clock.now()
        self.outcome = result
        self.ended.set()
        return result

    def deliver(self) -> None:
        """Hand the outcome to those who wait for `result`."""
        assert self.outcome is not None, "a run without an outcome was delivered"
        self.result.set(self.outcome)
        self._notify()
        self._fulfil_futures()

    def stop(
        self,
        outcome: Outcome = Outcome.KILLED,
        reason: Reason | str = "stopped on request",
        now: bool = False,
        kill_after: float | None = None,
    ) -> None:
        """End it soon: first by the job's stop signal, unless `now`. Returns at once. Any thread may call it.

        `kill_after`: seconds until KILL, instead of those of the job. Raises StateError in a forked child process.
        """
        if os.getpid() != self._process:
            raise StateError(f"this run belongs to process {self._process}, and this process was forked from it")
        if isinstance(reason, str):
            reason = Reason(ReasonCode.STOP_REQUESTED, reason)
        if get_hub() is self.hub:
            self._stop(outcome, reason, now, kill_after)
        else:
            self.hub.call_soon_threadsafe(self._stop, outcome, reason, now, kill_after)

    def _stop(self, outcome: Outcome, reason: Reason, now: bool, kill_after: float | None) -> None:
        if self._state is RunState.ENDED:
            return
        self._enter(RunState.STOPPING)
        self._stopped = (outcome, reason)
        if self._present_attempt is not None:
            self._present_attempt.stop(outcome, reason, now, kill_after)
        self.end_retries(reason)

    def end_retries(self, reason: Reason) -> None:
        """Begin no further attempt: the present one, or the last one, decides the outcome."""
        self._why_no_more = self._why_no_more or reason
        self._no_more_attempts.set()
        if self._present_attempt is not None:
            self._present_attempt.give_up_starting(reason)

    def __repr__(self) -> str:
        state = self.state if self.outcome is None else self.outcome.outcome
        return f"<Run {self.run_id} of {self.job}: {state}>"


_current: ContextVar[Run | None] = ContextVar("gcron.current_run", default=None)


def current_run() -> Run:
    """Return the run of the calling job: in a job's function, and in what it starts with its context.

    Example::

        @scheduler.job("@hourly")
        def report() -> None:
            print("for", gcron.current_run().due)

    Raises StateError elsewhere.
    """
    run = _current.get()
    if run is None:
        raise StateError("current_run() is for the function of a job, and for what it calls")
    return run


def enter_run(run: Run | None) -> None:
    """Make this the current run of the calling context; None: it has none."""
    _current.set(run)

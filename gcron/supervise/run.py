"""A run: what comes of one fire (or one manual trigger), from claim to outcome."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from gcron.runtime.event import AsyncResult, Event
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.links import Linkable
from gcron.runtime.timeout import Timeout
from gcron.runtime.waiting import wait
from gcron.supervise.outcome import Outcome, RunResult

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["AnyAttempt", "Run"]


class AnyAttempt(Protocol):
    """A process or a Python call."""

    def perform(self) -> RunResult:
        """Run it to its end, parking the caller."""

    def stop(self, outcome: Outcome, reason: str, now: bool = False) -> None:
        """End it soon, at once if `now`; its outcome will be `outcome`."""

    def give_up_starting(self, why: str) -> None:
        """If it waits for what a start takes, wait no longer; what has started goes on."""

    def end_remnants(self) -> str:
        """End what it has left behind; returns who that was, or nothing."""


class _Result(AsyncResult[RunResult]):
    """What a run brings. A thread other than its own may wait for it without end, and gets no `LoopExit`."""

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

    `gcron.wait([run, ...])` waits for several, and `await run` does in an asyncio program.
    """

    def __init__(self, run_id: str, job_name: str, fire_at: int | None) -> None:
        self.id = run_id
        self.job_name = job_name
        self.fire_at = fire_at
        """Seconds of UTC at which it was due; None when it was triggered by hand."""
        self.hub = get_hub()
        """That of the thread in which it ends."""
        self.result: AsyncResult[RunResult] = _Result(self.hub)
        self._futures: deque[Future[RunResult]] = deque()
        self._attempt: AnyAttempt | None = None
        self._last_attempt: AnyAttempt | None = None
        self._stopped: tuple[Outcome, str] | None = None
        self._interrupted = Event()
        self._why_no_more = ""
        self.waits_for_retry = False
        """An attempt has failed, and the next is not due yet."""
        self.has_begun = False
        """Its first attempt is under way, or over."""

    # -- waiting for its end --------------------------------------------------------------------------------

    def ready(self) -> bool:
        """True once it has ended."""
        return self.result.ready()

    def future(self) -> Future[RunResult]:
        """Its result for those who take a `concurrent.futures.Future`.

        Callbacks are called in the thread of the scheduler, which waits for them. To cancel it does not end the run.
        """
        from concurrent.futures import Future  # brings the loggers, which few programs want of us

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

    # -- from start to end ----------------------------------------------------------------------------------

    def perform(self, attempt: AnyAttempt) -> RunResult:
        """Run `attempt` to its end, whatever happens on the way; its result is not yet that of the run."""
        self._attempt = self._last_attempt = attempt
        self.has_begun = True
        if self._stopped is not None:
            attempt.stop(*self._stopped)
        try:
            return attempt.perform()
        except BaseException as error:
            self.conclude(Outcome.FAILED, f"gcron itself failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._attempt = None

    def wait(self, seconds: float) -> str:
        """Let `seconds` pass; return why there shall be no (more) attempts, nothing when there may."""
        self._interrupted.wait(seconds)
        return self._why_no_more

    def wait_for(self, earlier: Run) -> str:
        """As `wait`, for the end of another run."""
        wait([self._interrupted, earlier.result], count=1)
        return self._why_no_more

    def wait_until(self, flag: Event, seconds: float | None) -> str:
        """As `wait`, until `flag` is set at the latest; None: for as long as that takes."""
        wait([self._interrupted, flag], seconds, count=1)
        return self._why_no_more

    def wait_for_retry(self, seconds: float) -> str:
        """As `wait`; meanwhile it `waits_for_retry`."""
        self.waits_for_retry = True
        try:
            return self.wait(seconds)
        finally:
            self.waits_for_retry = False

    def conclude(self, outcome: Outcome, reason: str) -> RunResult:
        """End it without (further) attempts."""
        return self.finish(RunResult(outcome, reason))

    def finish(self, result: RunResult) -> RunResult:
        """Deliver the result of its last attempt."""
        self.result.set(result)
        self._notify()
        self._fulfil_futures()
        return result

    @property
    def is_stopping(self) -> bool:
        """It was told to stop, and ends as soon as what it runs has."""
        return self._stopped is not None

    def stop(self, outcome: Outcome = Outcome.KILLED, reason: str = "stopped on request", now: bool = False) -> None:
        """End it soon, politely first unless `now`; returns at once. Any thread may."""
        if get_hub() is self.hub:
            self._stop(outcome, reason, now)
        else:
            self.hub.call_soon_threadsafe(self._stop, outcome, reason, now)

    def _stop(self, outcome: Outcome, reason: str, now: bool) -> None:
        self._stopped = (outcome, reason)
        if self._attempt is not None:
            self._attempt.stop(outcome, reason, now)
        self.end_retries(reason)

    def end_remnants(self) -> str:
        """End what it has left behind, politely first; returns who that was, or nothing."""
        return "" if self._last_attempt is None else self._last_attempt.end_remnants()

    def end_retries(self, reason: str) -> None:
        """Let the attempt that has started, or the last one, decide how it ends."""
        self._why_no_more = self._why_no_more or reason
        self._interrupted.set()
        if self._attempt is not None:
            self._attempt.give_up_starting(reason)

    def __repr__(self) -> str:
        state = self.result.value.outcome if self.result.value is not None else "running"
        return f"<Run {self.id} of {self.job_name}: {state}>"

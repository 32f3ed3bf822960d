"""A run: what comes of one fire (or one manual trigger), from claim to outcome."""

from __future__ import annotations

from typing import Protocol

from gcron.event import AsyncResult, Event
from gcron.supervise.outcome import Outcome, RunResult
from gcron.waiting import wait

__all__ = ["AnyAttempt", "Run"]


class AnyAttempt(Protocol):
    """A process or a Python call."""

    def perform(self) -> RunResult:
        """Run it to its end, parking the caller."""

    def stop(self, outcome: Outcome, reason: str, now: bool = False) -> None:
        """End it soon, at once if `now`; its outcome will be `outcome`."""


class Run:
    """One run of a job. `result` arrives when it ends: `run.result.get(timeout=60)`."""

    def __init__(self, run_id: str, job_name: str, fire_at: int | None) -> None:
        self.id = run_id
        self.job_name = job_name
        self.fire_at = fire_at
        """Seconds of UTC at which it was due; None when it was triggered by hand."""
        self.result: AsyncResult[RunResult] = AsyncResult()
        self._attempt: AnyAttempt | None = None
        self._stopped: tuple[Outcome, str] | None = None
        self._interrupted = Event()
        self._why_no_more = ""
        self.waits_for_retry = False
        """An attempt has failed, and the next is not due yet."""
        self.has_begun = False
        """Its first attempt is under way, or over."""

    def perform(self, attempt: AnyAttempt) -> RunResult:
        """Run `attempt` to its end, whatever happens on the way; its result is not yet that of the run."""
        self._attempt = attempt
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
        return result

    @property
    def is_stopping(self) -> bool:
        """It was told to stop, and ends as soon as what it runs has."""
        return self._stopped is not None

    def stop(self, outcome: Outcome = Outcome.KILLED, reason: str = "stopped on request", now: bool = False) -> None:
        """End it soon, politely first unless `now`; returns at once."""
        self._stopped = (outcome, reason)
        self.end_retries(reason)
        if self._attempt is not None:
            self._attempt.stop(outcome, reason, now)

    def end_retries(self, reason: str) -> None:
        """Let the attempt that is under way, or the last one, decide how it ends."""
        self._why_no_more = self._why_no_more or reason
        self._interrupted.set()

    def __repr__(self) -> str:
        state = self.result.value.outcome if self.result.value is not None else "running"
        return f"<Run {self.id} of {self.job_name}: {state}>"

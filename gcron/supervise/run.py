"""A run: what comes of one fire (or one manual trigger), from claim to outcome."""

from __future__ import annotations

from typing import Protocol

from gcron.event import AsyncResult
from gcron.supervise.outcome import Outcome, RunResult

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

    def perform(self, attempt: AnyAttempt) -> RunResult:
        """Run `attempt` to its end and deliver the result, whatever happens on the way."""
        self._attempt = attempt
        if self._stopped is not None:
            attempt.stop(*self._stopped)
        try:
            result = attempt.perform()
        except BaseException as error:
            self.conclude(Outcome.FAILED, f"gcron itself failed: {type(error).__name__}: {error}")
            raise
        self.result.set(result)
        return result

    def conclude(self, outcome: Outcome, reason: str) -> RunResult:
        """End it without (further) attempts."""
        result = RunResult(outcome, reason)
        self.result.set(result)
        return result

    def stop(self, outcome: Outcome = Outcome.KILLED, reason: str = "stopped on request", now: bool = False) -> None:
        """End it soon, politely first unless `now`; returns at once."""
        self._stopped = (outcome, reason)
        if self._attempt is not None:
            self._attempt.stop(outcome, reason, now)

    def __repr__(self) -> str:
        state = self.result.value.outcome if self.result.value is not None else "running"
        return f"<Run {self.id} of {self.job_name}: {state}>"

"""The sums of the runs of a job, of which its summary is made. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gcron.scheduler.history import RECENT, JobSummary, Pause, StoredRun, letter_of, sign_of_duration
from gcron.supervise.outcome import Outcome, is_failure

__all__ = ["Tally", "tally"]


class Tally:
    """The sums of some ended runs of one job; the names are those of columns."""

    __slots__ = (
        "failed",
        "last_duration",
        "last_finished",
        "last_success",
        "longest",
        "missed",
        "recent",
        "runs",
        "seconds",
        "signs",
        "skipped",
        "succeeded",
    )

    def __init__(self) -> None:
        self.runs = self.succeeded = self.failed = self.skipped = self.missed = 0
        self.recent = ""
        """A letter for each outcome, oldest first."""
        self.signs = ""
        """A character for how long each took."""
        self.last_finished: float | None = None
        self.last_success: float | None = None
        self.last_duration: float | None = None
        self.longest: float | None = None
        """Seconds, of successes; so are `seconds` in all."""
        self.seconds = 0.0

    def add(self, run: StoredRun) -> None:
        """Add an ended run."""
        self.runs += 1
        is_failed = is_failure(run.outcome, run.reason_code)
        # A run that was killed on purpose counts as stopped: its job is not a failing one.
        shown = run.outcome if is_failed or run.outcome != Outcome.KILLED else Outcome.STOPPED
        self.recent = (self.recent + letter_of(shown))[-RECENT:]
        self.signs = (self.signs + sign_of_duration(run.duration))[-RECENT:]
        self.last_finished = run.finished
        if run.duration is not None:
            self.last_duration = run.duration
        if run.outcome == Outcome.SUCCEEDED:
            self.succeeded += 1
            self.last_success = run.finished
            self.seconds += run.duration or 0.0
            self.longest = max(run.duration or 0.0, self.longest or 0.0)
        elif is_failed:
            self.failed += 1
        elif run.outcome == Outcome.SKIPPED:
            self.skipped += 1
        elif run.outcome == Outcome.MISSED:
            self.missed += run.fires

    def summary(self, job: str, last_fire: int | None, pause: Pause | None = None) -> JobSummary:
        """How the job of this name did."""
        return JobSummary(
            job,
            self.recent,
            self.signs,
            self.runs,
            self.succeeded,
            self.failed,
            self.skipped,
            self.missed,
            self.last_finished,
            self.last_success,
            self.last_duration,
            self.seconds / self.succeeded if self.succeeded else None,
            self.longest,
            last_fire,
            pause,
        )


def tally(runs: Iterable[StoredRun]) -> dict[str, Tally]:
    """The sums of those runs that have ended, by job, in the order given."""
    tallies: dict[str, Tally] = {}
    for run in runs:
        if run.outcome:
            tallies.setdefault(run.job, Tally()).add(run)
    return tallies

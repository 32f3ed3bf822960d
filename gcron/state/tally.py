"""What ended runs add to the summary of their jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gcron.scheduler.history import FAILURES, RECENT, StoredRun, letter_of
from gcron.supervise.outcome import Outcome

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
        "skipped",
        "succeeded",
    )

    def __init__(self) -> None:
        self.runs = self.succeeded = self.failed = self.skipped = self.missed = 0
        self.recent = ""
        """A letter for each outcome, oldest first."""
        self.last_finished: float | None = None
        self.last_success: float | None = None
        self.last_duration: float | None = None
        self.longest: float | None = None
        """Seconds, of successes; so are `seconds` in all."""
        self.seconds = 0.0

    def add(self, run: StoredRun) -> None:
        """Add an ended run."""
        self.runs += 1
        self.recent = (self.recent + letter_of(run.outcome))[-RECENT:]
        self.last_finished = run.finished
        if run.duration is not None:
            self.last_duration = run.duration
        if run.outcome == Outcome.SUCCEEDED:
            self.succeeded += 1
            self.last_success = run.finished
            self.seconds += run.duration or 0.0
            self.longest = max(run.duration or 0.0, self.longest or 0.0)
        elif run.outcome in FAILURES:
            self.failed += 1
        elif run.outcome == Outcome.SKIPPED:
            self.skipped += 1
        elif run.outcome == Outcome.MISSED:
            self.missed += run.fires


def tally(runs: Iterable[StoredRun]) -> dict[str, Tally]:
    """The sums of those runs that have ended, by job, in the order given."""
    tallies: dict[str, Tally] = {}
    for run in runs:
        if run.outcome:
            tallies.setdefault(run.job, Tally()).add(run)
    return tallies

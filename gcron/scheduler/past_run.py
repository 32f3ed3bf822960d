"""`PastRun`: a run of the history, as a program gets it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from gcron.frozen import frozen
from gcron.scheduler.history import UNDER_WAY, StoredRun
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, is_failure

__all__ = ["PastRun", "past_run"]

E = TypeVar("E", bound=StrEnum)


@frozen
class PastRun:
    """A run, a fire that was skipped, or a span of fires that were missed (one record for the whole span)."""

    run_id: str
    """As `Run.run_id`."""
    job: str
    """Name of the job."""
    outcome: Outcome | None
    """None: it is under way."""
    reason: Reason
    """Why it ended like that, with a code for programs; empty for plain success."""
    due: datetime | None
    """When it was due, in UTC like all times here; None when it was triggered. Of a span: the first fire."""
    last_due: datetime | None
    """Of a span of missed fires: the last one."""
    fires: int
    """Of a span: how many fires, at least; otherwise 1."""
    created: datetime
    """When its fire was claimed, triggered, skipped or missed. The history is in this order."""
    started: datetime | None
    """When its first attempt began; None if there was none."""
    ended: datetime | None
    """When it had its outcome."""
    duration: float | None
    """Seconds that its last attempt took."""
    cpu_seconds: float | None
    """Of all its attempts; None where that is not known."""
    max_rss_bytes: int | None
    """Of the attempt that needed the most memory; None where that is not known."""
    attempts: int
    exit_code: int | None
    """As `RunResult.exit_code`: negative for a signal; None where no process ended, or its status is not known."""
    output_size: int
    """Bytes that it wrote."""
    who: str
    """Who triggered it, if known; empty for a run that was due."""
    why: str
    """The reason that was given for the trigger."""

    @property
    def succeeded(self) -> bool:
        """True for `Outcome.SUCCEEDED` only."""
        return self.outcome is Outcome.SUCCEEDED

    @property
    def failed(self) -> bool:
        """True when it failed. A run that somebody stopped did not."""
        return self.outcome is not None and is_failure(self.outcome, self.reason.code)


def past_run(run: StoredRun) -> PastRun:
    """The same run, for programs."""
    return PastRun(
        run.run_id,
        run.job,
        None if run.outcome == UNDER_WAY else _known(Outcome, run.outcome, Outcome.UNKNOWN_EXIT),
        Reason(_known(ReasonCode, run.reason_code, ReasonCode.NONE), run.reason),
        _moment(run.fire_at),
        _moment(run.last_fire_at),
        run.fires,
        datetime.fromtimestamp(run.created, UTC),
        _moment(run.started),
        _moment(run.finished),
        run.duration,
        run.cpu_seconds,
        run.max_rss_bytes,
        run.attempts,
        run.exit_code,
        run.output_size,
        run.who,
        run.why,
    )


def _known(kind: type[E], text: str, otherwise: E) -> E:
    """A newer gcron may have written a code that this one does not know: the run is in the history all the same."""
    try:
        return kind(text)
    except ValueError:
        return otherwise


def _moment(time: float | None) -> datetime | None:
    return None if time is None else datetime.fromtimestamp(time, UTC)

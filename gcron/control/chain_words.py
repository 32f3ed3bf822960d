"""What a job that runs after others waits for, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from gcron.schedule.wording import join_words
from gcron.scheduler.history import Upstream
from gcron.scheduler.status import JobStatus
from gcron.supervise.outcome import Outcome

__all__ = ["upstream_words", "waits_words"]

_ENDED = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.KILLED: "was killed",
    Outcome.START_FAILED: "could not start",
    Outcome.SKIPPED: "was skipped",
    Outcome.MISSED: "was missed",
    Outcome.LOST: "was lost",
    Outcome.STOPPED: "was stopped",
    Outcome.UNKNOWN_EXIT: "ended in an unknown way",
}


def waits_words(status: JobStatus, now: float) -> str:
    """What a job that runs after others waits for, in the time zone of its schedule; empty for other jobs.

    `waits for load; extract succeeded at 02:14`
    """
    if not status.upstream:
        return ""
    zone = status.job.schedule.zone.tz
    if not status.job.policy.enabled:
        return "not enabled (enabled=no): it does not run after others"
    if status.waits_for:
        return upstream_words(status.upstream, "waits for", zone, now)
    if status.is_paused:
        return upstream_words(status.upstream, "paused: it runs when it is resumed", zone, now)
    return upstream_words(status.upstream, "due", zone, now)


def upstream_words(upstream: Sequence[Upstream], lead: str, zone: tzinfo, now: float) -> str:
    """`lead`, the jobs that have not succeeded, and how each job has ended."""
    awaited = [each.job for each in upstream if not each.has_succeeded]
    ends = [_end_words(each, zone, now) if each.outcome else each.reason for each in upstream]
    return "; ".join([f"{lead} {join_words(awaited)}" if awaited else lead, *filter(None, ends)])


def _end_words(each: Upstream, zone: tzinfo, now: float) -> str:
    words = _ENDED.get(Outcome(each.outcome), each.outcome)
    at = "" if each.ended is None else f" at {_time_words(each.ended, zone, now)}"
    if each.has_succeeded:
        return f"{each.job} {words}{at}"
    if not each.counts:
        return f"{each.job} {words}{at}, in a run that had begun before the last start"
    return f"{each.job} {words}{at}" + (f": {each.reason}" if each.reason else "")


def _time_words(time: float, zone: tzinfo, now: float) -> str:
    at, today = datetime.fromtimestamp(int(time), zone), datetime.fromtimestamp(now, zone)
    return f"{at:%H:%M}" if at.date() == today.date() else f"{at:%Y-%m-%d %H:%M}"

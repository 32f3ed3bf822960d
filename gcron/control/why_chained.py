"""Why a job that runs after others ran at a time, or what it waited for then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gcron.control.chain_words import upstream_words, waits_words
from gcron.control.instance import Instance
from gcron.control.operations import ask_history
from gcron.control.records import full_run_record, live_run_record
from gcron.schedule.wording import join_words
from gcron.scheduler.history import RunQuery, StoredRun, Upstream
from gcron.scheduler.job import Job
from gcron.scheduler.records import Record, instant, pause_record
from gcron.scheduler.status import JobStatus
from gcron.supervise.outcome import Outcome

__all__ = ["why_chained"]

# Runs of one job that are looked through.
_MOST_RUNS = 200
# Seconds after a fire within which its run is created, unless gcron was not running.
_SOON = 120
_WITHOUT_PROCESS = (Outcome.SKIPPED, Outcome.MISSED)


def why_chained(gcron: Instance, job: Job, at: int, width: int) -> Record:
    """Whether the job was due in the `width` seconds from `at` on, and what came of that; if not, what it waited for.

    These are the fields of the answer of `why` that differ from those of a job that is never due.
    """
    now = gcron.clock.now()
    status = gcron.scheduler.status(job.name)
    names = [each.job for each in status.upstream]
    for run in status.running:
        if run.fire_at is not None and at <= run.fire_at < at + width:
            text = f"due; its run {run.run_id} is under way: {run.state}"
            return _due(run.fire_at, "under-way", text, live_run_record(run, now))
    stored = _find_run(gcron, job.name, at, width)
    if stored is not None and stored.fire_at is not None:
        verdict = stored.outcome if stored.outcome in _WITHOUT_PROCESS else "ran"
        reason = f": {stored.reason}" if stored.reason else ""
        words = f"it ran; outcome {stored.outcome or 'unknown: the record has no end'}" if verdict == "ran" else verdict
        lead = f"due, because {join_words(names)} had succeeded; "
        return _due(stored.fire_at, verdict, lead + words + reason, full_run_record(stored))
    if at + width > now:
        return _waits_now(status, now)
    zone = job.schedule.zone.tz
    upstream = list(_at_that_time(gcron, job.name, names, at + width))
    if at < gcron.since and not any(each.outcome for each in upstream):
        text = f"this gcron started only at {instant(int(gcron.since))}, and the history has no record of that time"
        return {"verdict": "before-start", "explanation": text}
    lead = "not due: it waited for" if any(not each.has_succeeded for each in upstream) else "not due"
    return {"verdict": "not-due", "explanation": upstream_words(upstream, lead, zone, at)}


def _due(fire: int, verdict: str, explanation: str, run: Record) -> Record:
    return {"due": True, "fire_at": instant(fire), "verdict": verdict, "explanation": explanation, "run": run}


def _waits_now(status: JobStatus, now: float) -> Record:
    explanation = waits_words(status, now)
    if not status.job.policy.enabled:
        return {"verdict": "not-enabled", "explanation": explanation}
    if status.pause is not None:
        return {"verdict": "paused", "explanation": explanation, "pause": pause_record(status.pause)}
    return {"verdict": "waiting", "explanation": explanation}


def _find_run(gcron: Instance, job: str, at: int, width: int) -> StoredRun | None:
    """The run, or the fire without one, that was due then."""
    for until in (at + width + _SOON, None):
        for run in _runs(gcron, RunQuery(job=job, since=at - 1, until=until, limit=_MOST_RUNS)):
            if run.fire_at is not None and at <= run.fire_at < at + width:
                return run
    return None


def _at_that_time(gcron: Instance, job: str, names: Sequence[str], time: int) -> Iterator[Upstream]:
    """How the jobs before it had done at `time`, by what the history knows."""

    def ends_round(run: StoredRun) -> bool:
        return run.outcome not in _WITHOUT_PROCESS or run.fire_at is not None

    before = _newest(gcron, job, time, ends_round)
    since = 0.0 if before is None else before.started or before.created

    def counts(run: StoredRun) -> bool:
        return (run.started or run.created) > since

    def has_succeeded(run: StoredRun) -> bool:
        return run.outcome == Outcome.SUCCEEDED and _ended_by(run, time) and counts(run)

    def has_ended(run: StoredRun) -> bool:
        return _ended_by(run, time) and (run.finished or 0.0) > since

    for name in names:
        run = _newest(gcron, name, time, has_succeeded) or _newest(gcron, name, time, has_ended)
        if run is None:
            yield Upstream(name)
        else:
            yield Upstream(name, run.outcome, run.finished, run.reason, counts(run))


def _ended_by(run: StoredRun, time: int) -> bool:
    return bool(run.outcome) and run.finished is not None and run.finished < time


def _newest(gcron: Instance, job: str, until: int, fits: Callable[[StoredRun], bool]) -> StoredRun | None:
    return next(filter(fits, _runs(gcron, RunQuery(job=job, until=until, limit=_MOST_RUNS))), None)


def _runs(gcron: Instance, query: RunQuery) -> tuple[StoredRun, ...]:
    return ask_history(lambda: gcron.scheduler.store.runs(query)).runs

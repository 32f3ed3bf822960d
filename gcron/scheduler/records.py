"""Events, runs and services as plain data: the one source for the log, the API, the history and webhooks.

A record is a dictionary of what JSON can hold. Times are RFC 3339 in UTC, durations are seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from gcron.scheduler.events import (
    FiresMissed,
    JobEvent,
    JobOutput,
    JobPaused,
    JobResumed,
    LoopBlocked,
    Notice,
    ProcessStarted,
    RawOutput,
    RetryPlanned,
    RunFinished,
    RunLate,
    RunStarted,
    SchedulerEvent,
    ServiceStateChanged,
    StoreFailed,
    StoreRecovered,
    SuccessOverdue,
    SuccessResumed,
)
from gcron.scheduler.history import UNDER_WAY, JobSummary, Pause, StoredRun
from gcron.scheduler.services import ServiceStatus
from gcron.supervise.outcome import Outcome, Reason, RunResult, is_failure
from gcron.supervise.restarts import ServiceState
from gcron.supervise.run import Run

__all__ = [
    "Level",
    "Record",
    "event_record",
    "instant",
    "pause_record",
    "run_record",
    "service_record",
    "stored_run_record",
    "summary_record",
]

Record = dict[str, Any]
Level = Literal["info", "warning", "error"]
"""How bad the news is."""

_GOOD = (Outcome.SUCCEEDED, Outcome.STOPPED)
_LEVELS_OF_STATES: dict[ServiceState, Level] = {ServiceState.BACKING_OFF: "warning", ServiceState.FAILED: "error"}


def instant(time: float | None) -> str | None:
    """Seconds of UTC as RFC 3339 text: `2026-03-29T01:00:00Z`; whole seconds for an integer, else milliseconds."""
    if time is None:
        return None
    timespec = "milliseconds" if isinstance(time, float) else "seconds"
    return datetime.fromtimestamp(time, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def event_record(event: SchedulerEvent) -> Record:
    """Everything in an event except the output of a job: its lines, or its raw bytes."""
    record: Record = {"time": instant(event.time), "event": event.kind}
    if isinstance(event, JobEvent):
        record["job"] = event.job
    record |= _FIELDS[type(event)](event)
    if not isinstance(event, JobOutput | RawOutput):
        record["level"] = _level(event)
    return record


def _level(event: SchedulerEvent) -> Level:
    if isinstance(event, RunFinished):
        result = event.result
        if is_failure(result.outcome, result.reason.code):
            return "error"
        return "info" if result.outcome in _GOOD else "warning"
    if isinstance(event, SuccessOverdue | StoreFailed):
        return "error"
    if isinstance(event, ServiceStateChanged):
        return _LEVELS_OF_STATES.get(event.state, "info")
    if isinstance(event, Notice) and event.is_warning:
        return "warning"
    return "warning" if isinstance(event, RetryPlanned | FiresMissed | RunLate | LoopBlocked) else "info"


def run_record(run: Run, now: float) -> Record:
    """A run under way, or one that has just ended; `now` in seconds of UTC."""
    since = run.started_at or run.created_at
    record: Record = {
        "job": run.job,
        "run_id": run.run_id,
        "state": str(run.state),
        "fire_at": instant(run.fire_at),
        **_trigger(run.who, run.why),
        **_claim(run),
        "attempt": run.attempt,
        "pid": run.pid,
        "created": instant(run.created_at),
        "started": instant(run.started_at),
        "ended": instant(run.ended_at),
        "seconds": round((run.ended_at or now) - since, 3),
    }
    return record if run.outcome is None else record | _result(run.outcome)


def stored_run_record(run: StoredRun) -> Record:
    """A run of the history. `outcome` is null while it is under way."""
    record: Record = {
        "job": run.job,
        "run_id": run.run_id,
        "outcome": None if run.outcome == UNDER_WAY else run.outcome,
        "reason": run.reason,
        "reason_code": run.reason_code,
        "fire_at": instant(run.fire_at),
        "who": run.who,
        "why": run.why,
        **_claim(run),
        "created": instant(run.created),
        "started": instant(run.started),
        "ended": instant(run.finished),
        "pid": run.pid,
        "attempts": run.attempts,
        "exit_code": run.exit_code,
        "duration": _seconds(run.duration),
        "cpu_seconds": _seconds(run.cpu_seconds),
        "max_rss_bytes": run.max_rss_bytes,
        "output_bytes": run.output_size,
    }
    if run.last_fire_at is not None:
        record |= {"first": instant(run.fire_at), "last": instant(run.last_fire_at), "count": run.fires}
    return record | ({"left_behind": run.left_behind} if run.left_behind else {})


def summary_record(summary: JobSummary) -> Record:
    """How a job did so far. Durations are those of its successes; `last_duration` is that of its last run."""
    rate = summary.success_rate
    return {
        "recent": list(summary.recent),
        "recent_durations": list(summary.recent_durations),
        "runs": summary.runs,
        "succeeded": summary.succeeded,
        "failed": summary.failed,
        "skipped": summary.skipped,
        "missed": summary.missed,
        "success_rate": None if rate is None else round(rate, 4),
        "last_ended": instant(summary.last_finished),
        "last_success": instant(summary.last_success),
        "last_fire_at": instant(summary.last_fire),
        "last_duration": _seconds(summary.last_duration),
        "mean_duration": _seconds(summary.mean_duration),
        "longest_duration": _seconds(summary.longest),
        "pause": None if summary.pause is None else pause_record(summary.pause),
    }


def pause_record(pause: Pause) -> Record:
    """Since when a job is paused, until when (null: until somebody resumes it), and who asked for it and why."""
    return {"since": instant(pause.since), "until": instant(pause.until), "who": pause.who, "why": pause.why}


def service_record(service: ServiceStatus, now: float) -> Record:
    """How a service stands; `now` in seconds of UTC."""
    return {
        "job": service.name,
        "state": str(service.state),
        **_reason(service.reason),
        "since": instant(service.since),
        "restarts": service.restarts,
        "life": None if service.run is None else run_record(service.run, now),
    }


def _trigger(who: str, why: str) -> Record:
    return {key: value for key, value in (("who", who), ("why", why)) if value}


def _claim(run: Run | StoredRun | RunStarted | RunFinished) -> Record:
    """Its node and the number of its claim, where several nodes share the work."""
    return {key: value for key, value in (("node", run.node), ("fence", run.fence)) if value}


def _seconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _reason(reason: Reason) -> Record:
    return {"reason": reason.text, "reason_code": str(reason.code)}


def _result(result: RunResult) -> Record:
    record: Record = {
        "outcome": str(result.outcome),
        **_reason(result.reason),
        "exit_code": result.exit_code,
        "duration": _seconds(result.duration),
        "cpu_seconds": _seconds(result.usage.cpu_seconds),
        "max_rss_bytes": result.usage.max_rss_bytes,
        "output_bytes": result.output_size,
        "attempts": result.attempts,
    }
    return record | ({"left_behind": result.left_behind} if result.left_behind else {})


def _output(event: JobOutput | RawOutput) -> Record:
    return {"run_id": event.run_id, "stream": event.stream} | ({"late": True} if event.late else {})


def _pause(event: JobPaused) -> Record:
    record: Record = {"until": instant(event.until), "who": event.who, "why": event.why}
    return {key: value for key, value in record.items() if value}


def _service(event: ServiceStateChanged) -> Record:
    record: Record = {"state": str(event.state), **_reason(event.reason), "restarts": event.restarts}
    return record | ({"delay": round(event.delay, 6)} if event.state is ServiceState.BACKING_OFF else {})


_FIELDS: dict[type[SchedulerEvent], Callable[[Any], Record]] = {
    RunStarted: lambda event: {
        "run_id": event.run_id,
        "fire_at": instant(event.fire_at),
        **_trigger(event.who, event.why),
        **_claim(event),
    },
    ProcessStarted: lambda event: {"run_id": event.run_id, "pid": event.pid, "attempt": event.attempt},
    JobOutput: _output,
    RawOutput: _output,
    Notice: lambda event: ({"run_id": event.run_id} if event.run_id else {}) | {"text": event.text},
    RetryPlanned: lambda event: {
        "run_id": event.run_id,
        "attempt": event.attempt,
        "outcome": str(event.result.outcome),
        **_reason(event.result.reason),
        "delay": event.delay,
    },
    RunFinished: lambda event: {
        "run_id": event.run_id,
        "fire_at": instant(event.fire_at),
        **_claim(event),
        **_result(event.result),
    },
    FiresMissed: lambda event: {
        "first": instant(event.first),
        "last": instant(event.last),
        "count": event.count,
        **_reason(event.reason),
    },
    RunLate: lambda event: {
        "run_id": event.run_id,
        "fire_at": instant(event.fire_at),
        "delay": round(event.delay, 6),
        **_reason(event.reason),
    },
    SuccessOverdue: lambda event: {
        "within": event.within,
        "last_success": instant(event.last_success),
    },
    SuccessResumed: lambda event: {"silence": round(event.silence, 6)},
    ServiceStateChanged: _service,
    JobPaused: _pause,
    JobResumed: lambda event: {"who": event.who} if event.who else {},
    LoopBlocked: lambda event: {
        "job": event.job or None,
        "what": event.what,
        "where": event.where,
        "seconds": round(event.seconds, 3),
    },
    StoreFailed: lambda event: _reason(event.reason),
    StoreRecovered: lambda event: {"lost": event.lost},
}

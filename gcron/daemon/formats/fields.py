"""The fields of a record, by name: what the formats for machines agree on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gcron.scheduler import (
    Event,
    FiresMissed,
    JobOutput,
    Notice,
    ProcessStarted,
    RetryPlanned,
    RunFinished,
    RunLate,
    RunStarted,
    ServiceState,
    ServiceStateChanged,
    SuccessOverdue,
    SuccessResumed,
)

__all__ = ["fields_of", "message_fields", "report_fields"]

Fields = dict[str, Any]


def fields_of(event: Event) -> Fields:
    """All of an event but, of a job's output, its lines. Times are RFC 3339 in UTC."""
    return {"time": _rfc3339(event.time), "event": event.kind, "job": event.job} | _FIELDS[type(event)](event)


def message_fields(time: float, text: str, bad: bool) -> Fields:
    """Of something that gcron itself says."""
    return {"time": _rfc3339(time), "event": "message", "level": "error" if bad else "info", "message": text}


def report_fields(time: float, event: str) -> Fields:
    """The first ones of a report."""
    return {"time": _rfc3339(time), "event": event}


def _output_fields(event: JobOutput) -> Fields:
    return {"run": event.run_id, "stream": event.stream} | ({"late": True} if event.late else {})


def _finished_fields(event: RunFinished) -> Fields:
    result = event.result
    fields: Fields = {
        "run": event.run_id,
        "fire_at": _instant(event.fire_at),
        "outcome": str(result.outcome),
        "reason": result.reason,
        "exit_code": result.exit_code,
        "duration": round(result.duration, 6),
        "output_bytes": result.output_size,
        "attempts": result.attempts,
    }
    return fields | ({"left_behind": result.left_behind} if result.left_behind else {})


def _service_fields(event: ServiceStateChanged) -> Fields:
    fields: Fields = {"state": str(event.state), "reason": event.reason, "restarts": event.restarts}
    return fields | ({"delay": round(event.delay, 6)} if event.state is ServiceState.BACKING_OFF else {})


_FIELDS: dict[type[Event], Callable[[Any], Fields]] = {
    RunStarted: lambda event: {"run": event.run_id, "fire_at": _instant(event.fire_at)},
    ProcessStarted: lambda event: {"run": event.run_id, "pid": event.pid},
    JobOutput: _output_fields,
    Notice: lambda event: {"run": event.run_id, "text": event.text},
    RetryPlanned: lambda event: {
        "run": event.run_id,
        "attempt": event.attempt,
        "outcome": str(event.result.outcome),
        "reason": event.result.reason,
        "delay": event.delay,
    },
    RunFinished: _finished_fields,
    FiresMissed: lambda event: {
        "first": _instant(event.first),
        "last": _instant(event.last),
        "count": event.count,
        "reason": event.reason,
    },
    RunLate: lambda event: {
        "run": event.run_id,
        "fire_at": _instant(event.fire_at),
        "delay": round(event.delay, 6),
        "reason": event.reason,
    },
    SuccessOverdue: lambda event: {
        "level": "error",
        "within": event.within,
        "last_success": _instant(event.last_success),
    },
    SuccessResumed: lambda event: {"silence": round(event.silence, 6)},
    ServiceStateChanged: _service_fields,
}


def _instant(instant: float | None) -> str | None:
    return None if instant is None else _rfc3339(instant)


def _rfc3339(time: float) -> str:
    timespec = "milliseconds" if isinstance(time, float) else "seconds"
    return datetime.fromtimestamp(time, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")

"""Log formats: events to bytes. `text` for people, `json` for machines (one object a line).

Pure: no descriptors. Whatever a job prints, no control character of it reaches a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Protocol

from gcron.scheduler import (
    Event,
    FiresMissed,
    JobOutput,
    Notice,
    Outcome,
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

__all__ = ["Format", "JsonFormat", "TextFormat", "duration"]

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
# The same, but for newlines: many lines at once.
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_JOB_COLOURS = ("36", "35", "34", "33", "32", "96", "95", "94")
_OUTCOME_COLOURS = {Outcome.SUCCEEDED: "32", Outcome.STOPPED: "32", Outcome.SKIPPED: "33", Outcome.MISSED: "33"}
_BAD = "31"
_DIM = "2"


class Format(Protocol):
    """Makes log records."""

    def event(self, event: Event) -> bytes:
        """The record of an event, newline included; empty when it is not worth one."""

    def message(self, time: float, text: str, bad: bool = False) -> bytes:
        """The record of something gcron itself says."""

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], bad: bool = False
    ) -> bytes:
        """The record of something with parts: `fields` for machines, `lines` for people."""


class TextFormat:
    """Lines that a person likes to read: time, job, what happened.

    `colour`: with terminal colours; `full_date`: whole date and offset rather than the time of day.
    """

    def __init__(self, timezone: tzinfo, colour: bool = False, full_date: bool = True) -> None:
        self._timezone = timezone
        self._colour = colour
        self._full_date = full_date
        self._width = 8

    def event(self, event: Event) -> bytes:
        """See `Format.event`."""
        describe = _TEXT.get(type(event))
        if isinstance(event, JobOutput):
            return self._output(event)
        if describe is None:
            return b""
        text, colour = describe(event)
        if not text:
            return b""
        return self._line(event.time, event.job, self._paint(text, colour))

    def message(self, time: float, text: str, bad: bool = False) -> bytes:
        """See `Format.message`."""
        return self._line(time, "gcron", self._paint(_safe(text), _BAD if bad else "1"))

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], bad: bool = False
    ) -> bytes:
        """See `Format.report`."""
        colour = _BAD if bad else ""
        return b"".join(self._line(time, "gcron", self._paint(_safe(line), colour)) for line in lines)

    def fit(self, names: list[str]) -> None:
        """Make room for these names in the job column."""
        self._width = min(28, max([8, *map(len, names)]))

    def _output(self, event: JobOutput) -> bytes:
        mark = self._paint("!" if event.stream == "stderr" else "|", _BAD if event.stream == "stderr" else _DIM)
        prefix = f"{self._prefix(event.time, event.job)} {mark} " + ("(late) " if event.late else "")
        # All lines at once: the hot path of jobs that print much.
        text = b"\n".join(event.lines).decode("utf-8", "backslashreplace").replace("\r\n", "\n").removesuffix("\r")
        lines = _CONTROL_IN_LINES.sub(_escape, text).replace("\n", "\n" + prefix)
        return f"{prefix}{lines}\n".encode("utf-8", "backslashreplace")

    def _line(self, time: float, job: str, text: str) -> bytes:
        return f"{self._prefix(time, job)} {text}\n".encode("utf-8", "backslashreplace")

    def _prefix(self, time: float, job: str) -> str:
        moment = datetime.fromtimestamp(time, self._timezone)
        stamp = moment.isoformat(timespec="seconds") if self._full_date else moment.strftime("%H:%M:%S")
        label = _safe(job).ljust(self._width)
        colour = "1" if job == "gcron" else _JOB_COLOURS[sum(job.encode("utf-8", "replace")) % len(_JOB_COLOURS)]
        return f"{self._paint(stamp, _DIM)}  {self._paint(label, colour)}"

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour and colour else text


class JsonFormat:
    """One JSON object a line; times are RFC 3339 in UTC. A job's own JSON object stands under `line` as an object."""

    def event(self, event: Event) -> bytes:
        """See `Format.event`."""
        record: dict[str, object] = {"time": _rfc3339(event.time), "event": event.kind, "job": event.job}
        if isinstance(event, JobOutput):
            record |= {"run": event.run_id, "stream": event.stream} | ({"late": True} if event.late else {})
            return b"".join(_json_line(record, line) for line in event.lines)
        return _dump(record | _JSON[type(event)](event))

    def message(self, time: float, text: str, bad: bool = False) -> bytes:
        """See `Format.message`."""
        level = "error" if bad else "info"
        return _dump({"time": _rfc3339(time), "event": "message", "level": level, "message": text})

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], bad: bool = False
    ) -> bytes:
        """See `Format.report`."""
        return _dump({"time": _rfc3339(time), "event": event, **fields})


def duration(seconds: float) -> str:
    """Seconds for people: `0.02 s`, `2m05s`, `1h03m`."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m"


# -- text -------------------------------------------------------------------------------------------------------


def _describe_finished(event: RunFinished) -> tuple[str, str]:
    result = event.result
    colour = _OUTCOME_COLOURS.get(result.outcome, _BAD)
    text = f"{result.outcome}"
    if result.reason:
        text += f": {_safe(result.reason)}"
    if result.outcome is not Outcome.SKIPPED:
        attempt = f"attempt {result.attempts}, " if result.attempts > 1 else ""
        text += f" ({attempt}after {duration(result.duration)})"
    if result.left_behind:
        text += f"; could not be killed: {_safe(result.left_behind)}"
    return text, colour


def _describe_retry(event: RetryPlanned) -> tuple[str, str]:
    result = event.result
    return f"attempt {event.attempt} {result.outcome}: {_safe(result.reason)}; next in {duration(event.delay)}", "33"


def _describe_missed(event: FiresMissed) -> tuple[str, str]:
    first, last = _moment(event.first), _moment(event.last)
    span = first if event.first == event.last else f"{first} to {last}"
    return f"missed: {span}: {event.reason}", "33"


def _describe_late(event: RunLate) -> tuple[str, str]:
    return f"late: begins {duration(event.delay)} after {_moment(event.fire_at)}: {_safe(event.reason)}", "33"


def _describe_overdue(event: SuccessOverdue) -> tuple[str, str]:
    last = "none yet" if event.last_success is None else f"the last one at {_moment(event.last_success)}"
    return f"ALARM: no success within {duration(event.within)}, {last}", _BAD


def _describe_resumed(event: SuccessResumed) -> tuple[str, str]:
    return f"all clear: a success again, after {duration(event.silence)}", "32"


def _moment(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _describe_service(event: ServiceStateChanged) -> tuple[str, str]:
    # The other states are told by the events of their runs: a process was started, and how it ended.
    if event.state is ServiceState.BACKING_OFF:
        return f"started again in {duration(event.delay)} (restart {event.restarts + 1})", "33"
    if event.state is ServiceState.FAILED:
        return f"service failed, and is not started again: {_safe(event.reason)}", _BAD
    if event.state is ServiceState.READY and event.reason:
        return f"ready: {_safe(event.reason)}", "32"
    return "", ""


_TEXT: dict[type[Event], Callable[[Any], tuple[str, str]]] = {
    ProcessStarted: lambda event: (f"started (pid {event.pid})", ""),
    Notice: lambda event: (_safe(event.text), "33"),
    RetryPlanned: _describe_retry,
    RunFinished: _describe_finished,
    FiresMissed: _describe_missed,
    RunLate: _describe_late,
    SuccessOverdue: _describe_overdue,
    SuccessResumed: _describe_resumed,
    ServiceStateChanged: _describe_service,
}


def _safe(text: str) -> str:
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"


# -- json -------------------------------------------------------------------------------------------------------


def _finished_fields(event: RunFinished) -> dict[str, object]:
    result = event.result
    fields: dict[str, object] = {
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


def _service_fields(event: ServiceStateChanged) -> dict[str, object]:
    fields: dict[str, object] = {"state": str(event.state), "reason": event.reason, "restarts": event.restarts}
    return fields | ({"delay": round(event.delay, 6)} if event.state is ServiceState.BACKING_OFF else {})


_JSON: dict[type[Event], Callable[[Any], dict[str, object]]] = {
    RunStarted: lambda event: {"run": event.run_id, "fire_at": _instant(event.fire_at)},
    ProcessStarted: lambda event: {"run": event.run_id, "pid": event.pid},
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


def _dump(record: dict[str, Any]) -> bytes:
    # ASCII escapes keep lone surrogates and control characters harmless for every reader.
    return json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def _json_line(record: dict[str, Any], line: bytes) -> bytes:
    text = line.removesuffix(b"\r").decode("utf-8", "backslashreplace")
    if text.startswith("{") and text.rstrip().endswith("}"):
        try:
            return _dump(record | {"line": json.loads(text)})
        except (ValueError, RecursionError):
            pass  # no JSON, or none that every reader takes: NaN, 1e999, a thousand brackets
    return _dump(record | {"line": text})


def _instant(instant: float | None) -> str | None:
    return None if instant is None else _rfc3339(instant)


def _rfc3339(time: float) -> str:
    timespec = "milliseconds" if isinstance(time, float) else "seconds"
    return datetime.fromtimestamp(time, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")

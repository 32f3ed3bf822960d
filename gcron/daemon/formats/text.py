"""Lines for people: time, job, what happened."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from gcron.scheduler import (
    FiresMissed,
    JobOutput,
    Notice,
    Outcome,
    ProcessStarted,
    RetryPlanned,
    RunFinished,
    RunLate,
    ServiceState,
    ServiceStateChanged,
    SuccessOverdue,
    SuccessResumed,
)
from gcron.scheduler.events import (
    JobEvent,
    JobPaused,
    JobResumed,
    LoopBlocked,
    SchedulerEvent,
    StoreFailed,
    StoreRecovered,
)
from gcron.supervise.outcome import Reason

__all__ = ["TextFormat", "duration"]

# Bytes that go into the log as they are; lines with any other are looked at one by one.
_PLAIN = bytes(range(0x20, 0x7F)) + b"\t\n"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
# The same without newlines, for many lines at once.
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_JOB_COLOURS = ("36", "35", "34", "33", "32", "96", "95", "94")
_OUTCOME_COLOURS = {Outcome.SUCCEEDED: "32", Outcome.STOPPED: "32", Outcome.SKIPPED: "33", Outcome.MISSED: "33"}
_BAD = "31"
_DIM = "2"


class TextFormat:
    """Lines for people: time, job, what happened.

    `colour`: with terminal colours; `full_date`: whole date and offset rather than the time of day.
    """

    def __init__(self, timezone: tzinfo, colour: bool = False, full_date: bool = True) -> None:
        self._timezone = timezone
        self._colour = colour
        self._full_date = full_date
        self._width = 8

    def event(self, event: SchedulerEvent) -> bytes:
        """See `Format.event`."""
        describe = _TEXT.get(type(event))
        if isinstance(event, JobOutput):
            return self._output(event)
        if describe is None:
            return b""
        text, colour = describe(event)
        if not text:
            return b""
        job = event.job if isinstance(event, JobEvent) else "gcron"
        return self._line(event.time, job, self._paint(text, colour))

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
        """All lines at once: the hot path of jobs that print much (benchmarks/log.py)."""
        mark = self._paint("!" if event.stream == "stderr" else "|", _BAD if event.stream == "stderr" else _DIM)
        prefix = f"{self._prefix(event.time, event.job)} {mark} " + ("(late) " if event.late else "")
        start = prefix.encode("utf-8", "backslashreplace")
        end = self._paint(" (continued)", _DIM).encode() + b"\n" if event.continued else b"\n"
        block = b"\n".join(event.lines)
        if block.translate(None, _PLAIN):
            block = _harmless(block)
        return start + block.replace(b"\n", b"\n" + start) + end

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


def duration(seconds: float) -> str:
    """Seconds for people: `0.02 s`, `2m05s`, `1h03m`."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m"


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
    return f"missed: {span}: {_safe(event.reason)}", "33"


def _describe_late(event: RunLate) -> tuple[str, str]:
    return f"late: begins {duration(event.delay)} after {_moment(event.fire_at)}: {_safe(event.reason)}", "33"


def _describe_overdue(event: SuccessOverdue) -> tuple[str, str]:
    last = "none yet" if event.last_success is None else f"the last one at {_moment(event.last_success)}"
    return f"ALARM: no success within {duration(event.within)}, {last}", _BAD


def _describe_resumed(event: SuccessResumed) -> tuple[str, str]:
    return f"all clear: a success again, after {duration(event.silence)}", "32"


def _describe_recovered(event: StoreRecovered) -> tuple[str, str]:
    lost = f"; {event.lost} records of history are lost" if event.lost else ""
    return f"the store works again{lost}", "32"


def _moment(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _describe_service(event: ServiceStateChanged) -> tuple[str, str]:
    # Events of its runs show the other states: a process started, or how it ended.
    if event.state is ServiceState.BACKING_OFF:
        return f"will be started again in {duration(event.delay)} (restart {event.restarts + 1})", "33"
    if event.state is ServiceState.FAILED:
        return f"service failed, and is not started again: {_safe(event.reason)}", _BAD
    if event.state is ServiceState.READY and event.reason:
        return f"ready: {_safe(event.reason)}", "32"
    return "", ""


_TEXT: dict[type[SchedulerEvent], Callable[[Any], tuple[str, str]]] = {
    ProcessStarted: lambda event: (f"started (pid {event.pid})", ""),
    Notice: lambda event: (_safe(event.text), "33"),
    RetryPlanned: _describe_retry,
    RunFinished: _describe_finished,
    FiresMissed: _describe_missed,
    RunLate: _describe_late,
    SuccessOverdue: _describe_overdue,
    SuccessResumed: _describe_resumed,
    ServiceStateChanged: _describe_service,
    JobPaused: lambda event: ("paused", "33"),
    JobResumed: lambda event: ("resumed", ""),
    LoopBlocked: lambda event: (
        f"{_safe(event.what)} blocked all jobs for {duration(event.seconds)}: {_safe(event.where)}",
        _BAD,
    ),
    StoreFailed: lambda event: (_safe(event.reason), _BAD),
    StoreRecovered: _describe_recovered,
}


def _harmless(block: bytes) -> bytes:
    """Lines in which all that is not UTF-8, or could move a terminal's cursor, is escaped."""
    text = block.decode("utf-8", "backslashreplace").replace("\r\n", "\n").removesuffix("\r")
    return _CONTROL_IN_LINES.sub(_escape, text).encode("utf-8", "backslashreplace")


def _safe(text: str | Reason) -> str:
    return _CONTROL.sub(_escape, str(text))


def _escape(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"

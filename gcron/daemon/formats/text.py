"""Lines for people: time, job, what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from gcron.daemon.formats.format import RECORD_LIMIT, Level, has_long_line, pieces
from gcron.escaping import escape, escape_line
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
    asked_words,
)
from gcron.supervise.usage import Usage
from gcron.wording import describe_size

__all__ = ["TextFormat", "duration"]

# Bytes that go into the log as they are; lines with any other are looked at one by one.
_PLAIN = bytes(range(0x20, 0x7F)) + b"\t\n"
_JOB_COLOURS = ("36", "35", "34", "33", "32", "96", "95", "94")
_OUTCOME_COLOURS = {Outcome.SUCCEEDED: "32", Outcome.STOPPED: "32", Outcome.SKIPPED: "33", Outcome.MISSED: "33"}
_LONGEST_LABEL = 256
# Seconds of processor time and bytes of memory that are not worth a word.
_LITTLE_TIME, _LITTLE_MEMORY = 0.1, 16 * 1024 * 1024
_BAD = "31"
_LEVEL_COLOURS: dict[Level, str] = {"info": "", "warning": "33", "error": _BAD}
_DIM = "2"


class TextFormat:
    """Lines for people: time, job, what happened; of at most `limit` bytes.

    `colour`: with terminal colours; `full_date`: whole date and offset rather than the time of day.
    """

    def __init__(
        self, timezone: tzinfo, colour: bool = False, full_date: bool = True, limit: int = RECORD_LIMIT
    ) -> None:
        self.timezone = timezone
        self._colour = colour
        self._full_date = full_date
        self._limit = limit
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
        return self._lines(event.time, job, text, colour)

    def message(self, time: float, text: str, level: Level = "info") -> bytes:
        """See `Format.message`."""
        return self._lines(time, "gcron", text, _LEVEL_COLOURS[level] or "1")

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], level: Level = "info"
    ) -> bytes:
        """See `Format.report`."""
        colour = _LEVEL_COLOURS[level]
        return b"".join(self._lines(time, "gcron", line, colour) for line in lines)

    def fit(self, names: list[str]) -> None:
        """Make room for these names in the job column."""
        self._width = min(28, max([8, *map(len, names)]))

    def _output(self, event: JobOutput) -> bytes:
        """All lines at once: the hot path of jobs that print much (benchmarks/log.py)."""
        mark = self._paint("!" if event.stream == "stderr" else "|", _BAD if event.stream == "stderr" else _DIM)
        prefix = f"{self._prefix(event.time, event.job)} {mark} " + ("(late) " if event.late else "")
        start = prefix.encode("utf-8")
        end = self._paint(" (continued)", _DIM).encode() + b"\n" if event.continued else b"\n"
        block = b"\n".join(event.lines)
        if block.translate(None, _PLAIN):
            text = block.decode("utf-8", "backslashreplace").replace("\r\n", "\n").removesuffix("\r")
            block = escape(text).encode("utf-8")
        room = self._limit - len(start) - len(self._paint(" (continued)", _DIM)) - 1
        if not has_long_line(block, room):
            return start + block.replace(b"\n", b"\n" + start) + end
        more = self._paint(" (continued)", _DIM).encode() + b"\n" + start
        return b"\n".join([*(start + line for line in _cut_lines(block, room, more))]) + end

    def _lines(self, time: float, job: str, text: str, colour: str) -> bytes:
        """What gcron says, in one record, or in several if it is long. What others decide of it is made safe here."""
        prefix = f"{self._prefix(time, job)} "
        room = self._limit - _size(prefix) - len(self._paint(" (continued)", "33")) - 1
        *parts, last = pieces(escape_line(text), room, _size)
        records = [f"{prefix}{self._paint(f'{part} (continued)', colour)}\n" for part in parts]
        return "".join([*records, f"{prefix}{self._paint(last, colour)}\n"]).encode("utf-8")

    def _prefix(self, time: float, job: str) -> str:
        moment = datetime.fromtimestamp(time, self.timezone)
        stamp = moment.isoformat(timespec="seconds") if self._full_date else moment.strftime("%H:%M:%S")
        label = next(pieces(escape_line(job), _LONGEST_LABEL, _size)).ljust(self._width)
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
        text += f": {result.reason}"
    if result.duration is not None:
        attempt = f"attempt {result.attempts}, " if result.attempts > 1 else ""
        text += f" ({attempt}after {duration(result.duration)}{_describe_usage(result.usage)})"
    if result.left_behind:
        text += f"; could not be killed: {result.left_behind}"
    return text, colour


def _describe_usage(usage: Usage) -> str:
    """What it used, as far as that is much and known: most lines stay short."""
    cpu, peak = usage.cpu_seconds, usage.max_rss_bytes
    seconds = "" if cpu is None or cpu < _LITTLE_TIME else f", cpu {duration(cpu)}"
    return seconds + ("" if peak is None or peak < _LITTLE_MEMORY else f", peak {describe_size(peak)}")


def _describe_retry(event: RetryPlanned) -> tuple[str, str]:
    result = event.result
    return f"attempt {event.attempt} {result.outcome}: {result.reason}; next in {duration(event.delay)}", "33"


def _describe_missed(event: FiresMissed) -> tuple[str, str]:
    first, last = _moment(event.first), _moment(event.last)
    span = first if event.first == event.last else f"{first} to {last}"
    return f"missed: {span}: {event.reason}", "33"


def _describe_late(event: RunLate) -> tuple[str, str]:
    return f"late: begins {duration(event.delay)} after {_moment(event.fire_at)}: {event.reason}", "33"


def _describe_overdue(event: SuccessOverdue) -> tuple[str, str]:
    last = "none yet" if event.last_success is None else f"the last one at {_moment(event.last_success)}"
    return f"ALARM: no success within {duration(event.within)}, {last}", _BAD


def _describe_resumed(event: SuccessResumed) -> tuple[str, str]:
    return f"all clear: a success again, after {duration(event.silence)}", "32"


def _describe_paused(event: JobPaused) -> tuple[str, str]:
    until = f" until {_moment(event.until)}" if event.until is not None else ""
    return asked_words(f"paused{until}", event.who, event.why), "33"


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
        return f"service failed, and is not started again: {event.reason}", _BAD
    if event.state is ServiceState.READY and event.reason:
        return f"ready: {event.reason}", "32"
    return "", ""


_TEXT: dict[type[SchedulerEvent], Callable[[Any], tuple[str, str]]] = {
    ProcessStarted: lambda event: (f"started (pid {event.pid})", ""),
    Notice: lambda event: (event.text, "33"),
    RetryPlanned: _describe_retry,
    RunFinished: _describe_finished,
    FiresMissed: _describe_missed,
    RunLate: _describe_late,
    SuccessOverdue: _describe_overdue,
    SuccessResumed: _describe_resumed,
    ServiceStateChanged: _describe_service,
    JobPaused: _describe_paused,
    JobResumed: lambda event: (asked_words("resumed", event.who), ""),
    LoopBlocked: lambda event: (
        f"{event.what} blocked all jobs for {duration(event.seconds)}: {event.where}",
        _BAD,
    ),
    StoreFailed: lambda event: (str(event.reason), _BAD),
    StoreRecovered: _describe_recovered,
}


def _cut_lines(block: bytes, room: int, more: bytes) -> Iterator[bytes]:
    for line in block.decode("utf-8").split("\n"):
        yield more.join(piece.encode("utf-8") for piece in pieces(line, room, _size))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))

"""The words of messages: from an occasion to a title, and lines for people. Pure."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from gcron.notify.message import Message, new_id
from gcron.notify.rules import Occasion
from gcron.scheduler.events import FiresMissed, JobEvent, RunFinished, RunLate, ServiceStateChanged, SuccessOverdue
from gcron.scheduler.job import Job
from gcron.scheduler.records import event_record
from gcron.supervise.command import Command
from gcron.supervise.outcome import Outcome, RunResult
from gcron.supervise.restarts import ServiceState
from gcron.supervise.usage import Usage
from gcron.wording import describe_size, option_span

__all__ = ["message_about_reload", "message_of", "test_message"]

_TAIL = 10_000
# Variables of a job that mails name in their headers, as cron does. Others may be secrets.
_SHOWN = ("SHELL", "HOME", "PATH", "LOGNAME", "USER", "MAILTO", "CRON_TZ")
# As text: `re` compiles it at its first use.
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f]"
_CONTROL_BYTES = bytes([*range(9), *range(11, 32), 127])
_HAPPENED = {
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.START_FAILED: "did not start",
    Outcome.KILLED: "was killed",
    Outcome.UNKNOWN_EXIT: "ended, nobody knows how",
    Outcome.LOST: "was lost",
}


def message_of(occasion: Occasion, kind: str, job: Job, zone: tzinfo) -> Message:
    """Return the message of a kind about `job`; its times for people are in `zone`."""
    event = occasion.event
    result = event.result if isinstance(event, RunFinished) else None
    command = job.action if isinstance(job.action, Command) else None
    output = "" if result is None else _output_of(result)
    return Message(
        new_id(),
        kind,
        event.time,
        _title(occasion, kind, zone),
        event.job,
        "\n".join(_details(event, job, zone)),
        event_record(event) | ({"count": occasion.count} if occasion.count > 1 else {}),
        output,
        output[-_TAIL:],
        "" if command is None else _readable(command.text.encode("utf-8", "surrogateescape")),
        {} if command is None else {name: command.environment[name] for name in _SHOWN if name in command.environment},
        is_urgent=occasion.is_urgent,
    )


def message_about_reload(problem: str, now: float) -> Message:
    """Return the message that the crontabs on the disk are wrong; with an empty `problem`, that they are right."""
    title = (
        "the crontab on disk is wrong: the jobs stay as they are" if problem else "the crontab on disk is right again"
    )
    record = {"event": "reload", "problem": problem}
    return Message(new_id(), "reload", now, f"gcron: {title}", text=problem, record=record)


def test_message(name: str, now: float) -> Message:
    """Return a message that says it is a test."""
    text = "Nothing has failed. Somebody ran `gcron notify` to see whether messages arrive here."
    record = {"event": "test", "target": name}
    return Message(new_id(), "test", now, "gcron: this is a test", "gcron-test", text, record)


def _title(occasion: Occasion, kind: str, zone: tzinfo) -> str:
    event = occasion.event
    job = event.job
    often = f" ({occasion.count} times since {_time(occasion.since, zone)})" if occasion.count > 1 else ""
    if isinstance(event, RunFinished):
        result = event.result
        reason = f": {result.reason}" if result.reason else ""
        if kind == "recovery":
            return f"{job} works again (it did not since {_time(occasion.since, zone)})"
        if result.outcome is Outcome.SUCCEEDED:
            return f"{job} succeeded" if kind == "success" else f"{job} printed output"
        return f"{job} {_HAPPENED.get(result.outcome) or f'was {result.outcome}'}{reason}{often}"
    if isinstance(event, FiresMissed):
        return f"{job} missed {event.count} fire{'' if event.count == 1 else 's'}: {event.reason}{often}"
    if isinstance(event, RunLate):
        return f"{job} begins {option_span(round(event.delay))} late: {event.reason}{often}"
    if isinstance(event, SuccessOverdue):
        return f"{job} is overdue: no success for {option_span(round(event.within))}"
    if isinstance(event, ServiceStateChanged):
        return f"the service {job} {_state(event)}"
    return f"{job} starts"


def _state(event: ServiceStateChanged) -> str:
    if event.state is ServiceState.READY:
        return "is well again"
    if event.state is ServiceState.FAILED:
        return f"is given up: {event.reason}"
    return f"ends again and again: {event.reason}"


def _details(event: JobEvent, job: Job, zone: tzinfo) -> list[str]:
    lines = [f"job: {event.job}"]
    if job.policy.description:
        lines.append(f"description: {job.policy.description}")
    if job.source:
        lines.append(f"defined in: {job.source}")
    if isinstance(event, RunFinished):
        result = event.result
        if event.fire_at is not None:
            lines.append(f"due: {_time(event.fire_at, zone)}")
        lines.append(f"outcome: {result.outcome}" + (f" ({result.reason})" if result.reason else ""))
        took = [] if result.duration is None else [f"{result.duration:.1f} s"]
        attempts = [f"{result.attempts} attempts"] if result.attempts > 1 else []
        lines += [f"took: {', '.join(took + attempts)}"] if took or attempts else []
        lines += _used(result.usage)
        lines.append(f"run: {event.run_id}")
        if result.error is not None:
            lines += ["", result.traceback.rstrip()]
    elif isinstance(event, SuccessOverdue):
        last = "never, as far as gcron knows" if event.last_success is None else _time(event.last_success, zone)
        lines.append(f"last success: {last}")
    elif isinstance(event, FiresMissed):
        lines.append(
            f"due: {_time(event.first, zone)}" + f" to {_time(event.last, zone)}" * (event.first != event.last)
        )
    return lines


def _used(usage: Usage) -> list[str]:
    """A line about processor time and memory, as far as they are known."""
    cpu = [] if usage.cpu_seconds is None else [f"{usage.cpu_seconds:.1f} s of processor time"]
    peak = [] if usage.max_rss_bytes is None else [f"at most {describe_size(usage.max_rss_bytes)} of memory"]
    return [f"used: {', '.join(cpu + peak)}"] if cpu or peak else []


def _time(seconds: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def _output_of(result: RunResult) -> str:
    head, tail = _readable(result.output_head), _readable(result.output_tail)
    omitted = result.output_size - len(result.output_head) - len(result.output_tail)
    return (
        f"{head}\n[… {omitted} bytes are left out …]\n{tail}"
        if omitted > 0
        else _readable(result.output_head + result.output_tail)
    )


def _readable(data: bytes) -> str:
    """Bytes as text that any receiver takes: no half characters, and no control characters but tab and newline."""
    text = data.decode("utf-8", "replace")
    if len(data.translate(None, _CONTROL_BYTES)) == len(data):
        return text  # as nearly all is, and a tenth of the time: a thousand runs may end at once
    return re.sub(_CONTROL, "\ufffd", text.replace("\r\n", "\n"))

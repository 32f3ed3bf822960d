"""What observers are told: plain dataclasses, one a kind of event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gcron.supervise.outcome import RunResult
from gcron.supervise.output import Stream

__all__ = [
    "EVENTS",
    "Event",
    "FiresMissed",
    "JobOutput",
    "Notice",
    "ProcessStarted",
    "RetryPlanned",
    "RunFinished",
    "RunStarted",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job."""

    kind: ClassVar[str] = "event"
    time: float
    """Seconds of UTC."""
    job: str


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A fire is claimed; its process is about to start."""

    kind: ClassVar[str] = "run-started"
    run_id: str
    fire_at: int | None
    """Seconds of UTC at which it was due; None when triggered by hand."""


@dataclass(frozen=True, slots=True)
class ProcessStarted(Event):
    """A run's process exists."""

    kind: ClassVar[str] = "process-started"
    run_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class JobOutput(Event):
    """A run wrote lines; bytes as they came, without newlines."""

    kind: ClassVar[str] = "output"
    run_id: str
    stream: Stream
    lines: list[bytes]
    late: bool
    """Written after the run had ended, by a process that it left behind."""


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """Something about a run that a person would want to know."""

    kind: ClassVar[str] = "notice"
    run_id: str
    text: str


@dataclass(frozen=True, slots=True)
class RetryPlanned(Event):
    """An attempt of a run failed, and another one follows."""

    kind: ClassVar[str] = "retry-planned"
    run_id: str
    attempt: int
    """The one that failed, from 1."""
    result: RunResult
    delay: float
    """Seconds until the next."""


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """A fire has its outcome; skipped ones come here too, without a start."""

    kind: ClassVar[str] = "run-finished"
    run_id: str
    fire_at: int | None
    result: RunResult


@dataclass(frozen=True, slots=True)
class FiresMissed(Event):
    """Fires that fell into a time when gcron could not act: a suspend, a stopped process, a step of the clock."""

    kind: ClassVar[str] = "fires-missed"
    first: int
    last: int
    """Seconds of UTC at which the first and the last of them were due."""
    reason: str


EVENTS = {
    kind.kind: kind for kind in (RunStarted, ProcessStarted, JobOutput, Notice, RetryPlanned, RunFinished, FiresMissed)
}
"""All kinds of events by the name that `Scheduler.on` takes."""

"""What observers are told: plain dataclasses, one a kind of event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gcron.supervise.outcome import RunResult
from gcron.supervise.output import Stream
from gcron.supervise.service import ServiceState

__all__ = [
    "EVENTS",
    "Event",
    "FiresMissed",
    "JobOutput",
    "Notice",
    "ProcessStarted",
    "RawOutput",
    "RetryPlanned",
    "RunFinished",
    "RunLate",
    "RunStarted",
    "ServiceStateChanged",
    "SuccessOverdue",
    "SuccessResumed",
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
    continued: bool = False
    """The last of the lines goes on in the next event of this run and stream: it is long, or came haltingly."""


@dataclass(frozen=True, slots=True)
class RawOutput(Event):
    """A run with `output=raw` wrote bytes."""

    kind: ClassVar[str] = "raw-output"
    run_id: str
    stream: Stream
    data: bytes
    late: bool


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
    count: int
    """How many they are; at least, where they are more than a hundred, or many jobs missed some at once."""


@dataclass(frozen=True, slots=True)
class RunLate(Event):
    """A run begins seconds after it was due; its jitter does not count."""

    kind: ClassVar[str] = "run-late"
    run_id: str
    fire_at: int
    delay: float
    """Seconds from when it was due, or put off to by its jitter."""
    reason: str
    """What kept it."""


@dataclass(frozen=True, slots=True)
class SuccessOverdue(Event):
    """A job has not succeeded within its `expect-within`. Told once, until it has succeeded again."""

    kind: ClassVar[str] = "success-overdue"
    within: float
    """Seconds in which it should have."""
    last_success: float | None
    """Seconds of UTC; None when there was none since gcron knows it."""


@dataclass(frozen=True, slots=True)
class SuccessResumed(Event):
    """A job whose success was told to be overdue has succeeded."""

    kind: ClassVar[str] = "success-resumed"
    silence: float
    """Seconds since its success before, or since gcron knows it."""


@dataclass(frozen=True, slots=True)
class ServiceStateChanged(Event):
    """A service starts, can be used, ended; its lives are runs with events of their own."""

    kind: ClassVar[str] = "service-state-changed"
    state: ServiceState
    reason: str
    restarts: int
    """How often it was started again since gcron has known it as it is."""
    delay: float
    """Seconds until it is started again, when it is backing off."""


EVENTS = {
    kind.kind: kind
    for kind in (
        RunStarted,
        ProcessStarted,
        JobOutput,
        RawOutput,
        Notice,
        RetryPlanned,
        RunFinished,
        FiresMissed,
        RunLate,
        SuccessOverdue,
        SuccessResumed,
        ServiceStateChanged,
    )
}
"""All kinds of events by the name that `Scheduler.on` takes."""

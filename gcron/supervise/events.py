"""What happens in a run, as data: the vocabulary in which attempts speak.

The scheduler has more kinds of events (`gcron.scheduler.events`), of the same family.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from gcron.frozen import frozen
from gcron.supervise.output import Stream

__all__ = ["Emit", "JobEvent", "JobOutput", "Notice", "ProcessStarted", "RawOutput", "SchedulerEvent"]


@frozen
class SchedulerEvent:
    """Something that happened."""

    kind: ClassVar[str] = "event"
    time: float
    """Seconds of UTC."""


@frozen
class JobEvent(SchedulerEvent):
    """Something that happened to a job."""

    job: str
    """Name of the job."""


@frozen
class ProcessStarted(JobEvent):
    """A run's process exists."""

    kind: ClassVar[str] = "process-started"
    run_id: str
    pid: int
    attempt: int = 1
    """From 1."""
    since_boot: float | None = None
    """When it existed, on the clock's `monotonic`: with the pid, that identifies it among all of this boot."""


@frozen
class JobOutput(JobEvent):
    """A run wrote lines: bytes as they came, without newlines."""

    kind: ClassVar[str] = "output"
    run_id: str
    stream: Stream
    lines: list[bytes]
    late: bool
    """Written after the run had ended, by a process that it left behind."""
    continued: bool = False
    """The last line goes on in the next event of this run and stream: it is long, or came in pieces."""
    lacks_newline: bool = False
    """The last line is the end of the stream, and has no newline."""


@frozen
class RawOutput(JobEvent):
    """A run with `output=raw` wrote bytes."""

    kind: ClassVar[str] = "raw-output"
    run_id: str
    stream: Stream
    data: bytes
    late: bool


@frozen
class Notice(JobEvent):
    """Something about a run, or its job, that a person would want to know."""

    kind: ClassVar[str] = "notice"
    run_id: str
    """Empty when it is about the job."""
    text: str
    is_warning: bool = False
    """Something that a person should act on."""


Emit = Callable[[JobEvent], object]
"""Takes the events of an attempt. It may park: that slows down this attempt only."""

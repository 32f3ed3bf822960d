"""The events that observers get: plain data, one class for each kind. Those of attempts: `gcron.supervise.events`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from gcron.frozen import frozen
from gcron.supervise.events import JobEvent, JobOutput, Notice, ProcessStarted, RawOutput, SchedulerEvent
from gcron.supervise.outcome import Reason, RunResult
from gcron.supervise.restarts import ServiceState

__all__ = [
    "EVENTS",
    "NEWS",
    "FiresMissed",
    "JobEvent",
    "JobOutput",
    "JobPaused",
    "JobResumed",
    "LoopBlocked",
    "Notice",
    "ProcessStarted",
    "RawOutput",
    "RetryPlanned",
    "RunFinished",
    "RunLate",
    "RunStarted",
    "SchedulerEvent",
    "ServiceStateChanged",
    "StoreFailed",
    "StoreRecovered",
    "SuccessOverdue",
    "SuccessResumed",
    "asked_words",
]


def asked_words(what: str, who: str, why: str = "") -> str:
    """What somebody asked for, who, and why, as far as that is known: `triggered by ann: a test`."""
    return what + (f" by {who}" if who else "") + (f": {why}" if why else "")


@frozen
class RunStarted(JobEvent):
    """A fire is claimed; its process is about to start."""

    kind: ClassVar[str] = "run-started"
    run_id: str
    fire_at: int | None
    """Seconds of UTC at which it was due; None when triggered by hand."""
    who: str = ""
    """Who triggered it, if known."""
    why: str = ""
    """The reason that was given for the trigger."""
    node: str = ""
    """Where several nodes share the work: the one that runs it."""
    fence: int = 0
    """The number of its claim, where it has one."""


@frozen
class RetryPlanned(JobEvent):
    """An attempt of a run failed, and another one follows."""

    kind: ClassVar[str] = "retry-planned"
    run_id: str
    attempt: int
    """The one that failed, from 1."""
    result: RunResult
    delay: float
    """Seconds until the next."""


@frozen
class RunFinished(JobEvent):
    """A fire has its outcome. Skipped fires have this event too, without a start."""

    kind: ClassVar[str] = "run-finished"
    run_id: str
    fire_at: int | None
    result: RunResult
    created: float | None = None
    """Seconds of UTC at which its fire was claimed, or at which it was triggered. None: an earlier gcron knew."""
    started: float | None = None
    """Seconds of UTC at which its first attempt began; None if there was none, or an earlier gcron began it."""
    who: str = ""
    why: str = ""
    node: str = ""
    """Where several nodes share the work: the one that ran it."""
    fence: int = 0
    """The number of its claim, where it has one."""


@frozen
class FiresMissed(JobEvent):
    """Fires that fell into a time when gcron could not act: a suspend, a stopped process, a step of the clock."""

    kind: ClassVar[str] = "fires-missed"
    first: int
    last: int
    """Seconds of UTC at which the first and the last of them were due."""
    reason: Reason
    count: int
    """How many they are; at least that many, if they are more than a hundred or many jobs missed some at once."""


@frozen
class RunLate(JobEvent):
    """A run begins seconds after it was due; its jitter does not count."""

    kind: ClassVar[str] = "run-late"
    run_id: str
    fire_at: int
    delay: float
    """Seconds after its due time, or after the end of its jitter."""
    reason: Reason
    """What delayed it."""


@frozen
class SuccessOverdue(JobEvent):
    """A job has not succeeded within its `expect-within`. Emitted once, until it has succeeded again."""

    kind: ClassVar[str] = "success-overdue"
    within: float
    """Seconds of `expect-within`."""
    last_success: float | None
    """Seconds of UTC; None when gcron knows of none."""


@frozen
class SuccessResumed(JobEvent):
    """A job that was overdue has succeeded."""

    kind: ClassVar[str] = "success-resumed"
    silence: float
    """Seconds since its success before, or since gcron knows it."""


@frozen
class ServiceStateChanged(JobEvent):
    """A service starts, can be used, or ended. Each of its lives is a run with events of its own."""

    kind: ClassVar[str] = "service-state-changed"
    state: ServiceState
    reason: Reason
    restarts: int
    """How often it was started again since its definition is as it is."""
    delay: float
    """Seconds until it is started again, when it is backing off."""


@frozen
class JobPaused(JobEvent):
    """A job is not due until it is resumed."""

    kind: ClassVar[str] = "job-paused"
    until: float | None = None
    """When the pause ends by itself; None: never."""
    who: str = ""
    """Who asked for it, if known."""
    why: str = ""


@frozen
class JobResumed(JobEvent):
    """A paused job is due again, from now on."""

    kind: ClassVar[str] = "job-resumed"
    who: str = ""
    """Who asked for it, if known; empty for a pause that ended by itself."""


@frozen
class LoopBlocked(SchedulerEvent):
    """Something kept the scheduler's thread busy for over a second, so no job could start. Emitted at its end."""

    kind: ClassVar[str] = "loop-blocked"
    job: str
    """The job that did it; empty when it was none."""
    what: str
    """`job report`, `an observer of run-finished`, `the program`."""
    where: str
    """File, line and function."""
    seconds: float


@frozen
class StoreFailed(SchedulerEvent):
    """The store does not work: history is lost, and jobs may run again after a crash. Emitted once per failure."""

    kind: ClassVar[str] = "store-failed"
    reason: Reason


@frozen
class StoreRecovered(SchedulerEvent):
    """The store works again."""

    kind: ClassVar[str] = "store-recovered"
    lost: int
    """How many records of history it did not take meanwhile."""


EVENTS: Mapping[str, type[SchedulerEvent]] = MappingProxyType(
    {
        event.kind: event
        for event in (
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
            JobPaused,
            JobResumed,
            LoopBlocked,
            StoreFailed,
            StoreRecovered,
        )
    }
)
"""All kinds of events, by the name that `Scheduler.on` takes."""

NEWS = tuple(kind for kind in EVENTS if kind not in (JobOutput.kind, RawOutput.kind))
"""The kinds of all events but what jobs write."""

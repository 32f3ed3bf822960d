"""The scheduler: a table of jobs, the instants at which they are due, and the gate before each run."""

from gcron.scheduler.counts import Counts, JobCounts
from gcron.scheduler.events import (
    Event,
    FiresMissed,
    JobOutput,
    Notice,
    ProcessStarted,
    RawOutput,
    RetryPlanned,
    RunFinished,
    RunLate,
    RunStarted,
    ServiceStateChanged,
    SuccessOverdue,
    SuccessResumed,
)
from gcron.scheduler.job import Job
from gcron.scheduler.runs import StopReport
from gcron.scheduler.scheduler import Scheduler
from gcron.scheduler.services import ServiceStatus
from gcron.scheduler.status import JobStatus
from gcron.supervise.outcome import Outcome, RunResult
from gcron.supervise.run import Run
from gcron.supervise.service import ServiceState

__all__ = [
    "Counts",
    "Event",
    "FiresMissed",
    "Job",
    "JobCounts",
    "JobOutput",
    "JobStatus",
    "Notice",
    "Outcome",
    "ProcessStarted",
    "RawOutput",
    "RetryPlanned",
    "Run",
    "RunFinished",
    "RunLate",
    "RunResult",
    "RunStarted",
    "Scheduler",
    "ServiceState",
    "ServiceStateChanged",
    "ServiceStatus",
    "StopReport",
    "SuccessOverdue",
    "SuccessResumed",
]

"""The scheduler: a table of jobs, the instants at which they are due, and the runs that come of them."""

from typing import TYPE_CHECKING, Any

from gcron.scheduler.events import (
    FiresMissed,
    JobEvent,
    JobOutput,
    JobPaused,
    JobResumed,
    LoopBlocked,
    Notice,
    ProcessStarted,
    RawOutput,
    RetryPlanned,
    RunFinished,
    RunLate,
    RunStarted,
    SchedulerEvent,
    ServiceStateChanged,
    StoreFailed,
    StoreRecovered,
    SuccessOverdue,
    SuccessResumed,
)
from gcron.scheduler.job import Job
from gcron.scheduler.runs import StopReport
from gcron.scheduler.scheduler import Scheduler
from gcron.scheduler.services import ServiceStatus
from gcron.scheduler.status import Counts, JobCounts, JobStatus
from gcron.scheduler.store import Store
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.python_call import PythonCall
from gcron.supervise.restarts import ServiceState
from gcron.supervise.run import Run, current_run
from gcron.supervise.run_state import RunState

if TYPE_CHECKING:
    from gcron.scheduler.past_run import PastRun

Event = JobEvent

__all__ = [
    "Counts",
    "Event",
    "FiresMissed",
    "Job",
    "JobCounts",
    "JobEvent",
    "JobOutput",
    "JobPaused",
    "JobResumed",
    "JobStatus",
    "LoopBlocked",
    "Notice",
    "Outcome",
    "PastRun",
    "ProcessStarted",
    "PythonCall",
    "RawOutput",
    "Reason",
    "ReasonCode",
    "RetryPlanned",
    "Run",
    "RunFinished",
    "RunLate",
    "RunResult",
    "RunStarted",
    "RunState",
    "Scheduler",
    "SchedulerEvent",
    "ServiceState",
    "ServiceStateChanged",
    "ServiceStatus",
    "StopReport",
    "Store",
    "StoreFailed",
    "StoreRecovered",
    "SuccessOverdue",
    "SuccessResumed",
    "current_run",
]


def __getattr__(name: str) -> Any:
    """Load what few programs need, and `gcron run` does not, when it is asked for."""
    if name == "PastRun":
        from gcron.scheduler.past_run import PastRun

        return PastRun
    raise AttributeError(f"module 'gcron.scheduler' has no attribute {name!r}")

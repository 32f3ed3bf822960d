"""gcron: a cron that supervises what it starts, and the cooperative runtime under it.

This is the front door: it names what users import and loads each room on first use, so that a program that only wants
greenlets need not know of crontabs. Only the loop itself is loaded at once: it has to start where the stack is shallow.
"""

from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"] and ("-m", "gcron") in zip(sys.orig_argv, sys.orig_argv[1:], strict=False):
    # This process is gcron itself. To load the rest takes long, and as process 1 it would lose signals meanwhile.
    from gcron_boot import hold_signals

    hold_signals()

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gcron.runtime.hub import Hub, LoopExit, get_hub
from gcron.version import __version__

if TYPE_CHECKING:
    from gcron.crontab import CrontabError
    from gcron.errors import (
        ArgumentError,
        GcronError,
        JobError,
        JobExistsError,
        JobNameError,
        NoSuchJobError,
        StateError,
    )
    from gcron.policy import PolicyError
    from gcron.runtime.greenlet import (
        Greenlet,
        GreenletExit,
        getcurrent,
        kill,
        signal_handler,
        sleep,
        spawn,
        spawn_later,
    )
    from gcron.runtime.timeout import Timeout, with_timeout
    from gcron.runtime.waiting import iwait, joinall, killall, wait
    from gcron.schedule import ScheduleError, after_end, after_jobs, at, cron, every
    from gcron.scheduler import (
        Job,
        JobStatus,
        Outcome,
        Reason,
        ReasonCode,
        Run,
        RunFinished,
        RunResult,
        RunState,
        Scheduler,
        StopReport,
        current_run,
    )

__all__ = [
    "ArgumentError",
    "CrontabError",
    "GcronError",
    "Greenlet",
    "GreenletExit",
    "Job",
    "JobError",
    "JobExistsError",
    "JobNameError",
    "JobStatus",
    "LoopExit",
    "NoSuchJobError",
    "Outcome",
    "PolicyError",
    "Reason",
    "ReasonCode",
    "Run",
    "RunFinished",
    "RunResult",
    "RunState",
    "ScheduleError",
    "Scheduler",
    "StateError",
    "StopReport",
    "Timeout",
    "__version__",
    "after_end",
    "after_jobs",
    "at",
    "cron",
    "current_run",
    "every",
    "get_hub",
    "getcurrent",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "signal_handler",
    "sleep",
    "spawn",
    "spawn_later",
    "wait",
    "with_timeout",
]

# Where the names live. The slowest import is last.
_ROOMS = (
    "gcron.runtime.greenlet",
    "gcron.runtime.timeout",
    "gcron.runtime.waiting",
    "gcron.errors",
    "gcron.schedule",
    "gcron.policy",
    "gcron.crontab",
    "gcron.scheduler",
)


def __getattr__(name: str) -> Any:
    """Load the room of `name` on first use."""
    if name in __all__:
        for room in map(import_module, _ROOMS):
            if name in room.__all__:
                value = globals()[name] = getattr(room, name)
                return value
    raise AttributeError(f"module 'gcron' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _make_threadpool(hub: Hub) -> Any:
    return import_module("gcron.runtime.threadpool").ThreadPool(hub=hub)


Hub.make_threadpool = _make_threadpool

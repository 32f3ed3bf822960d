"""The options as keyword arguments, with their types, for editors and type checkers.

`OPTIONS` accepts these types and a few more. A test holds the names against that table. Durations are seconds, or a
text such as `1h30m`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from datetime import timedelta
from typing import Literal, TypedDict

__all__ = ["CommandOptions", "FunctionOptions", "ServiceOptions"]

Duration = float | str | timedelta
Size = int | str


class _OfAll(TypedDict, total=False):
    """Options of every job."""

    after: str | list[str] | tuple[str, ...]
    enabled: bool
    description: str
    keep_runs: int | None
    keep_for: Duration | None
    kill_after: Duration
    stop_signal: signal.Signals | str
    success_codes: int | str | Iterable[int]
    output: Literal["lines", "raw", "discard"]
    notify: str | list[str] | tuple[str, ...]
    notify_again: Duration
    run_on: str | None


class _OfSchedules(TypedDict, total=False):
    """Options of scheduled jobs."""

    overlap: Literal["skip", "queue", "replace", "allow"]
    queue_limit: int
    group: str | None
    timeout: Duration | None
    retries: int
    retry_delay: Duration
    retry_backoff: float
    retry_max_delay: Duration
    catchup: Literal["none", "last", "all"]
    reboot: Literal["gcron", "machine"]
    retry_lost: bool
    start_deadline: Duration
    jitter: Duration
    expect_within: Duration | None
    on_stop: Literal["wait", "term"]
    on_failure: str | None
    on_recovery: str | None
    on_success: str | None
    on_overdue: str | None


class _OfServices(TypedDict, total=False):
    """Options of services."""

    restart: Literal["always", "on-failure", "never"]
    restart_delay: Duration
    restart_max_delay: Duration
    restart_limit: int
    min_uptime: Duration
    on_failed: Literal["continue", "stop"]
    ready_when: str | None
    ready_line: str | None


class _OfProcesses(TypedDict, total=False):
    """Options of processes."""

    user: str | int | None
    cwd: str | os.PathLike[str] | None
    umask: int | str | None
    nice: int | None
    env_file: str | os.PathLike[str] | None
    shell: str | os.PathLike[str] | None
    keep_output: Size | None
    orphans: Literal["adopt", "kill", "leave"]
    rlimit_as: Size | None
    rlimit_core: Size | None
    rlimit_cpu: Size | None
    rlimit_data: Size | None
    rlimit_fsize: Size | None
    rlimit_nofile: Size | None
    rlimit_nproc: Size | None
    rlimit_stack: Size | None
    memory_max: Size | None
    cpu_max: int | str | None
    tasks_max: int | str | None


class CommandOptions(_OfAll, _OfSchedules, _OfProcesses, total=False):
    """Options that `Scheduler.command` takes."""


class ServiceOptions(_OfAll, _OfServices, _OfProcesses, total=False):
    """Options that `Scheduler.service` takes."""


class FunctionOptions(_OfAll, _OfSchedules, _OfServices, total=False):
    """Options that `Scheduler.job` takes: a function is run when it is due, or kept running."""

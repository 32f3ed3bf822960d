"""What the library says through `logging`: failures by default, everything for those who ask for it.

`logging` takes 5 ms to import, so it is imported for the first record that somebody can see.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gcron.scheduler.events import (
    FiresMissed,
    LoopBlocked,
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
from gcron.scheduler.watchdog import Blocker
from gcron.supervise.outcome import Outcome, ReasonCode, RunResult
from gcron.supervise.restarts import ServiceState

if TYPE_CHECKING:
    from logging import Logger

__all__ = ["EventLog"]

# As in `logging`.
_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40
# Lines and bytes of the output of a failed command.
_TAIL_LINES = 10
_TAIL_BYTES = 2000
_LEVELS = {
    Outcome.SUCCEEDED: _DEBUG,
    Outcome.STOPPED: _DEBUG,
    Outcome.SKIPPED: _WARNING,
    Outcome.MISSED: _WARNING,
    Outcome.KILLED: _WARNING,
}


class EventLog:
    """An observer that writes to a logger; `logger` is that, or its name."""

    def __init__(self, logger: str | Logger) -> None:
        self._logger = logger

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of events that it wants."""
        return tuple(event.kind for event in _TEXTS)

    def __call__(self, event: SchedulerEvent) -> None:
        """Write an event."""
        level, text = _TEXTS[type(event)](event)
        error = event.result.error if isinstance(event, RunFinished) else None
        self.write(level, text, error, {"job": getattr(event, "job", ""), "run_id": getattr(event, "run_id", "")})

    def report_block(self, blocker: Blocker, seconds: float) -> None:
        """Write that the loop does not turn. Called in the thread of the watchdog."""
        text = f"{blocker.describe(seconds)}\n{blocker.stack}".rstrip("\n")
        self.write(_WARNING, text, None, {"job": blocker.job, "run_id": ""})

    def report_observer(self, observer: object, error: BaseException) -> None:
        """Write that an observer has raised."""
        self.write(_ERROR, f"the observer {observer!r} failed: {type(error).__name__}", error, {})

    def warn(self, text: str) -> None:
        """Write a warning."""
        self.write(_WARNING, text, None, {})

    def write(self, level: int, text: str, error: BaseException | None, extra: Mapping[str, str]) -> None:
        """Write a record, with the traceback of `error`."""
        if level < _WARNING and "logging" not in sys.modules:
            return  # without a configuration, `logging` shows only warnings and errors
        if isinstance(self._logger, str):
            from logging import getLogger

            self._logger = getLogger(self._logger)
        self._logger.log(level, "%s", text, exc_info=error, extra=extra)


def _describe_finished(event: RunFinished) -> tuple[int, str]:
    result = event.result
    level = _LEVELS.get(result.outcome, _ERROR)
    if result.outcome is Outcome.KILLED and result.reason.code is ReasonCode.STOP_REQUESTED:
        level = _INFO
    text = f"job {event.job} {result.outcome}"
    if result.reason:
        text += f": {result.reason}"
    if result.attempts > 1:
        text += f" ({result.attempts} attempts)"
    if result.left_behind:
        text += f"; could not be ended: {result.left_behind}"
    return level, text + (_tail(result) if level >= _WARNING else "")


def _tail(result: RunResult) -> str:
    """The last lines of its output, indented."""
    output = result.output_tail or result.output_head
    lines = output[-_TAIL_BYTES:].decode("utf-8", "backslashreplace").splitlines()
    return "".join(f"\n    {line}" for line in lines[-_TAIL_LINES:])


def _describe_missed(event: FiresMissed) -> tuple[int, str]:
    fires = "a fire" if event.count == 1 else f"{event.count} fires"
    return _WARNING, f"job {event.job} missed {fires}: {event.reason}"


def _describe_service(event: ServiceStateChanged) -> tuple[int, str]:
    level = {ServiceState.FAILED: _ERROR, ServiceState.BACKING_OFF: _WARNING}.get(event.state, _DEBUG)
    return level, f"service {event.job} {event.state}" + (f": {event.reason}" if event.reason else "")


def _describe_block(event: LoopBlocked) -> tuple[int, str]:
    return _WARNING, f"{event.what} blocked all jobs for {event.seconds:.1f} s at {event.where}"


_TEXTS: Mapping[type[SchedulerEvent], Callable[[Any], tuple[int, str]]] = {
    RunStarted: lambda event: (_DEBUG, f"job {event.job} started"),
    RetryPlanned: lambda event: (
        _WARNING,
        f"job {event.job} {event.result.outcome}: {event.result.reason}; next attempt in {event.delay:g} s",
    ),
    RunFinished: _describe_finished,
    FiresMissed: _describe_missed,
    RunLate: lambda event: (_WARNING, f"job {event.job} begins {event.delay:.1f} s late: {event.reason}"),
    SuccessOverdue: lambda event: (_WARNING, f"job {event.job} had no success within {event.within:g} s"),
    SuccessResumed: lambda event: (_INFO, f"job {event.job} succeeds again, after {event.silence:.0f} s"),
    ServiceStateChanged: _describe_service,
    LoopBlocked: _describe_block,
    StoreFailed: lambda event: (_ERROR, str(event.reason)),
    StoreRecovered: lambda event: (_INFO, f"the store works again; {event.lost} records of history are lost"),
}

"""What came of a run: the words and the record."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from enum import StrEnum
from traceback import format_exception

__all__ = ["Outcome", "RunResult", "exit_reason"]


class Outcome(StrEnum):
    """How a due fire ended. Every one ends in exactly one of these, with a reason."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    KILLED = "killed"
    START_FAILED = "start-failed"
    SKIPPED = "skipped"
    MISSED = "missed"
    UNKNOWN_EXIT = "unknown-exit"
    STOPPED = "stopped"
    """A service's alone: it was asked to end, and did."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of a run."""

    outcome: Outcome
    reason: str
    """For people: `exit status 1`, `killed by signal 9 (SIGKILL)`; empty for plain success."""
    exit_code: int | None = None
    """As `Popen.returncode`: negative for a signal; None where no process ended."""
    duration: float = 0.0
    """Seconds from the start to the end of the process (and of its tree, when that was ended) or the call."""
    output_head: bytes = b""
    output_tail: bytes = b""
    output_size: int = 0
    """Bytes of stdout and stderr together, also those kept in neither head nor tail."""
    value: object = None
    """What a Python job returned."""
    attempts: int = 1
    """How many there were, with retries."""
    left_behind: str = ""
    """Processes that nothing could end, named; empty when there are none."""
    error: BaseException | None = field(default=None, compare=False)
    """What a Python job raised."""

    @property
    def traceback(self) -> str:
        """That of `error`, as Python prints it; empty when there is none."""
        return "" if self.error is None else "".join(format_exception(self.error))

    @property
    def succeeded(self) -> bool:
        """True for success alone."""
        return self.outcome is Outcome.SUCCEEDED


# What shells mean by them; sh(1), POSIX "Exit Status for Commands".
_SHELL_STATUS = {126: "the command cannot be executed", 127: "the command was not found"}


def exit_reason(code: int) -> str:
    """Say in words how a process ended."""
    if code >= 0:
        meaning = _SHELL_STATUS.get(code)
        return f"exit status {code}" + (f" ({meaning})" if meaning else "")
    try:
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"killed by signal {-code}"

"""How a run ended: the outcome, the reason, and the result that holds both. Pure data."""

from __future__ import annotations

import signal
from enum import StrEnum

from gcron.frozen import frozen, replace
from gcron.supervise.usage import NO_USAGE, Usage

__all__ = [
    "FAILURES",
    "NO_REASON",
    "ON_PURPOSE",
    "Outcome",
    "Reason",
    "ReasonCode",
    "RunResult",
    "exit_reason",
    "is_failure",
]


class Outcome(StrEnum):
    """How a due fire ended. Each fire ends in exactly one of these, with a reason."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    KILLED = "killed"
    START_FAILED = "start-failed"
    SKIPPED = "skipped"
    MISSED = "missed"
    UNKNOWN_EXIT = "unknown-exit"
    LOST = "lost"
    """gcron ended before the run did, and nobody knows how the run ended."""
    STOPPED = "stopped"
    """A service, or a job with `on-stop=term`: it was asked to end, and it ended."""


class ReasonCode(StrEnum):
    """Why a run, a fire or a service is as it is, for programs. The same cause always has the same code."""

    NONE = ""
    """Nothing to explain: plain success."""
    # Ends of a process or a call.
    EXIT_STATUS = "exit-status"
    SIGNAL = "signal"
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    EXIT_STATUS_LOST = "exit-status-lost"
    """Another part of the program collected the exit status."""
    OUT_OF_MEMORY = "out-of-memory"
    """The kernel killed one of its processes for lack of memory."""
    INTERNAL_ERROR = "internal-error"
    GCRON_ENDED = "gcron-ended"
    """gcron was killed, or the machine stopped, while the run was under way."""
    ADOPTED = "adopted"
    """An earlier gcron started it, and this one has only seen its end."""
    # Starts that failed or were given up.
    CANNOT_START = "cannot-start"
    NO_CAPACITY = "no-capacity"
    """No process, file descriptor, memory or thread was free until the start deadline."""
    # Decisions of the scheduler.
    OVERLAP = "overlap"
    """An earlier run of the job is still under way."""
    QUEUE_FULL = "queue-full"
    REPLACED = "replaced"
    DUE_AGAIN = "due-again"
    """The next fire took the place of a waiting retry."""
    GROUP_FULL = "group-full"
    SERVICE_NOT_READY = "service-not-ready"
    JOB_NOT_SUCCEEDED = "job-not-succeeded"
    NOT_IN_TIME = "not-in-time"
    """gcron could not act when the fire was due: a suspend, a stopped process, a deploy."""
    NOT_RUNNING = "not-running"
    """gcron was not running when the fire was due."""
    CLOCK_SET = "clock-set"
    BACKLOG_FULL = "backlog-full"
    STORE_FAILED = "store-failed"
    """The store raised, or did not answer in time."""
    # Several nodes that share the work.
    OTHER_NODE = "other-node"
    """Another node runs it, or may run it and this one may not."""
    LEASE_LOST = "lease-lost"
    """The node could not reach the store, so others may run what it ran."""
    NODE_LOST = "node-lost"
    """The node of a run did not report to the store any more, and nobody knows how the run ended."""
    # Somebody's request.
    STOP_REQUESTED = "stop-requested"
    SHUTDOWN = "shutdown"
    STARTUP = "startup"
    TRIGGERED = "triggered"
    JOB_ADDED = "job-added"
    JOB_CHANGED = "job-changed"
    JOB_REMOVED = "job-removed"
    NOT_ENABLED = "not-enabled"
    # Services.
    ENDED = "ended"
    """A life ended by itself, with success."""
    GIVEN_UP = "given-up"
    READY = "ready"
    NOT_STARTED = "not-started"


FAILURES = frozenset(
    {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.KILLED, Outcome.START_FAILED, Outcome.UNKNOWN_EXIT, Outcome.LOST},
)
"""Outcomes that count as failures: `KILLED` only if nobody asked for it, see `is_failure`."""
ON_PURPOSE = frozenset({ReasonCode.SHUTDOWN, ReasonCode.STOP_REQUESTED, ReasonCode.REPLACED})
"""Why runs are killed that have not failed."""


def is_failure(outcome: Outcome | str, reason: ReasonCode | str) -> bool:
    """Whether a run with this outcome and code of a reason failed. A run that was ended on purpose did not.

    >>> is_failure(Outcome.KILLED, ReasonCode.SIGNAL), is_failure("killed", "stop-requested")
    (True, False)
    """
    if outcome == Outcome.KILLED:
        return reason not in ON_PURPOSE
    return outcome in FAILURES


@frozen
class Reason:
    """Why: a code for programs and a text for people. `str(reason)` is the text, and no text is false."""

    code: ReasonCode
    text: str

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.text)

    def extended(self, addition: str) -> Reason:
        """The same code with a longer text.

        >>> Reason(ReasonCode.EXIT_STATUS, "exit status 1").extended("; no further attempt").text
        'exit status 1; no further attempt'
        """
        return replace(self, text=self.text + addition)


NO_REASON = Reason(ReasonCode.NONE, "")


@frozen(uncompared=("error",))
class RunResult:
    """The end of a run."""

    outcome: Outcome
    reason: Reason
    """`exit status 1`, `killed by signal 9 (SIGKILL)`; `NO_REASON` for plain success."""
    exit_code: int | None = None
    """As `Popen.returncode`: negative for a signal; None where no process ended, or its status is not known."""
    duration: float | None = None
    """Seconds from the start to the end of the process (and of its tree, if that was ended) or of the call. None where
    nothing was begun, or nobody knows when it ended."""
    output_head: bytes = b""
    output_tail: bytes = b""
    output_size: int = 0
    """Bytes of stdout and stderr together, also those kept in neither head nor tail."""
    value: object = None
    """What a Python job returned."""
    attempts: int = 1
    """Number of attempts, retries included."""
    left_behind: str = ""
    """Names of processes that could not be ended; empty when there are none."""
    usage: Usage = NO_USAGE
    """Processor time and memory of all attempts."""
    error: BaseException | None = None
    """What a Python job raised."""

    @property
    def traceback(self) -> str:
        """The traceback of `error`, as Python prints it; empty when there is no error."""
        if self.error is None:
            return ""
        from traceback import format_exception

        return "".join(format_exception(self.error))

    @property
    def succeeded(self) -> bool:
        """True for `Outcome.SUCCEEDED` only."""
        return self.outcome is Outcome.SUCCEEDED


# What shells mean by these statuses: sh(1), POSIX "Exit Status for Commands".
_SHELL_STATUS = {
    126: "the command cannot be executed",
    127: "the command was not found, or its interpreter (CRLF line ends?)",
}


def exit_reason(code: int) -> Reason:
    """Say in words how a process ended; `code` is as `Popen.returncode`."""
    if code >= 0:
        meaning = _SHELL_STATUS.get(code) or _killed_child(code)
        return Reason(ReasonCode.EXIT_STATUS, f"exit status {code}" + (f" ({meaning})" if meaning else ""))
    name = _signal_name(-code)
    return Reason(ReasonCode.SIGNAL, f"killed by signal {-code}" + (f" ({name})" if name else ""))


def _killed_child(code: int) -> str:
    """What a shell means that ends with its command's death by a signal."""
    name = _signal_name(code - 128)
    return f"128 + {code - 128}: a shell's command was killed by {name}" if name else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""

"""Whether a service can be used: a command that is asked again and again until it succeeds."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace

from gcron.policy import Policy
from gcron.runtime.event import Event
from gcron.runtime.hub import get_hub
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Command
from gcron.supervise.identity import identity_of, new_run_id
from gcron.supervise.outcome import Outcome, RunResult
from gcron.supervise.output import Stream

__all__ = ["Probe"]

# Seconds between two questions: from the first to the longest, each so many times the one before.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.2, 1.0, 1.5
# Seconds that one question may take, and that its processes have from TERM to KILL.
_TIMEOUT, _KILL_AFTER = 10.0, 1.0
# Seconds without success after which somebody wants to know the answer: the command may have a slip in it.
_PATIENCE = 10.0
# Characters of it that are told.
_LONGEST_ANSWER = 200


class Probe:
    """Asks the shell command `text`, run with the surroundings of `service`, until it exits with 0 or is cancelled."""

    def __init__(self, text: str, service: Command, policy: Policy, job_name: str) -> None:
        self._command = service._replace(text=text, stdin=None)
        self._policy = replace(
            policy,
            timeout=_TIMEOUT,
            kill_after=_KILL_AFTER,
            stop_signal=signal.SIGTERM,
            success_codes=frozenset({0}),
            output="lines",
        )
        self._identity = identity_of(job_name)
        self._cancelled = Event()
        self._attempt: Attempt | None = None

    def wait(self, explain: Callable[[str], object]) -> bool:
        """Ask until the answer is yes; False when cancelled. Whatever a question starts is ended with it.

        When that takes more than 10 s, `explain` is told once what the answer is.
        """
        pause = _FIRST_PAUSE
        begin, is_explained = get_hub().monotonic(), False
        while not self._cancelled.is_set():
            result = self._ask()
            if result.succeeded:
                return not self._cancelled.is_set()
            if self._cancelled.is_set():
                return False  # what was ended with it is no answer
            if not is_explained and get_hub().monotonic() - begin >= _PATIENCE:
                explain(f"is not ready yet: ready-when {_answer(result)}")
                is_explained = True
            self._cancelled.wait(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
        return False

    def cancel(self) -> None:
        """Ask no more, and end the question that is under way; returns at once."""
        self._cancelled.set()
        if self._attempt is not None:
            self._attempt.stop(Outcome.KILLED, "nobody wants to know any more", now=True)

    def _ask(self) -> RunResult:
        attempt = self._attempt = Attempt(self._command, self._policy, new_run_id(), self._identity, _Nobody())
        try:
            return attempt.perform()
        finally:
            self._attempt = None
            attempt.end_remnants()


def _answer(result: RunResult) -> str:
    said = result.output_tail or result.output_head
    lines = said.decode("utf-8", "backslashreplace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    reason = f"{result.outcome} ({result.reason})" if result.reason else str(result.outcome)
    return f"{reason}, saying {last[:_LONGEST_ANSWER]!r}" if last else reason


class _Nobody:
    """Is told what a question prints."""

    def process_started(self, pid: int) -> None:
        """See `Listener`."""

    def output(self, stream: Stream, lines: list[bytes], late: bool, continued: bool = False) -> None:
        """See `Listener`."""

    def raw_output(self, stream: Stream, data: bytes, late: bool) -> None:
        """See `Listener`."""

    def notice(self, text: str) -> None:
        """See `Listener`."""

"""The readiness probe of a service: a command that is run again and again until it succeeds."""

from __future__ import annotations

import signal
from collections.abc import Callable

from gcron.frozen import replace
from gcron.policy import Policy
from gcron.runtime.event import Event
from gcron.runtime.hub import get_hub
from gcron.schedule.clock import Clock
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Command, Identity, new_run_id
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult

__all__ = ["ReadinessProbe"]

# Seconds between two runs of the command: the first pause, the longest, and the growth from one to the next.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.2, 1.0, 1.5
# Seconds that one run may take, and that its processes have from TERM to KILL.
_TIMEOUT, _KILL_AFTER = 10.0, 1.0
# Seconds without success after which a notice shows the last answer: the command may have a typo.
_PATIENCE = 10.0
# Characters of the answer that the notice shows.
_LONGEST_ANSWER = 200


class ReadinessProbe:
    """Runs the shell command `text`, set up as `service` is, until it exits with 0 or the probe is cancelled."""

    def __init__(self, text: str, service: Command, policy: Policy, job: str, clock: Clock) -> None:
        self._command = service._replace(text=text, stdin=None)
        self._policy = replace(
            policy,
            timeout=_TIMEOUT,
            kill_after=_KILL_AFTER,
            stop_signal=signal.SIGTERM,
            success_codes=frozenset({0}),
            output="lines",
        )
        self._job = job
        self._clock = clock
        self._cancelled = Event()
        self._attempt: Attempt | None = None

    def wait(self, explain: Callable[[str], object]) -> bool:
        """Run the command until it succeeds; False when cancelled. Processes that a run leaves behind are ended.

        After 10 s without success, `explain` is called once with the last answer.
        """
        pause = _FIRST_PAUSE
        begin, is_explained = get_hub().monotonic(), False
        while not self._cancelled.is_set():
            result = self._ask()
            if result.succeeded:
                return not self._cancelled.is_set()
            if self._cancelled.is_set():
                return False  # it was killed, so its end is no answer
            if not is_explained and get_hub().monotonic() - begin >= _PATIENCE:
                explain(f"is not ready yet: ready-when {_answer(result)}")
                is_explained = True
            self._cancelled.wait(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
        return False

    def cancel(self) -> None:
        """Run the command no more, and end the run under way; returns at once."""
        self._cancelled.set()
        if self._attempt is not None:
            self._attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "the probe was cancelled"), now=True)

    def _ask(self) -> RunResult:
        identity = Identity(self._job, new_run_id())
        attempt = self._attempt = Attempt(
            self._command, self._policy, identity, lambda event: None, self._clock, sweep=True
        )
        try:
            return attempt.perform()
        finally:
            self._attempt = None


def _answer(result: RunResult) -> str:
    said = result.output_tail or result.output_head
    lines = said.decode("utf-8", "backslashreplace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    reason = f"{result.outcome} ({result.reason})" if result.reason else str(result.outcome)
    return f"{reason}, saying {last[:_LONGEST_ANSWER]!r}" if last else reason

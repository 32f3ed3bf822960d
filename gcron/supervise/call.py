"""A Python function as an attempt: the same start, limits and outcomes as a process has."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from gcron.greenlet import Greenlet, GreenletExit, spawn
from gcron.hub import get_hub
from gcron.policy import Policy
from gcron.supervise.attempt import Listener
from gcron.supervise.outcome import Outcome, RunResult

__all__ = ["Call"]


class Call:
    """One call of `function`, in a greenlet of its own; a policy's `timeout` kills that greenlet."""

    def __init__(self, function: Callable[[], Any], policy: Policy, listener: Listener) -> None:
        self._function = function
        self._policy = policy
        self._listener = listener
        self._greenlet: Greenlet | None = None
        self._stopped: tuple[Outcome, str] | None = None
        self._verdict = (Outcome.KILLED, "killed before it began")

    def perform(self) -> RunResult:
        """Call it and say how that ended. Never raises for what the function does."""
        hub = get_hub()
        started_at = hub.monotonic()
        if self._stopped is not None:
            return RunResult(*self._stopped)
        greenlet = self._greenlet = spawn(self._guarded)
        limit = self._policy.timeout
        timer = None
        if limit is not None:
            timer = hub.call_later(limit, self.stop, Outcome.TIMED_OUT, f"still running after {limit:g} s")
        greenlet.join()
        if timer is not None:
            timer.cancel()
        outcome, reason = self._stopped or self._verdict
        value = greenlet.value if outcome is Outcome.SUCCEEDED else None
        return RunResult(outcome, reason, duration=hub.monotonic() - started_at, value=value)

    def stop(self, outcome: Outcome, reason: str, now: bool = False) -> None:
        """Raise `GreenletExit` in it; returns at once. A function that swallows it goes on."""
        if self._stopped is None:
            self._stopped = (outcome, reason)
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def _guarded(self) -> Any:
        try:
            value = self._function()
        except GreenletExit:
            self._verdict = (Outcome.KILLED, "its greenlet was killed")
            return None
        except KeyboardInterrupt:  # not the job's doing: Ctrl-C reaches whatever runs
            self._verdict = (Outcome.KILLED, "interrupted")
            raise
        except BaseException as error:  # SystemExit and Timeout too: no job can stop another
            if isinstance(error, SystemExit) and not error.code:
                self._verdict = (Outcome.SUCCEEDED, "")
                return None
            self._verdict = (Outcome.FAILED, f"{type(error).__name__}: {error}")
            lines = "".join(traceback.format_exception(error)).rstrip("\n").encode("utf-8", "backslashreplace")
            self._listener.output("stderr", lines.split(b"\n"), False)
            return None
        self._verdict = (Outcome.SUCCEEDED, "")
        return value

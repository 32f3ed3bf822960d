"""How late a run begins, and what delayed it. Pure but for its clock."""

from __future__ import annotations

from gcron.schedule.clock import Clock
from gcron.supervise.outcome import Reason, ReasonCode

__all__ = ["Lateness"]

# Shorter delays (seconds) are not named.
_SHORTEST_NAMED = 1.0


class Lateness:
    """Adds up the delays of a run that was due at `fire_at` (seconds of UTC; None: it was never due)."""

    def __init__(self, clock: Clock, fire_at: int | None) -> None:
        self._clock = clock
        self._at = clock.monotonic()
        self._total = 0.0
        self._delays: list[tuple[float, ReasonCode, str]] = []
        if fire_at is not None:
            self._total = max(0.0, clock.now() - fire_at)
            self._name(self._total, ReasonCode.NOT_IN_TIME, "for gcron, which could not act on it earlier")

    def note(self, code: ReasonCode, what: str) -> None:
        """Since the last call the run waited `what`: "for services"."""
        now = self._clock.monotonic()
        passed, self._at = now - self._at, now
        self._total += passed
        self._name(passed, code, what)

    def exclude(self, seconds: float) -> None:
        """Do not count `seconds` of the time since the last call: they were the run's jitter."""
        self._at += seconds
        self.note(ReasonCode.NOT_IN_TIME, "for its jitter to end")

    def _name(self, seconds: float, code: ReasonCode, what: str) -> None:
        if seconds >= _SHORTEST_NAMED:
            self._delays.append((seconds, code, what))

    @property
    def total(self) -> float:
        """Seconds in all, without what was excluded."""
        return self._total

    @property
    def reason(self) -> Reason:
        """What it waited for, in order of time; the code is that of the longest delay."""
        if not self._delays:
            return Reason(ReasonCode.NOT_IN_TIME, "gcron was busy")
        _, code, _ = max(self._delays)
        return Reason(code, f"it waited {', '.join(what for _, _, what in self._delays)}")

"""How late a run begins, and what kept it. Pure: it is told the time by its clock."""

from __future__ import annotations

from gcron.schedule.clock import Clock

__all__ = ["Delays"]

# Seconds below which a delay is not worth a word.
_SHORTEST_TOLD = 1.0


class Delays:
    """The delays of a run that was due at `fire_at` (seconds of UTC; None: it was never due), one after the other."""

    def __init__(self, clock: Clock, fire_at: int | None) -> None:
        self._clock = clock
        self._at = clock.monotonic()
        self._total = 0.0
        self._reasons: list[str] = []
        if fire_at is not None:
            self._total = max(0.0, clock.now() - fire_at)
            if self._total >= _SHORTEST_TOLD:
                self._reasons.append("for gcron, which could not act on it earlier")

    def note(self, what: str) -> None:
        """What has passed since the last word was waiting `what`."""
        now = self._clock.monotonic()
        passed, self._at = now - self._at, now
        self._total += passed
        if passed >= _SHORTEST_TOLD:
            self._reasons.append(what)

    def intend(self, seconds: float) -> None:
        """Of what has passed since the last word, `seconds` were meant to."""
        self._at += seconds
        self.note("for its jitter to end")

    @property
    def total(self) -> float:
        """Seconds in all, but for what was intended."""
        return self._total

    @property
    def reason(self) -> str:
        """What it waited for, in the order of time."""
        return f"it waited {', '.join(self._reasons)}" if self._reasons else "gcron was busy"

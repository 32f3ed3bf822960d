"""Who paused which job, why and until when; ends the pauses that have an end.

Ends are times of the wall clock: when it is set, or the machine wakes from a suspend, `look` ends what is over by then.
"""

from __future__ import annotations

from collections.abc import Callable

from gcron.runtime.hub import Timer, get_hub
from gcron.schedule.clock import Clock
from gcron.scheduler.history import Pause

__all__ = ["Pauses"]


class Pauses:
    """The pauses by name of the job. `end` is called for each that is over, and may not park."""

    def __init__(self, clock: Clock, end: Callable[[str], object]) -> None:
        self._clock = clock
        self._end = end
        self._pauses: dict[str, Pause] = {}
        self._timer: Timer | None = None

    def add(self, name: str, pause: Pause) -> None:
        """The job is paused, or its pause has another end."""
        self._pauses[name] = pause
        self.look()

    def get(self, name: str) -> Pause | None:
        """The pause of the job of that name, if it is paused."""
        return self._pauses.get(name)

    def forget(self, name: str) -> None:
        """The job is not paused any more, or it is gone."""
        self._pauses.pop(name, None)

    def look(self) -> None:
        """End what is over now, and look again when the next pause ends. Returns at once."""
        self.close()
        now = self._clock.now()
        ends = {name: pause.until for name, pause in self._pauses.items() if pause.until is not None}
        for name, until in ends.items():
            if until <= now:
                self._pauses.pop(name, None)
                self._end(name)
        if later := [until for until in ends.values() if until > now]:
            self._timer = get_hub().call_later(min(later) - now, self.look)

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

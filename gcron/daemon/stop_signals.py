"""What a signal means: a first request to stop, a second one, or an echo of the first.

timeout(1) sends its signal to the process, and then to the process's group: gcron gets it twice. That is one request.
"""

from __future__ import annotations

import signal

from gcron.runtime.hub import get_hub

__all__ = ["StopRequests"]

# Seconds after a signal in which the same signal is its echo. A person who presses Ctrl-C twice takes longer than the
# usual time, and means it; TERM comes from programs.
_ECHO = 0.05
_ECHO_OF_TERM = 1.0


class StopRequests:
    """The stop signals that a process got."""

    def __init__(self) -> None:
        self._last: dict[signal.Signals, float] = {}

    def is_echo(self, signum: signal.Signals) -> bool:
        """Take note of a signal that has just come; returns whether it belongs to the one before."""
        now = get_hub().monotonic()
        before = self._last.get(signum)
        limit = _ECHO_OF_TERM if signum is signal.SIGTERM else _ECHO
        if before is not None and now - before < limit:
            return True
        self._last[signum] = now
        return False

"""What a life of a service has left behind when its leader died by itself: found by the run's id, and ended.

Without this a service that is started again and again would fill the machine with the children of its dead lives, and
each of its lives would meet the ones before at its port.
"""

from __future__ import annotations

import signal

from gcron.greenlet import sleep
from gcron.hub import get_hub
from gcron.supervise.census import Sighting, describe, processes_of, signal_each

__all__ = ["end_remnants"]

# Seconds between two looks; and after KILL, until what lives is left alone.
_PAUSE = 0.1
_UNKILLABLE_AFTER = 10.0


def end_remnants(run_id: str, stop_signal: signal.Signals, kill_after: float) -> str:
    """End every process of a run whose leader has gone, politely first; returns who they were, or nothing."""
    found = _find(run_id)
    if not found:
        return ""
    who = describe(found)
    signal_each(found, stop_signal)
    signal_each(found, signal.SIGCONT)
    if not _are_gone(run_id, kill_after, None):
        _are_gone(run_id, _UNKILLABLE_AFTER, signal.SIGKILL)
    return who


def _are_gone(run_id: str, seconds: float, signum: signal.Signals | None) -> bool:
    """Look until none is found, signalling those that are; False after `seconds`."""
    deadline = get_hub().monotonic() + seconds
    while (left := _find(run_id)) != []:
        if get_hub().monotonic() >= deadline:
            return False
        if left is not None and signum is not None:
            signal_each(left, signum)
        sleep(_PAUSE)
    return True


def _find(run_id: str) -> list[Sighting] | None:
    """Its processes; None when there is no descriptor left to look with."""
    try:
        return processes_of(run_id)
    except OSError:
        return None

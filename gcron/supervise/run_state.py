"""The states of a run, and which state may follow which. All rules about states are here; `Run` applies them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["RunState", "next_state"]


class RunState(StrEnum):
    """Where a run is between its claim and its outcome."""

    WAITING = "waiting"
    """Not begun: it waits for earlier runs, its jitter, services, or its group."""
    RUNNING = "running"
    """An attempt is under way."""
    RETRYING = "retrying"
    """An attempt failed, and the next one has not begun."""
    STOPPING = "stopping"
    """It was told to stop. What it runs is being ended."""
    ENDED = "ended"
    """It has its outcome."""


_FOLLOWING: Mapping[RunState, frozenset[RunState]] = {
    RunState.WAITING: frozenset({RunState.RUNNING, RunState.STOPPING, RunState.ENDED}),
    RunState.RUNNING: frozenset({RunState.RETRYING, RunState.STOPPING, RunState.ENDED}),
    RunState.RETRYING: frozenset({RunState.RUNNING, RunState.STOPPING, RunState.ENDED}),
    RunState.STOPPING: frozenset({RunState.STOPPING, RunState.ENDED}),  # again: now without asking
    RunState.ENDED: frozenset(),
}


def next_state(present: RunState, wanted: RunState) -> RunState:
    """Return `wanted`. Raises RuntimeError when it may not follow `present`: that is a bug in gcron."""
    if wanted not in _FOLLOWING[present]:
        raise RuntimeError(f"a run that is {present} cannot become {wanted}")
    return wanted

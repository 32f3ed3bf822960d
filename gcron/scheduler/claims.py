"""The claim step before the gate: a fire (job, instant) starts at most once.

This one keeps its claims in memory; a database that several machines share can stand in its place.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Claims", "MemoryClaims"]


class Claims(Protocol):
    """Who may start a fire."""

    def claim(self, job: str, fire_at: int) -> bool:
        """True for the first caller with this fire, False for everybody after."""

    def forget(self, job: str) -> None:
        """The clock was set back: the job's instants come again."""


class MemoryClaims:
    """Claims of this process. A job's fires come in order, so its latest one says it all."""

    def __init__(self) -> None:
        self._latest: dict[str, int] = {}

    def claim(self, job: str, fire_at: int) -> bool:
        """See `Claims.claim`."""
        if fire_at <= self._latest.get(job, fire_at - 1):
            return False
        self._latest[job] = fire_at
        return True

    def forget(self, job: str) -> None:
        """See `Claims.forget`."""
        self._latest.pop(job, None)

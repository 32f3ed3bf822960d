"""A service as a rule: the states it has, and what follows when one of its lives is over. Pure: it is told all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gcron.policy import Policy
from gcron.supervise.outcome import Outcome, RunResult

__all__ = ["SHORTEST_CYCLE", "Restarts", "Sequel", "ServiceState"]

SHORTEST_CYCLE = 0.1
"""Seconds from one start to the next at the least, whatever a policy says: a service that dies at once, and has no
delays, would otherwise take the whole machine."""
# More doublings would make no difference to any delay, and a power of them cannot be had as a float for ever.
_MOST_DOUBLINGS = 64


class ServiceState(StrEnum):
    """How a service stands."""

    STARTING = "starting"
    """Its process is being started, or it is not ready yet, or it waits for the services it comes after."""
    READY = "ready"
    """It can be used: jobs that come after it begin."""
    BACKING_OFF = "backing-off"
    """It died young, and will be started again after a delay."""
    STOPPING = "stopping"
    """It was asked to end, for good or to be started anew."""
    STOPPED = "stopped"
    """It is not to run: it ended and is not to be started again, or is not enabled, or gcron stops."""
    FAILED = "failed"
    """It is given up."""


@dataclass(frozen=True, slots=True)
class Sequel:
    """What follows the end of a life."""

    state: ServiceState
    """STARTING: the next life begins at once."""
    reason: str
    delay: float = 0.0
    """Seconds until the next life, where one follows."""


class Restarts:
    """Decides by a policy what follows the end of each life; counts those who died young, one after the other."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._young_deaths = 0

    def after(self, result: RunResult) -> Sequel:
        """What follows a life that ended by itself."""
        policy = self._policy
        how = result.reason or "it ended"
        if result.succeeded and policy.restart != "always":
            return Sequel(ServiceState.STOPPED, how)
        if policy.restart == "never":
            return Sequel(ServiceState.FAILED, how)
        delay = SHORTEST_CYCLE - result.duration
        if result.outcome is Outcome.START_FAILED or result.duration < policy.min_uptime:
            self._young_deaths += 1
            if self._young_deaths == policy.restart_limit:
                return Sequel(ServiceState.FAILED, f"given up after {self._young_deaths} short lives in a row: {how}")
            delay = max(delay, self._backoff())
        else:
            self._young_deaths = 0
        return Sequel(ServiceState.BACKING_OFF, how, delay) if delay > 0 else Sequel(ServiceState.STARTING, how)

    def _backoff(self) -> float:
        doublings = min(self._young_deaths - 1, _MOST_DOUBLINGS)
        return min(self._policy.restart_delay * 2.0**doublings, self._policy.restart_max_delay)

"""The states of a service, and the rules for what follows when one of its lives ends. Pure."""

from __future__ import annotations

from enum import StrEnum

from gcron.frozen import frozen
from gcron.policy import Policy
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult

__all__ = ["SHORTEST_CYCLE", "Restarts", "Sequel", "ServiceState"]

SHORTEST_CYCLE = 0.1
"""Least seconds from one start to the next, whatever a policy says. Otherwise a service that dies at once, and has no
delay, would take the whole machine."""
# More doublings would not change any delay, and would overflow a float.
_MOST_DOUBLINGS = 64


class ServiceState(StrEnum):
    """How a service stands."""

    STARTING = "starting"
    """Its process starts, or it is not ready yet, or it waits for the services in its `after`."""
    READY = "ready"
    """It can be used: jobs that name it in `after` may begin."""
    BACKING_OFF = "backing-off"
    """It died early, and starts again after a delay."""
    STOPPING = "stopping"
    """It was asked to end, for good or for a new start."""
    STOPPED = "stopped"
    """It does not run: it ended and does not start again, or it is not enabled, or gcron stops."""
    FAILED = "failed"
    """It is given up."""


@frozen
class Sequel:
    """What follows the end of a life."""

    state: ServiceState
    """STARTING: the next life begins at once."""
    reason: Reason
    delay: float = 0.0
    """Seconds until the next life, where one follows."""


class Restarts:
    """Decides by a policy what follows the end of each life; counts early deaths in a row."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._early_deaths = 0

    def after(self, result: RunResult) -> Sequel:
        """What follows a life that ended by itself."""
        policy = self._policy
        how = result.reason or Reason(ReasonCode.ENDED, "it ended")
        if result.succeeded and policy.restart != "always":
            return Sequel(ServiceState.STOPPED, how)
        if policy.restart == "never":
            return Sequel(ServiceState.FAILED, how)
        lived = result.duration or 0.0
        delay = SHORTEST_CYCLE - lived
        if result.outcome is Outcome.START_FAILED or lived < policy.min_uptime:
            self._early_deaths += 1
            if self._early_deaths == policy.restart_limit:
                text = f"given up after {self._early_deaths} short lives in a row: {how}"
                return Sequel(ServiceState.FAILED, Reason(ReasonCode.GIVEN_UP, text))
            delay = max(delay, self._backoff())
        else:
            self._early_deaths = 0
        return Sequel(ServiceState.BACKING_OFF, how, delay) if delay > 0 else Sequel(ServiceState.STARTING, how)

    def _backoff(self) -> float:
        doublings = min(self._early_deaths - 1, _MOST_DOUBLINGS)
        return min(self._policy.restart_delay * 2.0**doublings, self._policy.restart_max_delay)

"""How a job stands, in one word: the worst that is true of it. Pure."""

from __future__ import annotations

from enum import Enum

from gcron.control.failures import is_failing
from gcron.scheduler.records import Record

__all__ = ["Standing", "standing_of"]


class Standing(Enum):
    """The worst first. The value: the class of its look and the word."""

    FAILING = ("bad", "failing")
    OVERDUE = ("bad", "overdue")
    GIVEN_UP = ("bad", "given up")
    BACKING_OFF = ("warn", "backing off")
    MISSED = ("warn", "missed")
    RUNNING = ("run", "running")
    WAITING = ("wait", "waiting")
    PAUSED = ("wait", "paused")
    STOPPED = ("wait", "stopped")
    OK = ("ok", "ok")
    UP = ("ok", "up")
    NEW = ("new", "new")
    OFF = ("off", "off")

    @property
    def look(self) -> str:
        """Its class in the style sheet, and the name of its icon."""
        return self.value[0]

    @property
    def word(self) -> str:
        """For people, and for the filter."""
        return self.value[1]


RANKS = {standing: rank for rank, standing in enumerate(Standing)}
"""The order of the overview."""
_SERVICES = {
    "ready": Standing.UP,
    "starting": Standing.WAITING,
    "backing-off": Standing.BACKING_OFF,
    "failed": Standing.GIVEN_UP,
    "stopping": Standing.WAITING,
}


def standing_of(job: Record) -> Standing:
    """How a job or a service stands."""
    if not job["enabled"]:
        return Standing.OFF
    if (service := job.get("service")) is not None:
        return _SERVICES.get(service["state"], Standing.STOPPED)
    if is_failing(job["recent"]):
        return Standing.FAILING
    if job["overdue"]:
        return Standing.OVERDUE
    if job["recent"] and job["recent"][-1] == "missed":
        return Standing.MISSED
    if job["running"]:
        return Standing.RUNNING if job["running"][0]["state"] in ("running", "stopping") else Standing.WAITING
    if job["paused"]:
        return Standing.PAUSED
    return Standing.OK if "succeeded" in job["recent"] else Standing.NEW

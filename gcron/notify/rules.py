"""Which events become messages: failure, recovery, repetition, services that flap. Pure: time is in the events.

This module does not know who gets a message, nor how.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from gcron.frozen import frozen
from gcron.policy.services import is_service
from gcron.scheduler.events import (
    FiresMissed,
    JobEvent,
    RunFinished,
    RunLate,
    RunStarted,
    ServiceStateChanged,
    SuccessOverdue,
)
from gcron.scheduler.job import Job
from gcron.supervise.outcome import Outcome, is_failure
from gcron.supervise.restarts import ServiceState

__all__ = ["EVENTS_READ", "Occasion", "Rules"]

EVENTS_READ = (
    "run-started",
    "run-finished",
    "fires-missed",
    "run-late",
    "success-overdue",
    "service-state-changed",
)
"""The kinds of events that mean something here."""

# A service flaps when it backs off so many times within so many seconds. It is well again when it has been ready for so
# many seconds.
_FLAPS, _FLAPS_WITHIN, _STEADY = 3, 600.0, 60.0
# Jobs whose state is kept; of more, the oldest are forgotten: they were removed, most likely.
_MOST_JOBS = 100_000


@frozen
class Occasion:
    """Something to tell: all the kinds of message that it can be, the one that says most first."""

    event: JobEvent
    kinds: tuple[str, ...]
    repeated: frozenset[str] = frozenset()
    """Those of `kinds` that were told less than `notify-again` ago."""
    count: int = 1
    """How many times it happened since `since`."""
    since: float = 0.0
    """Seconds of UTC at which the first of them happened."""
    is_urgent: bool = False

    def kind_for(self, wanted: tuple[str, ...], with_repeated: bool = False) -> str | None:
        """Return the first kind that somebody wants; None when there is none."""
        return next(
            (kind for kind in self.kinds if kind in wanted and (with_repeated or kind not in self.repeated)), None
        )


class Rules:
    """Makes occasions of events, and remembers what was told."""

    def __init__(self) -> None:
        self._troubles: dict[tuple[str, str], _Trouble] = {}
        """By job and kind."""
        self._services: dict[str, _Service] = {}

    def read(self, event: JobEvent, job: Job) -> Occasion | None:
        """Return what there is to tell about an event of `job`, or None."""
        read = _READERS.get(type(event))
        occasion: Occasion | None = None if read is None else read(self, event, job)
        return occasion

    def look(self, now: float) -> list[Occasion]:
        """Return what has come true by itself: services that have been well for a while."""
        found = []
        for service in self._services.values():
            if service.well_at is not None and service.well_at <= now and service.ready is not None:
                found.append(Occasion(service.ready, ("service",)))
                service.well_at, service.is_told = None, False
        return found

    @property
    def next_look(self) -> float | None:
        """Seconds of UTC at which `look` finds something; None when it will not."""
        return min(
            (service.well_at for service in self._services.values() if service.well_at is not None), default=None
        )

    # -- one reader for each kind of event ------------------------------------------------------------------------

    def _read_start(self, event: RunStarted, job: Job) -> Occasion | None:
        return None if is_service(job) else Occasion(event, ("start",))

    def _read_end(self, event: RunFinished, job: Job) -> Occasion | None:
        if is_service(job):
            return None  # what becomes of a service is in its states
        result = event.result
        if result.outcome in (Outcome.SKIPPED, Outcome.MISSED):
            return self._trouble(event, str(result.outcome), job)
        if is_failure(result.outcome, result.reason.code):
            occasion = self._trouble(event, "failure", job)
            # cron mails what a run prints. It has no mail for a run that could not print, which says even more.
            prints = result.output_size or result.outcome is not Outcome.FAILED
            kinds = ("failure", "output") if prints else ("failure",)
            return Occasion(event, kinds, occasion.repeated, occasion.count, occasion.since)
        output = ("output",) if result.output_size else ()
        if not result.succeeded:
            return Occasion(event, output) if output else None
        failed = self._troubles.pop((job.name, "failure"), None)
        overdue = self._troubles.pop((job.name, "overdue"), None)
        before = failed or overdue
        if before is None:
            return Occasion(event, ("success", *output))
        return Occasion(event, ("recovery", "success", *output), count=before.total, since=before.since)

    def _read_missed(self, event: FiresMissed, job: Job) -> Occasion:
        return self._trouble(event, "missed", job)

    def _read_late(self, event: RunLate, job: Job) -> Occasion:
        return self._trouble(event, "late", job)

    def _read_overdue(self, event: SuccessOverdue, job: Job) -> Occasion:
        self._remember(job.name, "overdue", event.time)
        return Occasion(event, ("overdue",), is_urgent=True)

    def _read_service(self, event: ServiceStateChanged, job: Job) -> Occasion | None:
        service = self._services.setdefault(job.name, _Service())
        service.well_at = None
        if event.state is ServiceState.READY:
            service.ready = event
            if service.is_told:
                service.well_at = event.time + _STEADY
        elif event.state is ServiceState.FAILED:
            service.is_told = True
            return Occasion(event, ("service",), is_urgent=True)
        elif event.state is ServiceState.BACKING_OFF:
            service.deaths.append(event.time)
            if service.is_flapping(event.time) and not service.is_told:
                service.is_told = True
                return Occasion(event, ("service",), count=len(service.deaths), is_urgent=True)
        elif event.state is ServiceState.STOPPED:
            del self._services[job.name]
        return None

    # -- repetition -----------------------------------------------------------------------------------------------

    def _trouble(self, event: JobEvent, kind: str, job: Job) -> Occasion:
        """Return the occasion of a problem that may have been told already."""
        trouble = self._remember(job.name, kind, event.time)
        again = job.policy.notify_again
        if trouble.told_at is not None and 0 <= event.time - trouble.told_at < again:
            return Occasion(event, (kind,), frozenset((kind,)), trouble.total, trouble.since)
        trouble.told_at = event.time
        return Occasion(event, (kind,), count=trouble.total, since=trouble.since)

    def _remember(self, job: str, kind: str, time: float) -> _Trouble:
        trouble = self._troubles.get((job, kind))
        if trouble is None:
            if len(self._troubles) >= _MOST_JOBS:
                del self._troubles[next(iter(self._troubles))]
            trouble = self._troubles[job, kind] = _Trouble(time)
        trouble.total += 1
        return trouble


class _Trouble:
    """A problem of a job: since when, how often, and when somebody was last told."""

    __slots__ = ("since", "told_at", "total")

    def __init__(self, since: float) -> None:
        self.since = since
        self.told_at: float | None = None
        self.total = 0


class _Service:
    """What is known of a service."""

    __slots__ = ("deaths", "is_told", "ready", "well_at")

    def __init__(self) -> None:
        self.deaths: deque[float] = deque(maxlen=_FLAPS)
        self.is_told = False
        """Somebody was told that it is not well, and not yet that it is well again."""
        self.well_at: float | None = None
        self.ready: ServiceStateChanged | None = None

    def is_flapping(self, now: float) -> bool:
        return len(self.deaths) == _FLAPS and now - self.deaths[0] <= _FLAPS_WITHIN


_READERS: dict[type[JobEvent], Callable[[Rules, Any, Job], Occasion | None]] = {
    RunStarted: Rules._read_start,
    RunFinished: Rules._read_end,
    FiresMissed: Rules._read_missed,
    RunLate: Rules._read_late,
    SuccessOverdue: Rules._read_overdue,
    ServiceStateChanged: Rules._read_service,
}

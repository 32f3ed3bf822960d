"""What happened since gcron started, as much of it as the page of events shows. An observer."""

from __future__ import annotations

from collections import deque

from gcron.scheduler.events import NEWS, SchedulerEvent
from gcron.scheduler.records import Record, event_record
from gcron.scheduler.scheduler import Scheduler

__all__ = ["Happened"]

_KEPT = 500


class Happened:
    """The last events of a scheduler, from its making on."""

    def __init__(self, scheduler: Scheduler) -> None:
        # Records: events of ended runs would hold what these have written.
        self.records: deque[Record] = deque(maxlen=_KEPT)
        """The newest last."""
        for kind in NEWS:
            scheduler.on(kind, self._note)

    def _note(self, event: SchedulerEvent) -> None:
        self.records.append(event_record(event))

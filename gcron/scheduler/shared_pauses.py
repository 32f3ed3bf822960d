"""Pauses that several nodes share: this one pauses and resumes the jobs that others have paused or resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gcron.policy.services import is_service
from gcron.schedule.clock import Clock
from gcron.scheduler.events import asked_words
from gcron.scheduler.history import Pause
from gcron.scheduler.job_table import JobTable
from gcron.scheduler.pauses import Pauses
from gcron.scheduler.watch import Watch

__all__ = ["SharedPauses"]


class SharedPauses:
    """Keeps the pauses of this node as those in the store. `tell`: takes a job's name and what was done to it."""

    def __init__(
        self, table: JobTable, watch: Watch, pauses: Pauses, clock: Clock, tell: Callable[[str, str], object]
    ) -> None:
        self._table = table
        self._watch = watch
        self._pauses = pauses
        self._clock = clock
        self._tell = tell
        self._changed: dict[str, float] = {}
        """By job, when it was paused or resumed here: by the clock's `monotonic`."""
        self.version = -1
        """`Beat.pauses_version` of what this node has; -1: of nothing."""

    def note(self, name: str) -> None:
        """The job was paused or resumed on this node."""
        self._changed[name] = self._clock.monotonic()

    def follow(self, pauses: Mapping[str, Pause], version: int, sent: float) -> None:
        """Have just these pauses. What has changed here since `sent`, when the store was asked, is newer and stays."""
        newer = {name: at for name, at in self._changed.items() if at >= sent}
        self.version = -1 if newer else version  # -1: the next beat brings all of them once more
        self._changed = newer
        for job in self._table.jobs:
            if is_service(job) or job.name in newer:
                continue
            pause = pauses.get(job.name)
            if pause is None:
                if self._watch.is_paused(job.name) and self._table.resume(job.name):
                    self._pauses.forget(job.name)
                    self._tell(job.name, "resumed on another node")
            elif self._pauses.get(job.name) != pause:
                self._table.pause(job.name)
                self._pauses.add(job.name, pause)
                self._tell(job.name, asked_words("paused on another node", pause.who, pause.why))

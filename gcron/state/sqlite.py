"""`SqliteStore`: history, claims and pauses in a database file, output in files beside it.

This is what the scheduler's loop touches. The work is done by `Engine`, in threads. Its modules and `sqlite3` take
milliseconds to import, so they are imported there, and no start waits for them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Literal

from gcron.frozen import replace
from gcron.policy.services import is_chained
from gcron.scheduler.history import JobSummary, OutputPart, Recall, RunPage, RunQuery, StoredRun, StoreFacts
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece
from gcron.scheduler.store import Fire
from gcron.state.places import DATABASE
from gcron.state.rules import KEEP, Keep

if TYPE_CHECKING:
    from gcron.scheduler.messages import KeptMessage
    from gcron.state.engine import Engine

__all__ = ["SqliteStore"]


class SqliteStore:
    """Remembers in `directory`, which is there. `now` returns seconds of UTC.

    `after_kill`: the gcron before did not come to its end in order.
    """

    blocks = True
    when_down: Literal["run", "skip"] = "run"
    keeps_history = True
    is_durable = True
    cluster = None

    def __init__(
        self, directory: str, keep: Keep = KEEP, now: Callable[[], float] = time.time, after_kill: bool = False
    ) -> None:
        self.directory = directory
        self.keep_output = keep.output
        self._keep = keep
        self._now = now
        self._after_kill = after_kill
        self._opening = threading.Lock()
        self._opened: Engine | None = None

    @property
    def has_past(self) -> bool:
        """See `Store.has_past`."""
        return os.path.exists(os.path.join(self.directory, DATABASE))

    @property
    def _engine(self) -> Engine:
        with self._opening:
            if self._opened is None:
                from gcron.state.engine import Engine

                self._opened = Engine(self.directory, self._keep, self._now)
            return self._opened

    # -- claims ---------------------------------------------------------------------------------------------

    def must_claim(self, job: Job) -> bool:
        """Return True for jobs with `catchup`, and for those that run after others.

        After a crash, only the claim shows that a fire was not missed, or that a chained job has started.
        """
        return job.policy.catchup != "none" or is_chained(job)

    def claim(self, fires: Sequence[Fire]) -> Sequence[bool]:
        """See `Store.claim`. The fires of a job come in order: one is claimed if it is later than the latest."""
        return self._engine.claim(fires)

    def forget(self, jobs: Sequence[str]) -> None:
        """See `Store.forget`."""
        self._engine.forget(jobs)

    # -- writing --------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""
        self._engine.write(batch)

    def write_output(self, pieces: Sequence[OutputPiece]) -> None:
        """See `Store.write_output`."""
        self._engine.write_output(pieces)

    def tend(self) -> float:
        """See `Store.tend`."""
        return inf if self._opened is None else self._opened.tend()

    def prune(self) -> None:
        """Delete at once all that need not be kept."""
        self._engine.prune()

    def close(self) -> None:
        """See `Store.close`. A later call opens it again."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    # -- reading --------------------------------------------------------------------------------------------

    def recall(self, jobs: Sequence[Job]) -> Recall:
        """See `Store.recall`."""
        return replace(self._engine.recall(jobs), after_kill=self._after_kill)

    def messages(self, after: KeptMessage | None = None) -> Sequence[KeptMessage]:
        """See `Store.messages`."""
        return self._engine.messages(after)

    def runs(self, query: RunQuery) -> RunPage:
        """See `Store.runs`."""
        return self._engine.runs(query)

    def run(self, run_id: str) -> StoredRun | None:
        """See `Store.run`."""
        return self._engine.run(run_id)

    def output(self, run_id: str, position: int = 0, limit: int = 65536) -> OutputPart | None:
        """See `Store.output`."""
        return self._engine.read_output(run_id, position, limit)

    def summaries(self, jobs: Sequence[str] | None = None) -> Mapping[str, JobSummary]:
        """See `Store.summaries`."""
        return self._engine.summaries(jobs)

    def facts(self) -> StoreFacts:
        """See `Store.facts`."""
        return self._engine.facts()

"""`RecentRuns`: the latest runs of this process, for a scheduler without state. Nothing of it outlives the process.

It needs no journal and no store: each run costs only its record, when it ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from gcron.scheduler.events import FiresMissed, RunFinished
from gcron.scheduler.history import JobSummary, RunPage, RunQuery, StoredRun, StoreFacts, page_of
from gcron.scheduler.journal import record_of_end, record_of_miss
from gcron.scheduler.store import NoStore
from gcron.scheduler.tally import tally
from gcron.supervise.run import Run

__all__ = ["RecentRuns"]

# Of all jobs together. They take less than a megabyte.
_MOST = 1000


class RecentRuns(NoStore):
    """Remembers the latest 1000 runs, without their output. It finds no past at a start, and claims nothing."""

    def __init__(self) -> None:
        self._ended: deque[StoredRun] = deque(maxlen=_MOST)
        self._running: Callable[[], Iterable[Run]] = tuple

    def follow(self, running: Callable[[], Iterable[Run]]) -> None:
        """Have `running` called for the runs under way."""
        self._running = running

    def note(self, event: RunFinished | FiresMissed) -> None:
        """Take an event in. HOT PATH: for each run of a program without state."""
        self._ended.append(record_of_end(event) if isinstance(event, RunFinished) else record_of_miss(event))

    def _all(self) -> list[StoredRun]:
        return [*self._ended, *map(_record_of, self._running())]

    def runs(self, query: RunQuery) -> RunPage:
        """See `Store.runs`."""
        return page_of(enumerate(self._all()), query)

    def run(self, run_id: str) -> StoredRun | None:
        """See `Store.run`."""
        return next((run for run in self._all() if run.run_id == run_id), None)

    def summaries(self, jobs: Sequence[str] | None = None) -> Mapping[str, JobSummary]:
        """See `Store.summaries`: of the runs that are remembered."""
        fires: dict[str, int] = {}
        for run in self._ended:
            if run.fire_at is not None:
                fires[run.job] = max(run.last_fire_at or run.fire_at, fires.get(run.job, 0))
        sums = tally(self._ended)
        names = sums if jobs is None else [name for name in jobs if name in sums]
        return {name: sums[name].summary(name, fires.get(name)) for name in names}

    def facts(self) -> StoreFacts:
        """See `Store.facts`."""
        runs = self._all()
        oldest = min((run.created for run in runs), default=None)
        return StoreFacts("memory", len({run.job for run in runs}), len(runs), oldest, 0, 0)


def _record_of(run: Run) -> StoredRun:
    return StoredRun(
        run.run_id,
        run.job,
        run.created_at,
        fire_at=run.fire_at,
        started=run.started_at,
        attempts=run.attempt,
        pid=run.pid,
        who=run.who,
        why=run.why,
    )

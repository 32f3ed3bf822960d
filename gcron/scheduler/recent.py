"""`RecentRuns`: the latest runs of this process, for a scheduler without state. Nothing of it outlives the process."""

from __future__ import annotations

from gcron.scheduler.history import RunPage, RunQuery, StoredRun, StoreFacts, page_of
from gcron.scheduler.journal import Batch
from gcron.scheduler.store import NoStore

__all__ = ["RecentRuns"]

# Of all jobs together. They take less than a megabyte.
_MOST = 1000


class RecentRuns(NoStore):
    """Remembers the latest 1000 runs, without their output. It finds no past at a start, and claims nothing."""

    keeps_history = True

    def __init__(self) -> None:
        self._runs: dict[str, tuple[int, StoredRun]] = {}
        """By id, each with its number, in the order in which they came."""
        self._count = 0

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""
        for run in batch.runs:
            if run.run_id in self._runs:
                number, _ = self._runs[run.run_id]
            else:
                number = self._count = self._count + 1
            self._runs[run.run_id] = number, run
        while len(self._runs) > _MOST:
            del self._runs[next(iter(self._runs))]

    def runs(self, query: RunQuery) -> RunPage:
        """See `Store.runs`."""
        return page_of(self._runs.values(), query)

    def run(self, run_id: str) -> StoredRun | None:
        """See `Store.run`."""
        found = self._runs.get(run_id)
        return None if found is None else found[1]

    def facts(self) -> StoreFacts:
        """See `Store.facts`."""
        oldest = min((run.created for _, run in self._runs.values()), default=None)
        return StoreFacts("memory", len({run.job for _, run in self._runs.values()}), len(self._runs), oldest, 0, 0)

"""What can be asked about a scheduler: its jobs, their runs and services, what is due next.

Any thread may ask, see `OwnerThread.call`. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from gcron.errors import ArgumentError, StateError
from gcron.policy import nearest
from gcron.schedule.clock import Clock
from gcron.scheduler.door import StoreDoor, StoreUnavailable
from gcron.scheduler.groups import GroupStatus
from gcron.scheduler.history import RunQuery
from gcron.scheduler.job import Job
from gcron.scheduler.lifecycle import Lifecycle
from gcron.scheduler.services import ServiceStatus
from gcron.scheduler.status import Counts, JobStatus
from gcron.supervise.outcome import Outcome
from gcron.supervise.run import Run

if TYPE_CHECKING:
    from gcron.scheduler.cluster import NodeRecord
    from gcron.scheduler.messages import RecentMessage, TargetCounts
    from gcron.scheduler.past_run import PastRun

__all__ = ["Queries"]

# What `last_run` leaves out: no run came of these fires.
_NO_RUNS = frozenset({Outcome.SKIPPED, Outcome.MISSED})


class Queries(Lifecycle):
    """A scheduler that answers."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, in the order they were added."""
        return self._owner.call(lambda: self._table.jobs)

    def get_job(self, name: str) -> Job | None:
        """The job of that name; None when there is none."""
        return self._owner.call(self._table.find, name)

    def status(self, name: str) -> JobStatus:
        """How a job stands, also one that ran once and is over. Raises KeyError when there is none of that name."""
        return self._owner.call(self._status_of, name)

    def _status_of(self, name: str) -> JobStatus:
        if (over := self._table.over(name)) is not None:
            job, last = over
            return JobStatus(job, None, False, (), self._counts.of(name).copy(), None, last)
        return self._status(self._table.get(name), self._services.status())

    def statuses(self, names: Iterable[str]) -> list[JobStatus]:
        """How the jobs of these names stand, all at one moment; names of no job are left out."""
        return self._owner.call(self._statuses, names)

    def _statuses(self, names: Iterable[str]) -> list[JobStatus]:
        services = self._services.status()
        return [self._status(job, services) for name in names if (job := self._table.find(name)) is not None]

    def overview(self) -> list[JobStatus]:
        """How each job stands, all at one moment, in the order they were added."""
        return self._owner.call(self._overview)

    def _overview(self) -> list[JobStatus]:
        return self._statuses(job.name for job in self._table.jobs)

    def _status(self, job: Job, services: dict[str, ServiceStatus]) -> JobStatus:
        service = services.get(job.name)
        life = service.run if service is not None else None
        running = [life] if life is not None else self._runs.of(job.name)
        is_paused = self._watch.is_paused(job.name)
        counts = self._counts.of(job.name).copy()
        pause = self._pauses.get(job.name) if is_paused else None
        is_overdue = self._expectations.is_overdue(job.name)
        due, upstream = self._watch.due(job.name), self._table.upstream(job)
        return JobStatus(
            job,
            due,
            is_paused,
            tuple(running),
            counts,
            service,
            is_overdue=is_overdue,
            pause=pause,
            upstream=upstream,
        )

    def is_paused(self, name: str) -> bool:
        """Whether the job of that name is paused."""
        return self._owner.call(self._watch.is_paused, name)

    def next_due(self) -> datetime | None:
        """The next instant at which any job is due; None when none will be."""
        return self._owner.call(self._watch.next_due)

    def upcoming(self, count: int = 10) -> list[tuple[datetime, str]]:
        """The next `count` instants at which jobs are due, each job's first one, with their names."""
        return self._owner.call(self._watch.upcoming, count)

    def running(self) -> list[Run]:
        """The runs under way, those of services last."""
        return self._owner.call(self._all_running)

    @property
    def services(self) -> dict[str, ServiceStatus]:
        """How each service stands, by name."""
        return self._owner.call(self._services.status)

    @property
    def groups(self) -> list[GroupStatus]:
        """How each group stands."""
        return self._owner.call(self._groups.status)

    @property
    def nodes(self) -> tuple[NodeRecord, ...]:
        """The nodes that share the work, as this one saw them last; none where it works alone."""
        return self._owner.call(lambda: () if self._node is None else self._node.nodes)

    # -- the past ---------------------------------------------------------------------------------------------

    def history(
        self,
        job: str | None = None,
        *,
        limit: int = 50,
        outcome: str | Iterable[str] = (),
        failed: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[PastRun]:
        """The latest runs of a job, or of all jobs, newest first; runs under way are among them.

            for run in scheduler.history("backup", limit=10, failed=True):
                print(run.due, run.outcome, run.reason)

        At most `limit`; only those with this `outcome`, or one of these; with `failed`, only those that failed in any
        way, as `PastRun.failed`; created at `since` or later, and before `until`. With a `state`, they are those of
        earlier starts, too, as long as they are kept. Without one, they are among the latest thousand of this process.

        Raises ArgumentError for a wrong argument, KeyError for a job that is neither here nor in the history,
        StateError when the state is not open or does not answer.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ArgumentError(f"limit is a whole number above 0, not {limit!r}")
        wanted = frozenset([outcome] if isinstance(outcome, str) else outcome)
        span = _seconds(since, "since"), _seconds(until, "until")
        query = RunQuery(job, _checked_outcomes(wanted), *span, limit, failed=failed)
        return self._owner.call(self._history, query)

    def last_run(self, job: str) -> PastRun | None:
        """The latest run of a job that has ended, and was not skipped or missed. None when there is none.

        Raises StateError as `history`.
        """
        ended = frozenset(map(str, frozenset(Outcome) - _NO_RUNS))
        found = self._owner.call(self._history, RunQuery(job, ended, limit=1))
        return found[0] if found else None

    def _history(self, query: RunQuery) -> list[PastRun]:
        from gcron.scheduler.past_run import past_run  # for few

        try:
            self._door.settle()
            runs = self._door.runs(query).runs
            if not runs and query.job is not None and not self._is_known(query.job):
                self._table.get(query.job)  # raises, with the nearest name
            return [past_run(run) for run in runs]
        except StoreUnavailable as error:
            raise StateError(f"the history cannot be read: {error}") from None

    def _is_known(self, name: str) -> bool:
        """Whether there is a job of that name, or was one."""
        return (
            self._table.find(name) is not None
            or self._table.over(name) is not None
            or bool(self._door.runs(RunQuery(name, limit=1)).runs)
        )

    # -- its parts --------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """How often each outcome came, kept up to date: `counts.total`, `counts.of("backup").failed`."""
        return self._counts

    @property
    def message_counts(self) -> list[TargetCounts]:
        """What became of the messages (`notify`), for each target that had any."""
        return self._owner.call(lambda: [] if self._messenger is None else self._messenger.counts())

    @property
    def message_targets(self) -> list[TargetCounts]:
        """The same for each target that any job has, with the number of jobs."""
        return self._owner.call(lambda: [] if self._messenger is None else self._messenger.targets())

    @property
    def recent_messages(self) -> list[RecentMessage]:
        """The newest 500 messages since the start, newest first, and what became of each."""
        return self._owner.call(lambda: [] if self._messenger is None else self._messenger.recent())

    @property
    def message_revision(self) -> int:
        """Grows whenever `message_counts` or `recent_messages` change. Ask in the scheduler's thread."""
        return 0 if self._messenger is None else self._messenger.revision

    @property
    def clock(self) -> Clock:
        """What tells it the time."""
        return self._clock

    @property
    def store(self) -> StoreDoor:
        """What it remembers: runs, output, pauses, and whether the store works. Ask in the scheduler's thread."""
        return self._door


def _checked_outcomes(outcomes: frozenset[str]) -> frozenset[str]:
    known = [str(outcome) for outcome in Outcome]
    for outcome in outcomes:
        if outcome not in known:
            raise ArgumentError(f"there is no outcome {outcome!r} ({nearest(str(outcome), known)})")
    return frozenset(map(str, outcomes))


def _seconds(moment: datetime | None, name: str) -> float | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        example = f"{name}=datetime.now(UTC) - timedelta(hours=1)"
        raise ArgumentError(f"{name} must be an aware datetime, such as {example}, not {moment!r}")
    if moment.tzinfo is None:
        raise ArgumentError(f"{name} must be an aware datetime: give it a tzinfo")
    return moment.timestamp()

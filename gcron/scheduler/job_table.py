"""The job table: the one owner of the jobs. It changes them, and reports each change to the rooms that follow it.

It belongs to one thread. It must not know where jobs come from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gcron.errors import JobError, JobExistsError, NoSuchJobError
from gcron.frozen import replace
from gcron.policy import nearest
from gcron.policy.services import (
    find_chain_mistakes,
    find_mistakes,
    find_unshareable,
    is_chained,
    is_service,
    runs_at_start,
)
from gcron.schedule import AfterJobsSchedule, OnceSchedule, Schedule, core_of
from gcron.scheduler.door import StoreDoor
from gcron.scheduler.events import FiresMissed, RunFinished
from gcron.scheduler.expectations import Expectations
from gcron.scheduler.groups import Groups
from gcron.scheduler.history import Chain, Upstream
from gcron.scheduler.job import Job
from gcron.scheduler.services import Services
from gcron.scheduler.status import Counts
from gcron.scheduler.watch import Watch

if TYPE_CHECKING:
    from gcron.scheduler.chains import Chains

__all__ = ["JobTable", "Replaced"]


# Jobs that are over whose last run stays known.
_MOST_OVER = 1000
# Bytes of the name of a job where nodes share some: an index of PostgreSQL takes 2,700, and escapes need up to four
# times as many.
_LONGEST_SHARED = 600


class Replaced(NamedTuple):
    """What another table of jobs is, compared with the one before: names of jobs, in the order of their tables."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class JobTable:
    """All jobs by name, in the order in which they were added. `make_chains`: called once a job runs after others."""

    def __init__(
        self,
        watch: Watch,
        services: Services,
        groups: Groups,
        expectations: Expectations,
        counts: Counts,
        door: StoreDoor,
        make_chains: Callable[[], Chains],
    ) -> None:
        self._jobs: dict[str, Job] = {}
        self._watch = watch
        self._services = services
        self._groups = groups
        self._expectations = expectations
        self._counts = counts
        self._over: dict[str, tuple[Job, RunFinished | FiresMissed]] = {}
        """Jobs that ran once, and how that ended; the latest of them."""
        self._absent: set[str] = set()
        """Names of jobs that are gone, and that another job names in `@after`: it waits until there is one again."""
        self._door = door
        self._make_chains = make_chains
        self._chains: Chains | None = None
        self.is_shared = False
        """Whether several nodes share the jobs."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All of them."""
        return tuple(self._jobs.values())

    @property
    def group_limits(self) -> Mapping[str, int]:
        """How many runs of each group there may be at once."""
        return self._groups.limits

    def find(self, name: str) -> Job | None:
        """The job of that name; None when there is none."""
        return self._jobs.get(name)

    def get(self, name: str) -> Job:
        """The job of that name; raises KeyError when there is none."""
        job = self._jobs.get(name)
        if job is None:
            hint = nearest(str(name), self._jobs) if self._jobs else "there are none at all"
            raise NoSuchJobError(f"there is no job named {name!r} ({hint})")
        return job

    def prepare(self) -> float:
        """The time from which on jobs will be due. Raises ValueError for a wrong name in `after` or `@after`."""
        _check_after(self.jobs, self._gone)
        self._check_shareable(self.jobs)
        self._follow_one_shots()
        return self._watch.prepare()

    def start(
        self,
        began: float,
        handled: Mapping[str, float],
        silences: Mapping[str, tuple[float, float | None]],
        chains: Mapping[str, tuple[Chain, float]],
        waiting: Mapping[str, Sequence[int]],
    ) -> None:
        """Begin to fire; see `Watch.start`, `Expectations.remember` and `Chains.start`."""
        self._door.define(self.jobs)
        self._watch.start(self.jobs, began, handled, waiting)
        self._expectations.remember(silences)
        self._expectations.replace(self._expected())
        self._services.start()
        if self._chains is not None:
            self._chains.start(chains)

    def longest_kill_after(self) -> float:
        """Seconds that ending the runs may take: of jobs, and then of services. Any thread may ask."""
        jobs = list(self._jobs.values())
        services = [job for job in jobs if is_service(job)]
        longest = max((job.policy.kill_after for job in jobs if not is_service(job)), default=0.0)
        longest += max((job.policy.kill_after for job in services), default=0.0)
        # Services that need one another end one after the other.
        return longest + sum(job.policy.kill_after for job in services if job.policy.after)

    def adopt(self, before: JobTable) -> None:
        """Take the jobs of another table, also those that are over."""
        self.add(before.jobs)
        self._over = before._over
        self._absent = before._absent

    # -- jobs that are over -----------------------------------------------------------------------------------

    def retire(self, event: RunFinished | FiresMissed) -> None:
        """Take the job of the event out of the table, if it was to run once, and that is over."""
        job = self._jobs.get(event.job)
        if job is None or not isinstance(core_of(job.schedule), OnceSchedule) or not self._watch.is_over(job):
            return
        del self._jobs[job.name]
        self._watch.forget(job.name)
        self._expectations.forget(job.name)
        self._over[job.name] = job, event
        if len(self._over) > _MOST_OVER:
            name = next(iter(self._over))
            del self._over[name]
            self._counts.forget(name)
            self._note_absent(name)

    def over(self, name: str) -> tuple[Job, RunFinished | FiresMissed] | None:
        """A job that ran once and is over, with the event that ended it."""
        return self._over.get(name)

    # -- coming and going -----------------------------------------------------------------------------------

    def add(self, jobs: Sequence[Job]) -> None:
        """Add all of them, or none: raises ValueError when one is wrong."""
        self._check(jobs)
        for job in jobs:
            self._add(job)

    def _check(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.name in self._jobs:
                hint = "give each lambda a name=" if job.name == "<lambda>" else "give this one another name="
                raise JobExistsError(f"there is a job named {job.name!r} already ({hint})")
            if job.policy.group is not None:
                self._groups.check([job])
        self._check_shareable(jobs)
        # Before the start, what a job waits for may be added later than the job.
        if self._watch.is_started and any(job.policy.after or is_chained(job) for job in jobs):
            _check_after([*self.jobs, *jobs], self._gone)

    def _check_shareable(self, jobs: Iterable[Job]) -> None:
        if not self.is_shared:
            return
        for job in jobs:
            if len(job.name.encode("utf-8", "surrogatepass")) > _LONGEST_SHARED:
                raise JobError(f"the name of job {job.name[:60]!r}… is too long: {_LONGEST_SHARED} bytes at most")
            if what := find_unshareable(job):
                hint = "run-on=every runs it on each node for itself"
                raise JobError(f"job {job.name!r}: {what} is not offered where several nodes share a job ({hint})")

    def _add(self, job: Job) -> None:
        if job.policy.group is not None:
            self._groups.adopt([job])
        self._jobs[job.name] = job
        self._over.pop(job.name, None)
        self._absent.discard(job.name)
        if is_service(job):
            self._services.add(job)
        else:
            self._watch.follow(job)
            self._follow_chain(job)
        if self._watch.is_started:
            self._follow_one_shots()
            self._expectations.add(job)
            self._door.define([job])

    def _follow_chain(self, job: Job) -> None:
        if self._chains is None and is_chained(job):
            self._chains = self._make_chains()
        if self._chains is not None:
            self._chains.follow(job)

    def upstream(self, job: Job) -> tuple[Upstream, ...]:
        """The jobs that a job runs after, and how they have done since its last start."""
        upstream = () if self._chains is None else self._chains.upstream(job)
        return tuple(each if each.has_succeeded else self._awaited(each) for each in upstream)

    def _awaited(self, upstream: Upstream) -> Upstream:
        """What is known of a job that is waited for, with the reason why it will not run by itself."""
        name = upstream.job
        if name in self._absent:
            return Upstream(name, reason=f"there is no job {name}")
        if self._watch.is_paused(name):
            rests = f"{name} is paused"
        elif name in self._jobs and not self._jobs[name].policy.enabled:
            rests = f"{name} is not enabled (enabled=no)"
        else:
            return upstream
        return replace(upstream, reason=f"{upstream.reason}; {rests}" if upstream.reason else rests)

    @property
    def _gone(self) -> Collection[str]:
        return self._over.keys() | self._absent

    def _note_absent(self, name: str) -> None:
        if any(isinstance(job.schedule, AfterJobsSchedule) and name in job.schedule.jobs for job in self.jobs):
            self._absent.add(name)

    def _follow_one_shots(self) -> None:
        self._services.follow_one_shots(job.name for job in self._jobs.values() if runs_at_start(job))

    def remove(self, name: str) -> None:
        """Remove a job: a run of it may finish, a service is ended. Raises KeyError when there is none of that name.

        A job that runs after it waits for it, until there is a job of that name again.
        """
        self._watch.settle()
        self.get(name)
        del self._jobs[name]
        self._note_absent(name)
        self._forget(name)
        self._expectations.forget(name)
        self._services.remove(name)
        self._follow_one_shots()

    def replace(self, jobs: Iterable[Job]) -> Replaced:
        """Make `jobs` the whole table; see `Scheduler.replace`."""
        wanted: dict[str, Job] = {}
        for job in jobs:
            if wanted.setdefault(job.name, job) is not job:
                raise JobExistsError(f"there are two jobs named {job.name!r}")
        _check_after(wanted.values(), self._gone)
        self._check_shareable(wanted.values())
        self._groups.adopt(wanted.values(), anew=True)
        self._watch.settle()
        before, self._jobs = self._jobs, wanted
        self._absent -= wanted.keys()
        self._services.replace([job for job in wanted.values() if is_service(job)])
        removed = [name for name in before if name not in wanted]
        for name in removed:
            self._forget(name)
        changed = [job for name, job in wanted.items() if name in before and before[name] != job]
        added = [job for name, job in wanted.items() if name not in before]
        for job in [*added, *changed]:
            self._watch.follow(job, before.get(job.name))
            self._follow_chain(job)
        if self._watch.is_started:
            self._follow_one_shots()
            self._expectations.replace(self._expected())
            self._door.define([*added, *changed])
        return Replaced(tuple(job.name for job in added), tuple(job.name for job in changed), tuple(removed))

    def _forget(self, name: str) -> None:
        self._watch.forget(name)
        self._counts.forget(name)
        if self._chains is not None:
            self._chains.forget(name)

    # -- at run time ----------------------------------------------------------------------------------------

    def reschedule(self, name: str, schedule: Schedule) -> Job:
        """Let a job have another schedule from now on. Raises KeyError, ValueError for a service or to make it one."""
        self._watch.settle()  # what is due by now is due by the old schedule
        before = self._scheduled(name, "has no schedule")
        job = replace(before, schedule=schedule)
        if is_service(job):
            raise JobError(f"job {name!r} cannot become a service: remove it, and add a service")
        self._check_shareable([job])
        if self._watch.is_started and is_chained(job):
            _check_after((self._jobs | {name: job}).values(), self._gone)
        self._jobs[name] = job
        self._watch.follow(job, before)
        self._follow_chain(job)
        self._door.define([job])
        return job

    def pause(self, name: str) -> bool:
        """Let a job not be due until `resume`; False when it is paused already. Raises KeyError, ValueError."""
        self._watch.settle()  # what is due by now was due before
        job = self._scheduled(name, "cannot be paused")
        if self._watch.is_paused(name):
            return False
        self._watch.pause(job)
        self._expectations.forget(name)
        return True

    def resume(self, name: str) -> bool:
        """Let a job be due again, from now on; False when it is not paused. Raises KeyError."""
        job = self.get(name)
        if not self._watch.is_paused(name):
            return False
        self._watch.resume(job)
        if self._watch.is_started:
            self._expectations.add(job)
        if self._chains is not None:
            self._chains.resume(name)
        return True

    def _scheduled(self, name: str, why_not: str) -> Job:
        job = self.get(name)
        if is_service(job):
            raise JobError(f"{name!r} is a service, which {why_not}: remove it, and add it again")
        return job

    def _expected(self) -> list[Job]:
        return [job for job in self.jobs if not self._watch.is_paused(job.name) and self._watch.is_here(job)]


def _check_after(jobs: Iterable[Job], gone: Collection[str]) -> None:
    """Raise JobError for what a job cannot wait for, or run after. `gone`: names of jobs that are over."""
    jobs = list(jobs)
    for job, message, hint in find_mistakes(jobs):
        raise JobError(f"job {job.name!r}: {message} ({hint})")
    for job, _, message, hint in find_chain_mistakes(jobs, gone):
        raise JobError(f"job {job.name!r}: {message} ({hint})")

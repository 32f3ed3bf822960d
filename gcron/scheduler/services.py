"""The services of a scheduler: started and stopped together, changed by difference, waited for by jobs.

Their lives are runs in a table of their own. So a stop can go in order: first the jobs, then the services they need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf

from gcron.errors import StateError
from gcron.frozen import frozen
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import spawn
from gcron.runtime.pool import Group
from gcron.runtime.waiting import joinall
from gcron.schedule.clock import Clock
from gcron.scheduler.events import JobEvent, Notice, RunFinished
from gcron.scheduler.history import StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.observers import Observers
from gcron.scheduler.runs import Runs, StopReport
from gcron.scheduler.service import Service
from gcron.supervise.orphans import Orphan
from gcron.supervise.outcome import NO_REASON, Reason, ReasonCode
from gcron.supervise.python_call import Threads
from gcron.supervise.restarts import ServiceState
from gcron.supervise.run import Run
from gcron.supervise.timing import TIMING, Timing

__all__ = ["ServiceStatus", "Services"]

_SHUTDOWN = Reason(ReasonCode.SHUTDOWN, "gcron is told to stop")
# Seconds after KILL in which a process ends that can. The services that it needs do not wait longer.
_TIME_FOR_KILL = 1.0


@frozen
class ServiceStatus:
    """How a service stands at one moment."""

    name: str
    state: ServiceState
    reason: Reason
    """Why it is so; may be `NO_REASON`."""
    since: float
    """Seconds of UTC."""
    restarts: int
    """How often it was started again since its definition is as it is."""
    run: Run | None
    """Its present life, if it has one."""


class _OneShot:
    """A `@reboot` job that others may wait for."""

    def __init__(self) -> None:
        self.ready = Flag()
        """Set once it has succeeded, or is gone."""
        self.standing = ""
        """How its last run has ended, if it failed."""


class Services:
    """All services by name. `hold_back` lets a job wait for the services and the `@reboot` jobs in its `after`."""

    def __init__(self, clock: Clock, observers: Observers, threads: Threads, timing: Timing = TIMING) -> None:
        self._clock = clock
        self._observers = observers
        self._timing = timing
        self._runs = Runs(clock, observers, self.hold_back, threads, timing=timing)
        self._one_shots: dict[str, _OneShot] = {}
        self.why_not_begun: Callable[[str], str] = lambda name: ""
        """Returns why the `@reboot` job of this name does not run; empty when it does, or when it has ended."""
        self.why_not_here: Callable[[Job], Reason] = lambda job: NO_REASON
        """Returns why another node runs the service; `NO_REASON`: this one does."""
        observers.add_own("run-finished", self._note_end)
        observers.add_own("process-started", self._notice)
        observers.add_own("output", self._notice)
        self._group = Group()
        self._services: dict[str, Service] = {}
        self._leaving: dict[str, Service] = {}
        """Removed services whose life has not ended yet."""
        self._killed: list[Run] = []
        """Lives that `kill` has ended."""
        self._is_started = False
        """Services that are added or changed start at once; not before `start`, nor after `stop`."""

    def status(self) -> dict[str, ServiceStatus]:
        """How each of them stands."""
        return {
            name: ServiceStatus(name, each.state, each.reason, each.since, each.restarts, each.run)
            for name, each in self._services.items()
        }

    def running(self) -> list[Run]:
        """Their present lives, also of removed ones that have not ended yet."""
        return self._runs.running()

    # -- the table ------------------------------------------------------------------------------------------

    def replace(self, jobs: Iterable[Job]) -> None:
        """Make `jobs` the whole table. Unchanged services live on undisturbed."""
        wanted = {job.name: job for job in jobs}
        for name in self._services.keys() - wanted.keys():
            self.remove(name)
        for name, job in wanted.items():
            service = self._services.get(name)
            if service is None:
                self.add(job)
            elif service.job != job:
                self._define(service, job, Reason(ReasonCode.JOB_CHANGED, "its definition has changed"))

    def add(self, job: Job) -> None:
        """Keep it running from now on, or from `start` on."""
        service = self._leaving.pop(job.name, None) or Service(job, self._runs, self._clock, self._group.spawn)
        self._services[job.name] = service
        self._define(service, job, Reason(ReasonCode.JOB_ADDED, "added"))

    def _define(self, service: Service, job: Job, why: Reason) -> None:
        if not self._is_started:
            service.job = job
        elif why_not := self.why_not_here(job):
            service.job = job
            service.stop(why_not)
        else:
            service.renew(job, why)

    def remove(self, name: str) -> None:
        """End it; nothing happens when there is none of that name."""
        service = self._services.pop(name, None)
        if service is None:
            return
        service.stop(Reason(ReasonCode.JOB_REMOVED, "removed"))
        service.ready.set()  # runs that wait for it see that it is gone
        self._leaving = {name: each for name, each in self._leaving.items() if each.run is not None}
        if service.run is not None:
            self._leaving[name] = service

    def follow_one_shots(self, names: Iterable[str]) -> None:
        """These are all `@reboot` jobs. What is known of one stays known as long as there is a job of its name."""
        before = self._one_shots
        self._one_shots = {name: before.get(name) or _OneShot() for name in names}
        for gone in before.keys() - self._one_shots.keys():
            before[gone].ready.set()  # runs that wait for it see that it is gone

    def start(self) -> None:
        """Start all that are enabled."""
        self._is_started = True
        for service in self._services.values():
            if service.run is None:  # else it was triggered before
                self._define(service, service.job, Reason(ReasonCode.STARTUP, "gcron starts it"))

    def claim_for(self, node: str, claim: Callable[[Job, Run], Reason], why_not_here: Callable[[Job], Reason]) -> None:
        """Several nodes share the work; see `Runs.claim` and `why_not_here`."""
        self._runs.node, self._runs.claim = node, claim
        self.why_not_here = why_not_here

    def begin_here(self, name: str, why: Reason) -> None:
        """This node runs it from now on."""
        service = self._services.get(name)
        if service is not None and self._is_started and service.run is None:
            service.renew(service.job, why)

    def explain(self, name: str, why_not: Reason) -> None:
        """Another node runs it."""
        service = self._services.get(name)
        if service is not None and service.run is None and service.reason != why_not:
            service.stop(why_not)

    def adopt(self, name: str, stored: StoredRun, orphan: Orphan, why_not: Reason | None) -> None:
        """Go on with a life that an earlier gcron began; end it for the reason `why_not`, if there is one."""
        service = self._services[name]
        if service.run is not None:
            return
        service.adopt(stored, orphan)
        if why_not is not None:
            service.renew(service.job, why_not)

    def trigger(self, name: str) -> Run:
        """Start it unless it lives; returns its run. Raises StateError when another node runs it."""
        service = self._services[name]
        self._check_here(service)
        why = Reason(ReasonCode.TRIGGERED, "triggered")
        if service.run is None or service.state is not ServiceState.STOPPING:
            return service.start(why)
        service.restart(why)  # once its life, which is being ended, is over
        return service.run

    def stop_one(self, name: str, why: Reason) -> None:
        """End it, and do not start it again by itself; returns at once."""
        self._services[name].stop(why)

    def restart(self, name: str, why: Reason) -> None:
        """Start it again, after its present life has ended; returns at once. Raises as `trigger`."""
        self._check_here(self._services[name])
        self._services[name].restart(why)

    def _check_here(self, service: Service) -> None:
        if why_not := self.why_not_here(service.job):
            raise StateError(f"the service {service.job.name} cannot be started on this node: {why_not}")

    # -- jobs that wait for them ---------------------------------------------------------------------------

    def hold_back(self, job: Job, run: Run, deadline: float) -> Reason:
        """Wait until all in the job's `after` can be used; return why its run shall not begin, if so.

        A service can be used when it is ready, a `@reboot` job when it has succeeded.

        The run of a job waits until `deadline` (by the clock's `monotonic`), the run of a service forever.
        """
        service = self._services.get(job.name)
        if service is None and not job.policy.after:
            return NO_REASON
        own = service is not None and service.run is run
        if own:
            deadline = inf
        named: set[str] = set()
        while name := self._first_not_ready(job):
            awaited = self._awaited(name)
            if awaited is None:
                return Reason(ReasonCode.SERVICE_NOT_READY, f"there is no service {name}")
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return self._too_late(name, awaited)
            run.describe_wait = partial(self._wait_words, name, awaited)
            if name not in named:
                named.add(name)
                self._runs.tell(Notice(self._clock.now(), job.name, run.run_id, run.describe_wait()))
            if why_not := run.wait_for(awaited.ready, None if left == inf else left):
                return why_not
        run.describe_wait = str
        if own and service is not None:
            service.begin_call()
        return NO_REASON

    def _wait_words(self, name: str, awaited: Service | _OneShot) -> str:
        kind = "service" if isinstance(awaited, Service) else "job"
        return f"waits for the {kind} {name}: {self._standing(name, awaited)}"

    def _too_late(self, name: str, awaited: Service | _OneShot) -> Reason:
        standing = self._standing(name, awaited)
        if isinstance(awaited, _OneShot):
            text = f"the job {name} has not succeeded: {standing}; `gcron trigger {name}` runs it again"
            return Reason(ReasonCode.JOB_NOT_SUCCEEDED, text)
        return Reason(ReasonCode.SERVICE_NOT_READY, f"the service {name} was not ready in time: {standing}")

    def _standing(self, name: str, awaited: Service | _OneShot) -> str:
        if isinstance(awaited, _OneShot):
            return awaited.standing or self.why_not_begun(name) or "it has not ended yet"
        return f"{awaited.state}, {awaited.reason}" if awaited.reason else awaited.state

    def _first_not_ready(self, job: Job) -> str | None:
        for name in job.policy.after:
            awaited = self._awaited(name)
            if awaited is None or not awaited.ready.is_set():
                return name
        return None

    def _awaited(self, name: str) -> Service | _OneShot | None:
        return self._services.get(name) or self._one_shots.get(name)

    def _note_end(self, event: RunFinished) -> None:
        one_shot = self._one_shots.get(event.job)
        if one_shot is None:
            return
        if event.result.succeeded:
            one_shot.ready.set()
        else:
            one_shot.standing = f"{event.result.outcome}, {event.result.reason}"

    def note_success(self, name: str) -> None:
        """A `@reboot` job has succeeded before this start, and does not run again: `reboot=machine`."""
        if (one_shot := self._one_shots.get(name)) is not None:
            one_shot.ready.set()

    def _notice(self, event: JobEvent) -> None:
        service = self._services.get(event.job)
        if service is not None and service.run is not None and service.run.run_id == getattr(event, "run_id", ""):
            service.notice(event)

    # -- the end of all -------------------------------------------------------------------------------------

    def stop(self) -> StopReport:
        """Ask all of them to end, each one after those that need it have ended; bounded, whatever they do."""
        lives = dict.fromkeys([*self._killed, *self.running()])
        ended = {name: Flag() for name in self._services}
        self._observers.hurry()
        stopping = [
            spawn(self._stop_in_turn, service, [ended[other] for other in dependents], ended[service.job.name], lives)
            for service, dependents in self._dependents()
        ]
        self._is_started = False
        joinall(stopping)
        report = self._runs.await_end(list(lives))
        longest = max((service.job.policy.kill_after for service in self._services.values()), default=0.0)
        self._group.join(longest + self._timing.unkillable_after)
        return report

    def _stop_in_turn(self, service: Service, before: Sequence[Flag], ended: Flag, lives: dict[Run, None]) -> None:
        """Ask it to end once `before` are set; then wait for its end, at most until KILL should have ended it."""
        for each in before:
            each.wait()
        life = service.run
        service.stop(_SHUTDOWN)
        if life is not None:
            lives[life] = None
            life.ended.wait(service.job.policy.kill_after + _TIME_FOR_KILL)
        ended.set()

    def _dependents(self) -> list[tuple[Service, list[str]]]:
        """Return each service with the names of the services that need it."""
        found: dict[str, list[str]] = {name: [] for name in self._services}
        if self._is_started:  # else they may wait for one another in a circle
            for name, service in self._services.items():
                for needed in service.job.policy.after:
                    if needed in found:
                        found[needed].append(name)
        return [(self._services[name], dependents) for name, dependents in found.items()]

    def kill(self) -> None:
        """Kill all of them, and start none again; returns at once."""
        self._is_started = False
        self._killed += self.running()
        self._runs.kill()
        for service in self._services.values():
            service.stop(Reason(ReasonCode.SHUTDOWN, "gcron was told to stop at once"))

"""The life of a scheduler: its parts, its start, and its end.

A fire goes in one direction: due (watch.py), claimed (claims.py), overlap decided (overlap.py), run (runs.py), outcome.
Observers get events on the way and can neither delay nor stop it. All of that happens in one thread (owner.py). This
module must not know how jobs are made, nor what is asked about them.

It is long because a start that fails half-way, a stop during a start, and a stop from another thread are one order of
steps, and share its state. The steps themselves are in the parts.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import tzinfo
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, overload

from gcron.errors import ArgumentError, StateError
from gcron.runtime.event import AsyncResult
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import get_hub
from gcron.runtime.threadpool import ThreadPool
from gcron.schedule.clock import Clock, SystemClock, local_timezone
from gcron.schedule.other_words import answering
from gcron.scheduler.background import Background, Foreground, stop_at_exit
from gcron.scheduler.claims import Claims
from gcron.scheduler.door import StoreDoor
from gcron.scheduler.event_log import EventLog
from gcron.scheduler.events import FiresMissed, JobResumed, LoopBlocked, RunFinished, ServiceStateChanged
from gcron.scheduler.expectations import Expectations
from gcron.scheduler.groups import Groups
from gcron.scheduler.job_table import JobTable
from gcron.scheduler.journal import KINDS
from gcron.scheduler.observers import Observable
from gcron.scheduler.other_words import OF_SCHEDULERS, OF_START
from gcron.scheduler.overlap import Overlap
from gcron.scheduler.owner import OwnerThread, ready_within
from gcron.scheduler.pauses import Pauses
from gcron.scheduler.python_jobs import Grace, checked_grace, checked_zone
from gcron.scheduler.restart import Past, Takeover, look_back
from gcron.scheduler.runs import Runs, StopReport
from gcron.scheduler.services import Services
from gcron.scheduler.state import state_of
from gcron.scheduler.status import Counts
from gcron.scheduler.store import Store
from gcron.scheduler.watch import Watch
from gcron.scheduler.watchdog import Blocker, Watchdog, is_real_time
from gcron.supervise.restarts import ServiceState
from gcron.supervise.run import Run
from gcron.supervise.timing import TIMING, Timing

if TYPE_CHECKING:
    from logging import Logger

    from gcron.scheduler.chains import Chains
    from gcron.scheduler.messages import Messenger
    from gcron.scheduler.node import Node

__all__ = ["Lifecycle", "Stoppable"]

# Each Python service has a thread as long as it lives: it must not take that of a job.
_MOST_SERVICES = 1_000_000
# Seconds, beyond its bound, after which a stop in another thread looks whether the scheduler's thread is blocked; and
# how often it looks.
_BLOCKED_SLACK = 3.0
_LOOK = 0.5
# Seconds that the store may take at the end for history that is not written yet.
_LAST_WRITES = 2.0


class Stoppable(Protocol):
    """Something that goes on until it is stopped."""

    def stop(self) -> None:
        """End it."""


class Lifecycle(Observable):
    """What starts and stops, with all its parts; `Scheduler` documents the arguments."""

    @answering(OF_SCHEDULERS)
    def __init__(
        self,
        timezone: str | tzinfo | None = None,
        *,
        threads: int = 8,
        logger: str | Logger | None = "gcron",
        watchdog: float | None = 1.0,
        on_block: Callable[[Blocker, float], object] | None = None,
        state: str | os.PathLike[str] | Store | None = None,
        node: str | None = None,
        labels: Iterable[str] = (),
        on_store_down: Literal["run", "skip"] | None = None,
        clock: Clock | None = None,
        timing: Timing = TIMING,
    ) -> None:
        super().__init__(timing)
        self._timezone = checked_zone(timezone) or local_timezone()
        self._pool = ThreadPool(threads)
        self._watchdog_limit = _checked_limit(watchdog)
        self._on_block = on_block
        self._watchdog: Watchdog | None = None
        self._log = None if logger is None else EventLog(logger)
        if self._log is not None:
            self._observers.report = self._log.report_observer
        self._owner = OwnerThread()
        self._clock = clock or SystemClock()
        self._state = state_of(state, self._clock, node, labels, on_store_down)
        self._timing = timing
        self._counts = Counts()
        self._groups = Groups()
        self._messenger: Messenger | None = None
        self._node: Node | None = None
        self._is_starting = False
        self._make_parts()

    def _make_parts(self) -> None:
        """Make what lives from one start to the next."""
        clock, timing, observers = self._clock, self._timing, self._observers
        observers.begin_anew()
        self._services = Services(clock, observers, ThreadPool(_MOST_SERVICES), timing)
        self._runs = Runs(clock, observers, self._services.hold_back, self._pool, self._groups, timing)
        self._door = StoreDoor(self._state.store, clock, self._runs.tell, timing, self._state.is_open)
        self._expectations = Expectations(clock, self._runs.tell)
        self._overlap = overlap = Overlap(self._runs, clock, self._door.take, self._door.keeps_waiting)
        self._claims = claims = Claims(self._door, overlap.admit, overlap.miss)
        self._pauses = Pauses(clock, self._end_pause)
        self._watch = Watch(clock, claims, overlap, self._runs, self._look)
        self._services.why_not_begun = self._why_not_begun
        self._chains: Chains | None = None
        self._table = JobTable(
            self._watch, self._services, self._groups, self._expectations, self._counts, self._door, self._make_chains
        )
        # Stores of programs may be older than the attribute.
        self._table.is_shared = getattr(self._door.store, "cluster", None) is not None
        observers.add_own("run-finished", self._expectations.notice)
        observers.add_own("run-finished", self._watch.notice)
        for kind in ("run-finished", "run-late", "fires-missed", "loop-blocked"):
            observers.add_own(kind, self._counts)
        for kind in ("run-finished", "fires-missed"):
            observers.add_own(kind, self._retire)
        if self._log is not None:
            for kind in self._log.kinds:
                observers.add_own(kind, self._log)
        observers.add_own("service-state-changed", self._stop_if_failed)
        for kind in ("run-finished", "fires-missed"):
            # Before the history: else a crash may find a success there that no chained job knows of.
            observers.add_own(kind, self._note_for_chains)
        if self._door.store.keeps_history:
            for kind in KINDS:
                observers.add_own(kind, self._door.note)
        if self._state.recent is not None:
            self._state.recent.follow(self._all_running)
            for kind in ("run-finished", "fires-missed"):
                observers.add_own(kind, self._state.recent.note)
        self._grace = 30.0
        self._failed_service = ""
        self._serving: list[Stoppable] = []
        """What answers as long as it runs."""
        self._stopper: Greenlet | None = None
        self._stopped = Flag()
        self._stopping = False

    def _all_running(self) -> list[Run]:
        return [*self._runs.running(), *self._services.running()]

    def _why_not_begun(self, name: str) -> str:
        """Why a `@reboot` job that has not ended does not run; empty when it does."""
        job = self._table.find(name)
        if job is None or self._runs.of(name):
            return ""
        if self._watch.is_paused(name):
            return f"it is paused; `gcron trigger {name}` runs it"
        return "" if job.policy.enabled else "it is not enabled (enabled=no)"

    def _retire(self, event: RunFinished | FiresMissed) -> None:
        """Take a job that ran once, and is over, out of the table."""
        if not self._stopping and not self._runs.of(event.job):
            self._table.retire(event)

    def _make_chains(self) -> Chains:
        # Few programs have jobs that run after others.
        from gcron.scheduler.chains import Chains

        self._chains = Chains(self._clock, self._runs, self._overlap, self._door, self._watch.is_paused)
        self._runs.before_start = self._chains.begin
        if self._watch.is_started and not self._stopping:  # else the table starts them, or the next start does
            self._chains.start({})
        return self._chains

    def _note_for_chains(self, event: RunFinished | FiresMissed) -> None:
        if self._chains is not None:
            self._chains.notice(event)

    def _look(self) -> None:
        """The watch has read the clock, which may have been set."""
        self._expectations.look()
        self._pauses.look()
        if self._node is not None:
            self._node.look()

    def _resume(self, name: str, who: str = "") -> None:
        if self._table.resume(name):
            self._pauses.forget(name)
            self._runs.tell(JobResumed(self._clock.now(), name, who))

    def _end_pause(self, name: str) -> None:
        if self._table.find(name) is not None:
            self._resume(name)

    # -- from start to end ----------------------------------------------------------------------------------

    @property
    def failed_service(self) -> str:
        """The service with `on-failed=stop` whose failure has stopped the scheduler; empty if there is none."""
        return self._failed_service

    def _stop_if_failed(self, event: ServiceStateChanged) -> None:
        if event.state is not ServiceState.FAILED or self._stopping:
            return
        if any(job.name == event.job and job.policy.on_failed == "stop" for job in self._table.jobs):
            self._failed_service = event.job
            self._begin_to_stop(self._grace)

    @answering(OF_START)
    def start(self, *, grace: Grace = 30.0) -> None:
        """Begin to fire, beside the caller's own greenlets: jobs start while these wait.

        When the program ends before `stop`, or a service with `on-failed=stop` fails, the scheduler is stopped with
        `grace`. After a stop it can be started again, with the same jobs. Raises StateError when it is started already,
        or its `state` cannot be had, as when another process has it, or is a store and it is started again; ValueError
        when an `after` does not name a service.
        """
        seconds = checked_grace(grace)
        self._begin(seconds)
        if is_real_time():
            stop_at_exit(Foreground(self, seconds))

    def _begin(self, grace: float) -> None:
        self._owner.check_process()
        if self._stopped.is_set() and not self._is_starting:
            self._begin_anew()
        if self._watch.is_started or self._stopping or self._is_starting:
            raise StateError("the scheduler is started already")
        self._grace = grace
        self._owner.claim()
        self._is_starting = True
        try:
            began = self._table.prepare()
            if self._open_state():
                self._join_nodes()
                past = look_back(self._door, self._table.jobs, began)
                if not self._stopping:  # meanwhile
                    self._take_over(past, began)
        except (ValueError, StateError):
            self._owner.leave()
            raise
        finally:
            self._is_starting = False

    def _open_state(self) -> bool:
        """Take the state, which parks; False when somebody stops the scheduler meanwhile. Raises StateError."""
        note = self._state.open()
        if self._stopping:
            self._state.close()
            return False
        self._door.open()
        if note and self._log is not None:
            self._log.warn(note)
        return True

    def _join_nodes(self) -> None:
        """Take part in the work of several nodes, where they share the store. Parks."""
        if not self._table.is_shared:
            return
        from gcron.scheduler.node import Node, Parts

        parts = Parts(
            self._clock,
            self._observers,
            self._door,
            self._table,
            self._watch,
            self._runs,
            self._services,
            self._overlap,
            self._pauses,
            self._expectations,
        )
        self._node = Node(parts)
        self._claims.shared = self._node.claims
        self._node.start()

    @property
    def node(self) -> Node | None:
        """This scheduler as one of several nodes, from its start on; None where it works alone."""
        return self._node

    def _take_over(self, past: Past, began: float) -> None:
        takeover = Takeover(past, self._table, self._runs, self._services, self._pauses, self._door, self._clock)
        takeover.restore_pauses()
        takeover.take_over_runs()
        self._table.start(began, takeover.handled(), takeover.silences(), takeover.chains(), takeover.waiting_fires())
        self._watch_loop()
        for job in self._table.jobs:
            if not job.starts_with_scheduler or not job.policy.enabled or self._watch.is_paused(job.name):
                continue
            if not self._watch.is_here(job):
                continue
            if takeover.is_due_at_start(job):
                self._overlap.trigger(job)  # it may have been left running
            elif takeover.has_succeeded(job):
                self._services.note_success(job.name)
        if self._node is not None:
            self._node.begin(takeover)
        if self._messenger is not None:
            self._messenger.start()

    def on_early(self, kind: str, observer: Callable[[Any], object]) -> None:
        """Call `observer`, which may not wait, for each event of `kind` before the history has it.

        So what it has the store keep is on disk no later than the event, and a job that is over is still in the table.
        """
        self._observers.add_early(kind, observer)

    def use_messenger(self, messenger: Messenger) -> None:
        """Have messages sent by this: it starts and stops with the scheduler, and stops before the state is closed."""
        self._messenger = messenger
        if self._watch.is_started and not self._stopping:
            messenger.start()

    def _begin_anew(self) -> None:
        if not self._state.opens_again:
            raise StateError("a scheduler with a store of its own starts once: its store is closed")
        table, watch, pauses = self._table, self._watch, self._pauses
        self._make_parts()
        self._table.adopt(table)
        for job in self._table.jobs:
            if watch.is_paused(job.name):
                self._table.pause(job.name)
                if (pause := pauses.get(job.name)) is not None:
                    self._pauses.add(job.name, pause)

    def _watch_loop(self) -> None:
        limit = self._watchdog_limit
        if limit is None or not is_real_time():  # on virtual time nothing takes long
            return
        log = self._log
        report = self._on_block or (_hear_nothing if log is None else log.report_block)
        self._watchdog = Watchdog(limit, report, self._report_block)
        self._watchdog.start()

    def _report_block(self, blocker: Blocker, seconds: float) -> None:
        self._runs.tell(LoopBlocked(self._clock.now(), blocker.job, blocker.what, blocker.where, seconds))

    def start_thread(self, *, grace: Grace = 30.0) -> None:
        """Begin to fire in a thread of its own; returns when it has begun.

        The thread keeps no program alive: when the program ends, it is stopped with `grace`, as by `stop`. Raises as
        `start`, StateError also when a job was triggered before.
        """
        seconds = checked_grace(grace)
        Background(
            self, partial(self._begin, seconds), partial(self._run_to_end, seconds, begins=False), seconds
        ).start()

    def run(self, *, grace: Grace = 30.0) -> None:
        """Start, and wait until `stop()` has been called and is done.

        An exception in the meantime (Ctrl-C raises KeyboardInterrupt) stops everything with `grace` and is raised
        again afterwards. A second Ctrl-C kills what runs. Raises StateError when another thread has started it.
        """
        seconds = checked_grace(grace)
        self._owner.check_process()
        begins = not self._watch.is_started or self._stopped.is_set()
        if not begins:
            self._owner.claim()  # raises when it runs in another thread, which is not this one's to wait for
        if self._run_to_end(seconds, begins):
            raise KeyboardInterrupt  # without a traceback of what was interrupted

    def _run_to_end(self, grace: float, begins: bool) -> bool:
        """Wait until it has stopped; returns whether Ctrl-C did it. No error that ends programs abandons jobs."""
        try:
            if begins:
                self._begin(grace)
            self._stopped.wait()
        except KeyboardInterrupt:
            if self._watch.is_started:
                self._stop_by_ctrl_c(grace)
            return True
        except BaseException:
            if self._watch.is_started:
                self.stop(grace)
            raise
        return False

    def _stop_by_ctrl_c(self, grace: float) -> None:
        try:
            names = ", ".join(dict.fromkeys(run.job for run in self._runs.running()))
            if names and self._log is not None:
                self._log.warn(f"stopping: waits up to {grace:g} s for {names}; Ctrl-C again ends them at once")
            self.stop(grace)
        except KeyboardInterrupt:
            with suppress(KeyboardInterrupt):
                self.kill()
                self.stop(grace)

    @overload
    def stop(self, grace: Grace = ..., *, wait: Literal[True] = ...) -> StopReport: ...
    @overload
    def stop(self, grace: Grace = ..., *, wait: Literal[False]) -> None: ...

    def stop(self, grace: Grace = 30.0, *, wait: bool = True) -> StopReport | None:
        """Fire no more; let running jobs finish for `grace` seconds, then end their process trees; then the services.

        Bounded by `grace`, the longest `kill-after` of jobs, those of services that need one another, and a few
        seconds; when something does not die of KILL, 10 s more for each of the two (docs/running.md, section 6).
        Called in another thread, it is also bounded when something blocks the scheduler's thread, which it then names
        as left behind.

        Returns when all is done; a second call waits for the first. With `wait=False` it returns at once: for a job,
        an observer or a signal handler that stops its own scheduler. Such a job is waited for like others.
        """
        seconds = checked_grace(grace)
        asked = self._owner.ask(self._begin_to_stop, seconds)
        if asked is None:
            stopper = self._begin_to_stop(seconds)
            return stopper.get() if wait else None
        return self._await_stop(asked, seconds) if wait else None

    def _await_stop(self, asked: AsyncResult[Greenlet], grace: float) -> StopReport:
        """Wait for a stop that was asked for in another thread, as long as the scheduler's thread goes on with it."""
        deadline = time.monotonic() + self.stop_takes(grace)
        while not ready_within(asked, _LOOK):
            if time.monotonic() > deadline and (blocker := self._owner.blocker()) is not None:
                return _report_blocked(blocker)
        stopper = asked.get()
        while not ready_within(stopper, _LOOK):
            if time.monotonic() > deadline and (blocker := self._owner.blocker()) is not None:
                return _report_blocked(blocker)
        report: StopReport = stopper.get()
        return report

    def ask_to_stop(self, grace: float, kill: bool = False) -> None:
        """Have it stopped in its thread, by a kill if `kill`. Returns at once, also where no greenlet may run."""
        if kill:
            self._owner.post(self._kill)
        self._owner.post(self._begin_to_stop, grace)

    def is_blocked(self) -> bool:
        """Whether something has kept its thread busy for a second. Waits for that second."""
        return self._owner.blocker() is not None

    def stop_takes(self, grace: float) -> float:
        """Seconds that a stop may take."""
        return grace + self._table.longest_kill_after() + _BLOCKED_SLACK

    def _begin_to_stop(self, grace: float) -> Greenlet:
        if self._stopper is None:
            self._stopping = True
            # In a greenlet of its own: the caller may be a run, and so among those that are to be ended.
            self._stopper = spawn(self._stop, grace)
        return self._stopper

    def _stop(self, grace: float) -> StopReport:
        try:
            self._watch.stop()
            if self._chains is not None:
                self._chains.stop()
            self._expectations.close()
            self._pauses.close()
            report = self._runs.stop(grace) + self._services.stop()
            if self._node is not None:
                self._node.release_services()
            return report
        finally:
            while self._serving:
                self._end("what answers at a socket", self._serving.pop(0).stop)
            if self._watchdog is not None:
                self._watchdog.stop()
            if self._messenger is not None:
                self._end("the messages", self._messenger.stop)
            if self._node is not None:
                self._end("the work with other nodes", self._node.leave)
            self._end("the store", partial(self._door.close, _LAST_WRITES))
            self._end("the state", self._state.close)
            self._owner.leave()
            self._pool.kill()
            self._stopped.set()

    @staticmethod
    def _end(what: str, stop: Callable[[], object]) -> None:
        """An error of one part keeps no other from its end: the stop would never be done."""
        try:
            stop()
        except Exception as error:
            get_hub().report_error(f"the end of {what}", error)

    @property
    def is_started(self) -> bool:
        """True from a start to the end of its stop. `running()` is another thing: the runs under way."""
        return not self.has_stopped and (self._is_starting or self._watch.is_started or self._stopping)

    @property
    def has_died(self) -> bool:
        """True when no job will be due any more, because of an error in the watch of the clock."""
        return self._watch.has_died

    @property
    def is_stopping(self) -> bool:
        """True once `stop` has been called."""
        return self._stopping

    @property
    def has_stopped(self) -> bool:
        """True once a stop is done, until the next start."""
        return self._stopped.is_set()

    def kill(self) -> None:
        """End all running jobs and services at once, without asking; services stay so. Returns at once."""
        if self._owner.ask(self._kill) is None:
            self._kill()

    def _kill(self) -> None:
        self._runs.kill()
        self._services.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._owner.is_in_parent:
            self.stop()


def _report_blocked(blocker: Blocker) -> StopReport:
    return StopReport((), (f"{blocker.what}, which blocks the scheduler's thread at {blocker.where}",))


def _hear_nothing(blocker: Blocker, seconds: float) -> None: ...


def _checked_limit(seconds: float | None) -> float | None:
    """Return the limit of the watchdog. Raises TypeError, ArgumentError."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"watchdog is a number of seconds or None, not {seconds!r}")
    if not 0 < seconds < math.inf:
        raise ArgumentError(f"watchdog is a number of seconds above 0, not {seconds!r}")
    return seconds

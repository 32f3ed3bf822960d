"""One service: a life after the other, each a run of its own, as its policy says.

May not know of other services: that it comes after some is told to its runs, which do not begin before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from gcron.policy.services import without_useless
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, sleep
from gcron.runtime.hub import Timer, get_hub
from gcron.schedule.clock import Clock
from gcron.scheduler.events import Event, JobOutput, Notice, ProcessStarted, ServiceStateChanged
from gcron.scheduler.job import Job
from gcron.scheduler.runs import Runs
from gcron.supervise.command import Command
from gcron.supervise.outcome import Outcome, RunResult
from gcron.supervise.probe import Probe
from gcron.supervise.run import Run
from gcron.supervise.service import Restarts, ServiceState

__all__ = ["Service"]

# Seconds that processes have to notice by themselves that the one they belong to has died.
_REMNANTS_AFTER = 0.1
# Bytes of a line in which ready-line is looked for: `.*up` takes the square of their number, and everybody waits.
_SEARCHED = 4096


class Service:
    """Keeps `job` running, by runs of `runs`; `spawn` starts the greenlets that it needs besides."""

    def __init__(self, job: Job, runs: Runs, clock: Clock, spawn: Callable[..., Greenlet]) -> None:
        self._runs = runs
        self._clock = clock
        self._spawn = spawn
        self.job = job
        self.state = ServiceState.STOPPED
        self.reason = "not started yet"
        self.since = clock.now()
        self.restarts = 0
        self.run: Run | None = None
        """Its life, or the start of one; None while there is none."""
        self.ready = Flag()
        """Set while it can be used."""
        self._restarts = Restarts(job.policy)
        self._timer: Timer | None = None
        self._readiness: _Readiness | None = None
        self._why_stopped = ""
        """Not empty: it is not to be started again when its life is over."""
        self._is_renewed = False
        """It is to be started at once when its life is over: as another than before."""

    def start(self, why: str) -> Run:
        """Start it now, with its past forgotten, unless it lives; returns its run."""
        if self.run is not None:
            return self.run
        self._restarts = Restarts(self.job.policy)
        self._why_stopped = ""
        return self._begin(why)

    def stop(self, why: str) -> None:
        """End it, politely, and do not start it again; returns at once."""
        self._call_off_start()
        self._why_stopped = why
        self._is_renewed = False
        if self.run is not None:
            self._end_life(self.run, why)
        elif self.state is ServiceState.STOPPED:
            self.reason = why
        else:
            self._change(ServiceState.STOPPED, why)

    def renew(self, job: Job, why: str) -> None:
        """From now on it is `job`: a life of what it was is ended before the new one begins; returns at once."""
        self.job = job
        self.restarts = 0
        self._call_off_start()
        if not job.policy.enabled:
            self.stop("not enabled")
        elif self.run is None:
            self.start(why)
        else:
            self._why_stopped = ""
            self._is_renewed = True
            self._end_life(self.run, why)

    def notice(self, event: Event) -> None:
        """Take note of an event of its present run."""
        if isinstance(event, ProcessStarted):
            self._readiness = _Readiness(self.job)
            self._spawn(self._follow_readiness, self._readiness)
        elif isinstance(event, JobOutput) and self._readiness is not None:
            self._readiness.read(event.lines)

    def begin_call(self) -> None:
        """Its run begins; of a Python function nothing more is heard before it ends."""
        if not isinstance(self.job.action, Command):
            self._become_ready("")

    # -- one life -------------------------------------------------------------------------------------------

    def _begin(self, why: str) -> Run:
        self._call_off_start()
        life = replace(self.job, policy=without_useless(self.job))
        self._change(ServiceState.STARTING, why)
        run = self.run = self._runs.start(life, None)
        self._spawn(self._live, life, run)
        return run

    def _begin_again(self, why: str) -> None:
        self.restarts += 1
        self._begin(why)

    def _end_life(self, run: Run, why: str) -> None:
        self.ready.clear()
        if self.state is not ServiceState.STOPPING:
            self._change(ServiceState.STOPPING, why)
        if not run.is_stopping:
            run.stop(Outcome.STOPPED, why)

    def _live(self, life: Job, run: Run) -> None:
        result = run.result.get()
        self.run = None
        self.ready.clear()
        if self._readiness is not None:
            self._readiness.cancel()
            self._readiness = None
        self._follow(result, was_ended=run.is_stopping)
        if not run.is_stopping and isinstance(life.action, Command):  # else the whole tree was ended already
            self._sweep(life, run)

    def _follow(self, result: RunResult, was_ended: bool) -> None:
        """Do what is to be done after a life."""
        if self._is_renewed:
            self._is_renewed = False
            self.start("its definition has changed")
        elif self._why_stopped:
            self._change(ServiceState.STOPPED, self._why_stopped)
        elif was_ended:  # somebody else's doing, who had the run in hand: a restart by hand
            self._begin_again(result.reason)
        else:
            self._go_on(result)

    def _go_on(self, result: RunResult) -> None:
        sequel = self._restarts.after(result)
        if sequel.state is ServiceState.STARTING:
            self._begin_again(sequel.reason)
            return
        self._change(sequel.state, sequel.reason, sequel.delay)
        if sequel.state is ServiceState.BACKING_OFF:
            self._timer = get_hub().call_later(sequel.delay, self._begin_again, sequel.reason)

    def _call_off_start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self, life: Job, run: Run) -> None:
        sleep(_REMNANTS_AFTER)
        ended = run.end_remnants()
        if ended:
            text = f"ended what it had left behind: {ended}"
            self._runs.tell(Notice(self._clock.now(), life.name, run.id, text))

    # -- readiness ------------------------------------------------------------------------------------------

    def _follow_readiness(self, readiness: _Readiness) -> None:
        if readiness.wait(self._explain) and readiness is self._readiness:
            self._become_ready(readiness.reason)

    def _explain(self, text: str) -> None:
        if self.run is not None:
            self._runs.tell(Notice(self._clock.now(), self.job.name, self.run.id, text))

    def _become_ready(self, reason: str) -> None:
        if self.run is not None and not self.run.is_stopping:
            self._change(ServiceState.READY, reason)
            self.ready.set()

    def _change(self, state: ServiceState, reason: str, delay: float = 0.0) -> None:
        self.state, self.reason, self.since = state, reason, self._clock.now()
        self._runs.tell(ServiceStateChanged(self.since, self.job.name, state, reason, self.restarts, delay))


class _Readiness:
    """Whether one life can be used yet: first the line, then the command, as far as they are asked for."""

    def __init__(self, job: Job) -> None:
        policy = job.policy
        self._pattern = re.compile(policy.ready_line) if policy.ready_line is not None else None
        self._line_seen = Flag()
        self._is_cancelled = False
        self._probe: Probe | None = None
        asked = {"ready-line was seen": policy.ready_line, "ready-when succeeded": policy.ready_when}
        self.reason = ", ".join(text for text, value in asked.items() if value is not None)
        """What tells that it can be used; empty when it is enough that it was started."""
        if policy.ready_when is not None and isinstance(job.action, Command):
            self._probe = Probe(policy.ready_when, job.action, policy, job.name)

    def read(self, lines: list[bytes]) -> None:
        """Look whether the line is among these."""
        if self._pattern is None or self._line_seen.is_set():
            return
        if any(self._pattern.search(line[:_SEARCHED].decode("utf-8", "backslashreplace")) for line in lines):
            self._line_seen.set()

    def wait(self, explain: Callable[[str], object]) -> bool:
        """Park until it can be used; False when that was cancelled. `explain` is told when that takes long."""
        if self._pattern is not None:
            self._line_seen.wait()
        if self._probe is not None and not self._is_cancelled:
            return self._probe.wait(explain)
        return not self._is_cancelled

    def cancel(self) -> None:
        """The life is over: ask no more."""
        self._is_cancelled = True
        self._line_seen.set()
        if self._probe is not None:
            self._probe.cancel()

"""One service: one life after the other, each a run of its own, as its policy says.

This module must not know other services: the runs of a service wait for those in its `after`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gcron.frozen import replace
from gcron.policy.services import without_useless
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet
from gcron.runtime.hub import Timer, get_hub
from gcron.schedule.clock import Clock
from gcron.scheduler.events import JobEvent, JobOutput, Notice, ProcessStarted, ServiceStateChanged
from gcron.scheduler.history import StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.runs import Runs
from gcron.supervise.command import Command
from gcron.supervise.orphans import Orphan
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.readiness_probe import ReadinessProbe
from gcron.supervise.restarts import Restarts, ServiceState
from gcron.supervise.run import Run

__all__ = ["Service"]

# Bytes of a line that ready-line searches: `.*up` takes time by the square of their number, and the loop waits.
_SEARCHED = 4096


class Service:
    """Keeps `job` running, by runs of `runs`; `spawn` starts its other greenlets."""

    def __init__(self, job: Job, runs: Runs, clock: Clock, spawn: Callable[..., Greenlet]) -> None:
        self._runs = runs
        self._clock = clock
        self._spawn = spawn
        self.job = job
        self.state = ServiceState.STOPPED
        self.reason = Reason(ReasonCode.NOT_STARTED, "not started yet")
        self.since = clock.now()
        self.restarts = 0
        self.run: Run | None = None
        """Its present life; None without one."""
        self.ready = Flag()
        """Set while it can be used."""
        self._restarts = Restarts(job.policy)
        self._timer: Timer | None = None
        self._readiness: _Readiness | None = None
        self._why_stopped = NO_REASON
        """Why it does not start again after its life; `NO_REASON`: it may."""
        self._why_renewed = NO_REASON
        """Why it starts again at once after its life; `NO_REASON`: it does not."""

    def start(self, why: Reason) -> Run:
        """Start it now, unless it lives, and forget its early deaths; returns its run."""
        if self.run is not None:
            return self.run
        self._restarts = Restarts(self.job.policy)
        self._why_stopped = NO_REASON
        return self._begin(why)

    def adopt(self, stored: StoredRun, orphan: Orphan) -> None:
        """Go on with a life that an earlier gcron began."""
        self._change(ServiceState.STARTING, Reason(ReasonCode.ADOPTED, "an earlier gcron left it running"))
        run = self.run = self._runs.adopt(replace(self.job, policy=without_useless(self.job)), stored, orphan)
        self._spawn(self._live, run)
        self._readiness = _Readiness(self.job, self._clock)
        self._readiness.skip_line()
        self._spawn(self._follow_readiness, self._readiness)

    def stop(self, why: Reason) -> None:
        """End it, first by the stop signal, and do not start it again; returns at once."""
        self._call_off_start()
        self._why_stopped = why
        self._why_renewed = NO_REASON
        if self.run is not None:
            self._end_life(self.run, why)
        elif self.state is ServiceState.STOPPED:
            self.reason = why
        else:
            self._change(ServiceState.STOPPED, why)

    def renew(self, job: Job, why: Reason) -> None:
        """Let it be `job` from now on: its present life is ended before the new one begins; returns at once."""
        self.job = job
        self.restarts = 0
        self._call_off_start()
        if not job.policy.enabled:
            self.stop(Reason(ReasonCode.NOT_ENABLED, "not enabled"))
        else:
            self.restart(why)

    def restart(self, why: Reason) -> None:
        """Start it again, once its present life has ended; returns at once."""
        if self.run is None:
            self.start(why)
            return
        self._why_stopped = NO_REASON
        self._why_renewed = why
        self._end_life(self.run, why)

    def notice(self, event: JobEvent) -> None:
        """Take note of an event of its present run."""
        if isinstance(event, ProcessStarted):
            self._readiness = _Readiness(self.job, self._clock)
            self._spawn(self._follow_readiness, self._readiness)
        elif isinstance(event, JobOutput) and self._readiness is not None:
            self._readiness.read(event.lines)

    def begin_call(self) -> None:
        """Its run begins; of a Python function nothing more is heard before it ends."""
        if not isinstance(self.job.action, Command):
            self._become_ready(NO_REASON)

    # -- one life -------------------------------------------------------------------------------------------

    def _begin(self, why: Reason) -> Run:
        self._call_off_start()
        life = replace(self.job, policy=without_useless(self.job))
        self._change(ServiceState.STARTING, why)
        run = self.run = self._runs.start(life, None)
        self._spawn(self._live, run)
        return run

    def _begin_again(self, why: Reason) -> None:
        self.restarts += 1
        self._begin(why)

    def _end_life(self, run: Run, why: Reason) -> None:
        self.ready.clear()
        if self.state is not ServiceState.STOPPING:
            self._change(ServiceState.STOPPING, why)
        if not run.is_stopping:
            run.stop(Outcome.STOPPED, why)

    def _live(self, run: Run) -> None:
        run.ended.wait()
        assert run.outcome is not None
        result = run.outcome
        self.run = None
        self.ready.clear()
        if self._readiness is not None:
            self._readiness.cancel()
            self._readiness = None
        self._follow(result, was_ended=run.is_stopping)

    def _follow(self, result: RunResult, was_ended: bool) -> None:
        """Decide what follows a life."""
        if why := self._why_renewed:
            self._why_renewed = NO_REASON
            self.start(why)
        elif self._why_stopped:
            self._change(ServiceState.STOPPED, self._why_stopped)
        elif was_ended:  # by `Run.stop` of a program: that is a manual restart
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

    # -- readiness ------------------------------------------------------------------------------------------

    def _follow_readiness(self, readiness: _Readiness) -> None:
        if readiness.wait(self._explain) and readiness is self._readiness:
            self._become_ready(readiness.reason)

    def _explain(self, text: str) -> None:
        if self.run is not None:
            self._runs.tell(Notice(self._clock.now(), self.job.name, self.run.run_id, text))

    def _become_ready(self, reason: Reason) -> None:
        if self.run is not None and not self.run.is_stopping:
            self._change(ServiceState.READY, reason)
            self.ready.set()

    def _change(self, state: ServiceState, reason: Reason, delay: float = 0.0) -> None:
        self.state, self.reason, self.since = state, reason, self._clock.now()
        self._runs.tell(ServiceStateChanged(self.since, self.job.name, state, reason, self.restarts, delay))


class _Readiness:
    """Whether one life can be used yet: first `ready-line`, then `ready-when`, where the policy has them."""

    def __init__(self, job: Job, clock: Clock) -> None:
        policy = job.policy
        self._pattern = re.compile(policy.ready_line) if policy.ready_line is not None else None
        self._line_seen = Flag()
        self._is_cancelled = False
        self._probe: ReadinessProbe | None = None
        signs = {"ready-line was seen": policy.ready_line, "ready-when succeeded": policy.ready_when}
        text = ", ".join(text for text, value in signs.items() if value is not None)
        self.reason = Reason(ReasonCode.READY, text) if text else NO_REASON
        """The signs that it can be used; `NO_REASON` when its start is enough."""
        if policy.ready_when is not None and isinstance(job.action, Command):
            self._probe = ReadinessProbe(policy.ready_when, job.action, policy, job.name, clock)

    def read(self, lines: list[bytes]) -> None:
        """Look for the line among these."""
        if self._pattern is None or self._line_seen.is_set():
            return
        if any(self._pattern.search(line[:_SEARCHED].decode("utf-8", "backslashreplace")) for line in lines):
            self._line_seen.set()

    def skip_line(self) -> None:
        """Nobody reads its output."""
        self._line_seen.set()

    def wait(self, explain: Callable[[str], object]) -> bool:
        """Park until it can be used; False when cancelled. `explain` is called when that takes long."""
        if self._pattern is not None:
            self._line_seen.wait()
        if self._probe is not None and not self._is_cancelled:
            return self._probe.wait(explain)
        return not self._is_cancelled

    def cancel(self) -> None:
        """The life is over: stop waiting."""
        self._is_cancelled = True
        self._line_seen.set()
        if self._probe is not None:
            self._probe.cancel()

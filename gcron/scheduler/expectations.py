"""`expect-within`: emits an event, once, when a job has not succeeded for too long, and when it succeeds again.

Time is the clock's `monotonic`: a step of the wall clock makes a silence neither longer nor shorter. A suspend is part
of the silence where the machine counts it (CLOCK_BOOTTIME). Jobs without the option cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush

from gcron.policy.services import is_service
from gcron.runtime.hub import Timer, get_hub
from gcron.schedule.clock import Clock
from gcron.scheduler.events import JobEvent, RunFinished, SuccessOverdue, SuccessResumed
from gcron.scheduler.job import Job

__all__ = ["Expectations"]

# Seconds until this node looks again whether it is to report what another one has not.
_OTHERS_REPORT = 5.0


class Expectations:
    """Watches the jobs that have the option; `tell` takes its events, and may not park."""

    def __init__(self, clock: Clock, tell: Callable[[JobEvent], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._silences: dict[str, _Silence] = {}
        self._deadlines: list[tuple[float, str]] = []
        """A heap with an entry for each silence that is not reported. A later success shows when the entry comes up."""
        self._timer: Timer | None = None
        self.may_report: Callable[[str], bool] = lambda name: True
        """Whether it is this node that reports the silence of the job of that name."""

    def remember(self, silences: Mapping[str, tuple[float, float | None]]) -> None:
        """By job, since when it has had no success, and when it had the last one: before this start."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        for name, (since, last_success) in silences.items():
            silence = self._silences[name] = _Silence(0.0, monotonic - max(0.0, now - since))
            silence.last_success = last_success

    def replace(self, jobs: Iterable[Job]) -> None:
        """Watch these and no others. Jobs that were watched before keep the time of their last success."""
        before, self._silences, self._deadlines = self._silences, {}, []
        for job in jobs:
            self._watch(job, before.get(job.name))
        self.look()

    def add(self, job: Job) -> None:
        """Watch this job too."""
        if self._watch(job, None):
            self.look()

    def forget(self, name: str) -> None:
        """Stop watching the job of that name."""
        self._silences.pop(name, None)

    def is_overdue(self, name: str) -> bool:
        """True from the report that the job has not succeeded in time until it succeeds."""
        silence = self._silences.get(name)
        return silence is not None and silence.reported

    def _watch(self, job: Job, before: _Silence | None) -> bool:
        within = job.policy.expect_within
        if within is None or not job.policy.enabled or is_service(job):
            return False
        now = self._clock.monotonic()
        silence = self._silences[job.name] = before or _Silence(within, since=now)
        silence.within = within
        silence.reported = silence.reported and silence.deadline <= now  # it may have more time now
        if not silence.reported:
            heappush(self._deadlines, (silence.deadline, job.name))
        return True

    def notice(self, event: RunFinished) -> None:
        """A run has ended."""
        if event.result.succeeded:
            self.note_success(event.job, event.time)

    def note_success(self, name: str, time: float, ago: float = 0.0) -> None:
        """The job of that name has succeeded at `time` (seconds of UTC), here or on another node, `ago` seconds ago."""
        silence = self._silences.get(name)
        at = self._clock.monotonic() - ago
        if silence is None or at < silence.since:
            return
        length, silence.since = at - silence.since, at
        silence.last_success = time
        if silence.reported:
            silence.reported = False
            heappush(self._deadlines, (silence.deadline, name))
            self._tell(SuccessResumed(time, name, length))
            self.look()

    def look(self) -> None:
        """Report what is overdue now, and look again when the next job may be. Returns at once."""
        now = self._clock.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            name = heappop(self._deadlines)[1]
            silence = self._silences.get(name)
            if silence is None or silence.reported:
                continue  # the job was removed, or has changed
            if silence.deadline > now:
                heappush(self._deadlines, (silence.deadline, name))
            elif not self.may_report(name):
                heappush(self._deadlines, (now + _OTHERS_REPORT, name))
            else:
                silence.reported = True
                self._tell(SuccessOverdue(self._clock.now(), name, silence.within, silence.last_success))
        self.close()
        if self._deadlines:
            self._timer = get_hub().call_later(self._deadlines[0][0] - now, self.look)

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Silence:
    """The time since the last success of a job, or since gcron knows the job."""

    def __init__(self, within: float, since: float) -> None:
        self.within = within
        self.since = since
        """By the clock's `monotonic`."""
        self.last_success: float | None = None
        """Seconds of UTC."""
        self.reported = False

    @property
    def deadline(self) -> float:
        return self.since + self.within

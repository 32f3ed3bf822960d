"""What a start takes over from the gcron before: pauses, silences, fires that nobody handled, runs that have no end.

`look_back` asks the store, and looks for processes. It parks, and nothing starts before: a job must not run beside its
own orphan. `take_over` acts. This module must not know where a store keeps things.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from gcron.frozen import frozen, replace
from gcron.policy.services import is_service
from gcron.schedule.clock import Clock
from gcron.scheduler.door import StoreDoor, StoreUnavailable
from gcron.scheduler.events import FiresMissed, JobResumed, RunFinished
from gcron.scheduler.history import Chain, Fire, JobMemory, OpenRun, OutputPart, Recall, StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.job_table import JobTable
from gcron.scheduler.pauses import Pauses
from gcron.scheduler.runs import Runs
from gcron.scheduler.services import Services
from gcron.supervise.command import Command, new_run_id
from gcron.supervise.orphans import Orphan, Wanted, find_orphans
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.process_reader import NotReadable

__all__ = ["Past", "Takeover", "look_back"]


@frozen
class Past:
    """What was found."""

    memories: Mapping[str, JobMemory] = MappingProxyType({})
    orphans: tuple[tuple[StoredRun, Orphan], ...] = ()
    """Runs whose leader lives."""
    lost: tuple[tuple[StoredRun, RunResult], ...] = ()
    """Runs whose leader is gone, oldest first."""
    unknown: tuple[tuple[StoredRun, RunResult], ...] = ()
    """Runs that were claimed and are not on record, and of which no leader lives."""
    waiting: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    """By job, the fires that were to be made up and did not begin, oldest first."""
    same_boot: bool = False
    """An earlier gcron has run since the machine's boot."""
    is_answered: bool = True
    """The store has said what was before."""
    held: frozenset[int] = frozenset()
    """See `Recall.held`."""


# Lost runs whose output is read, and bytes of each: after a power cut there may be many, and the start waits.
_MOST_OUTPUTS, _LONGEST_OUTPUT = 50, 64 * 1024
_MAY_HAVE_BEGUN = "gcron ended just when the run was to begin, and nobody knows whether it has"


def look_back(door: StoreDoor, jobs: Sequence[Job], now: float) -> Past:
    """Find what is to be taken over. Parks; where the store does not answer, only runs of the same instance."""
    answer = door.recall(jobs)
    recall = answer or Recall({}, after_kill=True)
    waiting = _waiting(recall.claims)
    if not recall.open_runs and not recall.killed and not recall.claims and not recall.after_kill:
        return Past(recall.jobs, same_boot=recall.same_boot)
    wanted = [_wanted(each.run) for each in recall.open_runs if recall.boot_id and each.boot_id == recall.boot_id]
    problem = ""
    try:
        found = find_orphans(wanted, recall.killed)
    except NotReadable as error:
        found, problem = {}, f"; its processes could not be looked for: {error}"
    orphans = [(each.run, found[each.run.run_id]) for each in recall.open_runs if each.run.run_id in found]
    on_record = {each.run.run_id for each in recall.open_runs}
    orphans += [(_record_of(each, now), each) for run_id, each in found.items() if run_id not in on_record]
    functions = {job.name for job in jobs if not isinstance(job.action, Command)}
    lost = [
        (each.run, _why_lost(each, recall.boot_id, functions))
        for each in recall.open_runs
        if each.run.run_id not in found
    ]
    living = {(orphan.job, orphan.fire_at) for orphan in found.values()}
    begun = [fire for fire in recall.claims if not fire.waits and (fire.job, fire.fire_at) not in living]
    unknown = [_record_of_claim(fire, now) for fire in begun]
    outputs = _outputs_of([run for run, _ in lost], door)
    ends = [(run, _lost(run, why + problem, outputs.get(run.run_id))) for run, why in lost]
    unknown_ends = [(run, _lost(run, _MAY_HAVE_BEGUN + problem)) for run in unknown]
    is_answered = answer is not None or not door.store.has_past
    return Past(
        recall.jobs,
        tuple(orphans),
        tuple(ends),
        tuple(unknown_ends),
        waiting,
        recall.same_boot,
        is_answered,
        recall.held,
    )


def _outputs_of(runs: Sequence[StoredRun], door: StoreDoor) -> dict[str, OutputPart]:
    """The end of what the latest of these runs wrote, as far as it is kept: it may show what happened."""
    outputs = {}
    with suppress(StoreUnavailable):
        for run in runs[-_MOST_OUTPUTS:]:
            if run.started is not None and (part := door.output(run.run_id, -_LONGEST_OUTPUT, _LONGEST_OUTPUT)):
                outputs[run.run_id] = part
    return outputs


def _lost(run: StoredRun, why: str, output: OutputPart | None = None) -> RunResult:
    return RunResult(
        Outcome.LOST,
        Reason(ReasonCode.GCRON_ENDED, why),
        attempts=max(1, run.attempts),
        output_tail=b"" if output is None else output.data,
        output_size=0 if output is None else output.size,
    )


def _waiting(claims: Sequence[Fire]) -> dict[str, tuple[int, ...]]:
    by_job: dict[str, tuple[int, ...]] = {}
    for fire in claims:
        if fire.waits:
            by_job[fire.job] = (*by_job.get(fire.job, ()), fire.fire_at)
    return by_job


def _wanted(run: StoredRun) -> Wanted:
    return Wanted(run.run_id, run.attempts, run.pid, run.pid_since)


def _record_of(orphan: Orphan, now: float) -> StoredRun:
    """Of a run that was not on record yet when gcron was killed."""
    fire_at, node, fence = orphan.fire_at, orphan.node, orphan.fence
    return StoredRun(orphan.run_id, orphan.job, now, fire_at=fire_at, started=now, node=node, fence=fence)


def _record_of_claim(fire: Fire, now: float) -> StoredRun:
    """Of a fire that was claimed, and whose run was not on record yet."""
    return StoredRun(new_run_id(), fire.job, now, fire_at=fire.fire_at, fence=fire.fence)


def _why_lost(lost: OpenRun, boot_id: str, functions: Container[str]) -> str:
    run = lost.run
    if run.started is None and run.job in functions:
        return "the program ended before the function did"
    if run.started is None:
        return _MAY_HAVE_BEGUN  # its process may have started, and ended, before that was on record
    what = "gcron" if lost.boot_id == boot_id else "the machine"
    if run.reason:
        return f"{what} ended while another attempt was to follow; the last one: {run.reason}"
    return f"{what} ended before the run did, and nobody knows how it ended"


class Takeover:
    """Acts on what was found, before anything is due."""

    def __init__(
        self, past: Past, table: JobTable, runs: Runs, services: Services, pauses: Pauses, door: StoreDoor, clock: Clock
    ) -> None:
        self._past = past
        self._table = table
        self._runs = runs
        self._services = services
        self._pauses = pauses
        self._door = door
        self._clock = clock
        self._held = past.held

    @property
    def is_answered(self) -> bool:
        """Whether the store had said at the start what was before."""
        return self._past.is_answered

    def handled(self) -> dict[str, float]:
        """By job, the time up to which its fires were handled; none of jobs that are new, or fire as never before."""
        handled = {name: memory.handled_until for name, memory in self._past.memories.items() if not memory.is_new}
        for run, _ in self._past.orphans:
            if run.fire_at is not None and run.job in handled:
                handled[run.job] = max(handled[run.job], run.fire_at)
        now = self._clock.now()
        for name, memory in self._past.memories.items():
            if memory.pause is not None and memory.pause.until is not None and memory.pause.until <= now:
                handled[name] = max(handled.get(name, 0.0), memory.pause.until)
        return handled

    def waiting_fires(self) -> Mapping[str, tuple[int, ...]]:
        """By job, the fires that were to be made up and did not begin. Those of jobs that are gone are missed."""
        now = self._clock.now()
        reason = Reason(ReasonCode.JOB_REMOVED, "not made up: the job was removed")
        for name, fires in self._past.waiting.items():
            if self._table.find(name) is None:
                for fire in fires:
                    self._runs.tell(FiresMissed(now, name, fire, fire, reason, 1))
        return self._past.waiting

    def is_due_at_start(self, job: Job) -> bool:
        """Whether a job that starts with gcron starts now: with `reboot=machine`, once after each boot."""
        memory = self._past.memories.get(job.name)
        is_known = memory is not None and not memory.is_new
        return job.policy.reboot == "gcron" or not (self._past.same_boot and is_known)

    def has_succeeded(self, job: Job) -> bool:
        """Whether the job succeeded before this start."""
        memory = self._past.memories.get(job.name)
        return memory is not None and memory.last_success is not None

    def chains(self) -> dict[str, tuple[Chain, float]]:
        """For jobs that run after others, what is remembered, and when a pause ended that has ended meanwhile."""
        chains = {}
        for name, memory in self._past.memories.items():
            if memory.chain is not None:
                until = None if memory.pause is None else memory.pause.until
                chains[name] = memory.chain, until or 0.0
        return chains

    # -- pauses and silences ----------------------------------------------------------------------------------

    def restore_pauses(self) -> None:
        """Let jobs be paused that were. A pause whose end has passed is over."""
        now = self._clock.now()
        for job in self._table.jobs:
            memory = self._past.memories.get(job.name)
            if memory is None or memory.pause is None or is_service(job):
                continue
            if memory.pause.until is not None and memory.pause.until <= now:
                self._runs.tell(JobResumed(now, job.name))
            elif self._table.pause(job.name):
                self._pauses.add(job.name, memory.pause)

    def silences(self) -> dict[str, tuple[float, float | None]]:
        """By job, since when it has had no success, and when it had the last one."""
        silences = {}
        for name, memory in self._past.memories.items():
            began = memory.last_success if memory.is_new else max(memory.since, memory.last_success or 0.0)
            if began is not None:
                silences[name] = began, memory.last_success
        return silences

    # -- runs without an end ----------------------------------------------------------------------------------

    def take_over_runs(self) -> None:
        """Adopt the runs that live, and give the others an outcome."""
        for stored, orphan in self._past.orphans:
            run = replace(stored, attempts=orphan.attempt, pid=orphan.process.pid, pid_since=orphan.since_boot)
            self._door.adopt(run)
            job = self._table.find(run.job)
            if job is None or not isinstance(job.action, Command):
                self._lose(run, f"it goes on as {orphan.process}, and there is no such job any more")
            elif job.policy.orphans == "leave":
                self._lose(run, f"orphans=leave: it goes on as {orphan.process}")
            else:
                self._adopt(job, run, orphan)
        self._take_over_lost([*self._past.lost, *self._past.unknown])

    def look_again(self) -> bool:
        """End what is lost, when the store has not answered at the start: else it kept a job busy for other nodes.

        Parks. Returns whether the store has answered now. Only of what is on record, or is a claim of a fire that nodes
        share, it says that it is of an earlier gcron.
        """
        self._door.settle()  # the ends of runs that were adopted
        past = look_back(self._door, self._table.jobs, self._clock.now())
        self._held = past.held
        adopted = {run.run_id for run, _ in self._past.orphans}
        unknown = [(run, end) for run, end in past.unknown if run.fence]
        self._take_over_lost([each for each in (*past.lost, *unknown) if each[0].run_id not in adopted])
        return past.is_answered

    def given_up(self) -> frozenset[int]:
        """Numbers of the claims of adopted runs that other nodes may have by now: all, until the store answers."""
        return frozenset(run.fence for run, _ in self._past.orphans if run.fence) - self._held

    def _take_over_lost(self, lost: Sequence[tuple[StoredRun, RunResult]]) -> None:
        for run, end in lost:
            self._door.adopt(run)
            job = self._table.find(run.job)
            if job is not None and job.policy.retry_lost and not is_service(job):
                self._runs.retry_lost(job, run, end)
            else:
                self._end(run, end)

    def _adopt(self, job: Job, stored: StoredRun, orphan: Orphan) -> None:
        is_to_end = job.policy.orphans == "kill" or (is_service(job) and not job.policy.enabled)
        reason = Reason(ReasonCode.GCRON_ENDED, "an earlier gcron left it running (orphans=kill)")
        if is_service(job):
            self._services.adopt(job.name, stored, orphan, reason if is_to_end else None)
            return
        run = self._runs.adopt(job, stored, orphan)
        if is_to_end:
            run.stop(Outcome.KILLED, reason)

    def _lose(self, run: StoredRun, text: str) -> None:
        self._end(run, _lost(run, f"gcron ended before the run did; {text}"))

    def _end(self, run: StoredRun, result: RunResult) -> None:
        now, claim = self._clock.now(), (run.node, run.fence)
        self._runs.tell(RunFinished(now, run.job, run.run_id, run.fire_at, result, None, None, "", "", *claim))

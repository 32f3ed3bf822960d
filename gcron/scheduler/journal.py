"""What is to be written into the store: folds events into records, and keeps them until a thread takes them.

The loop fills it, one thread empties it. It is bounded: when the store takes nothing for long, records are dropped and
counted, output becomes gaps. It must not know where a store keeps things. It is long because it has a method for each
kind of event, and all of them share one bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from gcron.frozen import replace
from gcron.scheduler.events import (
    FiresMissed,
    JobOutput,
    JobPaused,
    JobResumed,
    ProcessStarted,
    RawOutput,
    RetryPlanned,
    RunFinished,
    RunStarted,
    SchedulerEvent,
)
from gcron.scheduler.history import Chain, Pause, StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.output_buffer import OutputBuffer, OutputPiece
from gcron.supervise.command import new_run_id
from gcron.supervise.outcome import Outcome, RunResult

if TYPE_CHECKING:
    from gcron.scheduler.messages import KeptMessage

__all__ = ["KINDS", "Batch", "Journal", "record_of_end", "record_of_miss"]

# Ended runs that wait for the store; more are lost, and counted.
MOST_WAITING = 20_000
# Bytes of output that wait for the store, of all runs; more become gaps.
MOST_OUTPUT = 16 * 1024 * 1024
# Messages that wait for the store. More are kept in memory only, by who sends them.
MOST_MESSAGES = 10_000
# Messages that the store is to forget. More stay in the store, and are sent again after a restart.
MOST_DROPPED = 10_000

_UNLIMITED = 1 << 62


class Batch(NamedTuple):
    """Some records, in the order in which a store should write them."""

    removed: tuple[str, ...] = ()
    """Names of jobs that are gone."""
    jobs: tuple[Job, ...] = ()
    """Jobs that are new or have changed."""
    runs: tuple[StoredRun, ...] = ()
    """As they are now. A run comes again when more is known about it, and never again after its outcome."""
    restarted: Mapping[str, float] = MappingProxyType({})
    """Jobs whose fires count from this time on, whatever was handled before: a pause ended, the clock was set back."""
    handled: Mapping[str, int] = MappingProxyType({})
    """The latest fire of a job that was handled: started, skipped or missed."""
    pauses: Mapping[str, Pause | None] = MappingProxyType({})
    """None: the job is not paused any more."""
    chains: Mapping[str, Chain] = MappingProxyType({})
    """For jobs that run after others."""
    messages: tuple[KeptMessage, ...] = ()
    """To be kept."""
    dropped_messages: tuple[tuple[str, str], ...] = ()
    """Not to be kept any longer: their ids and targets."""

    def __bool__(self) -> bool:
        return any(self)


class Journal:
    """Takes events (`note`) in the loop; `take` and what follows it are called in the thread that writes.

    `keep_output`: bytes of a run's output that are kept, where its job does not say otherwise.
    """

    def __init__(self, keep_output: int = 1024 * 1024) -> None:
        self._lock = Lock()
        self._open: dict[str, StoredRun] = {}
        self._waiting: dict[str, StoredRun] = {}
        self._begun: set[str] = set()
        """Ids of open runs that the store knows. Their ends are not dropped: they would seem to run for ever."""
        self._withheld = False
        """True when open runs did not fit in."""
        self._jobs: dict[str, Job | None] = {}
        self._restarted: dict[str, float] = {}
        self._handled: dict[str, int] = {}
        self._pauses: dict[str, Pause | None] = {}
        self._chains: dict[str, Chain] = {}
        self._messages: dict[tuple[str, str], KeptMessage] = {}
        """By id and target."""
        self._dropped: dict[tuple[str, str], None] = {}
        """Ids and targets of messages that are not kept any longer."""
        self._keep_output = _limit(keep_output)
        self._output_limits: dict[str, int] = {}
        """By name of the job, where it has its own."""
        self._buffers: dict[str, OutputBuffer] = {}
        """Of open runs."""
        self._filled: dict[str, OutputBuffer] = {}
        self._output_waiting = 0
        self.lost = 0
        """Ended runs that were dropped or refused, all of them."""

    # -- the loop -------------------------------------------------------------------------------------------

    def note(self, event: SchedulerEvent) -> None:
        """Take an event in."""
        _NOTES[type(event)](self, event)

    def define(self, jobs: Iterable[Job]) -> None:
        """These jobs are new, or have changed."""
        jobs = list(jobs)
        with self._lock:
            self._jobs.update((job.name, job) for job in jobs)
        for job in jobs:
            keep = job.policy.keep_output
            if keep is not None:
                self._output_limits[job.name] = _limit(keep)
            else:
                self._output_limits.pop(job.name, None)

    def remove(self, name: str) -> None:
        """The job of that name is gone."""
        with self._lock:
            self._jobs[name] = None
            self._chains.pop(name, None)
        self._output_limits.pop(name, None)

    def keep_chain(self, job: str, chain: Chain) -> None:
        """Remember that for a job that runs after others."""
        with self._lock:
            self._chains[job] = chain

    def adopt(self, run: StoredRun) -> None:
        """A run of an earlier gcron goes on here, or gets its outcome here."""
        self._handle(run.job, run.fire_at)
        self._put(run)

    def restart(self, job: str, now: float) -> None:
        """Let its fires count from now on, whatever was handled before: the clock was set back."""
        with self._lock:
            self._restarted[job] = now
            self._handled.pop(job, None)

    @property
    def is_full(self) -> bool:
        """True when further runs would be lost."""
        return len(self._waiting) >= MOST_WAITING

    def _begin(self, event: RunStarted) -> None:
        self._handle(event.job, event.fire_at)
        run = StoredRun(event.run_id, event.job, event.time, fire_at=event.fire_at, who=event.who, why=event.why)
        self._put(replace(run, node=event.node, fence=event.fence) if event.node else run)

    def _note_process(self, event: ProcessStarted) -> None:
        run = self._open.get(event.run_id)
        if run is None:
            return
        self._put(
            replace(
                run,
                started=event.time if run.started is None else run.started,
                attempts=event.attempt,
                pid=event.pid,
                pid_since=event.since_boot,
            )
        )

    def _note_retry(self, event: RetryPlanned) -> None:
        run = self._open.get(event.run_id)
        if run is not None:
            reason = event.result.reason
            self._put(replace(run, attempts=event.attempt, reason_code=str(reason.code), reason=reason.text, pid=None))

    def _end(self, event: RunFinished) -> None:
        run = self._open.get(event.run_id)
        if run is None:
            self._handle(event.job, event.fire_at)
            self._put(record_of_end(event))
        else:
            started = event.started if run.started is None else run.started
            self._put(replace(run, started=started, finished=event.time, **_result(event.result)))
        self._buffers.pop(event.run_id, None)

    def _miss(self, event: FiresMissed) -> None:
        self._handle(event.job, event.last)
        self._put(record_of_miss(event))

    def _handle(self, job: str, fire_at: int | None) -> None:
        if fire_at is not None:
            with self._lock:
                self._handled[job] = max(fire_at, self._handled.get(job, fire_at))

    def _put(self, run: StoredRun) -> None:
        """Have the store learn how the run stands now."""
        with self._lock:
            has_ended = bool(run.outcome)
            if has_ended:
                self._open.pop(run.run_id, None)
            else:
                self._open[run.run_id] = run
            known = self._waiting.pop(run.run_id, None) is not None or run.run_id in self._begun
            if known or not self.is_full:
                self._waiting[run.run_id] = run  # last: runs are written in the order of their ends
            elif has_ended:
                self.lost += 1
            else:
                self._withheld = True

    def _pause(self, event: JobPaused) -> None:
        with self._lock:
            self._pauses[event.job] = Pause(event.time, event.until, event.who, event.why)

    def _resume(self, event: JobResumed) -> None:
        with self._lock:
            self._pauses[event.job] = None
        self.restart(event.job, event.time)

    # -- messages -------------------------------------------------------------------------------------------

    def keep_messages(self, messages: Iterable[KeptMessage]) -> None:
        """Have these kept. When the store takes nothing for long, only the oldest ones are."""
        with self._lock:
            for message in messages:
                key = message.message_id, message.target
                if len(self._messages) < MOST_MESSAGES or key in self._messages:
                    self._messages[key] = message
                    self._dropped.pop(key, None)

    def drop_messages(self, message_ids: Iterable[tuple[str, str]]) -> None:
        """Have these forgotten, by id and target."""
        with self._lock:
            for key in message_ids:
                self._messages.pop(key, None)
                if len(self._dropped) < MOST_DROPPED:
                    self._dropped[key] = None

    # -- output ---------------------------------------------------------------------------------------------

    def _note_lines(self, event: JobOutput) -> None:
        end = b"" if event.continued or event.lacks_newline else b"\n"
        self._add_output(event, b"\n".join(event.lines) + end)

    def _note_raw(self, event: RawOutput) -> None:
        self._add_output(event, event.data)

    def _add_output(self, event: JobOutput | RawOutput, data: bytes) -> None:
        keep = self._output_limits.get(event.job, self._keep_output)
        if not keep:
            return
        run_id = event.run_id
        with self._lock:
            buffer = self._buffers.get(run_id) or self._filled.get(run_id) or OutputBuffer(run_id, keep)
            if run_id in self._open:
                self._buffers[run_id] = buffer
            self._filled[run_id] = buffer
            before = buffer.size
            buffer.add(data, event.time, event.stream, crowded=self._output_waiting > MOST_OUTPUT)
            self._output_waiting += buffer.size - before

    # -- the thread that writes -----------------------------------------------------------------------------

    def take(self) -> Batch:
        """The records that wait. They have to come back by `give_back`, or to be confirmed by `confirm`."""
        with self._lock:
            if self._withheld and not self.is_full:
                self._withheld = False
                unknown = {run_id: run for run_id, run in self._open.items() if run_id not in self._begun}
                self._waiting = unknown | self._waiting
            waiting, self._waiting = self._waiting, {}
            jobs, self._jobs = self._jobs, {}
            restarted, self._restarted = self._restarted, {}
            handled, self._handled = self._handled, {}
            pauses, self._pauses = self._pauses, {}
            chains, self._chains = self._chains, {}
            messages, self._messages = self._messages, {}
            dropped, self._dropped = self._dropped, {}
        return Batch(
            tuple(name for name, job in jobs.items() if job is None),
            tuple(job for job in jobs.values() if job is not None),
            tuple(waiting.values()),
            restarted,
            handled,
            pauses,
            chains,
            tuple(messages.values()),
            tuple(dropped),
        )

    def take_output(self) -> list[OutputPiece]:
        """The output that waits. It does not come back."""
        with self._lock:
            pieces = [piece for buffer in self._filled.values() for piece in buffer.take()]
            self._filled.clear()
            self._output_waiting = 0
        return pieces

    def confirm(self, batch: Batch) -> None:
        """The store has written it."""
        with self._lock:
            for run in batch.runs:
                if run.outcome:
                    self._begun.discard(run.run_id)
                else:
                    self._begun.add(run.run_id)

    def give_back(self, batch: Batch) -> None:
        """The store has not written it: keep it for the next time."""
        with self._lock:
            runs = {run.run_id: run for run in batch.runs if run.run_id not in self._waiting}
            self._waiting = {**runs, **self._waiting}
            self._jobs = {**dict.fromkeys(batch.removed), **{job.name: job for job in batch.jobs}, **self._jobs}
            handled = {job: fire for job, fire in batch.handled.items() if job not in self._restarted}
            for job, fire in self._handled.items():
                handled[job] = max(fire, handled.get(job, fire))
            self._handled = handled
            self._restarted = {**batch.restarted, **self._restarted}
            self._pauses = {**batch.pauses, **self._pauses}
            removed = {name for name, job in self._jobs.items() if job is None}
            chains = {name: chain for name, chain in batch.chains.items() if name not in removed}
            self._chains = {**chains, **self._chains}
            kept = {(message.message_id, message.target): message for message in batch.messages}
            for key in self._dropped:
                kept.pop(key, None)
            self._messages = dict(islice({**kept, **self._messages}.items(), MOST_MESSAGES))
            dropped = dict.fromkeys((*batch.dropped_messages, *self._dropped))
            self._dropped = dict.fromkeys(islice((key for key in dropped if key not in self._messages), MOST_DROPPED))


def _limit(size: int) -> int:
    """-1 is how an option says `unlimited`."""
    return _UNLIMITED if size < 0 else size


def record_of_end(event: RunFinished) -> StoredRun:
    """The record of a run that has ended, from that event alone: it has no process."""
    created = event.time if event.created is None else event.created
    return StoredRun(
        event.run_id,
        event.job,
        created,
        fire_at=event.fire_at,
        started=event.started,
        finished=event.time,
        who=event.who,
        why=event.why,
        node=event.node,
        fence=event.fence,
        **_result(event.result),
    )


def record_of_miss(event: FiresMissed) -> StoredRun:
    """The one record of all of these fires."""
    return StoredRun(
        new_run_id(),
        event.job,
        event.time,
        str(Outcome.MISSED),
        str(event.reason.code),
        event.reason.text,
        fire_at=event.first,
        last_fire_at=event.last,
        fires=event.count,
        finished=event.time,
    )


def _result(result: RunResult) -> Mapping[str, Any]:
    was_skipped = result.outcome is Outcome.SKIPPED
    return {
        "outcome": str(result.outcome),
        "reason_code": str(result.reason.code),
        "reason": result.reason.text,
        "attempts": 0 if was_skipped else result.attempts,
        "exit_code": result.exit_code,
        "duration": result.duration,
        "cpu_seconds": result.usage.cpu_seconds,
        "max_rss_bytes": result.usage.max_rss_bytes,
        "output_size": result.output_size,
        "left_behind": result.left_behind,
    }


_NOTES: Mapping[type[SchedulerEvent], Callable[[Journal, Any], None]] = {
    RunStarted: Journal._begin,
    ProcessStarted: Journal._note_process,
    RetryPlanned: Journal._note_retry,
    RunFinished: Journal._end,
    FiresMissed: Journal._miss,
    JobPaused: Journal._pause,
    JobResumed: Journal._resume,
    JobOutput: Journal._note_lines,
    RawOutput: Journal._note_raw,
}
KINDS = tuple(event.kind for event in _NOTES)
"""The kinds of events that it takes."""

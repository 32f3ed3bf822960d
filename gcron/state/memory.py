"""`MemoryStore`: the same as `SqliteStore` in memory, bounded, for where nothing can be written.

All of it is quick enough for the loop. It is also the model with which tests compare `SqliteStore`. It is long because
one class answers all that a store can be asked, over the same three tables.
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice, takewhile
from math import inf
from typing import Literal

from gcron.frozen import replace
from gcron.scheduler.history import (
    Chain,
    Fire,
    JobMemory,
    JobSummary,
    OutputPart,
    OutputSpan,
    Pause,
    Recall,
    RunPage,
    RunQuery,
    StoredRun,
    StoreFacts,
    page_of,
    read_cursor,
)
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch
from gcron.scheduler.messages import KeptMessage
from gcron.scheduler.output_buffer import OutputPiece
from gcron.scheduler.tally import Tally
from gcron.state import output_index
from gcron.state.output_index import RECORD_SIZE, Span
from gcron.state.rules import KEEP, KEPT_FAILURES, Keep, keep_of, schedule_digests, valid_chain
from gcron.supervise.outcome import FAILURES, is_failure

__all__ = ["MemoryStore"]

# Of all jobs: runs, and bytes of output. The oldest go first.
_MOST_RUNS, _MOST_OUTPUT = 10_000, 16 * 1024 * 1024


Place = tuple[float, int, str]
"""When a run was created, its number among those of the same time, and its id: history is in this order."""


class MemoryStore:
    """Remembers for as long as it lives. `now` returns seconds of UTC."""

    blocks = False
    when_down: Literal["run", "skip"] = "run"
    keeps_history = True
    is_durable = False
    cluster = None
    has_past = True

    def __init__(self, keep: Keep = KEEP, now: Callable[[], float] = time.time) -> None:
        self.keep_output = keep.output
        self._keep = keep
        self._now = now
        self._jobs: dict[str, _Job] = {}
        self._runs: dict[str, StoredRun] = {}
        self._numbers: dict[str, int] = {}
        """Of runs, in the order in which they came."""
        self._order: list[Place] = []
        """All runs, the oldest first: a page of 10,000 runs is found without a look at each, in the loop's thread."""
        self._by_outcome: dict[str, list[Place]] = {}
        """The same runs, by their outcome."""
        self._last_number = 0
        self._outputs: OrderedDict[str, _Output] = OrderedDict()
        """By run; the one that was written to longest ago first."""
        self._output_size = 0
        self._messages: dict[tuple[str, str], KeptMessage] = {}
        """By id and target."""

    # -- claims ---------------------------------------------------------------------------------------------

    def must_claim(self, job: Job) -> bool:
        """Return False: what the scheduler itself remembers lives as long."""
        return False

    def claim(self, fires: Sequence[Fire]) -> list[bool]:
        """See `Store.claim`."""
        return [self._job(fire.job).claim(fire) for fire in fires]

    def forget(self, jobs: Sequence[str]) -> None:
        """See `Store.forget`."""
        for name in jobs:
            if name in self._jobs:
                self._jobs[name].forget_claims()

    def _job(self, name: str) -> _Job:
        job = self._jobs.get(name)
        if job is None:
            job = self._jobs[name] = _Job(self._keep, self._now())
        return job

    # -- writing --------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""
        now = self._now()
        self._remove(batch.removed, now)
        self._define(batch.jobs, now)
        for name, since in batch.restarted.items():
            if name in self._jobs:
                self._jobs[name].restart(since)
        for name, pause in batch.pauses.items():
            self._job(name).pause = pause
        for name, chain in batch.chains.items():
            self._job(name).chain = chain
        for run in batch.runs:
            self._write_run(run)
        for name, fire in batch.handled.items():
            self._job(name).handle(fire)
        for run in batch.runs:
            if run.outcome:
                self._job(run.job).sums.add(run)
                self._prune(run.job, now)
        self._prune_all()
        self._messages.update({(message.message_id, message.target): message for message in batch.messages})
        for key in batch.dropped_messages:
            self._messages.pop(key, None)

    def _define(self, jobs: Sequence[Job], now: float) -> set[str]:
        digests = schedule_digests(jobs)
        new = set()
        for job in jobs:
            known = self._job(job.name)
            known.keep = keep_of(job, self._keep)
            if known.schedule != digests[job.name] or known.removed is not None:
                known.schedule, known.since, known.removed = digests[job.name], now, None
                new.add(job.name)
        return new

    def _remove(self, names: Iterable[str], now: float) -> None:
        for name in names:
            if name in self._jobs:
                job = self._jobs[name]
                job.removed, job.pause, job.chain = now, None, None
                job.forget_claims()

    def _write_run(self, run: StoredRun) -> None:
        self._job(run.job).end_claims(run)
        before = self._runs.get(run.run_id)
        if before is None:
            self._last_number += 1
            self._numbers[run.run_id] = self._last_number
            self._job(run.job).run_ids[run.run_id] = None
            insort(self._order, (run.created, self._last_number, run.run_id))
        elif before.outcome:
            return  # no run ends twice
        else:
            run = replace(
                run,
                job=before.job,
                created=before.created,
                fire_at=before.fire_at,
                started=before.started if run.started is None else run.started,
                pid=before.pid if run.pid is None else run.pid,
                pid_since=before.pid_since if run.pid_since is None else run.pid_since,
            )
        self._runs[run.run_id] = run
        if before is not None:
            _remove_from(self._by_outcome[before.outcome], self._place(run.run_id))
        insort(self._by_outcome.setdefault(run.outcome, []), self._place(run.run_id))

    def _prune(self, name: str, now: float) -> None:
        """Delete what need not be kept of a job (`Keep`)."""
        job = self._jobs[name]
        ended = sorted((self._place(run_id) for run_id in job.run_ids if self._runs[run_id].outcome), reverse=True)
        kept = {place for place in ended[: job.keep.runs] if place[0] >= now - job.keep.age}
        kept |= set([place for place in ended if self._has_failed(place[2])][:KEPT_FAILURES])
        for place in ended:
            if place not in kept:
                self._delete(place[2])

    def _has_failed(self, run_id: str) -> bool:
        return is_failure(self._runs[run_id].outcome, self._runs[run_id].reason_code)

    def _prune_all(self) -> None:
        while len(self._runs) > _MOST_RUNS:
            oldest = next((run_id for run_id, run in self._runs.items() if run.outcome), None)
            if oldest is None:
                return
            self._delete(oldest)

    def _place(self, run_id: str) -> Place:
        """By which runs are in order."""
        return self._runs[run_id].created, self._numbers[run_id], run_id

    def _delete(self, run_id: str) -> None:
        place = self._place(run_id)
        run = self._runs.pop(run_id)
        _remove_from(self._order, place)
        _remove_from(self._by_outcome[run.outcome], place)
        del self._numbers[run_id]
        del self._jobs[run.job].run_ids[run_id]
        self._delete_output(run_id)

    def write_output(self, pieces: Sequence[OutputPiece]) -> None:
        """See `Store.write_output`."""
        for piece in pieces:
            output = self._outputs.setdefault(piece.run_id, _Output())
            self._outputs.move_to_end(piece.run_id)
            self._output_size += output.append(piece)
        while self._output_size > _MOST_OUTPUT:
            self._delete_output(next(iter(self._outputs)))

    def _delete_output(self, run_id: str) -> None:
        if (output := self._outputs.pop(run_id, None)) is not None:
            self._output_size -= output.size

    def prune(self) -> None:
        """Delete at once all that need not be kept. Otherwise, that goes when its job has the next outcome."""
        for name in self._jobs:
            self._prune(name, self._now())

    def tend(self) -> float:
        """See `Store.tend`."""
        return inf

    def close(self) -> None:
        """See `Store.close`."""

    # -- reading --------------------------------------------------------------------------------------------

    def recall(self, jobs: Sequence[Job]) -> Recall:
        """See `Store.recall`. There are no runs of an earlier gcron."""
        now = self._now()
        claims = tuple(
            Fire(name, fire_at, waits)
            for name, job in sorted(self._jobs.items())
            for fire_at, waits in sorted(job.claims.items())
            if not any(self._is_of(run_id, fire_at) for run_id in job.run_ids)
        )
        new = self._define(jobs, now)
        names = {job.name for job in jobs}
        self._remove([name for name, job in self._jobs.items() if job.removed is None and name not in names], now)
        return Recall({name: self._jobs[name].memory(name in new) for name in names}, claims=claims)

    def _is_of(self, run_id: str, fire_at: int) -> bool:
        """Whether a run is of that fire."""
        run = self._runs[run_id]
        return (
            run.created >= fire_at - 1
            and run.fire_at is not None
            and run.fire_at <= fire_at <= (run.last_fire_at or run.fire_at)
        )

    def messages(self, after: KeptMessage | None = None) -> list[KeptMessage]:
        """See `Store.messages`."""
        last = None if after is None else _place_of(after)
        kept = sorted(self._messages.values(), key=_place_of)
        return [message for message in kept if last is None or _place_of(message) > last]

    def runs(self, query: RunQuery) -> RunPage:
        """See `Store.runs`."""
        fitting = (place for place in self._newest(query) if query.fits(self._runs[place[2]]))
        first = islice(fitting, query.limit + 1)
        return page_of(((number, self._runs[run_id]) for _, number, run_id in first), query)

    def _newest(self, query: RunQuery) -> Iterator[Place]:
        """The runs before the end of a query, the newest first; those of other jobs and most other outcomes not."""
        end: Place = (*(read_cursor(query.cursor) if query.cursor else (inf, 0)), "")
        if query.until is not None:
            end = min(end, (query.until, -(1 << 63), ""))
        outcomes = query.outcomes or (FAILURES if query.failed else ())
        if query.job is not None:
            lists = [sorted(map(self._place, self._run_ids(query.job)))]
        elif outcomes:
            lists = [self._by_outcome.get(str(outcome), []) for outcome in outcomes]
        else:
            lists = [self._order]
        backwards = (map(each.__getitem__, range(bisect_left(each, end) - 1, -1, -1)) for each in lists)
        since = -inf if query.since is None else query.since
        return takewhile(lambda place: place[0] >= since, merge(*backwards, reverse=True))

    def _run_ids(self, job: str) -> Iterable[str]:
        return self._jobs[job].run_ids if job in self._jobs else ()

    def run(self, run_id: str) -> StoredRun | None:
        """See `Store.run`."""
        return self._runs.get(run_id)

    def output(self, run_id: str, position: int = 0, limit: int = 65536) -> OutputPart | None:
        """See `Store.output`."""
        output = self._outputs.get(run_id)
        return None if output is None else output.read(position, limit)

    def summaries(self, jobs: Sequence[str] | None = None) -> Mapping[str, JobSummary]:
        """See `Store.summaries`."""
        names = self._jobs if jobs is None else [name for name in jobs if name in self._jobs]
        return {name: self._jobs[name].summary(name) for name in names}

    def facts(self) -> StoreFacts:
        """See `Store.facts`."""
        jobs = sum(job.removed is None for job in self._jobs.values())
        oldest = self._order[0][0] if self._order else None
        return StoreFacts("memory", jobs, len(self._runs), oldest, 0, self._output_size)


def _place_of(message: KeptMessage) -> tuple[float, str, str]:
    """By which messages are in order."""
    return message.time, message.message_id, message.target


def _remove_from(places: list[Place], place: Place) -> None:
    del places[bisect_left(places, place)]


class _Job:
    """What is known of a job; the fields are the columns of table `job` (`schema.py`)."""

    def __init__(self, keep: Keep, since: float) -> None:
        self.keep = keep
        self.run_ids: dict[str, None] = {}
        self.schedule: str | None = None
        self.since = since
        self.removed: float | None = None
        self.last_fire: int | None = None
        self.claimed: int | None = None
        self.claims: dict[int, bool] = {}
        """Fires that were claimed and whose outcome is still to come; True: it waits to be made up."""
        self.pause: Pause | None = None
        self.chain: Chain | None = None
        self.sums = Tally()

    def claim(self, fire: Fire) -> bool:
        """Claim a fire; False when it is not later than the latest, and does not wait."""
        is_new = self.claimed is None or fire.fire_at > self.claimed
        if not is_new and not self.claims.get(fire.fire_at):
            return False
        if is_new:
            self.claimed = fire.fire_at
        if not fire.has_run:
            self.claims[fire.fire_at] = fire.waits
        return True

    def forget_claims(self) -> None:
        """Let any fire be claimed again."""
        self.claimed = None
        self.claims.clear()

    def end_claims(self, run: StoredRun) -> None:
        """Its fires are on record."""
        if run.fire_at is not None:
            last = run.fire_at if run.last_fire_at is None else run.last_fire_at
            for fire_at in [fire_at for fire_at in self.claims if run.fire_at <= fire_at <= last]:
                del self.claims[fire_at]

    def handle(self, fire_at: int) -> None:
        """A fire was started, skipped or missed."""
        self.last_fire = fire_at if self.last_fire is None else max(fire_at, self.last_fire)

    def restart(self, since: float) -> None:
        """Its fires count from then on."""
        self.since, self.last_fire = since, None

    def memory(self, is_new: bool) -> JobMemory:
        """What a start has to know."""
        times = [self.since, self.last_fire, self.claimed]
        handled = self.since if is_new else max(time for time in times if time is not None)
        chain = valid_chain(self.chain, self.claimed)
        return JobMemory(handled, is_new, self.sums.last_success, self.pause, self.since, chain)

    def summary(self, name: str) -> JobSummary:
        """How it did."""
        return self.sums.summary(name, self.last_fire, self.pause)


class _Output:
    """What is kept of one run's output."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._head_index = bytearray()
        self._tail_index = bytearray()
        self._written = 0
        """Position after the last byte."""

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return len(self._head) + len(self._tail) + len(self._head_index) + len(self._tail_index)

    def append(self, piece: OutputPiece) -> int:
        """Take in a piece; returns by how many bytes more is kept."""
        before = self.size
        data = b"".join(piece.chunks)
        half = piece.keep // 2
        if piece.skipped:
            self._tail.clear()
            self._tail_index.clear()
            self._written += piece.skipped
        spans = list(output_index.place(piece.spans, self._written))
        border = self._written
        if self._written == len(self._head) < half:
            head = data[: half - len(self._head)]
            self._head += head
            self._written += len(head)
            data = data[len(head) :]
            border = self._written
            _add_to_index(self._head_index, output_index.part_of(spans, 0, border), half)
        self._tail += data
        self._written += len(data)
        del self._tail[: max(0, len(self._tail) - half)]
        _add_to_index(self._tail_index, output_index.part_of(spans, border, self._written), half)
        self._trim_index()
        return self.size - before

    def read(self, position: int, limit: int) -> OutputPart:
        """See `Store.output`."""
        if position < 0:
            position = max(0, self._written + position)
        if position < len(self._head):
            data = bytes(self._head[position : position + limit])
            return OutputPart(position, data, self._written, _spans(self._head_index, position, len(data)))
        start = max(position, self._written - len(self._tail))
        offset = start - (self._written - len(self._tail))
        data = bytes(self._tail[offset : offset + limit])
        return OutputPart(start, data, self._written, _spans(self._tail_index, start, len(data)))

    def _trim_index(self) -> None:
        """Drop the first records whose bytes are not kept any more."""
        begin = self._written - len(self._tail)
        count = 0
        while (record := self._tail_index[count : count + RECORD_SIZE]) and output_index.unpack(record)[0].end <= begin:
            count += RECORD_SIZE
        del self._tail_index[:count]


def _add_to_index(index: bytearray, spans: Iterable[Span], kept: int) -> None:
    records = output_index.pack(spans)
    if len(index) + len(records) <= output_index.most_bytes(kept):
        index += records


def _spans(index: bytearray, start: int, size: int) -> tuple[OutputSpan, ...]:
    count = len(index) // RECORD_SIZE
    return output_index.find_spans(lambda at, size: bytes(index[at : at + size]), count, start, start + size)

"""What is done beside the work, in small steps: deletion of what need not be kept, and copies of output.

One node at a time deletes (an advisory lock), and one each hour goes through all jobs.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from gcron.scheduler.history import OutputPart, StoredRun
from gcron.state.output import OutputFiles
from gcron.state.postgres.records import FOREVER, MOST, as_json, ending_of_lost, storable
from gcron.state.postgres.session import Session
from gcron.state.rules import KEPT_FAILURES, Keep
from gcron.supervise.outcome import FAILURES, ON_PURPOSE

__all__ = ["Copies", "Retention", "copied_part"]

_PRUNE = "SELECT {s}.prune(%s::jsonb, %s, %s, %s, %s::jsonb, %s::jsonb, %s, %s)"
_SWEEP = "SELECT {s}.sweep(%s, %s, %s::jsonb)"
_NAMES = "SELECT name FROM {s}.job WHERE name > %s ORDER BY name LIMIT %s"
_KNOWN = "SELECT run_id FROM {s}.run WHERE run_id = ANY (%s)"
_COPY = """INSERT INTO {s}.output (run_id, head, tail_start, tail, size) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (run_id) DO UPDATE SET head = excluded.head, tail_start = excluded.tail_start, tail = excluded.tail,
        size = excluded.size"""

# Runs of a job that one step deletes at most, and jobs that it looks at.
_MOST_DELETED, _JOBS_AT_ONCE = 500, 20
_FILES_AT_ONCE = 500
# So many runs of a job may end before it is looked at again.
_CROWD = 20
# Seconds between two steps while there is more to do; between two rounds through all jobs; between start and first.
_PAUSE, _ROUND, _FIRST_ROUND = 0.2, 3600.0, 60.0
# Output without a run is left alone for so many seconds: its run may not be written yet.
_YOUNG = 3600.0

COPIED = 64 * 1024
"""Bytes of the beginning and of the end of a run's output that other nodes can see."""
# Seconds between two copies of the output of a run that goes on.
_COPY_EVERY = 5.0
# Runs whose output waits to be copied. More are forgotten, the oldest first.
_MOST_WAITING = 1000
# Copies that one step makes: each may be 128 KiB.
_COPIES_AT_ONCE = 20


class Retention:
    """Deletes runs that need not be kept; each `step` is short."""

    def __init__(self, keep: Keep, session: Session, output: OutputFiles, now: float) -> None:
        self._keep = keep
        self._session = session
        self._output = output
        self._new: Counter[str] = Counter()
        """How many runs of a job have ended here since it was looked at."""
        self._next_round = now + _FIRST_ROUND
        self._round: Iterator[bool] | None = None

    def note(self, runs: Iterable[StoredRun]) -> None:
        """These runs were written."""
        self._new.update(storable(run.job) for run in runs if run.outcome)

    def step(self, now: float) -> float:
        """Do a little; returns after how many seconds to do more. Raises DatabaseError."""
        crowded = [job for job, count in self._new.items() if count > _CROWD][:_JOBS_AT_ONCE]
        if crowded:
            if self._prune(crowded, now) is not None:
                for job in crowded:
                    del self._new[job]
            return _PAUSE
        if self._round is None and now >= self._next_round:
            self._round = self._go_round(now)
        if self._round is None:
            return max(_PAUSE, self._next_round - now)
        if next(self._round, False):
            return _PAUSE
        self._round, self._next_round = None, now + _ROUND
        return _ROUND

    def go_round(self, now: float) -> None:
        """Delete at once all that need not be kept."""
        for _ in self._look_at_all(now):
            pass

    def _prune(self, jobs: list[str], now: float) -> int | None:
        """How many runs of these jobs it has deleted; None while another node does it."""
        keep = self._keep
        values = [as_json(jobs), min(keep.runs, MOST), min(keep.age, FOREVER), now]
        codes = [as_json(sorted(map(str, FAILURES))), as_json(sorted(map(str, ON_PURPOSE)))]
        ((gone,),) = self._session.execute(_PRUNE, [*values, *codes, KEPT_FAILURES, _MOST_DELETED])
        if gone is None:
            return None
        self._output.delete(gone)
        return len(gone)

    def _go_round(self, now: float) -> Iterator[bool]:
        ((is_mine,),) = self._session.execute("SELECT {s}.take_round(%s)", [_ROUND - _FIRST_ROUND])
        if is_mine:
            yield from self._look_at_all(now)
            self._session.execute(_SWEEP, [now, min(self._keep.age, FOREVER), ending_of_lost()])
            yield True
        yield from self._delete_strays(now)

    def _look_at_all(self, now: float) -> Iterator[bool]:
        last = ""
        while names := [name for (name,) in self._session.execute(_NAMES, [last, _JOBS_AT_ONCE])]:
            while self._prune(names, now):
                yield True
            last = names[-1]
            yield True

    def _delete_strays(self, now: float) -> Iterator[bool]:
        """Delete the files of runs that are not in the history: another node has deleted them there."""
        files = self._output.stored_runs()
        while some := list(islice(files, _FILES_AT_ONCE)):
            old = {run_id for run_id, _, changed in some if changed < now - _YOUNG}
            old -= {run_id for (run_id,) in self._session.execute(_KNOWN, [list(old)])}
            self._output.delete(old)
            yield True


class Copies:
    """Copies the beginning and the end of what runs write into the database: other nodes see them there."""

    def __init__(self, session: Session, output: OutputFiles) -> None:
        self._session = session
        self._output = output
        self._due: OrderedDict[str, float] = OrderedDict()
        """Runs with output that is not copied, and when it is to be."""
        self._open: set[str] = set()

    def note_runs(self, runs: Iterable[StoredRun], now: float) -> None:
        """These runs were written. What an ended one has written is copied soon."""
        for run in runs:
            if not run.outcome:
                self._open.add(run.run_id)
                continue
            self._open.discard(run.run_id)
            if run.run_id in self._due:
                self._due[run.run_id] = now

    def note_output(self, run_ids: Iterable[str], now: float) -> None:
        """These runs have written something; the last of it comes after the end of a run."""
        for run_id in run_ids:
            self._due.setdefault(run_id, now + _COPY_EVERY if run_id in self._open else now)
        while len(self._due) > _MOST_WAITING:
            self._due.popitem(last=False)

    def step(self, now: float) -> float:
        """Copy what is due; returns after how many seconds to do more. Raises DatabaseError."""
        due = [run_id for run_id, time in self._due.items() if time <= now]
        for run_id in due[:_COPIES_AT_ONCE]:
            self._copy(run_id)
            self._due.pop(run_id, None)
        if len(due) > _COPIES_AT_ONCE:
            return _PAUSE
        return max(_PAUSE, min(self._due.values(), default=now + _ROUND) - now)

    def finish(self) -> None:
        """Copy all that waits. Raises DatabaseError."""
        while self._due:
            self._copy(self._due.popitem(last=False)[0])

    def _copy(self, run_id: str) -> None:
        head = self._read(run_id, 0, COPIED)
        if head is None:
            return
        _, data, size = head
        tail_start, tail = size, b""
        if size > len(data):
            tail_start, tail = self._read_end(run_id, max(len(data), size - COPIED), size)
        self._session.execute(_COPY, [run_id, data, tail_start, tail, size])

    def _read(self, run_id: str, position: int, limit: int) -> tuple[int, bytes, int] | None:
        part = self._output.read(run_id, position, limit)
        return None if part is None else (part.start, part.data, part.size)

    def _read_end(self, run_id: str, position: int, size: int) -> tuple[int, bytes]:
        """What is kept from there on; it lies in several files."""
        start, pieces = size, list[bytes]()
        while position < size and (part := self._output.read(run_id, position, size - position)) and part.data:
            if pieces and part.start > position:  # a gap: what is before it is of no use
                pieces.clear()
            start = part.start if not pieces else start
            pieces.append(part.data)
            position = part.start + len(part.data)
        return start, b"".join(pieces)


def copied_part(copy: tuple[Any, ...], position: int, limit: int) -> OutputPart:
    """At most `limit` bytes from `position` on, of a copy as the table has it."""
    head, tail_start, tail, size = copy
    position = max(0, size + position) if position < 0 else position
    if position < len(head):
        return OutputPart(position, head[position : position + limit], size)
    start = max(position, tail_start)
    return OutputPart(start, tail[start - tail_start : start - tail_start + limit], size)

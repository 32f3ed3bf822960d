"""What the history costs: the loop for each run, the time until a burst is on disk, queries of a large history.

    python benchmarks/history.py --impl gcron --only loop

There is no peer: these are promises of docs/state.md. `gcron-memory` is the store for where nothing can be written.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import harness
from harness import Area, Measure

AREAS = (
    Area("loop", "the loop's thread, for a run with three lines of output", 5_000, (Measure("a run", "µs"),)),
    Area("burst", "that many runs that end at once, until all are on disk", 1_000, (Measure("all", "s"),), 3, False),
    Area(
        "queries",
        "of a history of that many runs of 1,000 jobs",
        1_000_000,
        (
            Measure("first page of all", "ms"),
            Measure("first page of failures of a job", "ms"),
            Measure("a page in the middle", "ms"),
            Measure("how each job did", "ms"),
        ),
        1,
        False,
    ),
)
_JOBS = 1_000
_TRIES = 5


class Stores:
    """The areas, for a store in a directory, or in memory."""

    def __init__(self, in_memory: bool) -> None:
        self._in_memory = in_memory

    def loop(self, size: int) -> float:
        """CPU seconds that a run's events take in the loop's thread; the store's own thread is not counted."""
        with self._door(size) as (door, store):
            events = [list(_events(number)) for number in range(size)]
            spent = 0.0
            for start in range(0, size, 100):
                before = time.thread_time()
                for run in events[start : start + 100]:
                    for event in run:
                        door.note(event)
                spent += time.thread_time() - before
                _pass(0.03)  # for the store's thread
            _wait_for(store, size)
        return spent / size

    def burst(self, size: int) -> float:
        """Seconds from the first event to the last record."""
        with self._door(size) as (door, store):
            events = [list(_events(number)) for number in range(size)]
            begun = time.monotonic()
            for run in events:
                for event in run:
                    door.note(event)
            _wait_for(store, size)
            return time.monotonic() - begun

    def queries(self, size: int) -> tuple[float, ...]:
        """Seconds of each query."""
        from gcron.scheduler.history import RunQuery

        with self._door(size) as (_, store):
            for start in range(0, size, 5_000):
                _fill(store, start, min(start + 5_000, size))
            kept = store.facts().runs
            expected = min(size, 10_000) if self._in_memory else size
            harness.check(kept == expected, f"{kept:,} runs in the history")
            middle = store.runs(RunQuery(limit=kept // 2)).cursor
            calls = (
                lambda: store.runs(RunQuery()),
                lambda: store.runs(RunQuery("job1", failed=True)),
                lambda: store.runs(RunQuery(cursor=middle)),
                store.summaries,
            )
            return tuple(min(_time(call) for _ in range(_TRIES)) for call in calls)

    @contextmanager
    def _door(self, size: int) -> Iterator[tuple[object, object]]:
        from gcron.schedule.clock import SystemClock
        from gcron.scheduler.door import StoreDoor
        from gcron.state.memory import MemoryStore
        from gcron.state.rules import Keep
        from gcron.state.sqlite import SqliteStore

        keep = Keep(runs=size)
        with tempfile.TemporaryDirectory() as directory:
            store = MemoryStore(keep) if self._in_memory else SqliteStore(directory, keep)
            door = StoreDoor(store, SystemClock(), _fail)
            yield door, store
            door.close(10.0)


def _events(number: int) -> Iterator[object]:
    from gcron.scheduler.events import JobOutput, ProcessStarted, RunFinished, RunStarted
    from gcron.supervise.outcome import NO_REASON, Outcome, RunResult

    job, run_id, now = f"job{number % _JOBS}", f"{number:016x}", time.time()
    yield RunStarted(now, job, run_id, int(now))
    yield ProcessStarted(now, job, run_id, 1000 + number, 1, 17.0)
    for _ in range(3):
        yield JobOutput(now, job, run_id, "stdout", [b"x" * 60], False)
    yield RunFinished(now, job, run_id, int(now), RunResult(Outcome.SUCCEEDED, NO_REASON))


def _fill(store: object, start: int, end: int) -> None:
    from gcron.scheduler.history import StoredRun
    from gcron.scheduler.journal import Batch

    first = time.time() - 86_400
    outcomes = ("succeeded", "failed", "succeeded", "succeeded", "skipped")
    store.write(
        Batch(
            runs=tuple(
                StoredRun(
                    f"{number:016x}",
                    f"job{number % _JOBS}",
                    first + number / 20,
                    outcomes[number // _JOBS % len(outcomes)],
                    finished=first + number / 20,
                    duration=0.5,
                )
                for number in range(start, end)
            )
        )
    )


def _wait_for(store: object, runs: int) -> None:
    from gcron.scheduler.history import RunQuery

    deadline = time.monotonic() + 60
    last = f"{runs - 1:016x}"
    while (found := store.run(last)) is None or not found.outcome:
        harness.check(time.monotonic() < deadline, "the last run is not recorded")
        _pass(0.002)
    harness.check(len(store.runs(RunQuery(limit=runs)).runs) == runs, "runs are missing")


def _pass(seconds: float) -> None:
    from gcron.greenlet import sleep

    sleep(seconds)


def _fail(event: object) -> None:
    raise RuntimeError(f"the store failed: {event}")


def _time(call: object) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


PROGRAM = harness.Program(
    "history", AREAS, {"gcron": lambda: Stores(in_memory=False), "gcron-memory": lambda: Stores(in_memory=True)}
)

if __name__ == "__main__":
    harness.main(PROGRAM)

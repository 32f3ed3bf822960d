"""What the history costs: the loop for each run, the time until a burst is on disk, queries of a large history.

    python benchmarks/history.py --impl gcron --only loop

There is no peer: these are promises of docs/state.md. `gcron-memory` is the store for where nothing can be written.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import daemons
import harness
import log
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
    Area(
        "output",
        "that many bytes in lines of 100, printed by a job of `gcron run`, and its log on the null device",
        200_000_000,
        tuple(Measure(f"a megabyte, of which {kept} kept", "ms") for kept in ("nothing is", "1 MiB is", "all is")),
        3,
        False,
    ),
    Area(
        "index",
        "that many lines of 100 bytes into files, each at a time of its own",
        100_000,
        (Measure("a line with its time", "µs"), Measure("a line without", "µs")),
    ),
)
_JOBS = 1_000
_LINE = b"x" * 99 + b"\n"
# Lines that the store gets at once: those of a tenth of a second, of a job that is busy.
_TOGETHER = 200
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

    def output(self, size: int) -> tuple[float, ...]:
        """Seconds a megabyte, until the job's output is taken from it."""
        return tuple(self._print(size, keep) / (size / 1e6) for keep in ("0", "1M", "1G"))

    def _print(self, size: int, keep: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            place = "memory" if self._in_memory else f"{folder}/state"
            daemon = daemons.gcron()
            options = ("--state", place, "--keep-output", keep, "--no-control")
            daemon = replace(daemon, command=(*daemon.command, *options))
            return log.seconds_of_output(daemon, size, Path(folder), Path(os.devnull), Path(folder, "errors"))

    def index(self, size: int) -> tuple[float, float]:
        """CPU seconds a line of a thread that writes, with and without an index. The two take turns."""
        seconds = {True: 0.0, False: 0.0}
        for number in range(10):
            for has_times in (True, False):
                seconds[has_times] += self._write(size // 10, has_times, number)
        return seconds[True] / size, seconds[False] / size

    def _write(self, lines: int, has_times: bool, number: int) -> float:
        from gcron.scheduler.output_buffer import OutputPiece, WrittenSpan
        from gcron.state.memory import MemoryStore
        from gcron.state.output import OutputFiles

        with tempfile.TemporaryDirectory() as folder:
            write = MemoryStore().write_output if self._in_memory else OutputFiles(folder).write
            spent = 0.0
            for first in range(0, lines, _TOGETHER):
                count = min(_TOGETHER, lines - first)
                spans = [WrittenSpan(len(_LINE), first + i / 10, "stdout") for i in range(count)] if has_times else ()
                pieces = [OutputPiece(f"run{number}", [_LINE] * count, 0, 1 << 30, spans)]
                before = time.thread_time()
                write(pieces)
                spent += time.thread_time() - before
            return spent

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

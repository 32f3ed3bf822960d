"""The stores of SQLite and PostgreSQL beside the one in memory: whatever is written, both answer the same."""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gcron.frozen import replace
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler.history import Chain, Pause, RunQuery, StoredRun, Upstream
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece, WrittenSpan
from gcron.scheduler.store import Fire
from gcron.state.memory import MemoryStore
from gcron.state.postgres.store import PostgresStore
from gcron.state.rules import Keep
from gcron.state.sqlite import SqliteStore
from tests.postgres import Database

NAMES = st.sampled_from(["a", "backup", "ü", "caf\udce9"])
OUTCOMES = st.sampled_from(["succeeded", "failed", "timed-out", "skipped", "missed", "stopped"])
SCHEDULES = st.sampled_from(["* * * * *", "@daily", "30 2 * * *"])
KEEP = Keep(runs=5, output=64)


def job(name: str, schedule: str, **options: Any) -> Job:
    return Job(name, parse(schedule, "UTC"), lambda: None, Policy.from_options(options))


class Stores(RuleBasedStateMachine):
    """A store that keeps things on disk, beside the one in memory."""

    node = ""

    def open(self) -> Any:
        """The store, as a start opens it."""
        return SqliteStore(self.directory, KEEP, lambda: self.time)

    @initialize()
    def begin(self) -> None:
        self.time = 1_800_000_000.0
        self.directory = tempfile.mkdtemp(prefix="gcron-test-")
        self.disk = self.open()
        self.memory = MemoryStore(KEEP, lambda: self.time)
        self.open_runs: list[StoredRun] = []
        self.known: list[StoredRun] = []
        self.printed: dict[str, tuple[int | None, int]] = {}
        """By run: where its last gap ends, and how much it printed, gaps included."""

    def teardown(self) -> None:
        self.disk.close()
        shutil.rmtree(self.directory)

    def write(self, **batch: Any) -> None:
        self.disk.write(Batch(**batch))
        self.memory.write(Batch(**batch))
        self.prune()

    def prune(self) -> None:
        self.disk.prune()
        self.memory.prune()

    # -- writing --------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([-3600.0, 0.0, 0.25, 61.0, 86400.0]))
    def time_passes(self, seconds: float) -> None:
        self.time += seconds
        self.prune()

    @rule(names=st.lists(NAMES, min_size=1, max_size=3))
    def begin_runs(self, names: list[str]) -> None:
        new = []
        for name in names:
            new.append(StoredRun(f"run{len(self.known)}", name, self.time, fire_at=int(self.time)))
            self.known.append(new[-1])
        self.open_runs += new
        self.write(runs=tuple(new), handled={run.job: int(self.time) for run in new})

    @rule(data=st.data())
    def start_process(self, data: st.DataObject) -> None:
        if self.open_runs:
            index = data.draw(st.integers(0, len(self.open_runs) - 1))
            self.open_runs[index] = replace(self.open_runs[index], started=self.time, pid=77, pid_since=1.5, attempts=1)
            self.write(runs=(self.open_runs[index],))

    @rule(data=st.data(), outcomes=st.lists(OUTCOMES, min_size=1, max_size=4))
    def end_runs(self, data: st.DataObject, outcomes: list[str]) -> None:
        ended = []
        for outcome in outcomes[: len(self.open_runs)]:
            run = self.open_runs.pop(data.draw(st.integers(0, len(self.open_runs) - 1)))
            code = data.draw(st.sampled_from(["signal", "stop-requested", "shutdown", ""]))
            end = {"outcome": outcome, "finished": self.time, "duration": data.draw(st.sampled_from([None, 0.5, 7.25]))}
            end |= {"cpu_seconds": data.draw(st.sampled_from([None, 0.25])), "max_rss_bytes": 1 << 40}
            ended.append(replace(run, exit_code=0, output_size=9, reason="says ü \udcff", reason_code=code, **end))
        self.write(runs=tuple(ended))

    @rule(name=NAMES, count=st.integers(1, 200))
    def miss(self, name: str, count: int) -> None:
        first, last = int(self.time) - 600, int(self.time) - 60
        run = StoredRun(
            f"run{len(self.known)}",
            name,
            self.time,
            "missed",
            "not-in-time",
            "…",
            first,
            last,
            count,
            finished=self.time,
        )
        self.known.append(run)
        self.write(runs=(run,), handled={name: last})

    @rule(name=NAMES, schedule=SCHEDULES, enabled=st.booleans(), keep_runs=st.sampled_from([None, 0, 2, 50]))
    def define(self, name: str, schedule: str, enabled: bool, keep_runs: int | None) -> None:
        self.write(jobs=(job(name, schedule, enabled=enabled, keep_runs=keep_runs),))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        self.write(removed=(name,))

    @rule(name=NAMES, until=st.sampled_from([None, 1_900_000_000.0]))
    def pause(self, name: str, until: float | None) -> None:
        self.write(pauses={name: Pause(self.time, until, "Ä", "maintenance")})

    @rule(name=NAMES)
    def resume(self, name: str) -> None:
        self.write(pauses={name: None}, restarted={name: self.time})

    @rule(name=NAMES, offset=st.integers(-2, 2), outcomes=st.lists(OUTCOMES, max_size=2))
    def remember_chain(self, name: str, offset: int, outcomes: list[str]) -> None:
        """A later claim makes void what is remembered."""
        ends = tuple(Upstream(f"ü{n}\udce9", outcome, self.time, "…", n > 0) for n, outcome in enumerate(outcomes))
        self.write(chains={name: Chain(int(self.time) + offset, ends)})

    @rule(names=st.lists(NAMES, max_size=3))
    def forget(self, names: list[str]) -> None:
        self.disk.forget(names)
        self.memory.forget(names)

    @rule(names=st.lists(NAMES, max_size=4), offset=st.integers(-2, 2), waits=st.booleans())
    def claim(self, names: list[str], offset: int, waits: bool) -> None:
        fires = [Fire(name, int(self.time) + offset, waits) for name in names]
        assert self.disk.claim(fires) == self.memory.claim(fires)

    @rule(data=st.data(), size=st.integers(0, 50), skipped=st.sampled_from([0, 0, 0, 5]))
    def print(self, data: st.DataObject, size: int, skipped: int) -> None:
        if not self.open_runs:
            return
        run = data.draw(st.sampled_from(self.open_runs))
        gap, end = self.printed.get(run.run_id, (None, 0))
        if skipped:
            gap = end + skipped
        self.printed[run.run_id] = gap, end + skipped + size
        text = text_at(end + skipped, size)
        halves = text[:7], text[7:]
        spans = [WrittenSpan(len(half), self.time, "stderr" if len(half) % 2 else "stdout") for half in halves if half]
        piece = OutputPiece(run.run_id, list(halves), skipped, KEEP.output, spans)
        self.disk.write_output([piece])
        self.memory.write_output([piece])

    @rule(names=st.lists(NAMES, unique=True), schedule=SCHEDULES)
    def restart(self, names: list[str], schedule: str) -> None:
        self.disk.close()
        self.disk = self.open()
        jobs = [job(name, schedule) for name in names]
        found, expected = self.disk.recall(jobs), self.memory.recall(jobs)
        assert dict(found.jobs) == dict(expected.jobs)
        assert sorted(map(claim_of, found.claims)) == sorted(map(claim_of, expected.claims))
        assert [opened.run for opened in found.open_runs] == sorted(
            map(self.stored, self.open_runs), key=lambda run: run.created
        )
        self.disk.recall(jobs)  # again: it changes nothing
        assert dict(self.disk.recall(jobs).jobs) == dict(self.memory.recall(jobs).jobs)

    # -- reading --------------------------------------------------------------------------------------------

    @rule(
        name=st.none() | NAMES,
        outcomes=st.frozensets(OUTCOMES | st.just(""), max_size=3),
        failed=st.booleans(),
        since=st.sampled_from([None, -100.0, 0.0]),
        until=st.sampled_from([None, -50.0, 1.0]),
        limit=st.integers(1, 4),
    )
    def look(
        self,
        name: str | None,
        outcomes: frozenset[str],
        since: float | None,
        until: float | None,
        limit: int,
        failed: bool,
    ) -> None:
        query = RunQuery(
            name,
            outcomes,
            None if since is None else self.time + since,
            None if until is None else self.time + until,
            limit,
            failed=failed,
        )
        on_disk, in_memory = self.pages(self.disk, query), self.pages(self.memory, query)
        assert on_disk == in_memory
        assert all(len(page) == limit for page in on_disk[:-1])

    def pages(self, store: Any, query: RunQuery) -> list[list[StoredRun]]:
        pages = []
        while True:
            page = store.runs(query)
            pages.append([self.stored(run) for run in page.runs])
            if not page.cursor:
                return pages
            query = replace(query, cursor=page.cursor)

    def stored(self, run: StoredRun) -> StoredRun:
        """As the one on disk can hold it."""
        return replace(run, job=stored_text(run.job), reason=stored_text(run.reason), node=self.node)

    @invariant()
    def both_know_the_same(self) -> None:
        if not hasattr(self, "disk"):
            return
        on_disk, in_memory = self.disk.summaries(), self.memory.summaries()
        assert {name: summary.recent for name, summary in on_disk.items()} == {
            stored_text(name): summary.recent for name, summary in in_memory.items()
        }
        names = ["a", "backup", "ü", "caf\udce9", "unknown"]
        assert self.disk.summaries(names) == self.memory.summaries(names)
        for run in self.known[-8:]:
            in_memory_run = self.memory.run(run.run_id)
            assert self.disk.run(run.run_id) == (in_memory_run and self.stored(in_memory_run))
            if in_memory_run is not None:
                self.check_output(self.disk, run.run_id)
                self.check_output(self.memory, run.run_id)

    def check_output(self, store: Any, run_id: str) -> None:
        """Its beginning and its end are kept, and nothing is where it was not printed."""
        gap, size = self.printed.get(run_id, (None, 0))
        kept: set[int] = set()
        position = 0
        while (part := store.output(run_id, position, 9)) is not None and part.data:
            assert part.data == text_at(part.start, len(part.data))
            kept.update(range(part.start, part.start + len(part.data)))
            position = part.start + len(part.data)
        half = KEEP.output // 2
        assert len(kept) <= KEEP.output
        if gap is None:
            assert kept >= set(range(min(size, half)))
        assert kept >= set(range(max(gap or 0, size - half * 3 // 4), size))


def text_at(start: int, size: int) -> bytes:
    """What each run prints there."""
    return bytes((position * 7 + position // 251) % 256 for position in range(start, start + size))


def stored_text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def claim_of(fire: Fire) -> tuple[str, int, bool]:
    return stored_text(fire.job), fire.fire_at, fire.waits


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


class StoresOfNode(Stores):
    """The store of a node that is alone with its database."""

    node = "one"
    namespaces = count()

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.schema = f"gcron_{next(self.namespaces)}"

    def open(self) -> Any:
        output = os.path.join(self.directory, "output")
        return PostgresStore(self.url, output, node=self.node, schema=self.schema, keep=KEEP, now=lambda: self.time)


def test_the_store_in_postgresql_answers_as_the_one_in_memory(postgres: Database) -> None:
    of_node = settings(max_examples=12, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(lambda: StoresOfNode(postgres.url), settings=of_node)  # type: ignore[no-untyped-call]

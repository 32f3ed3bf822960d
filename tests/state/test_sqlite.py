"""The SQLite store where the machine fails it: damage, full disks, kills; and its tables, step by step."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gcron.frozen import replace
from gcron.greenlet import sleep
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job, PythonCall
from gcron.scheduler import journal as journal_module
from gcron.scheduler.history import OutputPart, Pause, RunQuery, StoredRun
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece
from gcron.state import schema
from gcron.state.database import Damaged, Database, connect
from gcron.state.memory import MemoryStore
from gcron.state.output import OutputFiles
from gcron.state.rules import KEEP, Keep
from gcron.state.sqlite import SqliteStore
from tests.state.conftest import fill
from tests.waiting import PATIENCE, until

Make = Callable[..., Any]
NOW = 1_800_000_000.0


def ended(number: int, job: str = "job", outcome: str = "succeeded", **fields: Any) -> StoredRun:
    return StoredRun(f"run{number}", job, NOW + number, outcome, finished=NOW + number, duration=0.5, **fields)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(tmp_path), now=lambda: NOW)
    yield store
    store.close()


def make_job(name: str) -> Job:
    return Job(name, parse("@daily"), PythonCall(lambda: None), Policy())


def check(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# -- damage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["not a database", "overwritten pages", "cut off"])
def test_a_damaged_database_is_moved_aside_and_a_new_one_begun(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "history.db"
    store = SqliteStore(str(tmp_path))
    store.write(Batch(runs=tuple(ended(number) for number in range(500))))
    store.close()
    if damage == "not a database":
        path.write_bytes(b"this is no database, but somebody's letter" * 100)
    elif damage == "overwritten pages":
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(path.stat().st_size - 4096))
    else:
        os.truncate(path, 4096)
    store = SqliteStore(str(tmp_path))
    with pytest.raises(Damaged) as damaged:
        store.write(Batch(runs=(ended(1000),)))
    (aside,) = tmp_path.glob("history.db.damaged-*Z")
    assert str(aside) in str(damaged.value)
    store.write(Batch(runs=(ended(1000),)))
    assert [run.run_id for run in store.runs(RunQuery()).runs] == ["run1000"]
    store.close()
    check(path)


def test_damage_that_a_query_meets_is_no_end_of_the_history(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    store = SqliteStore(str(tmp_path))
    store.write(Batch(runs=tuple(ended(number) for number in range(500))))
    store.close()
    store = SqliteStore(str(tmp_path))
    assert store.run("run1") is not None
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(Damaged):
        store.runs(RunQuery("job", limit=500))
    store.write(Batch(runs=(ended(1000),)))
    assert store.run("run1000") is not None
    store.close()


def test_a_scheduler_with_a_damaged_database_says_so_once_and_goes_on(make_scheduler: Make, tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"no database" * 1000)
    scheduler, recorder = make_scheduler(state=SqliteStore(str(tmp_path)))
    scheduler.job("@manual", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    run = scheduler.trigger("job")
    run.result.get(timeout=PATIENCE)
    until(lambda: recorder.of("store-recovered"))
    (failed,) = recorder.of("store-failed")
    assert "is damaged" in failed.reason.text
    assert "a new one is begun" in failed.reason.text
    assert recorder.of("store-recovered")[0].lost == 0
    until(lambda: (found := scheduler.store.run(run.run_id)) and found.outcome == "succeeded")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("chain", "[1,2"),
        ("chain", "[]"),
        ("chain", "{}"),
        ("chain", '{"start": "now", "upstream": []}'),
        ("chain", '{"start": 1, "upstream": [["a", "succeeded", "yesterday", "", true]]}'),
        ("chain", '{"start": 1, "upstream": [[["a"]]]}'),
        ("chain", '{"start": 1, "upstream": [[]]}'),
        ("chain", "[" * 100_000),
        ("chain", b"\xff\x00"),
        ("chain", b"\xff"),
        ("last_fire", "yesterday"),
        ("claimed", b"\x01"),
        ("since", "once"),
        ("last_success", "never"),
        ("paused_until", "soon"),
    ],
)
def test_one_damaged_cell_hides_only_its_own_past(tmp_path: Path, cell: str, value: str | bytes) -> None:
    """One `chain` that was no JSON hid pauses, missed fires and runs of all jobs, at each start."""
    jobs = [make_job("damaged"), make_job("paused")]
    store = SqliteStore(str(tmp_path), now=lambda: NOW)
    store.recall(jobs)
    store.write(Batch(pauses={"paused": Pause(NOW), "damaged": Pause(NOW)}))
    store.close()
    with closing(sqlite3.connect(tmp_path / "history.db")) as connection, connection:
        connection.execute(f"UPDATE job SET {cell} = ? WHERE name = 'damaged'", [value])
    memories = store.recall(jobs).jobs
    store.close()
    assert memories["paused"].pause == Pause(NOW)
    damaged = memories.get("damaged")
    assert damaged is None or (damaged.chain, damaged.last_success) == (None, None)
    assert damaged is None or damaged.handled_until == NOW
    assert damaged is None or damaged.pause == Pause(NOW)


# -- steps of the tables ----------------------------------------------------------------------------------------


def test_steps_are_taken_in_a_transaction_and_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(str(tmp_path))
    store.write(Batch(runs=(ended(1),)))
    store.close()
    wrong = (*schema.STEPS, "ALTER TABLE run ADD COLUMN more TEXT; SELECT * FROM there_is_no_such_table")
    monkeypatch.setattr(schema, "STEPS", wrong)
    monkeypatch.setattr(schema, "NEWEST", len(wrong))
    monkeypatch.setattr("gcron.state.database.NEWEST", len(wrong))
    database = Database(str(tmp_path / "history.db"))
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.transaction():
        pass
    database.close()
    with closing(sqlite3.connect(tmp_path / "history.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(wrong) - 1,)
        assert "more" not in [row[1] for row in connection.execute("PRAGMA table_info(run)")]
    right = (*schema.STEPS[:-1], "ALTER TABLE run ADD COLUMN more TEXT")
    monkeypatch.setattr(schema, "STEPS", right)
    for _ in range(2):
        database = Database(str(tmp_path / "history.db"))
        with database.transaction() as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(right),)
            assert connection.execute("SELECT run_id, more FROM run").fetchall() == [("run1", None)]
        database.close()


def test_a_history_of_before_runs_had_their_usage_is_moved_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(schema, "STEPS", schema.STEPS[:1])
        before.setattr(schema, "NEWEST", 1)
        with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as connection:
            schema.move_forward(connection)
            connection.execute(
                "INSERT INTO run (run_id, job, created, outcome, reason_code, reason, fires, attempts, output_size, "
                "left_behind, session) VALUES ('run1', 'job', 1.0, 'succeeded', '', '', 1, 1, 0, '', 1)"
            )
    store = SqliteStore(str(tmp_path))
    store.write(Batch(runs=(ended(2, cpu_seconds=1.5, max_rss_bytes=1 << 33),)))
    used = {run.run_id: (run.cpu_seconds, run.max_rss_bytes) for run in store.runs(RunQuery()).runs}
    store.close()
    assert used == {"run1": (None, None), "run2": (1.5, 1 << 33)}


QUERIES = {
    "all": RunQuery(),
    "of a job": RunQuery("job"),
    "failures": RunQuery(failed=True),
    "failures of a job": RunQuery("job", failed=True),
    "between": RunQuery("job", since=NOW, until=NOW + 50),
    "the next page": RunQuery("job", cursor=f"{NOW + 50!r}:50"),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_queries_look_only_at_what_they_return(store: SqliteStore, query: RunQuery) -> None:
    """A history of a million runs is as quick as one of a hundred: no query scans the table or sorts all of it."""
    store.write(Batch(runs=tuple(ended(number) for number in range(100))))
    engine = store._engine
    seen: list[str] = []
    with engine._database.reading() as connection:
        connection.set_trace_callback(seen.append)
    store.runs(query)
    with engine._database.reading() as connection:
        connection.set_trace_callback(None)
        (select,) = [sql for sql in seen if sql.startswith("SELECT number, run_id")]
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {select}")]
    scans = [step for step in plan if step.startswith("SCAN") and "INDEX" not in step and "SUBQUERY" not in step]
    assert not [step for step in scans if step.startswith("SCAN run")], plan


# -- retention --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_runs_that_were_stopped_on_request_are_no_failures(tmp_path: Path, kind: str) -> None:
    """They were among the ten failures that are kept in any case, and took the place of real ones."""
    keep = Keep(runs=2)
    store = SqliteStore(str(tmp_path), keep, lambda: NOW) if kind == "disk" else MemoryStore(keep, lambda: NOW)
    ends = [("failed", "exit-status")] * 3 + [("killed", "stop-requested"), ("killed", "signal")] * 6
    ends += [("killed", "replaced"), ("killed", "shutdown"), ("succeeded", "")] * 5
    runs = [replace(ended(number, outcome=end), reason_code=code) for number, (end, code) in enumerate(ends)]
    store.write(Batch(runs=tuple(runs)))
    store.prune()
    page = store.runs(RunQuery(failed=True, limit=100)).runs
    assert [run.run_id for run in page] == ["run14", "run12", "run10", "run8", "run6", "run4", "run2", "run1", "run0"]
    assert len(store.runs(RunQuery(limit=100)).runs) == len(page) + 2
    first = store.runs(RunQuery(failed=True, limit=4))
    assert [run.run_id for run in first.runs] == ["run14", "run12", "run10", "run8"]
    second = store.runs(RunQuery(failed=True, limit=4, cursor=first.cursor))
    assert [run.run_id for run in second.runs] == ["run6", "run4", "run2", "run1"]
    assert store.runs(RunQuery(outcomes=frozenset({"killed"}), failed=True, limit=1)).runs[0].run_id == "run14"
    assert store.runs(RunQuery(outcomes=frozenset({"skipped"}), failed=True)).runs == ()


def test_old_runs_go_in_small_steps_and_the_last_failures_stay(tmp_path: Path) -> None:
    now = NOW
    store = SqliteStore(str(tmp_path), Keep(runs=50, age=3600), now=lambda: now)
    outcomes = ["failed" if number < 30 else "succeeded" for number in range(3000)]
    store.write(Batch(runs=tuple(ended(number, outcome=outcome) for number, outcome in enumerate(outcomes))))
    steps = 0
    now = NOW + 3000
    while store.tend() < 10:
        steps += 1
    assert steps > 5, "not more than 500 runs at a time"
    kept = [run.run_id for run in store.runs(RunQuery(limit=5000)).runs]
    assert kept[:50] == [f"run{number}" for number in range(2999, 2949, -1)]
    assert kept[50:] == [f"run{number}" for number in range(29, 19, -1)], "the newest ten failures"
    summary = store.summaries()["job"]
    assert (summary.runs, summary.failed, summary.succeeded) == (3000, 30, 2970)
    now = NOW + 30_000
    store.prune()
    assert [run.run_id for run in store.runs(RunQuery(limit=5000)).runs] == kept[50:]
    store.close()


# -- a disk that is full ----------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_a_full_disk_delays_no_fire_and_what_is_lost_is_counted(
    make_scheduler: Make, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MOST_WAITING", 4)
    store = SqliteStore(str(small_disk), KEEP)
    scheduler, recorder = make_scheduler(state=store)
    scheduler.command("head -c 3000 /dev/zero | tr '\\0' x", "@every 1s", name="job")
    scheduler.start()
    until(lambda: len(recorder.of("run-finished")) >= 2 and scheduler.store.runs(RunQuery()).runs)
    fill(small_disk / "filler")
    seen = len(recorder.of("run-finished"))
    until(lambda: len(recorder.of("run-finished")) >= seen + 7)
    until(lambda: recorder.of("store-failed"))
    assert "full" in scheduler.store.health.problem
    os.unlink(small_disk / "filler")
    until(lambda: recorder.of("store-recovered"))
    seen = len(recorder.of("run-finished"))
    until(lambda: len(recorder.of("run-finished")) > seen)
    lost = scheduler.store.health.lost
    scheduler.stop()
    started = recorder.of("run-started")
    assert [event.fire_at for event in started] == list(range(started[0].fire_at, started[-1].fire_at + 1))
    assert len(recorder.of("store-failed")) == len(recorder.of("store-recovered")) == 1
    assert recorder.of("store-recovered")[0].lost == lost > 0
    with closing(sqlite3.connect(small_disk / "history.db")) as connection:
        rows = connection.execute("SELECT count(*) FROM run WHERE outcome <> ''").fetchone()[0]
        assert connection.execute("SELECT count(*) FROM run WHERE outcome = ''").fetchone() == (0,)
    assert rows + lost == len(recorder.of("run-finished"))


# -- kills ------------------------------------------------------------------------------------------------------

# Writes runs until it is killed, and prints the id of each whose end is acknowledged. It forks: that is quick.
WRITER = """
import os, sys, time
from gcron.scheduler.history import StoredRun
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece
from gcron.state import engine
from gcron.state.rules import Keep
from gcron.state.sqlite import SqliteStore

def write(life):
    store = SqliteStore(sys.argv[1], Keep(runs=40))
    for turn in range(10**9):
        ids = [f"{life}x{turn}x{number}" for number in range(5)]
        runs = [StoredRun(run_id, f"job{number}", time.time(), pid=1) for number, run_id in enumerate(ids)]
        store.write(Batch(runs=tuple(runs), handled={"job0": turn}))
        store.write_output([OutputPiece(run_id, [b"x" * 100], 0, 64) for run_id in ids])
        ends = [StoredRun(run.run_id, run.job, run.created, "succeeded", finished=float(turn)) for run in runs]
        store.write(Batch(runs=tuple(ends)))
        os.write(1, "".join(f"{run_id}\\n" for run_id in ids).encode())
        store.tend()

life = 0
for line in sys.stdin:
    life += 1
    pid = os.fork()
    if pid == 0:
        write(life)
    os.write(1, f"pid {pid}\\n".encode())
    os.waitpid(pid, 0)
    os.write(1, b"dead\\n")
"""


@pytest.mark.realtime
def test_what_is_acknowledged_survives_a_kill_at_any_moment(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """`pytest --kills 200` for the promise; few of them otherwise."""
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    ends: dict[str, float] = {}
    try:
        for _ in range(pytestconfig.getoption("kills")):
            writer.stdin.write("again\n")
            writer.stdin.flush()
            acknowledged: list[str] = []
            pid = 0
            for line in writer.stdout:
                word, _, rest = line.strip().partition(" ")
                if word == "pid":
                    pid = int(rest)
                    sleep(moments.uniform(0.0, 0.08))
                    os.kill(pid, signal.SIGKILL)
                elif word == "dead":
                    break
                else:
                    acknowledged.append(word)
            with closing(sqlite3.connect(tmp_path / "history.db")) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], seed
                has_tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone()
                select = "SELECT run_id, outcome, finished FROM run"
                rows = connection.execute(select).fetchall() if has_tables else []
                duplicates = len(rows) - len({row[0] for row in rows})
            known = {run_id: finished for run_id, outcome, finished in rows if outcome == "succeeded"}
            assert duplicates == 0, seed
            assert {run_id: end for run_id, end in known.items() if run_id in ends and ends[run_id] != end} == {}, seed
            newest = acknowledged[-100:]  # older ones may be forgotten: 40 of each of five jobs stay
            assert [run_id for run_id in newest if run_id not in known] == [], seed
            ends = known
    finally:
        writer.stdin.close()
        writer.wait(PATIENCE)
        writer.stdout.close()


def test_a_gap_at_the_end_of_the_output_outlives_a_restart(tmp_path: Path) -> None:
    """It was forgotten, and what the run printed later stood where the lost bytes belong."""
    for piece in (
        OutputPiece("run", [b"12345"], 0, 64),
        OutputPiece("run", [], 5, 64),
        OutputPiece("run", [b"x"], 0, 64),
    ):
        OutputFiles(str(tmp_path)).append(piece)
    files = OutputFiles(str(tmp_path))
    assert files.read("run", 0, 64) == OutputPart(0, b"12345", 11)
    assert files.read("run", 5, 64) == OutputPart(10, b"x", 11)


def test_a_reader_beside_gcron_does_not_delete_the_log_of_the_database(tmp_path: Path) -> None:
    """At the second start gcron opened and closed the file itself, which gave up its locks: what it wrote was lost."""
    SqliteStore(str(tmp_path)).write(Batch(runs=(StoredRun("first", "job", 1.0),)))
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM run').fetchall()"
    store = SqliteStore(str(tmp_path))
    assert store.recall([]) is not None
    store.write(Batch(runs=(StoredRun("second", "job", 2.0),)))
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "history.db")], check=True)
    assert (tmp_path / "history.db-wal").exists()
    store.close()


def test_a_look_while_another_process_makes_the_tables_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version, owner and tables were read one after the other. When the tables came in between, the new file seemed to
    belong to another program: `gcron history`, asked while gcron started, failed.
    """
    path = str(tmp_path / "history.db")
    maker = connect(path)
    maker.execute("PRAGMA journal_mode = WAL")

    class Interrupted(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if sql == "SELECT count(*) FROM sqlite_master" and not maker.execute("PRAGMA user_version").fetchone()[0]:
                schema.move_forward(maker)
            return super().execute(sql, *args)

    monkeypatch.setattr(
        "gcron.state.database.connect", lambda path: sqlite3.connect(path, isolation_level=None, factory=Interrupted)
    )
    database = Database(path)
    with database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (0,)
    database.close()
    maker.close()


def test_a_close_waits_for_threads_that_read(tmp_path: Path) -> None:
    """A gcron that was stopped while a thread looked for kept messages crashed (SIGSEGV) before it was stopped.

    Its connection was closed while it executed a statement.
    """
    database = Database(str(tmp_path / "history.db"))
    with database.transaction():
        pass
    reads, go_on = threading.Event(), threading.Event()
    found: list[object] = []

    def read() -> None:
        with database.reading() as connection:
            reads.set()
            go_on.wait(PATIENCE)
            found.append(connection.execute("SELECT 1").fetchone())

    reader, closer = threading.Thread(target=read), threading.Thread(target=database.close)
    reader.start()
    assert reads.wait(PATIENCE)
    closer.start()
    closer.join(0.1)
    assert closer.is_alive()
    go_on.set()
    reader.join(PATIENCE)
    closer.join(PATIENCE)
    assert found == [(1,)]
    assert not closer.is_alive()

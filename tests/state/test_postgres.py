"""The PostgreSQL store where something fails it: what people can mend, connections that break, a server away."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gcron.errors import StateError
from gcron.frozen import replace
from gcron.scheduler.cluster import Presence, SharedFire
from gcron.scheduler.history import OutputPart, Pause, RunQuery, StoredRun
from gcron.scheduler.journal import Batch
from gcron.scheduler.messages import KeptMessage
from gcron.scheduler.output_buffer import OutputPiece
from gcron.scheduler.store import Fire, RecordsRefused
from gcron.state.opening import Sharing, open_store
from gcron.state.postgres import connections, schema
from gcron.state.postgres.address import name_of_schema, passwords_of, shown
from gcron.state.postgres.connections import DatabaseError
from gcron.state.postgres.records import ending_of_lost
from gcron.state.postgres.store import PostgresStore
from gcron.state.postgres.upkeep import COPIED
from gcron.state.rules import KEEP, Keep
from tests.postgres import HOST, Database, free_port
from tests.waiting import PATIENCE, takes, until

NOW = 1_800_000_000.0


@pytest.fixture
def store(postgres: Database, tmp_path: Path) -> Iterator[PostgresStore]:
    store = PostgresStore(postgres.url, str(tmp_path / "output"), node="one")
    yield store
    store.close()


def ended(number: int, job: str = "job", outcome: str = "succeeded", **fields: Any) -> StoredRun:
    return StoredRun(f"run{number}", job, NOW + number, outcome, finished=NOW + number, duration=0.5, **fields)


def open_at(url: str, tmp_path: Path, **options: Any) -> str:
    store = PostgresStore(url, str(tmp_path / "output"), **({"node": "one"} | options))
    try:
        return store.open()
    finally:
        store.close()


# -- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ann:p%40ss@db:5432/jobs", "postgresql://ann@db:5432/jobs"),
        ("postgres://db/jobs?user=ann&password=secret&sslmode=require", "postgres://db/jobs?user=ann&sslmode=require"),
        ("postgresql://ann:x9@y9@db/jobs", "postgresql://ann@db/jobs"),
        ("postgresql:///jobs?host=/run/postgresql", "postgresql:///jobs?host=/run/postgresql"),
        ("postgresql://:secret@db/jobs", "postgresql://@db/jobs"),
        ("postgresql:///?service=nightly", "postgresql:///?service=nightly"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, expected: str) -> None:
    assert shown(url) == expected
    assert not any(secret in shown(url) for secret in passwords_of(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ann:s3c#r3t@db:1/jobs", "postgresql://ann@db:1/jobs"),
        ("postgresql://ann:s3c?r3t@db:1/jobs", "postgresql://ann@db:1/jobs"),
        ("postgresql://ann:s3c/r3t@db:1/jobs?sslmode=require", "postgresql://ann@db:1/jobs?sslmode=require"),
        ("postgresql://ann:s3c[r3t@db:1/jobs", "postgresql://ann@db:1/jobs"),
        ("postgresql://ann:s3c\u2100r3t@db:1/jobs", "postgresql://ann@db:1/jobs"),
        ("postgresql://ann:s3c@r3t@db:1/jobs", "postgresql://ann@db:1/jobs"),
        ("postgresql://ann:s3c  r3t@db:1/jobs", "postgresql://ann@db:1/jobs"),
        ("postgresql://ann:s3c%zzr3t@db:1/jobs", "postgresql://ann@db:1/jobs"),
        ("postgresql://db/jobs?PassWord=s3cr3t&passwd=s3cr3t", "postgresql://db/jobs"),
        ("postgresql://db/jobs?pass%77ord=s3c+r3t", "postgresql://db/jobs"),
        ("postgresql://db/jobs?password=%FFs3cr3t", "postgresql://db/jobs"),
        ("postgresql://ann:s3cr3t@[::1/jobs", "postgresql://ann@[::1/jobs"),
        ("postgresql://a@db,b:2/jobs?user=a@b", "postgresql://a@db,b:2/jobs?user=a@b"),
    ],
)
def test_a_password_that_is_not_encoded_is_shown_nowhere(url: str, expected: str, tmp_path: Path) -> None:
    """The address was taken apart as that of a web page. libpq does that in another way: it also takes a password with
    `#` or `?`. Log, status and pages had its beginning, or a traceback had all of it (`[` and U+2100 in a password)."""
    assert shown(url) == expected
    problem = _refusal(url.replace("db:1", f"{HOST}:1").replace("//db/", f"//{HOST}:1/"), tmp_path)
    assert not any(part in problem for part in ("s3c", "r3t"))


def test_the_schema_is_named_after_the_instance() -> None:
    assert name_of_schema(None) == "gcron"
    assert name_of_schema("nightly.jobs") == "gcron_nightly.jobs"
    with pytest.raises(StateError, match="at most 57 letters"):
        name_of_schema("x" * 60)


# -- what a person can mend --------------------------------------------------------------------------------------


def test_a_missing_driver_is_named_with_the_command_that_installs_it(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("psycopg", "gcron.state.postgres.c"))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("engine", "session", "schema", "upkeep", "reading", "records"):
        monkeypatch.delitem(sys.modules, f"gcron.state.postgres.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StateError, match=r"needs psycopg, .*: pip install 'gcron\[postgres\]'"):
        open_at(postgres.url, tmp_path)


def test_a_wrong_password_is_refused_and_in_no_message(postgres: Database, tmp_path: Path) -> None:
    hba = postgres.server.directory / "data" / "pg_hba.conf"
    before = hba.read_text()
    postgres.sql("create role ann login password 'right'")
    hba.write_text(f"host all ann all scram-sha-256\n{before}")
    postgres.sql("select pg_reload_conf()")
    try:
        url = postgres.url.replace("postgres@", "ann:wr%C3%B6ng@")
        until(lambda: "refuses" in _refusal(url, tmp_path), "the server to read its file")
        assert _refusal(url, tmp_path) == (
            f'{postgres.url.replace("postgres@", "ann@")} refuses: password authentication failed for user "ann"'
        )
        assert "asks for a password: put it into ~/.pgpass" in _refusal(
            postgres.url.replace("postgres@", "ann@"), tmp_path
        )
    finally:
        hba.write_text(before)
        postgres.sql("select pg_reload_conf()")


def _refusal(url: str, tmp_path: Path) -> str:
    try:
        return open_at(url, tmp_path)
    except StateError as error:
        assert "\n" not in str(error)
        return str(error)


def test_a_missing_database_is_refused(postgres: Database, tmp_path: Path) -> None:
    url = postgres.url.replace(postgres.name, "nowhere")
    assert _refusal(url, tmp_path) == f'{url} refuses: database "nowhere" does not exist'


def test_an_address_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    refusal = _refusal("postgresql://ann:secret@db/jobs?nonsense=1", tmp_path)
    assert "is no address of a database" in refusal
    assert "secret" not in refusal


def test_without_the_right_to_make_a_schema_the_statement_that_helps_is_named(
    postgres: Database, tmp_path: Path
) -> None:
    postgres.sql("create role bob login")
    url = postgres.url.replace("postgres@", "bob@")
    refusal = _refusal(url, tmp_path)
    assert "bob has no right to make its tables" in refusal
    helps = refusal.partition(": CREATE ")[2].partition(";")[0]
    postgres.sql(f"CREATE {helps}")
    assert _refusal(url, tmp_path) == ""


@pytest.mark.parametrize(
    ("taken", "named"),
    [
        ("all on schema gcron", "schema gcron"),
        ("select on gcron.meta", "table meta"),
        ("insert on gcron.run", "table run"),
        ("update on gcron.incarnation", "table incarnation"),
        ("usage on sequence gcron.fence", "sequence fence"),
    ],
)
def test_a_role_that_may_not_use_all_tables_is_refused_with_the_statements_that_help(
    postgres: Database, tmp_path: Path, taken: str, named: str
) -> None:
    """It started. Jobs ran whose runs nobody could write, or none ran, and the database was said to be away."""
    user = f"carl_{postgres.name}"
    assert _refusal(postgres.url, tmp_path) == ""
    postgres.sql(f"create role {user} login; grant usage on schema gcron to {user}")
    postgres.sql(f"grant all on all tables in schema gcron to {user}; grant all on sequence gcron.fence to {user}")
    url = postgres.url.replace("postgres@", f"{user}@")
    assert _refusal(url, tmp_path) == ""
    postgres.sql(f"revoke {taken} from {user}")
    refusal = _refusal(url, tmp_path)
    assert f"{user} may not use {named} of gcron, which belongs to postgres: use the role postgres on all" in refusal
    postgres.sql(refusal.partition(f"execute in {postgres.name}: ")[2])
    assert _refusal(url, tmp_path) == ""


def test_a_role_that_may_not_change_the_tables_of_an_older_gcron_learns_who_may(
    postgres: Database, tmp_path: Path
) -> None:
    """The advice was to make the schema, which was there."""
    user = f"dora_{postgres.name}"
    assert _refusal(postgres.url, tmp_path) == ""
    postgres.sql(f"create role {user} login; grant usage on schema gcron to {user}; update gcron.meta set version = 1")
    postgres.sql(f"grant all on all tables in schema gcron to {user}")
    refusal = _refusal(postgres.url.replace("postgres@", f"{user}@"), tmp_path)
    assert f"its tables are of an older gcron, and {user} may not change them: start one gcron as postgres" in refusal


def test_a_schema_of_another_role_names_the_right_that_is_missing(postgres: Database, tmp_path: Path) -> None:
    user = f"emil_{postgres.name}"
    postgres.sql(f"create role {user} login; create schema gcron")
    url = postgres.url.replace("postgres@", f"{user}@")
    refusal = _refusal(url, tmp_path)
    assert f"{user} has no right to make its tables in the schema gcron of postgres: GRANT " in refusal
    postgres.sql(f"GRANT {refusal.partition(': GRANT ')[2].partition(';')[0]}")
    assert _refusal(url, tmp_path) == ""


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("drop function gcron.beat", "function beat"),
        ("drop table gcron.claim", "table claim"),
        ("drop sequence gcron.fence", "sequence fence"),
        ("delete from gcron.meta", "the row of table meta"),
    ],
)
def test_tables_that_are_not_complete_are_refused(
    postgres: Database, tmp_path: Path, statement: str, named: str
) -> None:
    """It started, after half a restore for example, and never had a lease; an empty table ended it with a traceback."""
    assert _refusal(postgres.url, tmp_path) == ""
    postgres.sql(statement)
    refusal = _refusal(postgres.url, tmp_path)
    assert f"in the schema gcron of gcron something is missing ({named}): restore it from a backup" in refusal
    postgres.sql(refusal.rpartition(": ")[2])
    assert _refusal(postgres.url, tmp_path) == ""


def test_a_database_that_only_reads_is_waited_for_and_named(postgres: Database, tmp_path: Path) -> None:
    """It may be a replica that becomes the primary."""
    postgres.sql(f"alter database {postgres.name} set default_transaction_read_only = on")
    waits = open_at(postgres.url, tmp_path)
    assert "only reads: " in waits
    assert "it is a replica, or default_transaction_read_only is on" in waits


def test_a_name_server_that_does_not_answer_is_not_waited_for(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start took as long as the name server, and it missed the fires of its own jobs meanwhile.

    What was asked is not asked again: each question would cost a thread. Its answer is used when it comes.
    """
    answer, asked = threading.Event(), []
    resolve = socket.getaddrinfo

    def hang(host: str, *rest: Any, **options: Any) -> Any:
        asked.append(host)
        assert answer.wait(PATIENCE)
        return resolve("127.0.0.1", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    store = PostgresStore(postgres.url.replace("127.0.0.1", "db.invalid"), str(tmp_path), node="one")
    try:
        began = time.monotonic()
        assert "the name server for its host, does not answer" in store.open()
        assert "the name server for its host, does not answer" in store.open()
        assert time.monotonic() - began < PATIENCE / 2
        assert asked == ["db.invalid"]
        answer.set()
        assert store.open() == ""
        assert asked == ["db.invalid"]
    finally:
        answer.set()
        store.close()


def test_a_server_that_is_too_old_is_refused(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "OLDEST_SERVER", 990000)
    assert "gcron needs 13 or later" in _refusal(postgres.url, tmp_path)


def test_a_database_of_another_encoding_is_refused(postgres: Database, tmp_path: Path) -> None:
    postgres.sql(f"create database {postgres.name}_latin encoding 'LATIN1' template template0")
    assert "is encoded in LATIN1: make a database with `createdb -E UTF8`" in _refusal(
        f"{postgres.url}_latin", tmp_path
    )


def test_tables_of_a_newer_gcron_and_of_another_program_are_refused(postgres: Database, tmp_path: Path) -> None:
    assert _refusal(postgres.url, tmp_path) == ""
    postgres.sql("update gcron.meta set version = 99")
    assert "is of a newer gcron (version 99 of its tables; this gcron knows" in _refusal(postgres.url, tmp_path)
    postgres.sql("create schema gcron_other; create table gcron_other.claim (n int)")
    store = PostgresStore(postgres.url, str(tmp_path), node="one", schema="gcron_other")
    with pytest.raises(StateError, match="the schema gcron_other belongs to another program"):
        store.open()
    store.close()


# -- tables -----------------------------------------------------------------------------------------------------


def test_ten_nodes_that_start_at_once_make_the_tables_once(postgres: Database, tmp_path: Path) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(
            target=lambda n=n: answers.append(open_at(postgres.url, tmp_path, node=f"node{n}", schema='g"x'))
        )
        for n in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [""] * 10
    assert (
        postgres.sql('select version, (select count(*) from "g""x".incarnation) from "g""x".meta')
        == f"{schema.NEWEST}|10"
    )


def test_steps_are_taken_all_or_none_and_each_once(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_at(postgres.url, tmp_path) == ""
    step = tmp_path / "step.sql"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, str(step)))
    monkeypatch.setattr(schema, "NEWEST", len(schema.STEPS))
    step.write_text("ALTER TABLE {s}.run ADD COLUMN more text; SELECT * FROM there_is_no_such_table")
    assert "there_is_no_such_table" in open_at(postgres.url, tmp_path)
    columns = "select count(*) from information_schema.columns where table_name = 'run' and column_name = 'more'"
    assert postgres.sql(columns) == "0"
    step.write_text("ALTER TABLE {s}.run ADD COLUMN more text")
    assert open_at(postgres.url, tmp_path) == open_at(postgres.url, tmp_path) == ""
    assert postgres.sql(columns) == "1"


def test_a_gcron_that_is_stopped_while_it_makes_the_tables_does_not_keep_others_out(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transaction stayed open: no other gcron could start until it went on, or its machine was gone."""
    fifo = tmp_path / "step.sql"
    os.mkfifo(fifo)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "STEPS", (*schema.STEPS, str(fifo)))
        patch.setattr(schema, "NEWEST", len(schema.STEPS))
        stopped = threading.Thread(target=lambda: open_at(postgres.url, tmp_path, node="stopped"))
        stopped.start()
        writer = until(lambda: _writer_of(fifo), "the step to be read")
    try:
        until(lambda: open_at(postgres.url, tmp_path, node="other") == "", "the other one to start")
    finally:
        os.close(writer)
        stopped.join(PATIENCE)
    assert not stopped.is_alive()


def _writer_of(fifo: Path) -> int:
    """A descriptor to write to it, once somebody reads it; 0 before."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0


# -- connections that break -------------------------------------------------------------------------------------


def test_a_server_that_is_away_at_the_start_is_tried_again(postgres: Database, store: PostgresStore) -> None:
    postgres.server.stop()
    assert "refused" in store.open().lower()
    with pytest.raises(DatabaseError):
        store.write(Batch(runs=(ended(1),)))
    postgres.server.start()
    store.write(Batch(runs=(ended(1),)))
    assert store.cluster.claim([SharedFire("job", int(time.time()))])[0]
    postgres.server.restart("immediate")
    assert store.run("run1") == replace(ended(1), node="one")
    assert store.cluster.claim([SharedFire("job2", int(time.time()))])[0]


def test_nothing_that_was_confirmed_is_lost_and_nothing_is_there_twice_when_backends_are_ended(
    postgres: Database, store: PostgresStore
) -> None:
    """As by an administrator, in the middle of writes and claims: what was not confirmed is written again."""
    store.open()
    done = threading.Event()
    ended_backends: list[int] = []

    def disturb() -> None:
        for _ in range(40):  # not for ever: on a busy machine, nothing might come between two of them
            ended_backends.append(postgres.server.terminate_connections())
            if done.wait(0.02):
                return

    thread = threading.Thread(target=disturb)
    thread.start()
    fences = []
    try:
        at = int(time.time())
        for number in range(150):
            batch = Batch(runs=tuple(ended(number * 10 + n) for n in range(10)), handled={"job": at + number})
            fire = SharedFire(f"job{number}", at)
            while True:
                try:
                    store.write(batch)
                    verdict = store.cluster.claim([fire])[0]
                    break
                except DatabaseError:
                    continue
            assert verdict
            fences.append(verdict.fence)
    finally:
        done.set()
        thread.join(PATIENCE)
    assert sum(ended_backends) > 0
    summary = store.summaries(["job"])["job"]
    assert (summary.runs, summary.succeeded) == (1500, 1500)
    assert len({run.run_id for run in store.runs(RunQuery(limit=2000)).runs}) == 1500
    assert len(set(fences)) == 150
    assert postgres.sql("select count(*) from gcron.claim") == "150"


def test_a_server_that_answers_nothing_is_given_up_after_two_seconds(
    postgres: Database, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_STATEMENT", 0.3)
    store.open()
    assert store.cluster.claim([SharedFire("job", int(time.time()))])
    backends = [
        int(pid) for pid in postgres.sql("select pid from pg_stat_activity where application_name = 'gcron'").split()
    ]
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        with takes(at_most=2), pytest.raises(DatabaseError, match="no answer in time"):
            store.cluster.claim([SharedFire("job", int(time.time()))])
        with takes(at_most=2), pytest.raises(DatabaseError, match="no answer in time"):
            store.run("run1")
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
    assert store.run("run1") is None


def test_a_query_that_takes_long_does_not_keep_claims_waiting(postgres: Database, store: PostgresStore) -> None:
    store.open()
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE gcron.run")
        failures: list[Exception] = []

        def ask() -> None:
            try:
                store.run("run1")
            except DatabaseError as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: postgres.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == "1")
        assert store.cluster.claim([SharedFire("job", int(time.time()))])[0]
        other.execute("ROLLBACK")
        thread.join(PATIENCE)
    assert not failures


def test_a_lock_is_waited_for_for_a_second(postgres: Database, store: PostgresStore) -> None:
    store.open()
    fire = SharedFire("job", int(time.time()))
    store.cluster.claim([fire])
    with psycopg.connect(postgres.url) as other:
        other.execute("SELECT 1 FROM gcron.turn FOR UPDATE")
        with takes(at_most=2), pytest.raises(DatabaseError, match="lock timeout"):
            store.cluster.claim([fire])
    assert store.cluster.claim([fire])[0]


def test_no_message_has_a_password(tmp_path: Path) -> None:
    store = PostgresStore(f"postgresql://ann:s3cret@{HOST}:{free_port()}/jobs", str(tmp_path), node="one")
    assert store.where.startswith(f"postgresql://ann@{HOST}")
    problem = store.open()
    with pytest.raises(DatabaseError) as refused:
        store.facts()
    assert "s3cret" not in problem + str(refused.value) + repr(store)
    store.close()


def test_what_an_outage_left_waiting_is_written_in_short_statements(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one, 20,000 runs would take longer than a statement may, each time again."""
    monkeypatch.setattr(connections, "_STATEMENT", 1.0)
    runs = tuple(ended(n, job=f"job{n % 1000}") for n in range(5000))
    messages = tuple(KeptMessage(f"id{n}", "ops", float(n), "x" * 1000) for n in range(500))
    store.write(Batch(runs=runs, messages=messages, restarted={"job1": NOW}, handled={"job1": 7}))
    store.write(Batch(runs=runs))
    assert store.facts().runs == 5000
    assert store.summaries(["job1"])["job1"].runs == 5
    assert store.summaries(["job1"])["job1"].last_fire == 7


def test_a_record_that_the_database_refuses_keeps_no_other_one_out(store: PostgresStore) -> None:
    """A record with a value that PostgreSQL does not take made the whole batch fail, each second again: from then on
    no run, pause or message of the node was written, until gcron was started again."""
    runs = tuple(ended(n) for n in range(1200))
    wrong = ended(7777, job="bad", exit_code=1 << 70), replace(ended(8888), run_id="zero\0")
    batch = Batch(
        runs=(*runs[:600], *wrong, *runs[600:]),
        handled={"job": 7, "late": 1 << 70},
        pauses={"job": Pause(NOW, None, "ann", "")},
        messages=(KeptMessage("id", "ops", NOW, "text"),),
    )
    with pytest.raises(
        RecordsRefused, match=r"3 refused, such as runs run7777 of job 'bad': .*out of range"
    ) as refused:
        store.write(batch)
    assert refused.value.lost == 2
    assert store.facts().runs == 1200
    assert len(store.messages()) == 1
    assert store.summaries(["job"])["job"].runs == 1200
    assert store.summaries(["job"])["job"].last_fire == 7


def test_a_refusal_for_another_reason_loses_nothing(store: PostgresStore, postgres: Database) -> None:
    """A trigger of somebody raises, the disk is full: the batch comes again, as a whole."""
    store.open()
    postgres.sql("create function no() returns trigger language plpgsql as $$ begin raise 'not now'; end $$")
    postgres.sql("create trigger no before insert on gcron.run execute function no()")
    with pytest.raises(DatabaseError, match="not now"):
        store.write(Batch(runs=(ended(1), ended(2))))
    postgres.sql("drop trigger no on gcron.run")
    store.write(Batch(runs=(ended(1), ended(2))))
    assert store.facts().runs == 2


# -- history ----------------------------------------------------------------------------------------------------


def test_facts_show_the_database_without_its_password(postgres: Database, tmp_path: Path) -> None:
    url = postgres.url.replace("postgres@", "postgres:secret@")
    store = PostgresStore(url, str(tmp_path), node="one")
    store.write(Batch(runs=(ended(1), ended(2))))
    facts = store.facts()
    assert (facts.where, facts.runs, facts.oldest) == (postgres.url, 2, NOW + 1)
    assert facts.size > 0
    store.close()


def test_messages_are_kept_for_each_node(postgres: Database, store: PostgresStore, tmp_path: Path) -> None:
    other = PostgresStore(postgres.url, str(tmp_path), node="two")
    messages = [KeptMessage(f"id{n}", "ops\0", float(n), "text \0 \udcff") for n in range(150)]
    store.write(Batch(messages=tuple(messages)))
    first = store.messages()
    assert len(first) == 100
    assert [each.message_id for each in (*first, *store.messages(first[-1]))] == [each.message_id for each in messages]
    assert list(other.messages()) == []
    store.write(Batch(dropped_messages=tuple((each.message_id, each.target) for each in messages[1:])))
    assert [each.message_id for each in store.messages()] == ["id0"]
    other.close()


def test_other_nodes_see_the_beginning_and_the_end_of_what_a_run_wrote(
    postgres: Database, store: PostgresStore, tmp_path: Path
) -> None:
    other = PostgresStore(postgres.url, str(tmp_path / "two"), node="two")
    data = bytes(n * 7 % 251 for n in range(400_000))
    store.write(Batch(runs=(StoredRun("run1", "job", NOW),)))
    for start in range(0, len(data), 50_000):
        store.write_output([OutputPiece("run1", [data[start : start + 50_000]], 0, 1 << 20)])
    store.write_output([OutputPiece("run2", [b"short"], 0, 1 << 20)])
    store.tend()
    assert other.output("run1") is None, "it goes on: a copy each five seconds"
    assert other.output("run2") == OutputPart(0, b"short", 5)
    store.write(Batch(runs=(StoredRun("run1", "job", NOW, "failed", finished=NOW),)))
    store.tend()
    assert other.output("run1", 10, 100) == OutputPart(10, data[10:110], len(data))
    assert other.output("run1", -50) == OutputPart(len(data) - 50, data[-50:], len(data))
    assert other.output("run1", COPIED) == OutputPart(len(data) - COPIED, data[-COPIED:], len(data))
    assert store.output("run1", COPIED, 10) == OutputPart(COPIED, data[COPIED : COPIED + 10], len(data))
    assert other.output("run1", len(data)) == OutputPart(len(data), b"", len(data))
    assert other.output("unknown") is None
    other.close()


def test_retention_keeps_what_the_job_says_and_the_newest_failures(postgres: Database, tmp_path: Path) -> None:
    keep = Keep(runs=3, age=1000.0)
    store = PostgresStore(postgres.url, str(tmp_path), node="one", keep=keep, now=lambda: NOW + 100)
    runs = [ended(n, outcome="failed" if n < 15 else "succeeded") for n in range(40)]
    store.write(Batch(runs=tuple(runs)))
    store.write_output([OutputPiece("run1", [b"x"], 0, 100), OutputPiece("run39", [b"y"], 0, 100)])
    assert store.tend() < 1
    kept = {run.run_id for run in store.runs(RunQuery(limit=100)).runs}
    assert kept == {*(f"run{n}" for n in range(37, 40)), *(f"run{n}" for n in range(5, 15))}
    assert store.output("run1") is None
    assert store.output("run39") is not None
    store.close()


def test_one_node_at_a_time_deletes(postgres: Database, tmp_path: Path) -> None:
    store = PostgresStore(postgres.url, str(tmp_path), node="one", keep=Keep(runs=3), now=lambda: NOW + 100)
    store.write(Batch(runs=tuple(ended(n) for n in range(40))))
    with psycopg.connect(postgres.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", ['"gcron" upkeep'])
        store.tend()
        assert len(store.runs(RunQuery(limit=100)).runs) == 40
    store.tend()
    assert len(store.runs(RunQuery(limit=100)).runs) == 3
    store.close()


def sweep(postgres: Database) -> None:
    postgres.sql(f"select gcron.sweep(0, 0, '{ending_of_lost()}')")


def test_what_a_node_began_for_itself_is_lost_when_it_was_silent_for_a_day(
    postgres: Database, store: PostgresStore, tmp_path: Path
) -> None:
    other = PostgresStore(postgres.url, str(tmp_path), node="two")
    store.write(Batch(runs=(StoredRun("run1", "job", NOW),)))
    other.write(Batch(runs=(StoredRun("run2", "job", NOW),)))
    postgres.sql("update gcron.incarnation set last_beat = last_beat - 100000 where node = 'one'")
    sweep(postgres)
    lost, kept = store.run("run1"), store.run("run2")
    assert lost is not None
    assert kept is not None
    assert (lost.outcome, kept.outcome) == ("lost", "")
    assert other.summaries(["job"])["job"].recent == ("lost",)
    other.close()


def test_a_claim_that_is_deleted_after_a_day_is_not_granted_again(postgres: Database, store: PostgresStore) -> None:
    at = int(time.time())
    fire = SharedFire("job", at, deadline=float("inf"))
    run = StoredRun(
        "run1", "job", NOW, "succeeded", fire_at=at, fence=store.cluster.claim([fire])[0].fence, finished=NOW
    )
    store.write(Batch(runs=(run,)))
    postgres.sql("update gcron.claim set over_at = over_at - 100000")
    sweep(postgres)
    assert postgres.sql("select count(*) from gcron.claim") == "0"
    older = replace(fire, fire_at=at - 5)
    assert not any(store.cluster.claim([fire, older]))
    assert store.cluster.claim([replace(fire, fire_at=at + 1)])[0]


def test_pauses_outlive_what_only_one_node_forgets(postgres: Database, store: PostgresStore, tmp_path: Path) -> None:
    from tests.state.test_postgres_claims import job_of

    other = PostgresStore(postgres.url, str(tmp_path), node="two")
    store.recall([job_of("job")])
    other.recall([job_of("job")])
    store.write(Batch(pauses={"job": Pause(NOW)}))
    store.write(Batch(removed=("job",)))
    assert other.recall([job_of("job")]).jobs["job"].pause == Pause(NOW)
    other.write(Batch(removed=("job",)))
    assert store.recall([job_of("job")]).jobs["job"].pause is None
    other.close()


def test_claims_of_each_node_for_itself_are_its_own(postgres: Database, store: PostgresStore, tmp_path: Path) -> None:
    other = PostgresStore(postgres.url, str(tmp_path), node="two")
    fires = [Fire("job", 10), Fire("job", 20, waits=True), Fire("job", 15)]
    assert store.claim(fires) == other.claim(fires) == [True, True, False]
    store.forget(["job"])
    assert store.claim([Fire("job", 15)]) == [True]
    assert other.claim([Fire("job", 15)]) == [False]
    assert other.claim([Fire("job", 20)]) == [True], "it waited"
    other.close()


# -- gcron run --state ------------------------------------------------------------------------------------------


def test_the_state_of_gcron_run_may_be_a_database(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcron.state.opening.state_home", lambda: str(tmp_path))
    sharing = Sharing("one", frozenset({"gpu"}), "run", "nightly")
    opened = open_store(postgres.url, "nightly", KEEP, sharing)
    assert opened.note == ""
    assert opened.store.when_down == "run"
    assert opened.store.cluster is not None
    assert (opened.store.cluster.node, opened.store.cluster.labels) == ("one", {"gpu"})
    told = opened.store.cluster.beat(Presence(1, "d", os.getpid()), None)
    assert [node.labels for node in told.nodes] == [("gpu",)]
    assert postgres.sql("select node from gcron_nightly.incarnation") == "one"
    assert (tmp_path / "nightly" / "lock").exists()
    with pytest.raises(StateError, match="a gcron runs as nightly already"):
        open_store(postgres.url, "nightly", KEEP, sharing)
    opened.store.close()
    opened.close()


def test_a_start_goes_on_while_the_database_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gcron.state.opening.state_home", lambda: str(tmp_path))
    opened = open_store(f"postgresql://ann:secret@{HOST}:{free_port()}/jobs", "jobs", KEEP, Sharing("one"))
    assert "the database is away" in opened.note
    assert "secret" not in opened.note
    opened.store.close()
    opened.close()


def test_nothing_of_the_driver_is_imported_by_the_loop() -> None:
    code = "import gcron.state.opening, gcron.state.postgres.store, sys, json; print(json.dumps(list(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not [name for name in loaded if name.startswith("psycopg")]

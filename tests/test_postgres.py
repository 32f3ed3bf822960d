"""The PostgreSQL server of the tests keeps what it has committed, whatever is done to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.postgres import Bouncer, Database, why_no_postgres
from tests.waiting import until


def test_each_test_has_a_database_of_its_own(postgres: Database) -> None:
    other = postgres.server.new_database()
    postgres.sql("create table t (n int); insert into t values (1), (2)")
    assert postgres.sql("select n, n + 1 from t order by n") == "1|2\n2|3"
    assert other.sql("select count(*) from pg_tables where tablename = 't'") == "0"


def test_what_is_committed_is_there_after_a_crash_of_the_server(postgres: Database) -> None:
    postgres.sql("create table t (n int); insert into t values (1)")
    postgres.server.restart("immediate")
    assert "was not properly shut down" in postgres.server.log
    assert postgres.sql("select n from t") == "1"


def test_psycopg_reaches_it_over_tcp_over_its_socket_and_through_pgbouncer(
    postgres: Database, bouncer: Bouncer
) -> None:
    psycopg = pytest.importorskip("psycopg")
    for url in (postgres.url, postgres.socket_url, postgres.url_at(bouncer.port)):
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute("select current_database()").fetchone() == (postgres.name,)


def test_all_connections_can_be_ended(postgres: Database) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        assert postgres.server.terminate_connections() >= 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")


@pytest.mark.skipif(why_no_postgres() != "", reason=why_no_postgres())
def test_no_server_outlives_the_tests_that_were_killed() -> None:
    code = (
        "from tests.postgres import Postgres; server = Postgres(); server.start();"
        "print(server._process.pid, server.directory, flush=True); import time; time.sleep(600)"
    )
    tests = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=os.getcwd())
    assert tests.stdout is not None
    pid, directory = tests.stdout.readline().split()
    server = psutil.Process(int(pid))
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    tests.stdout.close()
    until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, "the end of the server")
    subprocess.run(["rm", "-r", directory], check=True)

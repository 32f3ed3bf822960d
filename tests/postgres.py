"""A PostgreSQL server of the tests alone, as Debian installs it, with a fresh database for each test.

A test takes the fixture `postgres`:

    def test_something(postgres: Database) -> None:
        gcron_run(…, "--state", postgres.url)
        postgres.sql("select count(*) from gcron.runs")
        postgres.server.restart()

The server runs as another user, if the tests run as root: it refuses root, and so does PgBouncer.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.unprivileged import as_user, new_directory, why_not_unprivileged
from tests.waiting import PATIENCE

__all__ = [
    "HOST",
    "Bouncer",
    "Database",
    "Postgres",
    "bouncer",
    "free_port",
    "postgres",
    "postgres_server",
    "why_no_postgres",
]

HOST = "127.0.0.1"
OWNER = "postgres"
"""The superuser of the database. Connections from this machine need no password."""
SETTINGS = {
    "fsync": "off",  # nothing here has to survive a crash of the machine
    "max_connections": "100",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
}
# Not those that the kernel gives to clients: a connection to such a port, while nobody listens, can meet itself.
_PORTS = range(20_000, 32_000)
_STOPS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def _programs() -> Path | None:
    """Return the directory of the newest server: Debian puts it where `PATH` does not lead."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    numbers = sorted((int(path.parts[-3]), path.parent) for path in installed if path.parts[-3].isdigit())
    if numbers:
        return numbers[-1][1]
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def why_no_postgres() -> str:
    """Return why no server can be started here; empty if one can."""
    if _programs() is None:
        return "PostgreSQL is not installed: Debian's package is postgresql"
    return why_not_unprivileged()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def _run(command: list[str | Path], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, timeout=PATIENCE)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


class Postgres:
    """A server on a TCP port of 127.0.0.1 and on a socket in its directory."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """Make its files. `settings` go to postgresql.conf, besides `SETTINGS`."""
        programs = _programs()
        assert programs is not None, why_no_postgres()
        self.programs = programs
        self.directory = new_directory("pg-")
        self.port = free_port()
        self._data = self.directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        initdb = [programs / "initdb", "-D", self._data, "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C"]
        _run([*as_user(), *initdb, "--no-sync", "--no-instructions"])
        ours = {"listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": str(self.directory)}
        with (self._data / "postgresql.conf").open("a") as file:
            for name, value in (SETTINGS | dict(settings or {}) | ours).items():
                file.write(f"{name} = '{value}'\n")

    @property
    def log(self) -> str:
        """What the server has written."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether its main process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with (self.directory / "log").open("ab") as log:
            command = [*as_user(dies_with_us=True), self.programs / "postgres", "-D", self._data]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + PATIENCE
        ready = [self.programs / "pg_isready", "-q", "-h", HOST, "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            assert self._process.poll() is None, f"PostgreSQL did not start:\n{self.log}"
            assert time.monotonic() < deadline, f"PostgreSQL takes no connections:\n{self.log}"
            time.sleep(0.02)

    def stop(self, mode: str = "fast") -> None:
        """Stop it as `pg_ctl stop -m` does: `immediate` is like a crash."""
        if self._process is None:
            return
        self._process.send_signal(_STOPS[mode])
        self._process.wait(PATIENCE)
        self._process = None

    def restart(self, mode: str = "immediate") -> None:
        """Stop and start it."""
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        """Stop it and remove its files."""
        self.stop("immediate")
        shutil.rmtree(self.directory)

    def new_database(self) -> Database:
        """Make an empty database."""
        name = f"test{next(self._numbers)}"
        self.sql(f"create database {name}")
        return Database(self, name)

    def sql(self, text: str, database: str = OWNER) -> str:
        """Run statements, each in a transaction of its own. Return rows as lines, with `|` between fields."""
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        where = ["-h", HOST, "-p", str(self.port), "-U", OWNER, "-d", database]
        return _run([self.programs / "psql", *options, *where, "-c", text], environment).rstrip("\n")

    def terminate_connections(self) -> int:
        """End all connections of clients with pg_terminate_backend(). Return how many there were."""
        clients = "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        return int(self.sql(f"select count(*) from (select pg_terminate_backend(pid) {clients}) as ended"))


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test."""

    server: Postgres
    name: str

    @property
    def url(self) -> str:
        """Where it is, over TCP."""
        return self.url_at(self.server.port)

    @property
    def socket_url(self) -> str:
        """Where it is, over the socket of the server."""
        directory = str(self.server.directory).replace("/", "%2F")
        return f"postgresql://{OWNER}@{directory}:{self.server.port}/{self.name}"

    def url_at(self, port: int) -> str:
        """Where it is for somebody who connects to this port of 127.0.0.1, such as that of a proxy."""
        return f"postgresql://{OWNER}@{HOST}:{port}/{self.name}"

    def sql(self, text: str) -> str:
        """Run statements. Return rows as lines, with `|` between fields."""
        return self.server.sql(text, self.name)


class Bouncer:
    """PgBouncer in transaction mode before a server: a connection keeps nothing from one transaction to the next."""

    def __init__(self, server: Postgres) -> None:
        self.port = free_port()
        self.directory = new_directory("pg-")
        settings = self.directory / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={HOST} port={server.port} user={OWNER}\n"
            f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 100\n"
        )
        program = shutil.which("pgbouncer")
        assert program is not None
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*as_user(dies_with_us=True), program, settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not self._takes_connections():
            assert self._process.poll() is None, f"PgBouncer did not start:\n{self.log}"
            assert time.monotonic() < deadline, f"PgBouncer takes no connections:\n{self.log}"
            time.sleep(0.02)

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.directory / "log").read_text(errors="replace")

    def _takes_connections(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def remove(self) -> None:
        """Stop it and remove its files."""
        self._process.kill()
        self._process.wait(PATIENCE)
        shutil.rmtree(self.directory)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The server of this session, or of this worker. A test that stops it starts it again."""
    if reason := why_no_postgres():
        pytest.skip(reason)
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres(postgres_server: Postgres) -> Database:
    """A fresh database of this test."""
    if not postgres_server.is_running:
        postgres_server.start()
    return postgres_server.new_database()


@pytest.fixture
def bouncer(postgres: Database) -> Iterator[Bouncer]:
    """PgBouncer before the server of the fixture `postgres`: `postgres.url_at(bouncer.port)`."""
    if shutil.which("pgbouncer") is None:
        pytest.skip("PgBouncer is not installed: Debian's package is pgbouncer")
    started = Bouncer(postgres.server)
    yield started
    started.remove()

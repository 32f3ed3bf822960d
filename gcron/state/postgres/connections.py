"""Connections to the database, each for one kind of work, made when needed and again when they break.

Every wait has a deadline on this side. Statements commit by themselves, and nothing is kept in a session: PgBouncer may
be in between, and a process that is stopped holds no lock. This module must not know what is asked.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo, waiting

from gcron.errors import StateError
from gcron.state.postgres.address import passwords_of, shown

__all__ = ["Connections", "DatabaseError", "Rows"]

# Seconds: to connect, for a statement, until another thread is done with the connection.
_CONNECT, _STATEMENT, _TURN = 3, 2.0, 3.0
# Milliseconds for which sent data may stay without an answer of the other machine (tcp(7), TCP_USER_TIMEOUT).
_UNANSWERED = 5000
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": _CONNECT,
    "tcp_user_timeout": _UNANSWERED,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "client_encoding": "utf8",
    "application_name": "gcron",
    "gssencmode": "disable",
}
# What a server says that does not take connections at the moment. Whatever else it says needs a person.
_PASSING = ("starting up", "shutting down", "recovery mode", "too many", "remaining connection slots", "cannot connect",
            "login has been failing", "query_wait_timeout", "terminating connection", "server conn crashed",
            "database removed", "pgbouncer")  # fmt: skip

# Classes of SQLSTATE: values that a type or a rule of a table does not take, and what is too long for an index.
_WRONG_VALUES = ("22", "23", "54")

Rows = list[tuple[Any, ...]]
T = TypeVar("T")


class DatabaseError(Exception):
    """The database did not do what it was asked; the message has no password."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code
        """SQLSTATE, if the server refused it."""

    @property
    def is_about_values(self) -> bool:
        """Whether the values are wrong, and not the database: it would refuse them each time again."""
        return self.code[:2] in _WRONG_VALUES


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """Gives up at its deadline: a network that is silent answers nothing, and a server may be stopped."""

    deadline = float("inf")

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        poll = select.poll()
        try:
            state = next(gen)
            while True:
                remaining = self.deadline - time.monotonic()
                if remaining <= 0:
                    raise psycopg.OperationalError("no answer in time")
                poll.register(self.pgconn.socket, _EVENTS[state])
                if poll.poll(min(remaining, 60.0) * 1000 + 1):
                    state = gen.send(_READY[state])
        except StopIteration as end:
            return end.value


_EVENTS = {
    waiting.Wait.R: select.POLLIN,
    waiting.Wait.W: select.POLLOUT,
    waiting.Wait.RW: select.POLLIN | select.POLLOUT,
}


class _Attempt:
    """A connection that is made in a thread of its own: nothing bounds the time that a name server takes."""

    def __init__(self, connect: Callable[[], _Connection]) -> None:
        self._connect = connect
        self._connection: _Connection | None = None
        self._error: Exception | None = None
        self._has_ended = threading.Event()
        threading.Thread(target=self._run, name="gcron-connects", daemon=True).start()

    def _run(self) -> None:
        try:
            self._connection = self._connect()
        except Exception as error:  # raised where it is waited for
            self._error = error
        self._has_ended.set()

    def wait(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        return self._has_ended.wait(seconds)

    def result(self) -> _Connection:
        """What came of it, once. Raises what `connect` has raised."""
        connection, error, self._connection, self._error = self._connection, self._error, None, None
        if connection is None:
            raise error or psycopg.OperationalError("no connection")
        return connection


class Connections:
    """Two connections to the database at `url`: one for what is urgent, one for everything else."""

    def __init__(self, url: str) -> None:
        self.shown = shown(url)
        self._url = url
        self._secrets = passwords_of(url)
        self._lanes = {True: _Lane(), False: _Lane()}
        self._patience = _patience_with(url)

    def execute(self, sql: str, values: Sequence[object] = (), *, urgent: bool = False) -> Rows:
        """The rows of one statement, which has committed.

        Where a connection breaks that was made earlier, it is asked again on a new one: what was asked may have been
        done. So all statements can be repeated. Raises DatabaseError.
        """
        return self._with_connection(lambda connection: _execute(connection, sql, values), _STATEMENT, urgent)

    def transact(self, work: Callable[[Callable[..., Rows]], T], timeout: float) -> T:
        """Call `work` with a function that executes statements of one transaction. Raises DatabaseError."""

        def transaction(connection: _Connection) -> T:
            with connection.transaction():
                return work(lambda sql, values=(): _execute(connection, sql, values))

        return self._with_connection(transaction, timeout, urgent=False)

    def close(self) -> None:
        """Close both."""
        for lane in self._lanes.values():
            if lane.lock.acquire(timeout=_TURN):
                lane.close()
                lane.lock.release()

    def _with_connection(self, work: Callable[[_Connection], T], timeout: float, urgent: bool) -> T:
        with self._lane(urgent) as lane, self._errors():
            while True:
                is_new = lane.connection is None
                connection = lane.connection = lane.connection or self._connect(lane)
                connection.deadline = time.monotonic() + timeout
                try:
                    return work(connection)
                except BaseException as error:
                    # A statement whose answer is not awaited any more goes on in the server.
                    # One that has become a standby only reads: another host of the address may be the primary now.
                    is_broken = (
                        connection.closed
                        or connection.info.transaction_status != _IDLE
                        or isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
                    )
                    if is_broken:
                        lane.close()
                    is_late = time.monotonic() >= connection.deadline
                    if is_new or is_late or not is_broken or not isinstance(error, psycopg.OperationalError):
                        raise

    @contextmanager
    def _lane(self, urgent: bool) -> Iterator[_Lane]:
        lane = self._lanes[urgent]
        if not lane.lock.acquire(timeout=_TURN):
            raise DatabaseError(f"{self.shown} is busy with an earlier question")
        try:
            yield lane
        finally:
            lane.lock.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.ReadOnlySqlTransaction as error:
            text = f"{self._text(error)}: it is a replica, or default_transaction_read_only is on"
            raise DatabaseError(f"{self.shown} only reads: {text}", error.sqlstate or "") from None
        except psycopg.Error as error:
            raise DatabaseError(f"{self.shown}: {self._text(error)}", error.sqlstate or "") from None

    def _text(self, error: Exception) -> str:
        text = str(error).partition("\nCONTEXT:")[0]  # CONTEXT names the function in the database and its line
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return " ".join(text.split())

    def _connect(self, lane: _Lane) -> _Connection:
        attempt = lane.attempt = lane.attempt or _Attempt(self._make_connection)
        if not attempt.wait(self._patience):
            # The next question waits for the same one: a name server that hangs must not cost a thread each second.
            raise psycopg.OperationalError(
                f"no connection within {self._patience:g} s: it, or the name server for its host, does not answer"
            )
        lane.attempt = None
        return attempt.result()

    def _make_connection(self) -> _Connection:
        given = conninfo.conninfo_to_dict(self._url)
        settings = {**_DEFAULTS, **given}
        if "," in str(given.get("host", "")):
            settings.setdefault("target_session_attrs", "read-write")
        connection = _Connection.connect(**settings, autocommit=True, prepare_threshold=None)
        # A row that a broken trigger or a proxy reports would be printed.
        connection.add_notice_handler(lambda notice: None)
        return connection

    def check(self) -> None:
        """Connect. Raises StateError for what a person can mend, DatabaseError when the database is away."""
        with self._lane(False) as lane:
            if lane.connection is not None:
                return
            try:
                lane.connection = self._connect(lane)
            except (psycopg.ProgrammingError, UnicodeError) as error:
                raise StateError(f"{self.shown} is no address of a database: {self._text(error)}") from None
            except psycopg.OperationalError as error:
                text = self._text(error)
                needs_password = error.pgconn is not None and error.pgconn.needs_password
                if needs_password:
                    raise StateError(
                        f"{self.shown} asks for a password: put it into ~/.pgpass (mode 0600) or PGPASSWORD"
                    ) from None
                if "FATAL" in text and not any(word in text for word in _PASSING):
                    raise StateError(f"{self.shown} refuses: {text.partition('FATAL:')[2].strip() or text}") from None
                raise DatabaseError(f"{self.shown}: {text}") from None


class _Lane:
    """One connection, and whose turn it is."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: _Connection | None = None
        self.attempt: _Attempt | None = None
        """A connection that is being made, and was not there in time."""

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def _patience_with(url: str) -> float:
    """Seconds until somebody who waits for a connection gives up: the time that each host has, and one."""
    try:
        given = conninfo.conninfo_to_dict(url)
        seconds = int(given.get("connect_timeout") or _CONNECT)
    except (psycopg.ProgrammingError, UnicodeError, ValueError):  # `check` reports it
        return _CONNECT + 1.0
    return max(seconds, _CONNECT) * (1.0 + str(given.get("host", "")).count(",")) + 1.0


def _execute(connection: _Connection, sql: str, values: Sequence[object]) -> Rows:
    cursor = connection.execute(sql.encode(), values or None)
    return cursor.fetchall() if cursor.description is not None else []


_READY = {
    waiting.Wait.R: waiting.Ready.R,
    waiting.Wait.W: waiting.Ready.W,
    waiting.Wait.RW: waiting.Ready.RW,
}
_IDLE = psycopg.pq.TransactionStatus.IDLE

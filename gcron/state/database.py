"""The database file: connections, transactions, and what is done with one that is damaged or of a newer gcron.

One connection writes, a lock keeps its transactions apart. Each thread that reads has its own connection.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TypeVar

from gcron.state.schema import NEWEST, move_forward, why_refused

__all__ = ["Damaged", "Database", "Refused", "chunks", "connect", "insert", "marks", "size_of", "storable"]

# Seconds to wait for another process (`gcron state`) that writes.
_BUSY = 2.0
# SQLite's result codes: a page makes no sense; the file is no database.
_DAMAGES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SIDE_FILES = ("-wal", "-shm")


class Damaged(Exception):
    """The database is damaged, and was moved aside. The next access begins a new one."""


class Refused(Exception):
    """The database belongs to a newer gcron, or to another program. It stays as it is."""


class _Reader:
    """A thread's connection, and a lock that the thread holds while it reads.

    Python crashes (SIGSEGV) when one thread closes a connection while another one executes a statement.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()  # damage that a thread finds closes its own connection, too
        self._is_closed = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection. Raises sqlite3.OperationalError if it was closed meanwhile."""
        with self._lock:
            if self._is_closed:
                raise sqlite3.OperationalError("the history was closed")
            yield self._connection

    def close(self) -> None:
        """Interrupt what it reads, and close it."""
        self._connection.interrupt()
        with self._lock, suppress(sqlite3.Error):
            self._is_closed = True
            self._connection.close()


class Database:
    """A history at `path`, which is made when it is first needed; `begin` is called with each new file."""

    def __init__(self, path: str, begin: Callable[[sqlite3.Connection], object] = lambda connection: None) -> None:
        self.path = path
        self._begin = begin
        self._writing = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._readers: dict[int, _Reader] = {}
        """By thread."""
        self._number = 0
        """Of the file: another one once a damaged one was moved aside."""

    @contextmanager
    def transaction(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection for writing; commits at the end of the block, or rolls back when that raises.

        What is `durable` survives the loss of power, anything else that of the process. Raises Damaged, Refused,
        sqlite3.Error.
        """
        with self._writing, self._noticing_damage():
            connection = self._writer = self._writer or self._open()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # when it failed for lack of room, SQLite has rolled back itself
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection for reading, at one moment of the database. Raises as `transaction`."""
        thread = threading.get_ident()
        with self._noticing_damage():
            reader = self._readers.get(thread)
            if reader is None:
                with self._writing:
                    connection = self._open_reader()
                    connection.execute("PRAGMA query_only = 1")
                    reader = self._readers[thread] = _Reader(connection)
            with reader.reading() as connection, _snapshot(connection):
                yield connection

    @contextmanager
    def reading_at_start(self) -> Iterator[sqlite3.Connection]:
        """As `reading`, also where the disk has no room for what SQLite makes beside the file.

        Nothing is written meanwhile, so nothing of this process is half seen.
        """
        with self._writing, ExitStack() as stack:
            try:
                connection = stack.enter_context(self.reading())
                connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # from here on it is one moment
            except sqlite3.OperationalError:
                stack.enter_context(self._noticing_damage())
                connection = stack.enter_context(closing(self._open_alone()))
                stack.enter_context(_snapshot(connection))
            yield connection

    def close(self) -> None:
        """Close all connections, and move the write-ahead log into the file."""
        with self._writing:
            self._close()

    def _close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        if self._writer is not None:
            with suppress(sqlite3.Error):
                self._writer.close()
        self._writer = None

    def _open_reader(self) -> sqlite3.Connection:
        """Needs neither room on the disk nor another process's lock, unless tables are to be made or moved forward."""
        if self._writer is None and os.path.exists(self.path):
            connection = connect(self.path)
            try:
                if self._version(connection) == NEWEST:
                    return connection
            except BaseException:
                connection.close()
                raise
            connection.close()
        self._writer = self._writer or self._open()
        return connect(self.path)

    def _open_alone(self) -> sqlite3.Connection:
        """A connection for reading whose index of the log is in memory; no other process may have the file open."""
        connection = connect(self.path)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            if (version := self._version(connection)) != NEWEST:
                raise sqlite3.OperationalError(f"its tables are of version {version}, and cannot be moved forward now")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(self) -> sqlite3.Connection:
        # Only a new file: closing one that a connection of this process has open would give up SQLite's locks, and
        # another process would delete the log (https://www.sqlite.org/howtocorrupt.html, section 2.2).
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = connect(self.path)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            self._check(connection)
            self._begin(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Make the tables, or move them forward."""
        if self._version(connection) < NEWEST:
            move_forward(connection)

    def _version(self, connection: sqlite3.Connection) -> int:
        """Of the tables; 0: there are none. Raises Refused."""
        with _snapshot(connection):  # another process may be making the tables
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if reason := why_refused(self.path, version, application, is_empty=objects == 0):
            raise Refused(reason)
        return int(version)

    # -- damage ---------------------------------------------------------------------------------------------

    @contextmanager
    def _noticing_damage(self) -> Iterator[None]:
        number = self._number
        try:
            yield
        except sqlite3.DatabaseError as error:
            # An error of Python's own has no code.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGES:
                raise
            with self._writing:
                aside = self._move_aside() if self._number == number else "the side"
            raise Damaged(f"{self.path} is damaged ({error}): moved to {aside}, and a new one is begun") from error

    def _move_aside(self) -> str:
        self._close()
        aside = f"{self.path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        for suffix in ("", *_SIDE_FILES):
            with suppress(FileNotFoundError):
                os.rename(self.path + suffix, aside + suffix)
        self._number += 1
        return aside


def connect(path: str) -> sqlite3.Connection:
    """A connection without transactions of its own, for any thread. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cache_size = -1024")
    connection.execute("PRAGMA journal_size_limit = 4194304")
    return connection


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def size_of(path: str) -> int:
    """Bytes of a database and the files beside it."""
    size = 0
    for suffix in ("", *_SIDE_FILES):
        with suppress(FileNotFoundError):
            size += os.stat(path + suffix).st_size
    return size


# -- many rows in one statement ---------------------------------------------------------------------------------
# Python's `sqlite3` takes the interpreter's lock again after each statement: beside a busy loop, a thousand short ones
# take seconds.

# Rows in one statement: SQLite takes 32,766 parameters in all.
_CHUNKS = (250, 25, 1)

T = TypeVar("T")


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut `items` into pieces of few sizes: for each size one statement is compiled."""
    start = 0
    for size in _CHUNKS:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


def insert(table: str, columns: Sequence[str], on_conflict: str) -> dict[int, str]:
    """The statements that insert a chunk of rows, by the size of the chunk."""
    row = f"({marks(columns)})"
    head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
    return {size: f"{head}{', '.join([row] * size)} {on_conflict}" for size in _CHUNKS}


def marks(items: Sequence[object]) -> str:
    """A parameter for each of the items: `?, ?`."""
    return ", ".join("?" * len(items))


def storable(text: str) -> str:
    r"""The text as SQLite can hold it: `\udc80` for a byte that is no UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()

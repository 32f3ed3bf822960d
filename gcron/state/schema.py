"""The tables of the history, as numbered steps, and a look at a database file without opening it.

A step is never changed once it was released: a new one follows. This module must not import `sqlite3`, which takes
milliseconds of a start.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["NEWEST", "STEPS", "move_forward", "why_file_is_refused", "why_refused"]

APPLICATION_ID = 0x6763726E
"""`gcrn`, in the header of the file (https://www.sqlite.org/fileformat.html, section 1.3)."""

STEPS = (
    """
    CREATE TABLE session (
        number INTEGER PRIMARY KEY,
        pid INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        version TEXT NOT NULL,
        started REAL NOT NULL,
        ended REAL
    );
    CREATE TABLE job (
        name TEXT PRIMARY KEY,
        schedule TEXT,              -- a digest
        keep_runs INTEGER,
        keep_for REAL,
        since REAL NOT NULL,        -- from then on it is as it is
        removed REAL,
        last_fire INTEGER,          -- that was handled
        claimed INTEGER,            -- its latest fire that was claimed
        paused REAL,
        paused_until REAL,
        paused_by TEXT,
        paused_why TEXT,
        runs INTEGER NOT NULL DEFAULT 0,
        succeeded INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0,
        skipped INTEGER NOT NULL DEFAULT 0,
        missed INTEGER NOT NULL DEFAULT 0,
        recent TEXT NOT NULL DEFAULT '',
        last_finished REAL,
        last_success REAL,
        last_duration REAL,
        seconds REAL NOT NULL DEFAULT 0,  -- of all successes
        longest REAL
    ) WITHOUT ROWID;
    CREATE TABLE run (
        number INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        job TEXT NOT NULL,
        created REAL NOT NULL,
        outcome TEXT NOT NULL,      -- empty: under way
        reason_code TEXT NOT NULL,
        reason TEXT NOT NULL,
        fire_at INTEGER,
        last_fire_at INTEGER,       -- of a span of missed fires
        fires INTEGER NOT NULL,
        started REAL,
        finished REAL,
        attempts INTEGER NOT NULL,
        exit_code INTEGER,
        duration REAL,
        output_size INTEGER NOT NULL,
        left_behind TEXT NOT NULL,
        pid INTEGER,
        pid_since REAL,
        session INTEGER NOT NULL
    );
    CREATE INDEX run_created ON run (created);
    CREATE INDEX run_job ON run (job, created);
    CREATE INDEX run_outcome ON run (outcome, created);
    CREATE INDEX run_job_outcome ON run (job, outcome, created);
    """,
    """
    ALTER TABLE run ADD COLUMN cpu_seconds REAL;
    ALTER TABLE run ADD COLUMN max_rss_bytes INTEGER;
    """,
    # Of a job that runs after others: JSON. SQLite would keep a comment at the end, and then not find the end.
    "ALTER TABLE job ADD COLUMN chain TEXT",
    """
    CREATE TABLE message (          -- that is not delivered yet
        message_id TEXT NOT NULL,
        target TEXT NOT NULL,
        time REAL NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (message_id, target)
    );
    """,
    """
    CREATE TABLE claim (            -- a fire that was claimed, and whose outcome is still to come
        job TEXT NOT NULL,
        fire_at INTEGER NOT NULL,
        waits INTEGER NOT NULL,     -- it is to be made up after others
        PRIMARY KEY (job, fire_at)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE run ADD COLUMN who TEXT NOT NULL DEFAULT '';
    ALTER TABLE run ADD COLUMN why TEXT NOT NULL DEFAULT ''
    """,
    # How long the runs of `recent` took: a character each.
    "ALTER TABLE job ADD COLUMN signs TEXT NOT NULL DEFAULT ''",
    """
    ALTER TABLE run ADD COLUMN node TEXT NOT NULL DEFAULT '';
    ALTER TABLE run ADD COLUMN fence INTEGER NOT NULL DEFAULT 0
    """,
)
NEWEST = len(STEPS)
"""The number of the last step: `user_version` of a database that is up to date."""


def why_refused(path: str, version: int, application: int, is_empty: bool) -> str:
    """Why this gcron leaves the database alone; empty when it does not."""
    if not is_empty and application != APPLICATION_ID:
        return f"{path} belongs to another program"
    if version > NEWEST:
        return f"{path} is of a newer gcron (version {version} of its tables; this gcron knows {NEWEST})"
    return ""


def why_file_is_refused(path: str) -> str:
    """As `why_refused`, with what helps, from the file's first bytes. Raises OSError.

    What is still in the write-ahead log is not seen: gcron moves the log into the file after each step. Anything but a
    file is refused: who opens a pipe waits for another side.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return f"{path} is no regular file: move it away, or keep the history in another directory"
        with open(path, "rb") as file:
            start = file.read(100)
    except FileNotFoundError:
        return ""
    if not start.startswith(b"SQLite format 3\0"):
        return ""  # empty, or damaged: to be seen when it is opened
    version, application = int.from_bytes(start[60:64], "big"), int.from_bytes(start[68:72], "big")
    reason = why_refused(path, version, application, is_empty=not application and not version)
    return reason and f"{reason}: run that one, or keep another history in another directory"


def move_forward(connection: sqlite3.Connection) -> None:
    """Take the steps after the present one, all of them or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()  # another process may have been here
        for step in STEPS[version:]:
            for statement in step.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {NEWEST}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

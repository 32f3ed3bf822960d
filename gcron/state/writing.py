"""The SQL that writes runs, jobs, claims and sessions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from gcron.scheduler.history import RECENT, Chain, Pause, StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.messages import KeptMessage
from gcron.scheduler.store import Fire
from gcron.scheduler.tally import Tally, tally
from gcron.state.database import chunks, insert, marks, storable
from gcron.state.rules import RUN_COLUMNS, Keep, keep_of, schedule_digests, write_chain
from gcron.version import __version__

__all__ = [
    "begin_session",
    "claim",
    "define",
    "end_claims",
    "end_session",
    "find_new",
    "forget_claims",
    "mark_others_removed",
    "mark_removed",
    "read_boot_id",
    "write_chains",
    "write_jobs",
    "write_messages",
    "write_pauses",
    "write_runs",
]

_run_values = attrgetter(*RUN_COLUMNS)

# -- runs -------------------------------------------------------------------------------------------------------

_KEPT = ("run_id", "job", "created", "fire_at", "session")
_LATEST = ("started", "pid", "pid_since")
_INSERT_RUNS = insert(
    "run",
    (*RUN_COLUMNS, "session"),
    "ON CONFLICT (run_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in RUN_COLUMNS if name not in (*_KEPT, *_LATEST))
    + ", "
    + ", ".join(f"{name} = coalesce(excluded.{name}, run.{name})" for name in _LATEST)
    + " WHERE run.outcome = ''",  # no run ends twice
)


def write_runs(connection: sqlite3.Connection, runs: Sequence[StoredRun], session: int) -> None:
    """Write runs as they are now, old ones and new ones."""
    for some in chunks(runs):
        values = [value for run in some for value in (*_run_values(run), session)]
        connection.execute(_INSERT_RUNS[len(some)], _storable_all(values))


def _storable_all(values: list[Any]) -> list[Any]:
    return [value if type(value) is not str or value.isascii() else storable(value) for value in values]


# -- jobs -------------------------------------------------------------------------------------------------------

_JOB_COLUMNS = ("name", "since", "last_fire", *Tally.__slots__)
_SUMS = ("runs", "succeeded", "failed", "skipped", "missed", "seconds")
_INSERT_JOBS = insert(
    "job",
    _JOB_COLUMNS,
    "ON CONFLICT (name) DO UPDATE SET "
    "last_fire = max(coalesce(last_fire, excluded.last_fire), coalesce(excluded.last_fire, last_fire)), "
    "longest = max(coalesce(longest, excluded.longest), coalesce(excluded.longest, longest)), "
    f"recent = substr(recent || excluded.recent, -{RECENT}), signs = substr(signs || excluded.signs, -{RECENT}), "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
    + ", "
    + ", ".join(
        f"{name} = coalesce(excluded.{name}, {name})" for name in ("last_finished", "last_success", "last_duration")
    ),
)
_tally_values = attrgetter(*Tally.__slots__)


def write_jobs(
    connection: sqlite3.Connection, ended: Iterable[StoredRun], handled: Mapping[str, int], now: float
) -> None:
    """Add to the sums of jobs what ended runs bring, and note which fires were handled."""
    tallies = tally(ended)
    rows = [
        (storable(name), now, handled.get(name), *_tally_values(tallies.get(name) or Tally()))
        for name in {**tallies, **handled}
    ]
    for some in chunks(rows):
        connection.execute(_INSERT_JOBS[len(some)], [value for row in some for value in row])


_DEFINE = insert(
    "job",
    ("name", "schedule", "keep_runs", "keep_for", "since"),
    "ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule, keep_runs = excluded.keep_runs, "
    "keep_for = excluded.keep_for, since = excluded.since, removed = NULL",
)


def define(connection: sqlite3.Connection, jobs: Sequence[Job], default: Keep, now: float) -> set[str]:
    """Write these jobs; returns the names of those that are new or fire by another schedule than before."""
    new, changed = _compare(connection, jobs, default, now)
    for some in chunks(changed):
        connection.execute(_DEFINE[len(some)], [value for row in some for value in row])
    return new


def find_new(connection: sqlite3.Connection, jobs: Sequence[Job], default: Keep, now: float) -> set[str]:
    """What `define` would return; nothing is written."""
    return _compare(connection, jobs, default, now)[0]


def _compare(
    connection: sqlite3.Connection, jobs: Sequence[Job], default: Keep, now: float
) -> tuple[set[str], list[tuple[Any, ...]]]:
    """The names of jobs that are new or fire by another schedule, and the rows of all that differ."""
    digests = schedule_digests(jobs)
    new: set[str] = set()
    changed = []
    for some in chunks(jobs):
        before = _definitions(connection, [storable(job.name) for job in some])
        for job in some:
            keep = keep_of(job, default)
            definition = digests[job.name], keep.runs, keep.age
            schedule, *others, since = before.get(storable(job.name), (None, None))
            if schedule != definition[0]:
                new.add(job.name)
                since = now
            elif tuple(others) == definition[1:]:
                continue
            changed.append((storable(job.name), *definition, since))
    return new, changed


def _definitions(connection: sqlite3.Connection, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    rows = connection.execute(
        "SELECT name, schedule, keep_runs, keep_for, since FROM job "
        f"WHERE removed IS NULL AND name IN ({marks(names)})",
        names,
    )
    return {name: tuple(definition) for name, *definition in rows}


def mark_removed(connection: sqlite3.Connection, names: Iterable[str], now: float) -> None:
    """Note that these jobs are gone, and their pauses and claims with them."""
    gone = [storable(name) for name in names]
    connection.executemany(
        "UPDATE job SET removed = ?, claimed = NULL, paused = NULL, chain = NULL WHERE name = ?",
        [(now, name) for name in gone],
    )
    connection.executemany("DELETE FROM claim WHERE job = ?", [(name,) for name in gone])


def mark_others_removed(connection: sqlite3.Connection, jobs: Iterable[Job], now: float) -> None:
    """Note that all other jobs are gone."""
    names = {storable(job.name) for job in jobs}
    known = connection.execute("SELECT name FROM job WHERE removed IS NULL").fetchall()
    mark_removed(connection, [name for (name,) in known if name not in names], now)


def write_pauses(
    connection: sqlite3.Connection, pauses: Mapping[str, Pause | None], restarted: Mapping[str, float], now: float
) -> None:
    """Note which jobs are paused or not any more, and from when on the fires of others count."""
    connection.executemany(
        "UPDATE job SET since = ?, last_fire = NULL WHERE name = ?",
        [(time, storable(name)) for name, time in restarted.items()],
    )
    nothing = Pause(0.0)
    connection.executemany(
        "INSERT INTO job (name, since, paused, paused_until, paused_by, paused_why) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET paused = excluded.paused, paused_until = excluded.paused_until, "
        "paused_by = excluded.paused_by, paused_why = excluded.paused_why",
        [
            (storable(name), now, pause and pause.since, (pause or nothing).until, *_who_and_why(pause or nothing))
            for name, pause in pauses.items()
        ],
    )


def _who_and_why(pause: Pause) -> tuple[str, str]:
    return storable(pause.who), storable(pause.why)


def write_chains(connection: sqlite3.Connection, chains: Mapping[str, Chain], now: float) -> None:
    """Note what is known of the jobs before those that run after others."""
    connection.executemany(
        "INSERT INTO job (name, since, chain) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET chain = excluded.chain",
        [(storable(name), now, write_chain(chain)) for name, chain in chains.items()],
    )


# -- messages ---------------------------------------------------------------------------------------------------


def write_messages(
    connection: sqlite3.Connection, messages: Iterable[KeptMessage], dropped: Iterable[tuple[str, str]]
) -> None:
    """Keep messages that are to be delivered, and forget others by id and target."""
    connection.executemany(
        "INSERT OR REPLACE INTO message (message_id, target, time, text) VALUES (?, ?, ?, ?)",
        [(message.message_id, storable(message.target), message.time, message.text) for message in messages],
    )
    connection.executemany(
        "DELETE FROM message WHERE message_id = ? AND target = ?",
        [(message_id, storable(target)) for message_id, target in dropped],
    )


# -- claims, and sessions: each start of gcron is one -----------------------------------------------------------

_CLAIM = insert("job", ("name", "since", "claimed"), "ON CONFLICT (name) DO UPDATE SET claimed = excluded.claimed")
_INSERT_CLAIMS = insert(
    "claim", ("job", "fire_at", "waits"), "ON CONFLICT (job, fire_at) DO UPDATE SET waits = excluded.waits"
)


def claim(connection: sqlite3.Connection, fires: Sequence[Fire], now: float) -> list[bool]:
    """Claim the fires that are later than the latest claimed one of their job, and those that wait."""
    names = list({storable(fire.job): None for fire in fires})
    latest = _latest(connection, names)
    waiting = _waiting(connection, names)
    claimed: dict[str, int] = {}
    rows: dict[tuple[str, int], bool] = {}
    answers = []
    for fire in fires:
        name = storable(fire.job)
        place = name, fire.fire_at
        is_new = name not in latest or fire.fire_at > latest[name]
        if is_new:
            latest[name] = claimed[name] = fire.fire_at
        is_granted = is_new or place in waiting
        if is_granted and not fire.has_run:
            rows[place] = fire.waits
            (waiting.add if fire.waits else waiting.discard)(place)
        answers.append(is_granted)
    for some in chunks(list(claimed.items())):
        connection.execute(_CLAIM[len(some)], [value for name, fire_at in some for value in (name, now, fire_at)])
    for some_rows in chunks(list(rows.items())):
        values = [value for (name, fire_at), waits in some_rows for value in (name, fire_at, waits)]
        connection.execute(_INSERT_CLAIMS[len(some_rows)], values)
    return answers


def _waiting(connection: sqlite3.Connection, names: list[str]) -> set[tuple[str, int]]:
    """The fires of these jobs that were claimed and wait."""
    found: set[tuple[str, int]] = set()
    for some in chunks(names):
        found.update(
            connection.execute(
                f"SELECT job, fire_at FROM claim WHERE waits AND job IN ({marks(some)})", some
            ).fetchall()
        )
    return found


def end_claims(connection: sqlite3.Connection, runs: Iterable[StoredRun]) -> None:
    """The fires of these runs are on record: their claims are not needed any more."""
    fires = []
    for run in runs:
        if run.last_fire_at is not None:
            span = storable(run.job), run.fire_at, run.last_fire_at
            connection.execute("DELETE FROM claim WHERE job = ? AND fire_at BETWEEN ? AND ?", span)
        elif run.fire_at is not None:
            fires.append((storable(run.job), run.fire_at))
    for some in chunks(fires):
        places = ", ".join(["(?, ?)"] * len(some))
        values = [value for fire in some for value in fire]
        connection.execute(f"DELETE FROM claim WHERE (job, fire_at) IN (VALUES {places})", values)


def _latest(connection: sqlite3.Connection, names: list[str]) -> dict[str, int]:
    latest: dict[str, int] = {}
    for some in chunks(names):
        rows = connection.execute(f"SELECT name, claimed FROM job WHERE name IN ({marks(some)})", some)
        latest.update((name, claimed) for name, claimed in rows if claimed is not None)
    return latest


def forget_claims(connection: sqlite3.Connection, jobs: Iterable[str]) -> None:
    """Let any fire of these jobs be claimed again."""
    names = [(storable(name),) for name in jobs]
    connection.executemany("UPDATE job SET claimed = NULL WHERE name = ?", names)
    connection.executemany("DELETE FROM claim WHERE job = ?", names)


def begin_session(connection: sqlite3.Connection, now: float) -> int:
    """Note that this gcron has started; returns the number of its session."""
    cursor = connection.execute(
        "INSERT INTO session (pid, boot_id, version, started) VALUES (?, ?, ?, ?)",
        (os.getpid(), read_boot_id(), __version__, now),
    )
    assert cursor.lastrowid is not None, "an INSERT without a row"
    return cursor.lastrowid


def read_boot_id() -> str:
    """The machine's boot (random(4)); empty where there is no such id."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def end_session(connection: sqlite3.Connection, session: int, now: float) -> None:
    """Note that this gcron has stopped."""
    connection.execute("UPDATE session SET ended = ? WHERE number = ?", (now, session))

"""The SQL of claims, and of sessions: each start of gcron is one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence

from gcron.scheduler.store import Fire
from gcron.state.sql import chunks, insert, marks, storable
from gcron.version import __version__

__all__ = ["begin_session", "claim", "end_session", "forget_claims"]

_CLAIM = insert("job", ("name", "since", "claimed"), "ON CONFLICT (name) DO UPDATE SET claimed = excluded.claimed")


def claim(connection: sqlite3.Connection, fires: Sequence[Fire], now: float) -> list[bool]:
    """Claim the fires that are later than the latest claimed one of their job."""
    latest = _latest(connection, list({storable(fire.job): None for fire in fires}))
    claimed: dict[str, int] = {}
    answers = []
    for fire in fires:
        name = storable(fire.job)
        is_new = name not in latest or fire.fire_at > latest[name]
        if is_new:
            latest[name] = claimed[name] = fire.fire_at
        answers.append(is_new)
    for some in chunks(list(claimed.items())):
        connection.execute(_CLAIM[len(some)], [value for name, fire_at in some for value in (name, now, fire_at)])
    return answers


def _latest(connection: sqlite3.Connection, names: list[str]) -> dict[str, int]:
    latest: dict[str, int] = {}
    for some in chunks(names):
        rows = connection.execute(f"SELECT name, claimed FROM job WHERE name IN ({marks(some)})", some)
        latest.update((name, claimed) for name, claimed in rows if claimed is not None)
    return latest


def forget_claims(connection: sqlite3.Connection, jobs: Iterable[str]) -> None:
    """Let any fire of these jobs be claimed again."""
    connection.executemany("UPDATE job SET claimed = NULL WHERE name = ?", [(storable(name),) for name in jobs])


def begin_session(connection: sqlite3.Connection, now: float) -> int:
    """Note that this gcron has started; returns the number of its session."""
    cursor = connection.execute(
        "INSERT INTO session (pid, boot_id, version, started) VALUES (?, ?, ?, ?)",
        (os.getpid(), _boot_id(), __version__, now),
    )
    assert cursor.lastrowid is not None, "an INSERT without a row"
    return cursor.lastrowid


def _boot_id() -> str:
    """The machine's boot (random(4)); empty where there is no such id."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def end_session(connection: sqlite3.Connection, session: int, now: float) -> None:
    """Note that this gcron has stopped."""
    connection.execute("UPDATE session SET ended = ? WHERE number = ?", (now, session))

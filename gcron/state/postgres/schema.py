"""The tables and functions in PostgreSQL, as numbered steps.

A step is never changed once it was released: a new one follows. While nodes are updated one after the other, older ones
still work with newer tables: no step takes away what they use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gcron.errors import StateError
from gcron.state.postgres.connections import Connections, DatabaseError, Rows

__all__ = ["NEWEST", "STEPS", "move_forward", "quoted"]

STEPS = ("step_1_tables.sql", "step_2_functions.sql")
"""Files beside this module."""
NEWEST = len(STEPS)
"""The number of the last step: `meta.version` of tables that are up to date."""

OLDEST_SERVER = 130000
_HERE = Path(__file__).parent

# Seconds to move the tables forward; another node may be doing it.
_TIMEOUT = 10.0

Execute = Callable[..., Rows]


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def move_forward(connections: Connections, schema: str) -> None:
    """Make the tables, or take the steps after the present one. Raises StateError, DatabaseError."""
    ((server, encoding),) = connections.execute(
        "SELECT current_setting('server_version_num')::int, pg_encoding_to_char(encoding) "
        "FROM pg_database WHERE datname = current_database()"
    )
    if server < OLDEST_SERVER:
        raise StateError(f"{connections.shown} is PostgreSQL {server // 10000}: gcron needs 13 or later")
    if encoding != "UTF8":
        raise StateError(f"{connections.shown} is encoded in {encoding}: make a database with `createdb -E UTF8`")
    if _version(connections.execute, connections.shown, schema) == NEWEST:
        return
    try:
        connections.transact(lambda execute: _take_steps(execute, connections.shown, schema), _TIMEOUT)
    except DatabaseError as error:
        if error.code == "42501":  # insufficient_privilege
            ((user, database),) = connections.execute("SELECT current_user::text, current_database()::text")
            raise StateError(
                f"{connections.shown}: {user} has no right to make its tables: "
                f"CREATE SCHEMA {quoted(schema)} AUTHORIZATION {quoted(user)}; in {database} helps"
            ) from None
        raise


def _take_steps(execute: Execute, shown: str, schema: str) -> None:
    execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"gcron tables {schema}"])
    version = _version(execute, shown, schema)  # another node may have been here
    if version < 0:
        execute(f"CREATE SCHEMA {quoted(schema)}")
    for step in STEPS[max(0, version) :]:
        execute(_HERE.joinpath(step).read_text().replace("{s}", quoted(schema)))
    execute(f"UPDATE {quoted(schema)}.meta SET version = %s", [NEWEST])


def _version(execute: Execute, shown: str, schema: str) -> int:
    """Of the tables; 0: the schema is empty; -1: there is none. Raises StateError."""
    rows: Sequence[Any] = execute(
        "SELECT c.relname::text FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid "
        "WHERE n.nspname = %s",
        [schema],
    )
    names = {name for (name,) in rows}
    if not names:
        return -1
    if names == {None}:
        return 0
    if not names >= {"meta", "incarnation", "turn", "claim"}:
        raise StateError(f"{shown}: the schema {schema} belongs to another program: use another --instance NAME")
    ((version,),) = execute(f"SELECT version FROM {quoted(schema)}.meta")
    if version > NEWEST:
        raise StateError(
            f"{shown} is of a newer gcron (version {version} of its tables; this gcron knows {NEWEST}): "
            "update this one, or use another --instance NAME"
        )
    return int(version)

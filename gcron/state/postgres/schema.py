"""The tables and functions in PostgreSQL, as numbered steps.

A step is never changed once it was released: a new one follows. While nodes are updated one after the other, older ones
still work with newer tables: no step takes away what they use.
"""

from __future__ import annotations

import re
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
# In the server: a gcron that is stopped in the middle, or waits for somebody else's lock, must not keep all others out.
_BOUNDS = "SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL lock_timeout = '8s'"

Execute = Callable[..., Rows]

# What the steps make, and whether this role may use it: null where it is missing.
_MADE = re.compile(r"CREATE (?:OR REPLACE )?(TABLE|SEQUENCE|FUNCTION) \{s\}\.(\w+)")
_RIGHTS = """SELECT lower(p.kind) || ' ' || p.name, has_schema_privilege(n.oid, 'USAGE') AND CASE p.kind
        WHEN 'FUNCTION' THEN (SELECT bool_and(has_function_privilege(f.oid, 'EXECUTE')) FROM pg_proc f
            WHERE f.pronamespace = n.oid AND f.proname = p.name)
        WHEN 'SEQUENCE' THEN (SELECT has_sequence_privilege(c.oid, 'USAGE') FROM pg_class c
            WHERE c.relnamespace = n.oid AND c.relname = p.name AND c.relkind = 'S')
        ELSE (SELECT has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') FROM pg_class c
            WHERE c.relnamespace = n.oid AND c.relname = p.name AND c.relkind IN ('r', 'p')) END
    FROM pg_namespace n, unnest(%s::text[], %s::text[]) AS p(kind, name) WHERE n.nspname = %s"""
_OWNER = """SELECT current_user::text, current_database()::text,
        pg_get_userbyid(coalesce(c.relowner, n.nspowner))::text, c.oid IS NOT NULL
    FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'meta' WHERE n.nspname = %s"""
_NO_RIGHT = "42501"
"""SQLSTATE: insufficient_privilege."""


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
    try:
        if _version(connections.execute, connections.shown, schema) == NEWEST:
            _check_all(connections, schema)
            return
    except DatabaseError as error:
        if error.code == _NO_RIGHT:
            raise StateError(f"{connections.shown}: {_how_to_use(connections, schema, str(error))}") from None
        raise
    try:
        connections.transact(lambda execute: _take_steps(execute, connections.shown, schema), _TIMEOUT)
    except DatabaseError as error:
        if error.code == _NO_RIGHT:
            raise StateError(f"{connections.shown}: {_how_to_make(connections, schema)}") from None
        raise


def _check_all(connections: Connections, schema: str) -> None:
    """Raise StateError if something is missing, or DatabaseError if this role may not use it.

    Otherwise some work would be done and some not: jobs would start whose runs cannot be written.
    """
    made = {match.groups() for step in STEPS for match in _MADE.finditer(_HERE.joinpath(step).read_text())}
    kinds, names = zip(*sorted(made), strict=True)
    rights = connections.execute(_RIGHTS, [list(kinds), list(names), schema])
    if missing := [name for name, right in rights if right is None]:
        raise _incomplete(connections.shown, schema, missing)
    if denied := [name for name, right in rights if not right]:
        raise DatabaseError(f"permission denied for {_listed(denied)}", _NO_RIGHT)


def _incomplete(shown: str, schema: str, missing: Sequence[str]) -> StateError:
    return StateError(
        f"{shown}: in the schema {schema} of gcron something is missing ({_listed(missing)}): "
        f"restore it from a backup, or begin anew without the history: DROP SCHEMA {quoted(schema)} CASCADE"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _how_to_use(connections: Connections, schema: str, denied: str) -> str:
    """What is wrong with the rights of this role on the tables, and the statements that mend it."""
    ((user, database, owner, _),) = connections.execute(_OWNER, [schema])
    name, role = quoted(schema), quoted(user)
    kinds = "TABLES", "SEQUENCES", "FUNCTIONS"
    grants = [f"GRANT USAGE ON SCHEMA {name} TO {role};"]
    grants += [f"GRANT ALL ON ALL {kind} IN SCHEMA {name} TO {role};" for kind in kinds]
    what = denied.rpartition("permission denied for ")[2].partition(" LINE ")[0]
    return (
        f"{user} may not use {what} of gcron, which belongs to {owner}: use the role {owner} on all nodes, "
        f"or execute in {database}: {' '.join(grants)}"
    )


def _how_to_make(connections: Connections, schema: str) -> str:
    """What helps a role that may not make the tables, or not change them."""
    found = connections.execute(_OWNER, [schema])
    if not found:
        ((user, database),) = connections.execute("SELECT current_user::text, current_database()::text")
        statement = f"CREATE SCHEMA {quoted(schema)} AUTHORIZATION {quoted(user)};"
        return f"{user} has no right to make its tables: {statement} in {database} helps"
    ((user, database, owner, has_tables),) = found
    if has_tables:
        return f"its tables are of an older gcron, and {user} may not change them: start one gcron as {owner} first"
    statement = f"GRANT ALL ON SCHEMA {quoted(schema)} TO {quoted(user)};"
    return f"{user} has no right to make its tables in the schema {schema} of {owner}: {statement} in {database} helps"


def _take_steps(execute: Execute, shown: str, schema: str) -> None:
    execute(_BOUNDS)
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
    if not names >= {"meta", "incarnation"}:
        raise StateError(f"{shown}: the schema {schema} belongs to another program: use another --instance NAME")
    rows = execute(f"SELECT version FROM {quoted(schema)}.meta")
    if not rows:
        raise _incomplete(shown, schema, ["the row of table meta"])
    ((version,),) = rows
    if version > NEWEST:
        raise StateError(
            f"{shown} is of a newer gcron (version {version} of its tables; this gcron knows {NEWEST}): "
            "update this one, or use another --instance NAME"
        )
    return int(version)

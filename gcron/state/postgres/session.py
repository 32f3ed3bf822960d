"""This node in the database: the schema, and the incarnation under which it claims and writes.

All that needs them goes through `Session`, which begins when the database is there: a start does not wait for it.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gcron.errors import StateError
from gcron.state.postgres.connections import Connections, Rows
from gcron.state.postgres.records import as_json, storable
from gcron.state.postgres.schema import move_forward, quoted
from gcron.state.writing import read_boot_id
from gcron.version import __version__

__all__ = ["Session"]


class Session:
    """The node `node` in `schema` of the database at `url`.

    `lease`: seconds. `place`: a directory that nobody else has while this process lives.
    """

    def __init__(self, url: str, schema: str, node: str, labels: frozenset[str], lease: float, place: str) -> None:
        self.connections = Connections(url)
        self.schema = schema
        self.node = storable(node)
        self.lease = lease
        self._self: Mapping[str, Any] = {
            "node": self.node,
            "machine": _machine_id(),
            "boot_id": read_boot_id(),
            "host": socket.gethostname(),
            "place": storable(os.path.realpath(place)),
            "pid": os.getpid(),
            "labels": sorted(labels),
            "version": __version__,
        }
        self._schema = quoted(schema)
        self._beginning = threading.Lock()
        self._incarnation = 0
        """0: none has begun."""
        self.started = 0.0
        """When this process began its first one, by the database's clock."""

    @property
    def boot_id(self) -> str:
        """Of the machine's boot."""
        boot_id: str = self._self["boot_id"]
        return boot_id

    @property
    def incarnation(self) -> int:
        """The present one; begins the first. Raises DatabaseError, StateError."""
        if not self._incarnation:
            self.begin()
        return self._incarnation

    def begin(self) -> None:
        """Make the tables if need be, and enter this node. Raises StateError for what a person can mend."""
        with self._beginning:
            if self._incarnation:
                return
            self.connections.check()
            move_forward(self.connections, self.schema)
            ((entered,),) = self._execute("SELECT {s}.enter(%s, %s, NULL, true)", [self.as_json(), self.lease])
            self._enter(entered)

    def as_json(self) -> str:
        """What is known of this node."""
        return as_json(dict(self._self))

    def _enter(self, entered: Mapping[str, Any]) -> None:
        if "number" not in entered:
            raise StateError(self.refusal(entered))
        self.started = self.started or entered["started"]
        self._incarnation = entered["number"]

    def move_on(self, incarnation: int) -> None:
        """This node has another incarnation from now on."""
        self._incarnation = incarnation

    def refusal(self, holder: Mapping[str, Any]) -> str:
        """Why this node cannot have its name."""
        since = datetime.fromtimestamp(holder["started"], UTC)
        return (
            f"a node {self.node} runs already (process {holder['pid']} on {holder['host']}, since "
            f"{since:%Y-%m-%d %H:%M:%S}Z): give this one another name with --node NAME; "
            f"if that one is dead, its name is free in {max(1, round(holder['seconds'])):d} s"
        )

    def execute(self, sql: str, values: Sequence[object] = (), *, urgent: bool = False) -> Rows:
        """The rows of a statement, in which `{s}` is the schema. Raises DatabaseError, StateError."""
        if not self._incarnation:
            self.begin()
        return self._execute(sql, values, urgent=urgent)

    def _execute(self, sql: str, values: Sequence[object], *, urgent: bool = False) -> Rows:
        return self.connections.execute(sql.replace("{s}", self._schema), values, urgent=urgent)

    def close(self) -> None:
        """Leave, if the database can be asked, and close the connections."""
        incarnation, self._incarnation = self._incarnation, 0
        try:
            if incarnation:
                self._execute("SELECT {s}.leave(%s)", [incarnation])
        finally:
            self.connections.close()


def _machine_id() -> str:
    """The machine's id (machine-id(5)); empty where there is none."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""

"""The table of nodes that share the jobs, as `gcron status` prints it."""

from __future__ import annotations

from typing import Any

from gcron.cli.columns import Column
from gcron.cli.talking import ago, seconds_since

__all__ = ["NODE_COLUMNS", "node_row"]

Record = dict[str, Any]

NODE_COLUMNS = (
    Column("NODE", 8),
    Column("STATE", 4, style=lambda cell: "red" if cell == "down" else "green"),
    Column("BEAT", 4),
    Column("JOBS", 4, leaves=3),
    Column("CLOCK", 6, leaves=5),
    Column("WON", 4, leaves=4),
    Column("LOST", 4, leaves=4),
    Column("LABELS", 6, leaves=2),
    Column("HOST", 6, leaves=1),
)


def node_row(node: Record, now: str) -> list[str]:
    """Return the cells of a node. BEAT: how long ago it renewed its lease; CLOCK: seconds ahead of the database."""
    beat = "" if node["last_beat"] is None else ago(seconds_since(node["last_beat"], now))
    skew = "" if node["skew"] is None else f"{node['skew']:+.1f}s"
    counts = [str(node["claims_won"]), str(node["claims_lost"])]
    state = "this" if node["self"] and node["up"] else "up" if node["up"] else "down"
    return [node["node"], state, beat, str(node["jobs"]), skew, *counts, ",".join(node["labels"]), node["host"]]

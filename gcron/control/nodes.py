"""The nodes that share the work: how they stand, what the others run, and orders to them.

All of it is for the thread of the scheduler. Only `runs_elsewhere` and `send` ask the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gcron.control.errors import ControlError
from gcron.control.instance import Instance
from gcron.policy.services import label_of
from gcron.scheduler.cluster import NodeRecord, Order
from gcron.scheduler.door import StoreUnavailable
from gcron.scheduler.history import UNDER_WAY, RunQuery, StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.records import Record, instant
from gcron.version import __version__

__all__ = ["TAKES", "nodes", "others_up", "own_node", "runs_elsewhere", "send", "send_to", "why_not_here"]

TAKES = 5
"""Seconds after which another node has an order at the latest, unless it is down: the time between two beats."""
# Of runs under way on all nodes.
_MOST_RUNS = 500


def own_node(gcron: Instance) -> str:
    """The name of this node; empty where gcron does not share its jobs."""
    node = gcron.scheduler.node
    return "" if node is None else node.name


def nodes(gcron: Instance) -> list[Record]:
    """The nodes that share the work, by name, as this one saw them with its last beat. Without others: this one."""
    own = own_node(gcron)
    known = {record.node: record for record in gcron.scheduler.nodes}
    if own not in known:
        return [_alone(gcron, own), *_records(known, own)]
    return _records(known, own)


def _alone(gcron: Instance, own: str) -> Record:
    """This node, of which the store says nothing."""
    import socket

    host = socket.gethostname()
    return {
        "node": own or host,
        "self": True,
        "up": True,
        "host": host,
        "pid": gcron.pid,
        "since": instant(gcron.since),
        "last_beat": None,
        "version": __version__,
        "labels": [],
        "jobs": len(gcron.scheduler.jobs),
        "other_jobs": False,
        "skew": None,
        "claims_won": 0,
        "claims_lost": 0,
    }


def _records(known: Mapping[str, NodeRecord], own: str) -> list[Record]:
    this = known.get(own)
    return [
        {
            "node": node.node,
            "self": node.node == own,
            "up": node.is_up,
            "host": node.host,
            "pid": node.pid,
            "since": instant(node.started),
            "last_beat": instant(node.last_beat),
            "version": node.version,
            "labels": list(node.labels),
            "jobs": node.jobs,
            "other_jobs": this is not None and node.is_up and node.definitions != this.definitions,
            "skew": None if node.skew is None else round(node.skew, 3),
            "claims_won": node.won,
            "claims_lost": node.lost,
        }
        for _, node in sorted(known.items())
    ]


def others_up(gcron: Instance) -> frozenset[str]:
    """The names of the other nodes that are up."""
    return frozenset(node.node for node in gcron.scheduler.nodes if node.is_up) - {own_node(gcron)}


def why_not_here(gcron: Instance, job: Job) -> str:
    """Why this node never runs the job, in words; empty when it may."""
    node = gcron.scheduler.node
    return "" if node is None or node.is_here(job) else f"this node does not have the label {label_of(job)}"


def runs_elsewhere(gcron: Instance, job: str | None = None) -> dict[str, list[StoredRun]]:
    """The runs under way on other nodes that are up, by job, oldest first. Without an answer of the store: none."""
    others = others_up(gcron)
    if not others:
        return {}
    try:
        query = RunQuery(job=job, outcomes=frozenset({UNDER_WAY}), limit=_MOST_RUNS)
        page = gcron.scheduler.store.runs(query)
    except StoreUnavailable:
        return {}
    found: dict[str, list[StoredRun]] = {}
    for run in reversed(page.runs):
        if run.node in others:
            found.setdefault(run.job, []).append(run)
    return found


def send(gcron: Instance, verb: str, runs: Iterable[StoredRun], who: str, why: str) -> list[str]:
    """Have the nodes of these runs do that to them: `stop` or `kill`, or for a service `stop` or `restart`.

    Returns the names of the nodes, which do it with their next beat. Raises ControlError.
    """
    asked: dict[str, None] = {}
    for run in runs:
        send_to(gcron, run.node, Order(0, verb, run.job, run.run_id, who, why))
        asked[run.node] = None
    return list(asked)


def send_to(gcron: Instance, node: str, order: Order) -> None:
    """Have a node do that with its next beat. Raises ControlError."""
    try:
        gcron.scheduler.store.send(node, order)
    except StoreUnavailable as error:
        raise ControlError(
            "no-history", f"the order for the node {node} cannot be sent now: {error}", node=node
        ) from None

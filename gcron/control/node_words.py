"""What is wrong with a node, in words, for every view. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["MOST_SKEW", "node_problem", "node_problems"]

Record = dict[str, Any]

MOST_SKEW = 1.0
"""Seconds between the clock of a node and that of the database, from which on it is a problem."""


def node_problems(nodes: Sequence[Record]) -> list[str]:
    """What is wrong with nodes that share the jobs, a sentence for each of them that has a problem."""
    return [f"node {node['node']}: {problem}" for node in nodes if (problem := node_problem(node))]


def node_problem(node: Record) -> str:
    """What is wrong with it; empty when all is well."""
    if not node["up"]:
        return "it is down: its lease has run out"
    problems = []
    if node["other_jobs"]:
        problems.append("it has other jobs: its crontab differs from that of this node")
    if node["skew"] is not None and abs(node["skew"]) > MOST_SKEW:
        where = "ahead of" if node["skew"] > 0 else "behind"
        problems.append(f"its clock is {abs(node['skew']):.1f} s {where} that of the database")
    return "; ".join(problems)

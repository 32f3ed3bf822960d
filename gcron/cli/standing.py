"""What a live board shows of a gcron: its head, and in which order jobs and services come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gcron.cli.following import View
from gcron.cli.status import headlines, is_failing

__all__ = ["head", "worst_first"]

_BAD, _NOT_RUN, _WELL, _AT_REST = range(4)
_SERVICES = {"failed": _BAD, "backing-off": _BAD, "starting": _NOT_RUN, "stopped": _AT_REST}

Record = dict[str, Any]


def head(view: View) -> list[tuple[str, str]]:
    """Return the lines above the jobs, each with its colour; empty for none."""
    lines = headlines({**view.instance, "now": view.now()}, [job for job in view.jobs if "service" not in job])
    if view.problem:
        lines.insert(0, (f"out of date, and waiting for gcron: {view.problem}", "red"))
    return lines


def worst_first(jobs: Iterable[Record]) -> list[Record]:
    """Return the jobs and services: failing and overdue ones first, then those skipped or missed, paused ones last.

    Those that stand equally stay in their order. A job that runs stays where it is: else the board would jump.
    """
    return sorted(jobs, key=_rank)


def _rank(job: Record) -> int:
    if "service" in job:
        return _SERVICES.get(job["service"]["state"], _WELL)
    if is_failing(job) or job["overdue"]:
        return _BAD
    if job["paused"] or not job["enabled"]:
        return _AT_REST
    return _NOT_RUN if job["recent"][-1:] in (["skipped"], ["missed"]) else _WELL

"""The head of a live board, and the order of its jobs and services."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gcron.cli.following import View
from gcron.cli.status import headlines, is_crashing
from gcron.control.failures import is_failing

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


def worst_first(jobs: Iterable[Record], now: str) -> list[Record]:
    """Return the jobs and services, the worst first.

    First come jobs that fail or are overdue, and services that crash, then jobs that were skipped or missed. Paused
    ones come last. Equals keep their order. That a job runs changes nothing: otherwise the board would jump.
    """
    return sorted(jobs, key=lambda job: _rank(job, now))


def _rank(job: Record, now: str) -> int:
    if "service" in job:
        return _BAD if is_crashing(job, now) else _SERVICES.get(job["service"]["state"], _WELL)
    if is_failing(job["recent"]) or job["overdue"]:
        return _BAD
    if job["paused"] or not job["enabled"]:
        return _AT_REST
    return _NOT_RUN if job["recent"][-1:] in (["skipped"], ["missed"]) else _WELL

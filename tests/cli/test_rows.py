"""The rows of runs and jobs in the tables of the commands."""

from __future__ import annotations

from typing import Any

import pytest

from gcron.cli.status import job_row, run_row
from gcron.cli.talking import local_time, reason_of

RUN: dict[str, Any] = {
    "job": "backup",
    "run_id": "run0",
    "state": "ended",
    "outcome": "succeeded",
    "reason": "",
    "fire_at": "2026-11-30T02:30:00Z",
    "created": "2026-11-30T02:30:00.012Z",
    "duration": 1.0,
    "cpu_seconds": None,
    "max_rss_bytes": None,
}
DUE = local_time(RUN["fire_at"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"created": "2026-11-30T08:00:00Z"}, f"due {DUE}"),
        ({"created": "2026-11-30T08:00:00Z", "reason": "exit status 1"}, f"due {DUE}: exit status 1"),
        ({"created": "2026-11-30T08:00:00Z", "fire_at": None, "reason": "exit status 1"}, "exit status 1"),
        (
            {"created": "2026-11-30T08:00:00Z", "reason": "why", "count": 2}
            | {"first": "2026-11-30T02:30:00Z", "last": "2026-11-30T03:30:00Z"},
            f"2 fires from {DUE} to {local_time('2026-11-30T03:30:00Z')}: why",
        ),
    ],
)
def test_a_run_that_began_late_shows_when_it_was_due(changes: dict[str, Any], reason: str) -> None:
    """`history` showed the backup of 02:30, made up at 08:00, as one of 08:00, and no word of 02:30."""
    assert reason_of(RUN | changes) == reason
    assert run_row(RUN | changes)[-1] == reason


def test_the_next_fire_of_a_job_that_waits_is_what_it_waits_for() -> None:
    """NEXT said "in 4s" of a job that could not begin."""
    run = RUN | {"state": "waiting", "outcome": None, "started": None, "waits_for": "waits for the job mig: failed"}
    job: dict[str, Any] = {"job": "aftermig", "schedule": "@every 5s", "running": [run], "recent": [], "paused": False}
    job |= {"enabled": True, "after_jobs": [], "next_fire": "2026-11-30T02:30:04Z"}
    row = job_row(job, "2026-11-30T02:30:00Z")
    assert (row[2], row[-1]) == ("waiting", "waits for the job mig")

"""What a process is told of the run that it belongs to, by its environment (docs/running.md, section 2)."""

from __future__ import annotations

import os

__all__ = ["identity_of", "new_run_id"]


def new_run_id() -> str:
    """An id that no other run has."""
    return os.urandom(8).hex()


def identity_of(job_name: str, fire_at: int | None = None, attempt: int = 1) -> dict[str, str]:
    """The variables of an attempt, but for the run's id; `fire_at` in seconds of UTC, None: triggered by hand."""
    return {
        "GCRON_JOB": job_name,
        "GCRON_FIRE_AT": "" if fire_at is None else str(fire_at),
        "GCRON_ATTEMPT": str(attempt),
    }

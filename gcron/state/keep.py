"""How much history is kept. Pure data."""

from __future__ import annotations

from gcron.frozen import frozen

__all__ = ["KEEP", "KEPT_FAILURES", "Keep"]

KEPT_FAILURES = 10
"""The newest failures of a job, which are kept in any case."""


@frozen
class Keep:
    """What is kept, where a job does not say otherwise (`keep-runs`, `keep-for`, `keep-output`)."""

    runs: int = 100
    """Of each job."""
    age: float = 30 * 86400.0
    """Seconds."""
    output: int = 1024 * 1024
    """Bytes of a run's output: one half its beginning, one half its end."""


KEEP = Keep()

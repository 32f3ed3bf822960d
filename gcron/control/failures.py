"""Which outcomes in an answer are failures. Pure: for views, of which some load nothing of the scheduler."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["FAILURES", "is_failing"]

FAILURES = frozenset({"failed", "timed-out", "killed", "start-failed", "unknown-exit", "lost"})
"""The names of `gcron.supervise.outcome.FAILURES`."""


def is_failing(recent: Sequence[str]) -> bool:
    """Whether the last run that succeeded or failed has failed. `recent`: outcomes of a job, the oldest first.

    >>> is_failing(["succeeded", "failed", "skipped"]), is_failing(["failed", "succeeded"]), is_failing([])
    (True, False, False)
    """
    decided = [outcome for outcome in recent if outcome == "succeeded" or outcome in FAILURES]
    return bool(decided) and decided[-1] != "succeeded"

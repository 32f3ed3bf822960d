"""Seconds of patience that no option of a job sets. Tests shorten them."""

from __future__ import annotations

from gcron.frozen import frozen

__all__ = ["TIMING", "Timing"]


@frozen
class Timing:
    """How long gcron waits for what should end soon (docs/running.md). All in seconds."""

    pipes_after_exit: float = 2.0
    """After the exit of a process: for its pipes to reach their end."""
    late_output: float = 60.0
    """After that: what a process left behind still writes is read, marked late."""
    unkillable_after: float = 10.0
    """After KILL: what still lives then is reported as unkillable."""
    observer: float = 2.0
    """For one call of an observer, once everything is to end."""
    claim: float = 1.0
    """For the store to answer a claim."""
    last_log: float = 3.0
    """For the log to be written at the end, when nobody reads it."""
    next_log_writer: float = 1.0
    """After the process that writes the log was killed: before the next one. It doubles up to 60 times that."""
    stop_slack: float = 15.0
    """For a stop, beyond the limits of the jobs: time to notice that KILL does not help, and some more."""


TIMING = Timing()

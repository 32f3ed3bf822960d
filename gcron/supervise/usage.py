"""What runs used: processor time and memory.

Of a process the kernel says it with the exit status (wait4(2)). That covers the children whose end the process waited
for, and no others. A control group counts everybody in it.
"""

from __future__ import annotations

import sys
from resource import RUSAGE_SELF, getrusage, struct_rusage
from typing import TypeVar

from gcron.frozen import frozen

__all__ = ["NO_USAGE", "Usage", "own_peak", "usage_of"]

_Number = TypeVar("_Number", int, float)

# Of `ru_maxrss`, see getrusage(2).
_UNIT = 1 if sys.platform == "darwin" else 1024


@frozen
class Usage:
    """What a process tree used, or the attempts of a run together; None for what is not known."""

    cpu_seconds: float | None = None
    """User and system time. Of several attempts: their sum."""
    max_rss_bytes: int | None = None
    """The most memory at one time. Of several attempts: that of the largest."""

    def plus(self, later: Usage) -> Usage:
        """The usage of an earlier attempt and a later one.

        >>> Usage(1.5, 2000).plus(Usage(1.0, 1000))
        Usage(cpu_seconds=2.5, max_rss_bytes=2000)
        """
        if self.cpu_seconds is None or later.cpu_seconds is None:
            seconds = later.cpu_seconds if self.cpu_seconds is None else self.cpu_seconds
        else:
            seconds = self.cpu_seconds + later.cpu_seconds
        return Usage(seconds, _larger(self.max_rss_bytes, later.max_rss_bytes))

    def completed_by(self, group: Usage) -> Usage:
        """The usage of a tree, from that of its leader and that of its control group.

        Each may miss a part of the time. What the group knows of memory is complete.

        >>> Usage(1.5, 3000).completed_by(Usage(1.0, 2000))
        Usage(cpu_seconds=1.5, max_rss_bytes=2000)
        """
        peak = self.max_rss_bytes if group.max_rss_bytes is None else group.max_rss_bytes
        return Usage(_larger(self.cpu_seconds, group.cpu_seconds), peak)


NO_USAGE = Usage()


def own_peak() -> int:
    """The most memory that this process has had, in bytes."""
    return getrusage(RUSAGE_SELF).ru_maxrss * _UNIT


def usage_of(measured: struct_rusage | None, peak_at_start: int) -> Usage:
    """The usage of a process that has ended; `peak_at_start`: the `own_peak` of its parent just after its start.

    Until it executes its program, a new process has the memory of its parent, and the kernel counts that as its own:
    what needs less than its parent did has a peak that nobody knows.
    """
    if measured is None:
        return NO_USAGE
    peak = measured.ru_maxrss * _UNIT
    return Usage(measured.ru_utime + measured.ru_stime, peak if peak > peak_at_start else None)


def _larger(one: _Number | None, other: _Number | None) -> _Number | None:
    return other if one is None or (other is not None and other > one) else one

"""What happened to several nodes, as plain data: lines of jobs, faults, and the rows of the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Fault", "History", "JobRules", "Mark", "Row", "read_marks"]


@dataclass(frozen=True, slots=True)
class JobRules:
    """What is promised for a job."""

    name: str
    period: int = 0
    """Seconds between its fires; 0: a service."""
    is_alone: bool = True
    """No two of its runs at once, on any nodes."""
    is_retried: bool = False
    """`retry-lost=yes`: a fire whose run is lost starts again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that a job wrote. Times are seconds of UTC, by the clock that nobody shifts."""

    job: str
    verb: str
    """`begin`, `alive` or `end`."""
    fire_at: int
    node: str
    fence: int
    at: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to a node, or to the database (`node` is empty then)."""

    kind: str
    node: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Row:
    """What the database says of a run. One row may stand for a span of fires that were missed."""

    job: str
    fire_at: int
    last_fire_at: int
    node: str
    fence: int
    outcome: str


@dataclass(frozen=True, slots=True)
class History:
    """All of it, in the order in which it happened."""

    begin: float
    end: float
    """From when to when each fire counts."""
    marks: tuple[Mark, ...]
    faults: tuple[Fault, ...] = ()
    rows: tuple[Row, ...] = ()

    def __str__(self) -> str:
        """All that happened, one after the other, for a person who looks for the reason of a violation."""
        events = [(self.begin, "from here on each fire counts"), (self.end, "until here")]
        events += [
            (mark.at, f"{mark.job} {mark.verb} {mark.fire_at} on {mark.node}, {mark.fence}") for mark in self.marks
        ]
        for fault in self.faults:
            events.append((fault.begin, f"FAULT {fault.kind} {fault.node} begins"))
            events.append((fault.end, f"FAULT {fault.kind} {fault.node} ends"))
        lines = [f"{at:.2f}  {text}" for at, text in sorted(events)]
        return "\n".join([*lines, *map(str, self.rows), ""])


def read_marks(lines: Iterable[str], since_boot: float) -> tuple[Mark, ...]:
    """Read `job verb fire-at node fence uptime`. `since_boot`: seconds of UTC at which the uptime was 0.

    Raises ValueError for another line: a line is written at once.
    """
    return tuple(_read_mark(line, since_boot) for line in lines)


def _read_mark(line: str, since_boot: float) -> Mark:
    job, verb, fire_at, node, fence, uptime = line.split()
    return Mark(job, verb, int(fire_at), node, int(fence), since_boot + float(uptime))

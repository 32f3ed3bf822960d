"""Checks what happened to several nodes, as Jepsen's test of the scheduler Chronos does: only what jobs wrote counts.

Never allowed:

- a fire that started twice, except of a job with `retry-lost=yes`, whose later starts have larger fences;
- a fire that started nowhere, unless the database knows why: its node was lost (it had a fault then), or another run
  of its job was under way (`skipped`); or nobody could reach the database;
- two runs of one job at once. What a paused machine or a killed gcron left behind may go on, beside a run on another
  node, until its node is back;
- a fence that is not larger than those before, of jobs whose runs come one after the other. A process that a pause
  caught before its first line writes that line when its machine goes on;
- a service that nobody runs for longer than it takes to find that its node is lost, even if the database is away;
- a line of a job without a row of the database, or a row `succeeded` without a line.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.cluster.history import Fault, History, JobRules, Mark, Row

__all__ = ["LEASE", "OUTAGES", "Report", "check"]

LEASE = 15.0
"""Seconds for which a node has its runs without the database."""
OUTAGES = frozenset({"outage"})
"""Faults during which no node reaches the database."""
# Faults after which a process lives on while its gcron cannot end it.
_LEAVE_PROCESSES = frozenset({"pause", "kill"})
# Faults in which a node loses nothing.
_LOSE_NOTHING = frozenset({"skew", "slow", "stop"})
# A pause of a whole tree of processes, as seen by a clock of hundredths, and by busy processors.
_MOMENT = 0.5
# After the last fault, a node needs so long until it has a lease again, and has ended what it lost.
_RECOVERY = 5.0
# A lease ends, the next beat of another node sees it, an outage, and each of them on a busy machine.
_LONGEST_GAP = LEASE + 5 + 8 + 2 * _RECOVERY

Key = tuple[str, int]


@dataclass(slots=True)
class Report:
    """What was seen. `violations` are what was promised never to happen."""

    fires: int = 0
    """How many were due."""
    started: int = 0
    missed: int = 0
    """Reported as missed, or unknown to all, while the database was away."""
    lost: int = 0
    """Claimed, or begun, by a node that had a fault."""
    skipped: int = 0
    again: int = 0
    """Starts of fires whose first run was lost."""
    longest_gap: float = 0.0
    """Seconds in which no copy of a service wrote."""
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)
    """The kind, and what exactly."""

    def add(self, kind: str, text: str) -> None:
        """Note a violation."""
        self.violations.append((kind, text))

    def count(self, kind: str) -> int:
        """Return how many violations of that kind there are."""
        return sum(each == kind for each, _ in self.violations)

    def __str__(self) -> str:
        faults = ", ".join(f"{number} {kind}" for kind, number in sorted(self.faults.items()))
        rows = [
            ("fires", self.fires),
            ("started", self.started),
            ("started again", self.again),
            ("missed in an outage", self.missed),
            ("lost with their node", self.lost),
            ("skipped", self.skipped),
            ("longest gap of a service", f"{self.longest_gap:.1f} s"),
            ("faults", f"{self.faults.total()} ({faults})"),
            *((f"NEVER: {kind}", self.count(kind)) for kind in KINDS),
        ]
        lines = [f"{name:<28} {value}" for name, value in rows]
        return "\n".join([*lines, *(f"  {kind}: {text}" for kind, text in self.violations)])


KINDS = ("double", "missed", "overlap", "fence", "gap", "disagreement")
"""The kinds of violations."""


def check(history: History, jobs: Sequence[JobRules]) -> Report:
    """Compare what happened with what is promised for these jobs."""
    report = Report(faults=Counter(fault.kind for fault in history.faults))
    marks: dict[str, list[Mark]] = defaultdict(list)
    for mark in history.marks:
        marks[mark.job].append(mark)
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in history.rows:
        rows[row.job].append(row)
    for job in jobs:
        begins = [mark for mark in marks[job.name] if mark.verb == "begin"]
        report.started += len({mark.fire_at for mark in begins if history.begin <= mark.fire_at < history.end})
        if job.period:
            _check_doubles(job, begins, report)
            _check_missed(job, begins, rows[job.name], history, report)
        else:
            _check_gaps(job, marks[job.name], history, report)
        if job.is_alone:
            _check_overlaps(marks[job.name], history.faults, report)
            _check_fences(begins, history.faults, report)
        _check_rows(begins, rows[job.name], report)
    return report


# -- doubles ----------------------------------------------------------------------------------------------------


def _check_doubles(job: JobRules, begins: Sequence[Mark], report: Report) -> None:
    by_fire: dict[int, list[Mark]] = defaultdict(list)
    for mark in begins:
        by_fire[mark.fire_at].append(mark)
    for fire_at, starts in by_fire.items():
        report.again += len(starts) - 1
        fences = [mark.fence for mark in starts]
        if len(starts) > 1 and not (job.is_retried and fences == sorted(set(fences))):
            report.add("double", f"{job.name} {fire_at} started on {_places(starts)}")


def _places(marks: Sequence[Mark]) -> str:
    return ", ".join(f"{mark.node} (fence {mark.fence}) at {mark.at:.2f}" for mark in marks)


# -- fires that did not start -----------------------------------------------------------------------------------


def _check_missed(job: JobRules, begins: Sequence[Mark], rows: Sequence[Row], history: History, report: Report) -> None:
    started = {mark.fire_at for mark in begins}
    first = -(-int(history.begin) // job.period) * job.period
    for fire_at in range(first, int(history.end), job.period):
        report.fires += 1
        if fire_at in started:
            continue
        known = [row for row in rows if row.fire_at <= fire_at <= row.last_fire_at]
        _judge(job, fire_at, known, history.faults, report)


def _judge(job: JobRules, fire_at: int, known: Sequence[Row], faults: Sequence[Fault], report: Report) -> None:
    """Say what became of a fire that no job wrote of."""
    outcomes = {row.outcome for row in known}
    where = ", ".join(f"{row.outcome or 'under way'} on {row.node} (fence {row.fence})" for row in known)
    text = f"{job.name} {fire_at}: {where or 'no record of it'}"
    if "skipped" in outcomes and job.is_alone:
        report.skipped += 1
    elif not known or outcomes <= {"missed", "skipped"}:
        if any(fault.kind in OUTAGES and fault.begin - 1 <= fire_at <= fault.end + 1 for fault in faults):
            report.missed += 1
        else:
            report.add("missed", text)
    elif any(_had_fault(row.node, fire_at, faults) for row in known):
        report.lost += 1
    else:
        report.add("missed", text)


def _had_fault(node: str, fire_at: int, faults: Sequence[Fault]) -> bool:
    """Whether a node may have lost what it claimed for that fire: it claims it within its lease, or in a fault."""
    return any(
        fault.node in ("", node) and fault.begin - LEASE <= fire_at <= fault.end + _RECOVERY
        for fault in faults
        if fault.kind not in _LOSE_NOTHING
    )


# -- runs at once -----------------------------------------------------------------------------------------------


def _check_overlaps(marks: Sequence[Mark], faults: Sequence[Fault], report: Report) -> None:
    """Find runs that still wrote after a later one had begun: the later one has the larger fence."""
    newest: Mark | None = None
    told: set[int] = set()
    for mark in marks:
        if newest is None or mark.fence > newest.fence:
            newest = mark
        elif mark.fence < newest.fence and mark.fence not in told:
            if mark.node != newest.node and _was_out_of_reach(mark, faults):
                continue
            told.add(mark.fence)
            report.add(
                "overlap",
                f"{mark.job}: fence {mark.fence} on {mark.node} wrote `{mark.verb}` at {mark.at:.2f}, after fence "
                f"{newest.fence} on {newest.node} began",
            )


def _was_out_of_reach(mark: Mark, faults: Sequence[Fault]) -> bool:
    """Whether the gcron of a process could not end it just now: it was itself paused, killed, or not back yet."""
    of_node = [fault for fault in faults if fault.node in ("", mark.node) and fault.kind not in _LOSE_NOTHING]
    return any(
        fault.begin - _MOMENT <= mark.at <= _end_with_followers(fault, of_node)
        for fault in of_node
        if fault.kind in _LEAVE_PROCESSES
    )


def _end_with_followers(first: Fault, faults: Sequence[Fault]) -> float:
    """Return when a node was back after a fault, and after those that began before it was back."""
    end = first.end + _RECOVERY
    for fault in sorted(faults, key=lambda each: each.begin):
        if first.begin <= fault.begin <= end:
            end = max(end, fault.end + _RECOVERY)
    return end


def _check_fences(begins: Sequence[Mark], faults: Sequence[Fault], report: Report) -> None:
    largest = 0
    for mark in begins:
        if mark.fence == largest or (mark.fence < largest and not _was_out_of_reach(mark, faults)):
            report.add("fence", f"{mark.job} {mark.fire_at} on {mark.node}: {mark.fence} after {largest}")
        largest = max(largest, mark.fence)


def _check_gaps(job: JobRules, marks: Sequence[Mark], history: History, report: Report) -> None:
    times = [history.begin, *(mark.at for mark in marks if history.begin < mark.at < history.end), history.end]
    for before, after in pairwise(times):
        report.longest_gap = max(report.longest_gap, after - before)
        if after - before > _LONGEST_GAP:
            report.add("gap", f"{job.name}: nothing from {before:.2f} for {after - before:.1f} s")


# -- the database -----------------------------------------------------------------------------------------------


def _check_rows(begins: Sequence[Mark], rows: Sequence[Row], report: Report) -> None:
    by_fence = {row.fence: row for row in rows if row.fence}
    for mark in begins:
        row = by_fence.get(mark.fence)
        if row is None:
            report.add("disagreement", f"{mark.job} {mark.fire_at}: no row has fence {mark.fence} of {mark.node}")
        elif (row.node, row.fire_at) != (mark.node, mark.fire_at):
            report.add("disagreement", f"{mark.job} {mark.fire_at} on {mark.node}, but the database has {row}")
    written = {mark.fence for mark in begins}
    for row in rows:
        if row.outcome == "succeeded" and row.fence not in written:
            report.add("disagreement", f"{row.job} {row.fire_at} succeeded on {row.node}, and wrote nothing")

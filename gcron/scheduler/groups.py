"""Groups: jobs that share a limit on how many of them run at once; first come, first served.

A run enters its group last, when it waits for nothing else, and leaves it while it waits for another attempt. So a
run that holds a slot waits for no other run, and groups cannot deadlock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from gcron.errors import JobError
from gcron.frozen import frozen
from gcron.policy import is_name, nearest
from gcron.runtime.event import Event as Flag
from gcron.scheduler.job import Job
from gcron.supervise.outcome import NO_REASON, Reason, ReasonCode
from gcron.supervise.run import Run

__all__ = ["GroupStatus", "Groups"]

# Runs in a full group that a notice names.
_MOST_NAMED = 5


@frozen
class GroupStatus:
    """How a group stands at one moment."""

    name: str
    limit: int
    """How many of its runs there may be at once."""
    inside: tuple[Run, ...]
    """The runs that go on."""
    waiting: tuple[Run, ...]
    """Those that wait for their turn, the next one first."""


class Groups:
    """The limits by name, and the runs that are in each group or wait for it."""

    def __init__(self) -> None:
        self._declared: dict[str, int] = {}
        """By `declare`: they stay when jobs go."""
        self._limits: dict[str, int] = {}
        """All of them, those of crontab files too."""
        self._queues: dict[str, _Queue] = {}

    # -- the limits -----------------------------------------------------------------------------------------

    @property
    def limits(self) -> Mapping[str, int]:
        """How many runs of each group there may be at once."""
        return self._limits

    def status(self) -> list[GroupStatus]:
        """How each of them stands."""
        empty = _Queue(0)
        queues = [(name, limit, self._queues.get(name, empty)) for name, limit in self._limits.items()]
        return [GroupStatus(name, limit, tuple(queue.inside), tuple(queue.waiting)) for name, limit, queue in queues]

    def declare(self, name: str, limit: int) -> None:
        """Make a group, or give it another limit.

        Raises ValueError below 1 and for a name that no job could give, TypeError for what is no whole number.
        """
        if not isinstance(name, str) or not is_name(name):
            raise JobError(f"{name!r} is no name of a group: letters, digits and . _ : @ + - (at most 100)")
        if type(limit) is not int:
            raise TypeError(f"the limit of group {name!r} is a whole number, not {limit!r}")
        if limit < 1:
            raise JobError(f"the limit of group {name!r} cannot be {limit}: at least one run must be possible")
        self._declared[name] = limit
        self._use(self._limits | {name: limit})

    def check(self, jobs: Iterable[Job], anew: bool = False) -> dict[str, int]:
        """All limits once `jobs` are added, or if `anew`, once they replace all others.

        Raises ValueError when a job is in a group that is not declared, or that has another limit already.
        """
        limits = dict(self._declared if anew else self._limits)
        for job in jobs:
            if (name := job.policy.group) is None:
                continue
            limit = limits.get(name) if job.group_limit is None else job.group_limit
            if limit is None:
                raise JobError(f"job {job.name!r}: there is no group {name!r} ({_hint(name, limits)})")
            if limits.setdefault(name, limit) != limit:
                raise JobError(f"job {job.name!r}: the limit of group {name!r} is {limits[name]}, and not {limit}")
        return limits

    def adopt(self, jobs: Iterable[Job], anew: bool = False) -> None:
        """Let `jobs` be in their groups. A run that has a slot keeps it under a lower limit. Raises as `check`."""
        self._use(self.check(jobs, anew))

    def _use(self, limits: dict[str, int]) -> None:
        self._limits = limits
        for name, queue in self._queues.items():
            queue.set_limit(limits.get(name, queue.limit))

    # -- the runs -------------------------------------------------------------------------------------------

    def enter(
        self, job: Job, run: Run, seconds: float | None = None, explain: Callable[[str], object] | None = None
    ) -> Reason:
        """Wait for a slot, at most `seconds` (None: as long as it takes); return why there is none, or `NO_REASON`.

        When there is none at once, `explain` is called with the names of the runs that have one.
        """
        name = job.policy.group
        if name is None:
            return NO_REASON
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = _Queue(self._limits.get(name, job.group_limit or 1))
        if queue.has_room:
            queue.inside[run] = None
            return NO_REASON
        why_full = queue.describe()
        granted = queue.waiting[run] = Flag()
        if explain is not None:  # it may park: the place in the queue is taken already
            explain(f"waits for its turn in the group {name}: {why_full}")
        why_not = run.wait_for(granted, seconds)
        if not why_not and granted.is_set():
            return NO_REASON
        queue.leave(run)
        text = f"the group {name} had no room for {seconds or 0:g} s: {queue.describe()}"
        return why_not or Reason(ReasonCode.GROUP_FULL, text)

    def keep(self, job: Job, run: Run) -> None:
        """The run is under way already: it has a slot, whatever the limit."""
        name = job.policy.group
        if name is not None:
            limit = self._limits.get(name, job.group_limit or 1)
            self._queues.setdefault(name, _Queue(limit)).inside[run] = None

    def leave(self, job: Job, run: Run) -> None:
        """Give the slot of the run, if it has one, to the run that has waited longest."""
        queue = self._queues.get(job.policy.group or "")
        if queue is None:
            return
        queue.leave(run)
        if not queue.inside and not queue.waiting:
            del self._queues[str(job.policy.group)]


class _Queue:
    """One group: the runs inside, and those that wait. There is room only when none waits."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.inside: dict[Run, None] = {}
        self.waiting: OrderedDict[Run, Flag] = OrderedDict()

    @property
    def has_room(self) -> bool:
        return len(self.inside) < self.limit

    def describe(self) -> str:
        """Which runs are inside, and how many wait."""
        names = ", ".join(dict.fromkeys(run.job for run in islice(self.inside, _MOST_NAMED)))
        if len(self.inside) > _MOST_NAMED:
            names += f" and {len(self.inside) - _MOST_NAMED} more"
        waiting = f", {len(self.waiting)} waiting" if self.waiting else ""
        return f"{len(self.inside)} of {self.limit} running ({names}){waiting}"

    def set_limit(self, limit: int) -> None:
        self.limit = limit
        self._let_in()

    def leave(self, run: Run) -> None:
        if run in self.inside:
            del self.inside[run]
        else:
            self.waiting.pop(run, None)
        self._let_in()

    def _let_in(self) -> None:
        while self.waiting and self.has_room:
            run, granted = self.waiting.popitem(last=False)
            self.inside[run] = None
            granted.set()


def _hint(name: str, limits: Mapping[str, int]) -> str:
    return nearest(name, limits) if limits else "declare it before: # gcron-group: NAME limit=2, or scheduler.group"

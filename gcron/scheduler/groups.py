"""Groups: jobs that share a limit, of which only so many may run at once; first come, first served.

A run enters its group last of all, when nothing else holds it back, and leaves it while it waits for another attempt:
who holds a slot waits for nobody, so groups cannot lock one another up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from gcron.policy import is_name, nearest
from gcron.runtime.event import Event as Flag
from gcron.scheduler.job import Job
from gcron.supervise.run import Run

__all__ = ["Groups"]

# Runs in a full group that are named to those who wait.
_MOST_NAMED = 5


class Groups:
    """The limits by name, and who is in each group or waits for it."""

    def __init__(self) -> None:
        self._declared: dict[str, int] = {}
        """By `declare`: they outlast the jobs."""
        self._limits: dict[str, int] = {}
        """All of them: those of the jobs' files too."""
        self._lines: dict[str, _Line] = {}

    # -- the limits -----------------------------------------------------------------------------------------

    @property
    def limits(self) -> Mapping[str, int]:
        """How many runs of each group there may be at once."""
        return self._limits

    def declare(self, name: str, limit: int) -> None:
        """There is such a group; a second time: it has another limit from now on.

        Raises ValueError below 1 and for a name that no job could give, TypeError for what is no whole number.
        """
        if not isinstance(name, str) or not is_name(name):
            raise ValueError(f"{name!r} is no name of a group: letters, digits and . _ : @ + - (at most 100)")
        if type(limit) is not int:
            raise TypeError(f"the limit of group {name!r} is a whole number, not {limit!r}")
        if limit < 1:
            raise ValueError(f"the limit of group {name!r} cannot be {limit}: at least one run must be possible")
        self._declared[name] = limit
        self._use(self._limits | {name: limit})

    def check(self, jobs: Iterable[Job], anew: bool = False) -> dict[str, int]:
        """All limits once `jobs` are added, or `anew` are all there are.

        Raises ValueError when one of them is in a group that nobody has declared, or that has another limit already.
        """
        limits = dict(self._declared if anew else self._limits)
        for job in jobs:
            if (name := job.policy.group) is None:
                continue
            limit = limits.get(name) if job.group_limit is None else job.group_limit
            if limit is None:
                raise ValueError(f"job {job.name!r}: there is no group {name!r} ({_hint(name, limits)})")
            if limits.setdefault(name, limit) != limit:
                raise ValueError(f"job {job.name!r}: the limit of group {name!r} is {limits[name]}, and not {limit}")
        return limits

    def adopt(self, jobs: Iterable[Job], anew: bool = False) -> None:
        """Let `jobs` be in their groups. Who has a slot keeps it, also where there are fewer now. Raises as `check`."""
        self._use(self.check(jobs, anew))

    def _use(self, limits: dict[str, int]) -> None:
        self._limits = limits
        for name, line in self._lines.items():
            line.set_limit(limits.get(name, line.limit))

    # -- the runs -------------------------------------------------------------------------------------------

    def enter(
        self, job: Job, run: Run, seconds: float | None = None, on_wait: Callable[[str], object] | None = None
    ) -> str:
        """Wait for a slot, at most `seconds` (None: for as long as it takes); return why there is none, or nothing.

        `on_wait` is told, when there is none at once, who is in the way.
        """
        name = job.policy.group
        if name is None:
            return ""
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line(self._limits.get(name, job.group_limit or 1))
        if line.has_room:
            line.inside[run] = None
            return ""
        why_full = line.describe()
        granted = line.waiting[run] = Flag()
        if on_wait is not None:  # it may park: its place in the line is taken
            on_wait(f"waits for its turn in the group {name}: {why_full}")
        why_not = run.wait_until(granted, seconds)
        if not why_not and granted.is_set():
            return ""
        line.leave(run)
        return why_not or f"the group {name} had no room for {seconds:g} s: {line.describe()}"

    def leave(self, job: Job, run: Run) -> None:
        """Give the slot, if it has one, to the run that has waited longest."""
        line = self._lines.get(job.policy.group or "")
        if line is None:
            return
        line.leave(run)
        if not line.inside and not line.waiting:
            del self._lines[str(job.policy.group)]


class _Line:
    """One group with runs in it, and the line before it. There is room only where nobody waits."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.inside: dict[Run, None] = {}
        self.waiting: OrderedDict[Run, Flag] = OrderedDict()

    @property
    def has_room(self) -> bool:
        return len(self.inside) < self.limit

    def describe(self) -> str:
        """Who is inside, and how many wait."""
        names = ", ".join(dict.fromkeys(run.job_name for run in islice(self.inside, _MOST_NAMED)))
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

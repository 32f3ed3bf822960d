"""Services of which one copy lives on several nodes: who has it, and that another node takes over."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import partial

from gcron.policy.services import is_service, is_shared
from gcron.scheduler.cluster import SharedFire, Verdict
from gcron.scheduler.job import Job
from gcron.scheduler.services import Services
from gcron.scheduler.shared_claims import SharedClaims
from gcron.scheduler.shared_door import SharedDoor
from gcron.supervise.outcome import NO_REASON, Reason, ReasonCode

__all__ = ["SharedServices"]


class SharedServices:
    """Starts those of `services` that this node has claimed. `is_here`: whether this node may run a job."""

    def __init__(
        self, services: Services, claims: SharedClaims, door: SharedDoor, is_here: Callable[[Job], bool]
    ) -> None:
        self._services = services
        self._claims = claims
        self._door = door
        self._is_here = is_here
        self._fences: dict[str, int] = {}
        """By name, of those that this node has."""
        self._owners: dict[str, str] = {}
        """By name, the other nodes that have them."""

    def fence_of(self, name: str) -> int:
        """The number of its claim, if this node has it; otherwise 0."""
        return self._fences.get(name, 0)

    def owner_of(self, name: str) -> str:
        """The other node that has it, as far as this one knows."""
        return self._owners.get(name, "")

    def why_not(self, job: Job) -> Reason:
        """Why this node does not run the service now; `NO_REASON`: it does."""
        if not is_shared(job) or job.name in self._fences:
            return NO_REASON
        owner = self._owners.get(job.name)
        text = f"it runs on node {owner}" if owner else "no node has claimed it yet"
        return Reason(ReasonCode.OTHER_NODE, text)

    def adopt(self) -> None:
        """An earlier gcron on this node had those that live."""
        for run in self._services.running():
            if run.fence:
                self._fences[run.job] = run.fence

    def ask(self, jobs: Iterable[Job]) -> None:
        """Claim those that this node does not have, and give back those that it has no more."""
        wanted = {job.name: job for job in jobs if is_service(job) and is_shared(job) and self._is_here(job)}
        wanted = {name: job for name, job in wanted.items() if job.policy.enabled}
        for name in [name for name in self._fences if name not in wanted and not self._lives(name)]:
            self._door.release([self._fences.pop(name)])
        for name, job in wanted.items():
            if name not in self._fences and not self._lives(name):
                self._claims.ask(job, SharedFire(name, 0), partial(self._follow, job))

    def _lives(self, name: str) -> bool:
        return any(run.job == name for run in self._services.running())

    def _follow(self, job: Job, verdict: Verdict | None) -> None:
        if verdict is None:
            return
        if not verdict:
            self._owners[job.name] = verdict.node
            self._services.explain(job.name, self.why_not(job))
            return
        self._owners.pop(job.name, None)
        self._fences[job.name] = verdict.fence
        self._services.begin_here(job.name, Reason(ReasonCode.STARTUP, "this node has claimed it"))

    def lose(self, reason: Reason, fences: Container[int] | None = None) -> None:
        """The lease ends: this node has none of them any more; `fences`: none of those with these numbers."""
        lost = [name for name, fence in self._fences.items() if fences is None or fence in fences]
        for name in lost:
            del self._fences[name]
            if name in self._services.status():
                self._services.stop_one(name, reason)

    def leave(self) -> None:
        """All of them have ended: other nodes may have them."""
        fences, self._fences = self._fences, {}
        self._door.release([fence for name, fence in fences.items() if not self._lives(name)])

"""The step between due and overlap: each fire is claimed once, in batches, and never in the watch's way.

A fire is claimed here first: the clock may have been set back. The store is asked about jobs that it must claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gcron.frozen import frozen, replace
from gcron.policy.services import is_shared
from gcron.runtime.greenlet import spawn
from gcron.runtime.hub import get_hub
from gcron.scheduler.door import NO_ANSWER, StoreDoor
from gcron.scheduler.job import Job
from gcron.scheduler.store import Fire
from gcron.supervise.outcome import Reason, ReasonCode

if TYPE_CHECKING:
    from gcron.scheduler.shared_claims import SharedClaims

__all__ = ["Claims", "DueFires"]


@frozen
class DueFires:
    """The fires of a job that are due now."""

    job: Job
    fires: tuple[int, ...]
    """Instants in seconds of UTC, oldest first."""
    caught_up: bool
    """They are made up by `catchup`: they run one after the other."""
    is_claimed: bool = True
    """False: the store gave no answer, and they start all the same. It is not asked about them again."""


class Claims:
    """Claims fires and hands them to `admit`. Fires that end without a run go to `miss`. Neither may park."""

    def __init__(
        self,
        door: StoreDoor,
        admit: Callable[[DueFires], object],
        miss: Callable[[Job, Sequence[int], Reason], object],
    ) -> None:
        self._door = door
        self._admit = admit
        self._miss = miss
        self._pending: dict[int, Sequence[DueFires]] = {}
        """Batches that wait for the store's answer, by the order in which they came."""
        self._batches = 0
        self._is_stopped = False
        self._latest: dict[str, int] = {}
        """The latest fire of each job that was claimed. Fires of a job come in order."""
        self.shared: SharedClaims | None = None
        """Claims the fires of jobs that one of several nodes runs."""

    def request(self, batch: Sequence[DueFires]) -> None:
        """Let these fires start once they are claimed. Returns at once."""
        store = self._door.store
        batch = [due for found in batch if (due := self._without_old(found)) is not None]
        if self.shared is not None:
            for due in batch:
                if is_shared(due.job):
                    self.shared.request(due.job, due.fires)
            batch = [due for due in batch if not is_shared(due.job)]
        claimed = [due for due in batch if store.must_claim(due.job)]
        if len(claimed) < len(batch):
            for due in batch:
                if not store.must_claim(due.job):
                    self._hand_on(due)
        if not claimed:
            return
        if store.blocks:
            self._batches += 1
            self._pending[self._batches] = claimed
            spawn(self._claim_pending, self._batches)
        else:
            self._claim(claimed)

    def miss_shared(self, job: Job, first: int, last: int, count: int, reason: Reason) -> bool:
        """Let one of several nodes report that these fires were missed; False when it is this one alone."""
        if self.shared is None or not is_shared(job):
            return False
        self.shared.miss(job, first, last, count, reason)
        return True

    def _without_old(self, due: DueFires) -> DueFires | None:
        latest = self._latest.get(due.job.name)
        if latest is not None and due.fires[0] <= latest:
            fires = tuple(fire for fire in due.fires if fire > latest)
            if not fires:
                return None
            due = replace(due, fires=fires)
        self._latest[due.job.name] = due.fires[-1]
        return due

    def forget(self, job: str) -> None:
        """Drop the claims of that job: it was removed."""
        self._latest.pop(job, None)
        self._door.remove(job)

    def set_back(self, job: str) -> None:
        """Drop the claims of that job: the clock was set back, and its instants come again."""
        self._latest.pop(job, None)
        self._door.set_back(job)

    def stop(self) -> None:
        """Start nothing more: fires whose claim has no answer yet are missed, or wait for the next start."""
        self._is_stopped = True
        reason = Reason(ReasonCode.SHUTDOWN, "gcron is told to stop")
        for batch in self._pending.values():
            for due in batch:
                if due.caught_up and self._door.keeps_waiting(due.job):
                    self._hand_on(due)  # nothing is made up any more
                else:
                    self._miss(due.job, due.fires, reason)
        self._pending.clear()
        if self.shared is not None:
            self.shared.stop()

    def _claim_pending(self, number: int) -> None:
        batch = self._pending.get(number)
        if batch is None:
            return
        answers = self._ask(batch)
        if self._pending.pop(number, None) is not None:  # else `stop` has given them an outcome
            self._apply(batch, answers)

    def _claim(self, batch: Sequence[DueFires]) -> None:
        self._apply(batch, self._ask(batch))

    def _ask(self, batch: Sequence[DueFires]) -> Sequence[bool] | None:
        return self._door.claim([Fire(due.job.name, fire, due.caught_up) for due in batch for fire in due.fires])

    def _apply(self, batch: Sequence[DueFires], answers: Sequence[bool] | None) -> None:
        if answers is None:
            self._go_on_without_answer(batch)
            return
        granted = iter(answers)
        for due in batch:
            fires = tuple(fire for fire in due.fires if next(granted))
            if fires:
                self._hand_on(due if len(fires) == len(due.fires) else replace(due, fires=fires))

    def _go_on_without_answer(self, batch: Sequence[DueFires]) -> None:
        if self._door.store.when_down == "run":
            for due in batch:
                self._hand_on(replace(due, is_claimed=False))
            return
        for due in batch:
            self._miss(due.job, due.fires, NO_ANSWER)

    def _hand_on(self, due: DueFires) -> None:
        """An error with one job must not keep the others from starting."""
        try:
            self._admit(due)
        except Exception as error:
            get_hub().report_error(f"the start of job {due.job.name}", error)

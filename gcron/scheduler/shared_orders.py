"""Orders of other nodes: to stop or kill a run that goes on here, to stop or restart a service."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gcron.policy.services import is_service
from gcron.scheduler.cluster import Order
from gcron.scheduler.events import asked_words
from gcron.scheduler.job import Job
from gcron.scheduler.job_table import JobTable
from gcron.scheduler.runs import Runs
from gcron.scheduler.services import Services
from gcron.supervise.outcome import Outcome, Reason, ReasonCode

__all__ = ["SharedOrders"]

# Orders that are remembered, so that none is done twice.
_MOST_KNOWN = 1000
_DONE = {"stop": "stopped", "kill": "killed", "restart": "restarted"}


class SharedOrders:
    """Does each order once. `why_not_here`: the reason why this node does not run a service; false when it does."""

    def __init__(self, table: JobTable, runs: Runs, services: Services, why_not_here: Callable[[Job], Reason]) -> None:
        self._table = table
        self._runs = runs
        self._services = services
        self._why_not_here = why_not_here
        self._known: deque[int] = deque(maxlen=_MOST_KNOWN)
        """Numbers of orders that are done."""

    def obey(self, order: Order) -> None:
        """Do it, unless it is done already: the store brings it until it knows that it has arrived."""
        if order.number in self._known:
            return
        self._known.append(order.number)
        reason = Reason(ReasonCode.STOP_REQUESTED, asked_words(_DONE.get(order.verb, order.verb), order.who, order.why))
        job = self._table.find(order.job)
        if job is not None and is_service(job) and order.verb != "kill":
            self._obey_for_service(job, order.verb, reason)
            return
        for run in [*self._runs.running(), *self._services.running()]:
            if run.run_id == order.run_id:
                run.stop(Outcome.KILLED, reason, now=order.verb == "kill")

    def _obey_for_service(self, service: Job, verb: str, reason: Reason) -> None:
        if self._why_not_here(service):
            return
        if verb == "restart":
            self._services.restart(service.name, Reason(ReasonCode.TRIGGERED, reason.text))
        else:
            self._services.stop_one(service.name, reason)

"""`/healthz`: whether a load balancer or an orchestrator should count on this gcron.

That the loop turns needs no question: otherwise nobody would answer. A peer gives up after some seconds.
"""

from __future__ import annotations

from http import HTTPStatus

from gcron.control.instance import Instance
from gcron.runtime.hub import get_hub
from gcron.scheduler.door import StoreUnavailable
from gcron.web.answers import Answer

__all__ = ["Health"]

# Seconds for which an answer of the store counts, so that a flood of questions does not reach it.
_FRESH = 1.0


class Health:
    """Answers for one gcron."""

    def __init__(self, gcron: Instance) -> None:
        self._gcron = gcron
        self._asked = float("-inf")
        self._problem = ""

    def __call__(self) -> Answer:
        """200 and `ok`, or 503 and what is wrong."""
        problem = self.problem
        if not problem:
            return Answer(b"ok\n", "text/plain; charset=utf-8")
        body = f"{problem}\n".encode("utf-8", "replace")
        return Answer(body, "text/plain; charset=utf-8", HTTPStatus.SERVICE_UNAVAILABLE)

    @property
    def problem(self) -> str:
        """What is wrong; empty when all is well."""
        scheduler = self._gcron.scheduler
        if scheduler.is_stopping:
            return "gcron is stopping"
        if scheduler.store.health.problem:
            return f"history: {scheduler.store.health.problem}"
        return self._ask_store()

    def _ask_store(self) -> str:
        now = get_hub().monotonic()
        if now - self._asked >= _FRESH:
            self._asked = now
            try:
                self._gcron.scheduler.store.facts()
                self._problem = ""
            except StoreUnavailable as error:
                self._problem = f"history: {error}"
        return self._problem

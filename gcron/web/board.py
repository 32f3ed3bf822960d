"""All jobs as the overview needs them: asked at most once a second, however many browsers look."""

from __future__ import annotations

from collections.abc import Sequence

from gcron.control import operations
from gcron.control.errors import ControlError
from gcron.control.instance import Instance
from gcron.runtime.greenlet import sleep
from gcron.runtime.hub import get_hub
from gcron.runtime.lock import Semaphore
from gcron.scheduler.records import Record

__all__ = ["Board"]

_PAGE = 100
# Jobs that have changed, which are asked about in one turn of the loop.
_AT_A_TIME = 25
_FRESH = 1.0
# To ask for 100,000 jobs takes seconds: then it is done that many times less often than it takes.
_SHARE = 10


class Board:
    """The records of all jobs, in the order of the crontabs. For the thread of the scheduler."""

    def __init__(self, gcron: Instance) -> None:
        self._gcron = gcron
        self._records: dict[str, Record] = {}
        self._fresh_until = float("-inf")
        self._asking = Semaphore()

    def records(self) -> list[Record]:
        """How all jobs stand, a second ago at most. May park. Raises ControlError."""
        monotonic = get_hub().monotonic
        with self._asking:
            if monotonic() >= self._fresh_until:
                began = monotonic()
                self._records = {record["job"]: record for record in self._ask()}
                took = monotonic() - began
                self._fresh_until = monotonic() + max(_FRESH, took * _SHARE)
        return list(self._records.values())

    def refresh(self, names: Sequence[str]) -> dict[str, Record]:
        """How these jobs stand now, those that are there. May park. Raises ControlError."""
        found: dict[str, Record] = {}
        for begin in range(0, len(names), _AT_A_TIME):
            asked = names[begin : begin + _AT_A_TIME]
            found |= {record["job"]: record for record in operations.some_jobs(self._gcron, asked)}
            sleep(0)  # others have their turn: a fire may be due
        self._records |= {name: record for name, record in found.items() if name in self._records}
        return found

    def forget(self) -> None:
        """Ask again next time: somebody has just changed something, and wants to see it."""
        self._fresh_until = float("-inf")

    def _ask(self) -> list[Record]:
        try:
            return self._ask_with_history()
        except ControlError as error:
            if error.code != "no-history":
                raise
            return operations.jobs_without_history(self._gcron)

    def _ask_with_history(self) -> list[Record]:
        records: list[Record] = []
        cursor: str | None = ""
        while cursor is not None:
            page, cursor = operations.jobs(self._gcron, _PAGE, cursor)
            records += page
        return records

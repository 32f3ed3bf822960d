"""Who belongs to which run: one look through the process table, shared by all who ask at the same time.

A thousand runs that are ended together would otherwise look a thousand times through a thousand processes. Looking
happens in the thread pool.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import psutil

from gcron.event import AsyncResult
from gcron.greenlet import spawn
from gcron.hub import Hub, get_hub
from gcron.lock import Semaphore

__all__ = ["RUN_ID", "processes_of"]

RUN_ID = "GCRON_RUN_ID"
"""The variable that marks every process of a run; what a process cannot shed by forking."""

_Processes = dict[str, list[psutil.Process]]


def processes_of(run_id: str) -> list[psutil.Process]:
    """The processes of a run that are alive, by a look that begins after this call."""
    census = _of_hub.setdefault(get_hub(), _Census())
    return census.take().get(run_id, [])


class _Census:
    """The looks of one hub, one at a time. Who comes during one waits for the next: it may have been passed already."""

    def __init__(self) -> None:
        self._next: AsyncResult[_Processes] | None = None
        self._looking = Semaphore(1)

    def take(self) -> _Processes:
        if self._next is None:
            self._next = AsyncResult()
            spawn(self._look)
        return self._next.get()

    def _look(self) -> None:
        with self._looking:
            result, self._next = self._next, None
            assert result is not None
            try:
                result.set(get_hub().threadpool.apply(_look))
            except Exception as error:
                result.set_exception(error)


_of_hub: WeakKeyDictionary[Hub, _Census] = WeakKeyDictionary()


def _look() -> _Processes:
    found: _Processes = {}
    for process in psutil.process_iter():
        try:
            run_id = process.environ().get(RUN_ID)
            if run_id is not None and process.status() != psutil.STATUS_ZOMBIE:
                found.setdefault(run_id, []).append(process)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or somebody else's: not one that we started
    return found

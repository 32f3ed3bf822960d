"""The thread that a scheduler lives in, and how other threads have things done there.

Nothing of a scheduler is locked: whatever changes it happens in one thread, that of its hub. May not know what is done.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from gcron.runtime.event import AsyncResult
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.waiting import wait

__all__ = ["Home", "get_from_afar"]

P = ParamSpec("P")
R = TypeVar("R")

# Seconds that calls from other threads have to be answered when the thread is about to end. They take microseconds;
# but a store of claims may hang.
_LAST_ANSWERS = 5.0


class Home:
    """One thread: nowhere before `settle`, nowhere again after `leave`."""

    def __init__(self) -> None:
        self._hub: Hub | None = None
        self._pid = 0
        self._lock = threading.Lock()
        """Between looking whether there is a thread and asking it for something, it may not leave."""
        self._asked: set[AsyncResult[Any]] = set()

    def settle(self) -> None:
        """It is the calling thread from now on. Raises RuntimeError when it is another one."""
        here = get_hub()
        if self._hub not in (None, here):
            raise RuntimeError("the scheduler lives in another thread, which has started it or triggered a job")
        self._hub, self._pid = here, os.getpid()

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it there, wait, and return what it returns or raise what it raises.

        Directly, where that is here or nowhere. Raises RuntimeError in a process that was forked from its own.
        """
        if self._hub is None:
            return function(*args, **kwargs)
        if self._pid != os.getpid():
            raise RuntimeError(f"this scheduler lives in process {self._pid}, from which this one was forked")
        if self._hub is get_hub():
            return function(*args, **kwargs)

        def answer() -> None:
            try:
                result.set(function(*args, **kwargs))
            except BaseException as error:
                result.set_exception(error)
            finally:
                self._asked.discard(result)

        result: AsyncResult[R] = AsyncResult()
        with self._lock:
            if (hub := self._hub) is not None:
                self._asked.add(result)
                hub.call_soon_threadsafe(spawn, answer)  # in a greenlet, where it may wait
        return function(*args, **kwargs) if hub is None else get_from_afar(result)

    def leave(self) -> None:
        """Nobody is there any more: what was asked for is answered yet, and whoever comes later is on his own."""
        with self._lock:
            self._hub = None
        asked = list(self._asked)
        wait(asked, _LAST_ANSWERS)
        for result in asked:
            if not result.ready():
                result.set_exception(RuntimeError("the scheduler has stopped before it got to this"))


def get_from_afar(result: AsyncResult[R] | Greenlet) -> R:
    """`result.get()`, maybe of what another thread brings: this one is not to believe that nothing can wake it."""
    here = get_hub()
    if getattr(result, "hub", None) is here:
        return result.get()
    release = here.hold()
    try:
        return result.get()
    finally:
        release()

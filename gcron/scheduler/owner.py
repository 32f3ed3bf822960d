"""The thread that owns a scheduler, and how other threads have calls made there.

Nothing in a scheduler has a lock: all changes happen in one thread, that of its hub.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from gcron.errors import StateError
from gcron.runtime.event import AsyncResult
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.waiting import wait
from gcron.scheduler.watchdog import Blocker, find_blocker

__all__ = ["OwnerThread", "ready_within"]

P = ParamSpec("P")
R = TypeVar("R")

# Seconds without a turn after which a loop is blocked.
_BLOCKED_AFTER = 1.0
# Seconds in which the calls of other threads are answered when the scheduler ends. Each takes microseconds.
_LAST_ANSWERS = 5.0


class OwnerThread:
    """The thread that owns a scheduler: none before `claim`, none after `leave`."""

    def __init__(self) -> None:
        self._hub: Hub | None = None
        self._pid = os.getpid()
        self._thread_id = 0
        self._lock = threading.Lock()
        """The thread may not leave between the look at whether there is one and the request to it."""
        self._asked: set[AsyncResult[Any]] = set()
        _owners.add(self)

    @property
    def is_in_parent(self) -> bool:
        """True in a process that was forked while there was an owner."""
        return self._hub is not None and self._pid != os.getpid()

    def check_process(self) -> None:
        """Raise StateError in a forked child process."""
        if self.is_in_parent:
            raise StateError(f"this scheduler belongs to process {self._pid}, and this process was forked from it")

    def claim(self) -> None:
        """Let the calling thread be the owner. Raises StateError when another thread or process is."""
        self.check_process()
        here = get_hub()
        if self._hub not in (None, here):
            raise StateError("another thread owns the scheduler: it has started it, or triggered a job")
        self._hub, self._pid, self._thread_id = here, os.getpid(), threading.get_ident()

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` in the owner's thread, wait, and return what it returns or raise what it raises.

        Without an owner, or in its thread, the call is direct. Raises StateError in a forked child process.
        """
        asked = self.ask(function, *args, **kwargs)
        return function(*args, **kwargs) if asked is None else get_across_threads(asked)

    def ask(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R] | None:
        """Have `function` called in the owner's thread soon, and return what its result comes in.

        Returns None without an owner, or in its thread: the caller makes the call. Raises as `call`.
        """
        if self._hub is None:
            return None
        self.check_process()
        if self._hub is get_hub():
            return None

        def answer() -> None:
            try:
                result.set(function(*args, **kwargs))
            except BaseException as error:
                result.set_exception(error)
            finally:
                self._asked.discard(result)

        result: AsyncResult[R] = AsyncResult()
        with self._lock:
            if (hub := self._hub) is None:
                return None
            self._asked.add(result)
            hub.call_soon_threadsafe(spawn, answer)  # in a greenlet: the call may wait
        return result

    def post(self, function: Callable[..., object], *args: object) -> None:
        """Have `function` called in the owner's hub soon, if there is an owner. Uses no greenlet of the caller's."""
        with self._lock:
            if self._hub is not None:
                self._hub.call_soon_threadsafe(function, *args)

    def blocker(self) -> Blocker | None:
        """What has kept the owner's thread busy for a second; None when its loop turns. Waits for that second."""
        hub = self._hub
        if hub is None:
            return None
        turn = hub.last_turn
        time.sleep(_BLOCKED_AFTER)
        return None if hub.is_waiting or hub.last_turn != turn else find_blocker(self._thread_id)

    def leave(self) -> None:
        """Have no owner any more. Calls already asked for are answered; later calls run in the caller's thread."""
        with self._lock:
            self._hub = None
        asked = list(self._asked)
        wait(asked, _LAST_ANSWERS)
        for result in asked:
            if not result.ready():
                result.set_exception(StateError("the scheduler stopped before it came to this call"))


def get_across_threads(result: AsyncResult[R] | Greenlet) -> R:
    """`result.get()` of a result that another thread may set: without it, this thread would raise `LoopExit`."""
    here = get_hub()
    if getattr(result, "hub", None) is here:
        return result.get()
    release = here.hold()
    try:
        return result.get()
    finally:
        release()


def ready_within(result: AsyncResult[Any] | Greenlet, seconds: float) -> bool:
    """Wait until the result is there, for `seconds` at most. Returns whether it is. Another thread may set it."""
    here = get_hub()
    release = here.hold()
    try:
        return bool(wait([result], seconds))
    finally:
        release()


_owners: WeakSet[OwnerThread] = WeakSet()


def _after_fork_in_child() -> None:
    """Let nothing of a scheduler go on in the child: its timers would signal the parent's processes."""
    here = get_hub()
    if any(owner._hub is here for owner in list(_owners)):
        here.forget_all()


os.register_at_fork(after_in_child=_after_fork_in_child)

"""A thread that looks at processes, and goes on when one of them makes it hang.

The loop's thread reads nothing about processes: `gcron.supervise.process_reader` says why. A thread that hangs is
abandoned, and another one takes its place. It is lost until the process lets it go. So the processes of one user cost
two threads at most: after that, gcron reads about them only what cannot hang.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from gcron.runtime.event import AsyncResult
from gcron.runtime.hub import get_hub
from gcron.supervise.process_reader import NotReadable

__all__ = ["Guard", "ScanThread"]

T = TypeVar("T")

# Seconds without any progress after which a thread counts as hanging: the first one of a look, and those after it.
_PATIENCE, _SHORT_PATIENCE = 1.0, 0.2
# Threads that the processes of one user may cost; and, of all processes, the calls that are not known to hang.
_MOST_HANGING, _MOST_UNEXPECTED = 2, 8
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_Call = tuple[int, int | None]
"""Pid and user; no user for calls that are not known to hang."""
_LIST: _Call = (0, None)


class _Abandoned(BaseException):
    """Ends a thread that nobody waits for any more."""


class Guard:
    """Makes the calls of one look that may hang. The loop sees by it which call does."""

    def __init__(self, hanging: set[_Call]) -> None:
        self._hanging = hanging
        self._lock = threading.Lock()
        self._at: _Call | None = None
        self._is_abandoned = False
        self.steps = 0
        self.unread: set[int] = set()
        """Pids of processes about which not everything could be read, because that hangs."""

    def list_all(self, function: Callable[[], T]) -> T:
        """Call `function()`, which lists all processes. Raises NotReadable when it cannot, or hung before."""
        if _LIST in self._hanging:
            raise NotReadable("the list of processes does not answer", may_pass=True)
        try:
            return self._call(_LIST, function)
        except OSError as error:
            raise NotReadable(f"processes cannot be listed: {error.strerror}", error.errno in _EXHAUSTED) from None

    def call(self, function: Callable[[int], T], pid: int, uid: int | None = None) -> T | None:
        """Call `function(pid)`; None when that process has ended, or is hidden, or makes the call hang.

        `uid`: the user of the process, when the call is one of those that may hang. Raises NotReadable when gcron or
        the machine has no descriptors or memory left.
        """
        call = pid, uid
        if self._hanging and (call in self._hanging or self._costs_too_much(uid)):
            self.unread.add(pid)
            return None
        try:
            return self._call(call, partial(function, pid))
        except OSError as error:
            if error.errno in _EXHAUSTED:
                raise NotReadable(f"processes cannot be read: {error.strerror}", may_pass=True) from None
            return None

    def _costs_too_much(self, uid: int | None) -> bool:
        of_user = sum(user == uid for _, user in tuple(self._hanging))
        return of_user >= (_MOST_HANGING if uid is not None else _MOST_UNEXPECTED)

    def _call(self, call: _Call, function: Callable[[], T]) -> T:
        self._at = call
        try:
            return function()
        finally:
            with self._lock:
                self._at = None
                self.steps += 1
                if self._is_abandoned:
                    self._hanging.discard(call)
                    raise _Abandoned

    def abandon(self, steps: int) -> bool:
        """For the loop: give the thread up if it is in a call, and still the one after `steps` others."""
        with self._lock:
            if self.steps != steps or self._at is None:
                return False
            self._is_abandoned = True
            self._hanging.add(self._at)
            return True


class ScanThread:
    """Runs looks, one at a time.

    The thread is kept: when a tree has to be ended, there may be no room for a new one.
    """

    def __init__(self) -> None:
        self._hanging: set[_Call] = set()
        """Calls that have not returned. The process of such a call lives: no other one can have its pid."""
        self._worker: _Worker | None = None

    def prepare(self) -> None:
        """Have a thread. Raises NotReadable when there cannot be one."""
        if self._worker is None or not self._worker.is_alive():  # after a fork, too
            worker = _Worker()
            try:
                worker.start()
            except RuntimeError:
                raise NotReadable("the system allows no further thread", may_pass=True) from None
            self._worker = worker

    def run(self, look: Callable[[Guard], T]) -> T:
        """What `look(guard)` returns or raises in the thread. Parks.

        It is called again when the thread hung in a call of the guard.
        """
        release = get_hub().hold()
        patience = _PATIENCE
        try:
            while True:
                self.prepare()
                assert self._worker is not None
                guard = Guard(self._hanging)
                result: AsyncResult[T] = AsyncResult()
                self._worker.tasks.put((look, guard, result))
                if _has_ended(result, guard, patience):
                    return result.get()
                self._worker = None
                patience = _SHORT_PATIENCE
        finally:
            release()

    def __del__(self) -> None:
        if self._worker is not None:
            self._worker.tasks.put(None)


def _has_ended(result: AsyncResult[Any], guard: Guard, patience: float) -> bool:
    """Wait for the result; False when the thread hangs and was abandoned."""
    while True:
        steps = guard.steps
        result.wait(timeout=patience)
        if result.ready():
            return True
        if guard.abandon(steps):
            return False


_Task = tuple[Callable[[Guard], Any], Guard, AsyncResult[Any]]


class _Worker(threading.Thread):
    """Performs looks until it is told to end, or was abandoned."""

    def __init__(self) -> None:
        super().__init__(name="gcron-scan", daemon=True)
        self.tasks: SimpleQueue[_Task | None] = SimpleQueue()

    def run(self) -> None:
        while (task := self.tasks.get()) is not None:
            look, guard, result = task
            try:
                result.set(look(guard))
            except _Abandoned:
                return
            except Exception as error:
                result.set_exception(error)
            del task, look, guard, result  # a thread that waits keeps nothing alive

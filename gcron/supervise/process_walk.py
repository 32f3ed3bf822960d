"""Calls a function for each of many processes, in a thread, even when one of them makes the caller hang.

To read about a process may take forever: while its execve(2) or its memory waits for a dead file system, a reader of
its /proc/PID/stat or /proc/PID/environ waits too.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import psutil

from gcron.runtime.event import AsyncResult
from gcron.runtime.hub import get_hub
from gcron.runtime.timeout import Timeout

__all__ = ["Hang", "Walker"]

_Found = TypeVar("_Found")

# Seconds that one call may take: the first slow one of a walk, and those after it.
_PATIENCE, _SHORT_PATIENCE = 1.0, 0.05
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Hang:
    """One call that has not returned. Until then it identifies the stuck process."""


class Walker(Generic[_Found]):
    """Calls a function for one pid after the other. A call that does not return is abandoned.

    A call that raises OSError or psutil.Error finds nothing. Except when the machine or this process has no file
    descriptors or memory left: then `walk` raises that error, for it cannot find anything.

    The thread of an abandoned call is lost until the call returns. So there is at most one such call for each pid.
    """

    def __init__(self) -> None:
        self.stuck: dict[int, Hang] = {}
        """The pids whose call has not returned. A stuck process is alive: no other process can have its pid."""

    def walk(self, function: Callable[[int], _Found | None], pids: Iterable[int]) -> list[_Found]:
        """What the calls returned, without None. Parks; `pids` is iterated in the thread."""
        found: list[_Found] = []
        rest = iter(pids)
        patience = _PATIENCE
        while True:
            walk = _Leg(function, rest, found, self.stuck)
            if walk.perform(patience):
                return found
            patience = _SHORT_PATIENCE


class _Leg(Generic[_Found]):
    """One thread's part of a walk: to the end, or to the first call that does not return."""

    def __init__(
        self, function: Callable[[int], _Found | None], rest: Iterator[int], found: list[_Found], stuck: dict[int, Hang]
    ) -> None:
        self._function = function
        self._rest = rest
        self._found = found
        self._stuck = stuck
        self._over: AsyncResult[None] = AsyncResult()
        self._lock = threading.Lock()
        self._steps = 0
        self._at: int | None = None
        self._abandoned = False

    def perform(self, patience: float) -> bool:
        """Walk to the end; False when a call took longer than `patience` seconds and was abandoned."""
        try:
            threading.Thread(target=self._walk, daemon=True).start()
        except RuntimeError:  # the system allows no more threads; in this thread is better than not at all
            self._walk()
        release = get_hub().hold()
        try:
            return self._wait(patience)
        finally:
            release()

    def _wait(self, patience: float) -> bool:
        while True:
            steps = self._steps
            try:
                self._over.get(timeout=patience)
            except Timeout:
                if self._abandon(steps):
                    return False
            else:
                return True

    def _abandon(self, steps: int) -> bool:
        with self._lock:
            if self._steps != steps or self._at is None:
                return False
            self._abandoned = True
            self._stuck[self._at] = Hang()
            return True

    def _walk(self) -> None:
        try:
            for pid in self._rest:
                if pid not in self._stuck and not self._step(pid):
                    return
            self._over.set(None)
        except BaseException as error:
            self._over.set_exception(error)

    def _step(self, pid: int) -> bool:
        self._at = pid
        result = None
        try:
            result = self._function(pid)
        except (psutil.Error, OSError) as error:
            if isinstance(error, OSError) and error.errno in _EXHAUSTED:
                raise
            # else it ended meanwhile, or belongs to another user
        finally:
            with self._lock:
                self._at = None
                self._steps += 1
                if self._abandoned:
                    del self._stuck[pid]
        if result is not None and not self._abandoned:
            self._found.append(result)
        return not self._abandoned

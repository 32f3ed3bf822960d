"""Doing something with each of many processes, in a thread, whatever one of them does to the reader.

Even a look at a process may take for ever: while its execve(2) waits for a dead file system, and while its memory
does, whoever reads its /proc/PID/stat or /proc/PID/environ waits with it.
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

__all__ = ["Hang", "Sweeper"]

_Found = TypeVar("_Found")

# Seconds that one call may take: the first that takes longer, and those after it in the same sweep.
_PATIENCE, _SHORT_PATIENCE = 1.0, 0.05
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Hang:
    """One call that has not returned. While it has not, it is what its process can be told from others by."""


class Sweeper(Generic[_Found]):
    """Calls a function for one pid after the other. A call that does not return is left to itself.

    Where it raises OSError or psutil.Error there is nothing to be found; but `sweep` raises it where the machine, or
    this process, has no descriptors or memory left: nothing can be told then.

    Its thread is lost until it does, so it is called at most once at a time for each pid.
    """

    def __init__(self) -> None:
        self.stuck: dict[int, Hang] = {}
        """The pids of which a call has not returned. What hangs is alive: no other process can have its pid."""

    def sweep(self, function: Callable[[int], _Found | None], pids: Iterable[int]) -> list[_Found]:
        """What the calls returned, but for None. Parks; `pids` is iterated in the thread."""
        found: list[_Found] = []
        rest = iter(pids)
        patience = _PATIENCE
        while True:
            walk = _Walk(function, rest, found, self.stuck)
            if walk.perform(patience):
                return found
            patience = _SHORT_PATIENCE


class _Walk(Generic[_Found]):
    """One thread's part of a sweep: to the end, or to the first call that does not return."""

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
        """Walk to the end; False when a call took longer than `patience` seconds and was left to itself."""
        try:
            threading.Thread(target=self._walk, daemon=True).start()
        except RuntimeError:  # the system allows no more threads, and here and now is better than not at all
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
            # else it ended meanwhile, or is somebody else's
        finally:
            with self._lock:
                self._at = None
                self._steps += 1
                if self._abandoned:
                    del self._stuck[pid]
        if result is not None and not self._abandoned:
            self._found.append(result)
        return not self._abandoned

"""`Workers`: calling functions in workers and collecting their results. The base of `Group`, `Pool` and `ThreadPool`.

May not know what a worker is (a greenlet, a thread). It knows only that `spawn` starts a call and returns an object
with `get`, `rawlink`, `successful` and `value`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any

from gcron.runtime.event import AsyncResult
from gcron.runtime.greenlet import Greenlet, run_next, spawn
from gcron.runtime.lock import Semaphore
from gcron.runtime.queue import Queue

__all__ = ["Workers"]


class Workers:
    """Calls functions in workers. A subclass defines how a call is started."""

    def spawn(self, *args: Any, **kwargs: Any) -> Any:
        """Start a call. The returned object has its result."""
        raise NotImplementedError

    def full(self) -> bool:
        """True when one more would have to wait: never, unless a subclass has a limit."""
        return False

    def _runs_here(self) -> bool:
        """True when the caller is itself one of the workers."""
        return False

    # -- one call -------------------------------------------------------------------------------------------

    def apply(self, function: Callable[..., Any], args: Iterable[Any] = (), kwds: dict[str, Any] | None = None) -> Any:
        """Call `function(*args, **kwds)` in a worker, and return its result or raise its error.

        A worker calls it itself, because it could wait for its own place for ever.
        """
        if self._runs_here():
            return function(*args, **(kwds or {}))
        return self.spawn(function, *args, **(kwds or {})).get()

    def apply_cb(
        self,
        function: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
    ) -> Any:
        """As `apply`. If there is no error, `callback(result)` is called in a new greenlet."""
        result = self.apply(function, args, kwds)
        if callback is not None:
            spawn(callback, result)
        return result

    def apply_async(
        self,
        function: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
    ) -> Any:
        """As `apply_cb`, but never wait. Return an object whose `get()` waits for the result."""

        def start() -> Any:
            worker = self.spawn(function, *args, **(kwds or {}))
            if callback is not None:
                _call_back(worker, callback)
            return worker

        # If there is no free place, a greenlet waits for one. It is no worker itself.
        return Greenlet.spawn(lambda: start().get()) if self.full() else start()

    # -- many calls -----------------------------------------------------------------------------------------

    def map(self, function: Callable[..., Any], iterable: Iterable[Any]) -> list[Any]:
        """Call `function` with each item in workers. Return the results in order.

        Raises the first error, or that of the iterable itself.
        """
        workers = [self.spawn(function, item) for item in iterable]
        results = []
        worker = None
        try:
            for worker in workers:
                results.append(worker.get())
        finally:
            del workers, worker  # no variable may refer to a failed one, see `Greenlet.get`
        return results

    def map_cb(
        self,
        function: Callable[..., Any],
        iterable: Iterable[Any],
        callback: Callable[[list[Any]], object] | None = None,
    ) -> list[Any]:
        """As `map`. If there is no error, calls `callback(results)` before it returns them."""
        results = self.map(function, iterable)
        if callback is not None:
            callback(results)
        return results

    def map_async(
        self,
        function: Callable[..., Any],
        iterable: Iterable[Any],
        callback: Callable[[list[Any]], object] | None = None,
    ) -> Greenlet:
        """As `map_cb`, but do not wait. Return a greenlet with the list."""
        return Greenlet.spawn(self.map_cb, function, iterable, callback)

    def imap(
        self, function: Callable[..., Any], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> Iterator[Any]:
        """Yield the results in order, as they come. An item's error is raised in its place, and the rest follows.

        `maxsize`: compute at most so many results ahead of their use. None and 0 mean no limit. Raises `ValueError`
        if it is negative.
        """
        return _Results(self, function, zip(*iterables, strict=False), maxsize, ordered=True)

    def imap_unordered(
        self, function: Callable[..., Any], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> Iterator[Any]:
        """As `imap`, but in the order of completion."""
        return _Results(self, function, zip(*iterables, strict=False), maxsize, ordered=False)


def _call_back(worker: Any, callback: Callable[[Any], object]) -> None:
    """Call `callback(value)` in a greenlet when `worker` has one, in a copy of the present context."""
    context = copy_context()

    def on_end(source: Any) -> None:
        if source.successful():
            run_next(context, callback, source.value)

    worker.rawlink(on_end)


class _Results(Iterator[Any]):
    """The iterator of `imap` and `imap_unordered`: a feeder starts the calls, a queue brings their results."""

    def __init__(
        self,
        workers: Workers,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        maxsize: int | None,
        ordered: bool,
    ) -> None:
        self._workers = workers
        self._function = function
        self._ordered = ordered
        self._ahead = Semaphore(maxsize) if maxsize else None
        self._finished: Queue[tuple[int, Any]] = Queue()
        self._early: dict[int, Any] = {}
        self._next_index = 0
        self._total: int | None = None
        self._feeder = spawn(self._feed, calls)

    def _feed(self, calls: Iterable[tuple[Any, ...]]) -> None:
        index = 0
        try:
            for arguments in calls:
                if self._ahead is not None:
                    self._ahead.acquire()
                member = self._workers.spawn(self._function, *arguments)
                member.rawlink(lambda source, index=index: self._finished.put((index, source)))
                index += 1
        except BaseException as error:
            # An error of the iterable itself, or of starting, takes the place of its item. Whoever asks for the item
            # must get it, whatever it is, and would otherwise wait for ever.
            failed: AsyncResult[Any] = AsyncResult()
            failed.set_exception(error)
            self._finished.put((index, failed))
            index += 1
        self._total = index
        self._finished.put((-1, None))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        source = self._next_source()
        self._next_index += 1
        if self._ahead is not None:
            self._ahead.release()
        try:
            return source.get()
        finally:
            del source  # this frame is in the traceback, see `Greenlet.get`

    def _next_source(self) -> Any:
        while True:
            if self._total is not None and self._next_index >= self._total:
                raise StopIteration
            if self._ordered and self._next_index in self._early:
                return self._early.pop(self._next_index)
            index, source = self._finished.get()
            if source is None:
                continue  # the feeder has finished counting: check the total again
            if not self._ordered:
                return source
            self._early[index] = source

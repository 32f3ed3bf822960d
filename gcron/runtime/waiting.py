"""Waiting for several greenlets, events, results or processes at once, and killing several greenlets.

`wait`, `iwait` and `joinall` take anything with `rawlink` and `unlink`. May not know what they wait for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from gcron.runtime.greenlet import Greenlet, GreenletExit, getcurrent, join_each
from gcron.runtime.hub import Carrier, current, get_hub, unpark
from gcron.runtime.links import Linkable
from gcron.runtime.timeout import Timeout, park_within

__all__ = ["Arrivals", "iwait", "joinall", "killall", "wait"]


def killall(
    greenlets: Iterable[Greenlet],
    exception: BaseException | type[BaseException] = GreenletExit,
    block: bool = True,
    timeout: float | None = None,
) -> None:
    """Raise `exception` in each. With `block`, wait until all have ended.

    Raises `Timeout` if they have not ended after `timeout` seconds, where `Greenlet.kill` just returns.
    """
    victims = list(greenlets)
    me = getcurrent()
    for greenlet in victims:
        if greenlet is not me:
            greenlet.kill(exception, block=False)
    if me in victims:  # last, because it ends this function
        me.kill(exception, block=False)
    if not block:
        return
    with Timeout.start_new(timeout):
        joinall(victims)


def joinall(
    greenlets: Sequence[Any] | Iterable[Any],
    timeout: float | Timeout | None = None,
    raise_error: bool = False,
    count: int | None = None,
) -> list[Any]:
    """Wait until all (or `count`) have ended, at most `timeout` seconds. Return those that have.

    Takes what `wait` takes. The result is in the order in which they ended, or in the order given if there is neither a
    limit nor `raise_error`. `raise_error`: raise the first error as soon as it happens.
    """
    greenlets = list(greenlets)
    if timeout is None and count is None and not raise_error:
        if all(issubclass(kind, Greenlet) for kind in set(map(type, greenlets))):
            join_each(greenlets)
        else:
            wait(greenlets)
        return greenlets
    done = []
    for greenlet in iwait(greenlets, timeout, count):
        done.append(greenlet)
        if raise_error and getattr(greenlet, "exception", None) is not None:
            del greenlets, greenlet  # this frame is in the traceback, see `Greenlet.get`
            done.pop().get()
    return done


def wait(objects: Iterable[Any] | None = None, timeout: float | Timeout | None = None, count: int | None = None) -> Any:
    """Wait until all (or `count`) of `objects` are ready. Return those that are, in the order in which they became so.

    Takes anything with `rawlink` and `unlink`. Without objects, waits until nothing is left to do and returns True, or
    False after `timeout` seconds.
    """
    if objects is None:
        return get_hub().join(timeout.seconds if isinstance(timeout, Timeout) else timeout)
    return list(iwait(objects, timeout, count))


def iwait(objects: Iterable[Any], timeout: float | Timeout | None = None, count: int | None = None) -> Arrivals:
    """Yield `objects` one by one as they become ready. Stop after `count` of them or `timeout` seconds.

    If you may stop earlier, use it as a context manager or call `close()`, which removes the links.
    """
    return Arrivals(_arrivals(objects, timeout, count))


class Arrivals(Iterator[Any]):
    """The iterator that `iwait` returns."""

    def __init__(self, arrivals: Generator[Any, None, None]) -> None:
        self._arrivals = arrivals

    def __next__(self) -> Any:
        return next(self._arrivals)

    def close(self) -> None:
        """Stop waiting, and remove the links."""
        self._arrivals.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _arrivals(objects: Iterable[Any], timeout: float | Timeout | None, count: int | None) -> Generator[Any, None, None]:
    waited = list(dict.fromkeys(objects))
    left = len(waited) if count is None else min(count, len(waited))
    collector = _Collector()
    # A pending `Timeout` raises itself where its greenlet waits. Any other counts as its number of seconds.
    started = timeout if isinstance(timeout, Timeout) and timeout.pending else None
    seconds = timeout.seconds if isinstance(timeout, Timeout) else timeout
    # Not a `Timeout` of our own: that could be raised in the caller's code between two objects.
    here = get_hub()
    timer = None if started or seconds is None else here.call_later(seconds, collector, collector)
    # Objects of another thread's hub are made ready there: this hub must not believe that nothing can wake it.
    is_woken_from_outside = any(getattr(item, "hub", here) is not here for item in waited)
    release = here.hold() if is_woken_from_outside else None
    linked = []
    try:
        for item in waited:
            # Objects that are ready count even if there is no time to wait.
            if (is_ready := getattr(item, "ready", None)) is not None and is_ready():
                if isinstance(item, Linkable):
                    item.settle()
                collector(item)
            else:
                item.rawlink(collector)
                linked.append(item)
        while left > 0:
            item = collector.next(started)
            if item is collector:
                return
            left -= 1
            yield item
    finally:
        if timer is not None:
            timer.cancel()
        if release is not None:
            release()
        for item in linked:
            item.unlink(collector)


class _Collector:
    """The link of `iwait`: collects objects that became ready, and wakes the waiter if it is waiting."""

    def __init__(self) -> None:
        self._ready: deque[Any] = deque()
        self._waiter: Carrier | None = None

    def __call__(self, item: Any) -> None:
        self._ready.append(item)
        if self._waiter is not None:
            unpark(self._waiter)

    def next(self, limit: Timeout | None) -> Any:
        """Return the next ready object, or the collector itself when time is up."""
        while not self._ready:
            self._waiter = me = current()
            try:
                if not park_within(me, limit):
                    return self
            finally:
                self._waiter = None
        return self._ready.popleft()

"""`Group` and `Pool`: greenlets that are waited for and killed together.

A pool is a group with a limit: a full pool waits for a free place before it starts one more. `apply`, `map` and similar
methods are in `workers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gcron.runtime.event import Event
from gcron.runtime.greenlet import Greenlet, GreenletExit, getcurrent, to_error
from gcron.runtime.hub import yield_unless_hub
from gcron.runtime.lock import Semaphore
from gcron.runtime.queue import Full
from gcron.runtime.timeout import Timeout
from gcron.runtime.waiting import joinall, killall
from gcron.runtime.workers import Workers

__all__ = ["Group", "Pool", "PoolFull"]


class PoolFull(Full):
    """A pool had no free place within the time."""


class Group(Workers):
    """A set of greenlets. Each one leaves it when it ends."""

    greenlet_class: type[Greenlet] = Greenlet
    # The limit of a pool.
    _places: Semaphore | None = None

    def __init__(self, greenlets: Iterable[Greenlet] = ()) -> None:
        self.greenlets: dict[Greenlet, None] = {}
        self._dying: set[Greenlet] = set()
        self._emptied = Event()
        # Bound once: a bound method per greenlet is one more object for the garbage collector.
        self._on_end = self._discard
        for greenlet in greenlets:
            self.add(greenlet)

    def __len__(self) -> int:
        return len(self.greenlets)

    def __contains__(self, greenlet: object) -> bool:
        return greenlet in self.greenlets

    def __iter__(self) -> Iterator[Greenlet]:
        return iter(list(self.greenlets))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} of {len(self)}>"

    # -- membership -----------------------------------------------------------------------------------------

    def add(self, greenlet: Greenlet) -> None:
        """Make `greenlet` a member until it ends."""
        if greenlet not in self.greenlets:
            self._admit(greenlet)

    def _admit(self, greenlet: Greenlet) -> None:
        self.greenlets[greenlet] = None
        greenlet.call_at_end(self._on_end)

    def discard(self, greenlet: Greenlet) -> None:
        """Remove `greenlet`, whether it has ended or not. No effect if it is no member."""
        self._discard(greenlet)

    def _discard(self, greenlet: Greenlet) -> None:
        # HOT PATH.
        if greenlet not in self.greenlets:
            return
        del self.greenlets[greenlet]
        if self._dying:
            self._dying.discard(greenlet)
        if self._places is not None:
            self._places.release()
        if not self.greenlets and self._is_empty():
            self._emptied.set()

    def wait_available(self, timeout: float | Timeout | None = None) -> int:
        """Wait until there is a free place. Return the number of free ones, or 1 if there is no limit."""
        return 1 if self._places is None else self._places.wait(timeout)

    def start(self, greenlet: Greenlet) -> None:
        """Add a greenlet and start it."""
        self.add(greenlet)
        greenlet.start()

    def spawn(self, *args: Any, **kwargs: Any) -> Greenlet:
        """Make a greenlet of the given function and arguments, add it and start it."""
        greenlet = self.greenlet_class(*args, **kwargs)
        self.start(greenlet)
        return greenlet

    # -- ending ---------------------------------------------------------------------------------------------

    def join(self, timeout: float | Timeout | None = None, raise_error: bool = False) -> bool:
        """Wait until all members have ended, also those added meanwhile. False after `timeout` seconds.

        `raise_error`: when all have ended, raise the error of the first member that has one.
        """
        members = list(self.greenlets) if raise_error else []
        ended = self._wait_until_empty(timeout)
        failed = [member for member in members if member.exception is not None]
        if failed:
            del members
            failed.pop(0).get()  # no variable may refer to it, see `Greenlet.get`
        return ended

    def _wait_until_empty(self, timeout: float | Timeout | None = None) -> bool:
        if self._is_empty():
            yield_unless_hub()  # callbacks of the last member's links may be due
            return True
        limit = timeout if isinstance(timeout, Timeout) else Timeout(timeout)
        starts_here = not limit.pending
        if starts_here:
            limit.start()
        try:
            # Repeatedly: calls of `apply_async` that had not begun to wait for a place may have got one meanwhile.
            while not self._is_empty():
                self._emptied.clear()
                if not self._emptied.wait(limit) or (limit.seconds is not None and not limit.pending):
                    break  # time is up, perhaps in the same turn
        finally:
            if starts_here:
                limit.cancel()
        return self._is_empty()

    def _is_empty(self) -> bool:
        """True when there is no member, and nobody has just been given a place."""
        return not self.greenlets

    def kill(
        self,
        exception: BaseException | type[BaseException] = GreenletExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Raise `exception` in every member, once in each, even in one that catches it. Wait for their end.

        Returns after `timeout` seconds in any case. Raises `TypeError` as `Greenlet.kill` does.
        """
        to_error(exception)  # a wrong one is refused before any member counts as killed
        limit = Timeout.start_new(timeout)
        try:
            while survivors := [member for member in self.greenlets if member not in self._dying]:
                self._dying.update(survivors)
                killall(survivors, exception, block=False)
                if not block:
                    return
                joinall(survivors)
            if block:
                joinall(list(self._dying))  # those killed by earlier calls
                yield_unless_hub()  # callbacks of members' links may be due
        except Timeout as error:
            if error is not limit:
                raise
            limit.__traceback__ = None
        finally:
            limit.cancel()

    def killone(
        self,
        greenlet: Greenlet,
        exception: BaseException | type[BaseException] = GreenletExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Kill one member. Does nothing if it is none."""
        if greenlet in self.greenlets and greenlet not in self._dying:
            to_error(exception)
            self._dying.add(greenlet)
            greenlet.kill(exception, block=block, timeout=timeout)

    def _runs_here(self) -> bool:
        return getcurrent() in self.greenlets


class Pool(Group):
    """A group of at most `size` greenlets. None means no limit.

    Raises `ValueError` for a negative size.
    """

    def __init__(self, size: int | None = None, greenlet_class: type[Greenlet] | None = None) -> None:
        if size is not None and size < 0:
            raise ValueError(f"a pool's size is 0 or more, got {size}")
        super().__init__()
        if greenlet_class is not None:
            self.greenlet_class = greenlet_class
        self.size = size
        self._places = None if size is None else Semaphore(size)
        self._capacity = size or 0

    def _is_empty(self) -> bool:
        return not self.greenlets and (self._places is None or self._places.counter >= self._capacity)

    def full(self) -> bool:
        """True when starting one more would wait."""
        return self.free_count() <= 0

    def free_count(self) -> int:
        """Return the number of free places, or 1 if there is no limit."""
        return 1 if self._places is None else self._places.counter

    def add(self, greenlet: Greenlet, blocking: bool = True, timeout: float | Timeout | None = None) -> None:
        """Wait for a place and add `greenlet`. Raises `PoolFull` if not `blocking`, or after `timeout` seconds."""
        if greenlet in self.greenlets:
            return
        if self._places is not None:
            try:
                has_place = self._places.acquire(blocking, timeout)
            except BaseException:
                if self._is_empty():
                    self._emptied.set()  # we had been given the place of the last member
                raise
            if not has_place:
                raise PoolFull
        if greenlet not in self.greenlets:
            self._admit(greenlet)
        elif self._places is not None:
            self._places.release()  # somebody else has added it while we waited

    def start(self, greenlet: Greenlet, blocking: bool = True, timeout: float | Timeout | None = None) -> None:
        """As `add`, and start it."""
        self.add(greenlet, blocking, timeout)
        greenlet.start()

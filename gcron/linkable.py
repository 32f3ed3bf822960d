"""`Linkable`: something one can wait for. The base of Greenlet, Event, AsyncResult, Semaphore and Popen.

Two kinds of waiter share one list, in the order they came: parked greenlets, woken directly, and callbacks, run in
the hub. One greenlet alone, as mostly, stands there without a list. A link serves once. May not know what the object
is or what being ready means for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import greenlet as RawGreenlet

from gcron.hub import current, get_hub, park, unpark
from gcron.timeout import Timeout, park_within

__all__ = ["Linkable"]


class Linkable:
    """Waiters of one object; subclasses say when it is `ready()` and call `_notify()` when it becomes so."""

    # Nobody, one parked greenlet, or a list: most objects are never waited for by more than one.
    _links: Any = None
    _due: deque[Any] | None = None

    def ready(self) -> bool:
        """True when a waiter would not have to wait."""
        raise NotImplementedError

    def rawlink(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(self)` in the hub once this is ready; it must not block.

        Raises `TypeError` when `callback` cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"expected a callable, got {callback!r}")
        self._add_link(callback)
        if self.ready():
            self._notify()

    def unlink(self, callback: Callable[[Any], object]) -> None:
        """Forget one earlier link of `callback`, even one about to be called. Unknown ones are fine."""
        self._drop_link(callback)

    def _add_link(self, link: Any) -> None:
        links = self._links
        if links is None:
            self._links = [link]
        elif type(links) is list:
            links.append(link)
        else:
            self._links = [links, link]

    def _drop_link(self, link: Any) -> bool:
        """Remove it; True when it had not been reached yet by a notification."""
        if self._due and link in self._due:
            self._due.remove(link)
            return False
        links = self._links
        if links is link:
            self._links = None
            return True
        if type(links) is list and link in links:
            links.remove(link)
            return True
        return False

    def _notify(self) -> None:
        """Wake everybody who waits now, in order. Whoever comes later waits for the next time."""
        links = self._links
        if not links:
            return
        self._links = None
        if type(links) is not list:
            if self._due is None:
                if not links.ready:  # as `unpark`
                    links.ready = True
                    links.ring.append(links)
                return
            links = [links]
        if self._due is not None:
            self._due.extend(links)
            return
        # Parked greenlets ahead of the first callback need no stop in the hub. HOT PATH.
        for link in links:
            if not isinstance(link, RawGreenlet):
                self._due = deque(links[links.index(link) :])
                get_hub().call_soon(self._notify_due)
                return
            unpark(link)  # type: ignore[arg-type]

    def _notify_due(self) -> None:
        due = self._due
        try:
            while due:
                link = due.popleft()
                if isinstance(link, RawGreenlet):
                    unpark(link)  # type: ignore[arg-type]
                else:
                    get_hub().guard(link, (self,))
        finally:
            if due:  # a callback ends the program: the others are called all the same
                get_hub().call_soon(self._notify_due)
            else:
                self._due = None

    def _wait_link(self, timeout: float | Timeout | None) -> bool:
        """Park until notified; False when `timeout` came first."""
        me = current()
        if self._links is None:
            self._links = me
        else:
            self._add_link(me)
        try:
            if timeout is None:
                park(me)
                return True
            woken = park_within(me, timeout)
        except BaseException:
            self._drop_link(me)
            raise
        # Notified and timed out in one turn: the notification counts.
        return woken or not self._drop_link(me)

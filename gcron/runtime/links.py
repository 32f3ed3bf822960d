"""`Linkable`: something one can wait for. The base of Greenlet, Event, AsyncResult, Semaphore and Popen.

Two kinds of waiter share one list, in the order they came: seats of parked greenlets, woken directly, and callbacks,
run in the hub of the thread that linked them. One seat alone, as mostly, stands there without a list. A link serves
once. May not know what the object is or what being ready means for it.

Any thread may notify, wait, link and unlink. Whoever changes what `_links` refers to does so in one step (see
`ring.py`): look and replace without a call between. A list is emptied by whoever has taken it away, one link
at a time, so that a waiter who gives up meanwhile either takes its own link out or has been notified; never both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gcron.runtime.hub import Hub, Seat, current, get_hub, park, vacate, wake, yield_unless_hub
from gcron.runtime.timeout import Timeout, park_within

__all__ = ["Linkable"]


class _Callback:
    """A link that is called, in the hub of whoever made it."""

    __slots__ = ("function", "hub")

    def __init__(self, function: Callable[[Any], object]) -> None:
        self.function = function
        self.hub: Hub = get_hub()


class Linkable:
    """Waiters of one object; subclasses say when it is `ready()` and call `_notify()` when it has become so."""

    # Nobody, one seat, or a list of links: most objects are never waited for by more than one.
    _links: Any = None
    # Callbacks that wait for their turn in the hub: may still be unlinked.
    _due: list[_Callback] | None = None

    def ready(self) -> bool:
        """True when a waiter would not have to wait."""
        raise NotImplementedError

    def rawlink(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(self)` in the hub of this thread once this is ready; it must not block.

        Raises `TypeError` when `callback` cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"expected a callable, got {callback!r}")
        self._add_link(_Callback(callback))
        if self.ready():
            self._notify()

    def unlink(self, callback: Callable[[Any], object]) -> None:
        """Forget one earlier link of `callback`, even one about to be called. Unknown ones are fine."""
        for links in (self._due, self._links):
            for link in _callbacks(links):
                if link.function == callback and _taken_out(link, links):
                    return

    def unlink_all(self) -> None:
        """Forget all links, even those about to be called. Greenlets that wait are no links."""
        for links in (self._due, self._links):
            for link in _callbacks(links):
                _taken_out(link, links)

    def has_links(self) -> bool:
        """True when somebody waits for this, or a link is still to be called."""
        return bool(self._links or self._due)

    def settle(self) -> None:
        """Return once callbacks that are due have begun, as if the caller had waited before this became ready."""
        if self._due:
            yield_unless_hub()

    def _add_link(self, link: Seat | _Callback) -> None:
        while True:
            links = self._links
            if type(links) is list:
                links.append(link)
                if self._links is links or not _taken_out(link, links):
                    return
                continue  # notified meanwhile, all but us
            fresh = [link] if links is None else [links, link]
            if self._links is links:
                self._links = fresh
                return

    def _drop_link(self, link: Seat) -> bool:
        """Remove it; True when it had not been reached yet by a notification."""
        links = self._links
        if links is link:
            self._links = None
            return True
        return type(links) is list and _taken_out(link, links)

    def _notify(self) -> None:
        """Wake everybody who waits now, in order. Whoever comes later waits for the next time."""
        links, self._links = self._links, None
        if type(links) is Seat:
            wake(links)
        elif links:
            self._notify_all(links)

    def _notify_all(self, links: list[Any]) -> None:
        links.reverse()
        take_next = links.pop
        try:
            while True:  # HOT PATH
                link = take_next()
                if type(link) is Seat:
                    wake(link)
                else:
                    self._call_soon(link)
        except IndexError:
            return  # that was the last one

    def _call_soon(self, link: _Callback) -> None:
        due: list[_Callback] = []
        if self._due is None:
            self._due = due
        self._due.append(link)
        link.hub.call_soon_threadsafe(self._call, link)

    def _call(self, link: _Callback) -> None:
        if _taken_out(link, self._due):
            link.hub.guard(link.function, (self,))

    def _wait_link(self, timeout: float | Timeout | None) -> bool:
        """Park until notified; False when `timeout` came first."""
        me = current()
        seat = me.seat
        if self._links is None:
            self._links = seat
        else:
            self._add_link(seat)
        # Another thread may have made it ready since our caller looked.
        if self.ready() and self._drop_link(seat):
            return True
        try:
            if timeout is None:
                park(me)
                return True
            woken = park_within(me, timeout)
        except BaseException:
            if not self._drop_link(seat):
                vacate(me)
            raise
        if woken:
            return True
        if self._drop_link(seat):
            return False
        vacate(me)  # notified and timed out at the same time: the notification counts
        return True


def _callbacks(links: Any) -> list[_Callback]:
    return [link for link in links.copy() if type(link) is _Callback] if type(links) is list else []


def _taken_out(link: Seat | _Callback, links: list[Any] | None) -> bool:
    """Take it out of the list; False when somebody else was quicker."""
    try:
        links.remove(link)  # type: ignore[union-attr]
    except ValueError:
        return False
    return True

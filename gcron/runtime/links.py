"""`Linkable`: something to wait for. The base of Greenlet, Event, AsyncResult and Semaphore.

Two kinds of waiters share one list, in the order in which they came: seats of parked greenlets, which are woken
directly, and callbacks, which are called in the hub of the thread that linked them. A single seat, the usual case, is
stored without a list. A link is used once.

Any thread may notify, wait, link and unlink. `_links` is read and replaced in one step, without a call between (see
`ring`). Whoever has taken a list away empties it, one link at a time. So a waiter that gives up meanwhile either
removes its own link or has been notified, never both.

May not know what the object is, or what being ready means for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gcron.runtime.hub import Hub, Seat, current, get_hub, park, vacate, wake, yield_unless_hub
from gcron.runtime.timeout import Timeout, park_within

__all__ = ["Linkable"]


class _Callback:
    """A link that is called in the hub of the thread that made it."""

    __slots__ = ("function", "hub")

    def __init__(self, function: Callable[[Any], object]) -> None:
        self.function = function
        self.hub: Hub = get_hub()


class Linkable:
    """The waiters of one object. Subclasses define `ready()`, and call `_notify()` when the object becomes ready."""

    # None, one seat, or a list of links: most objects never have more than one waiter.
    _links: Any = None
    # Callbacks that wait for their turn in the hub. They can still be unlinked.
    _due: list[_Callback] | None = None

    def ready(self) -> bool:
        """True when nobody would have to wait."""
        raise NotImplementedError

    def rawlink(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(self)` in the hub of this thread when this is ready. It must not block.

        Raises `TypeError` when `callback` cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"expected a callable, got {callback!r}")
        self._add_link(_Callback(callback))
        if self.ready():
            self._notify()

    def unlink(self, callback: Callable[[Any], object]) -> None:
        """Remove one earlier link of `callback`, even one that is about to be called. Unknown ones are fine."""
        for links in (self._due, self._links):
            for link in _callbacks(links):
                if link.function == callback and _taken_out(link, links):
                    return

    def unlink_all(self) -> None:
        """Remove all callbacks, even those about to be called. Greenlets that wait stay."""
        for links in (self._due, self._links):
            for link in _callbacks(links):
                _taken_out(link, links)

    def has_links(self) -> bool:
        """True when somebody waits for this, or a callback is still to be called."""
        return bool(self._links or self._due)

    def settle(self) -> None:
        """Return after callbacks that are due have begun, as if the caller had waited before this became ready."""
        if self._due:
            yield_unless_hub()

    def _add_link(self, link: Seat | _Callback) -> None:
        while True:
            links = self._links
            if type(links) is list:
                links.append(link)
                if self._links is links or not _taken_out(link, links):
                    return
                continue  # all others have been notified meanwhile
            fresh = [link] if links is None else [links, link]
            if self._links is links:
                self._links = fresh
                return

    def _drop_link(self, link: Seat) -> bool:
        """Remove it. True when no notification had reached it yet."""
        links = self._links
        if links is link:
            self._links = None
            return True
        return type(links) is list and _taken_out(link, links)

    def _notify(self) -> None:
        """Wake everybody who waits now, in order. Later waiters wait for the next notification."""
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
        # Another thread may have made it ready since the caller looked.
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
        vacate(me)  # notified and timed out in the same turn: the notification counts
        return True


def _callbacks(links: Any) -> list[_Callback]:
    return [link for link in links.copy() if type(link) is _Callback] if type(links) is list else []


def _taken_out(link: Seat | _Callback, links: list[Any] | None) -> bool:
    """Remove it from the list. False when somebody else was quicker."""
    try:
        links.remove(link)  # type: ignore[union-attr]
    except ValueError:
        return False
    return True

"""Polling: arm a descriptor for one event, and collect what became ready. The platform's differences are all here.

Linux uses epoll, other systems what `selectors` finds best. Every arming is one-shot: a descriptor reports once and is
silent until it is armed again. So a ready descriptor that nobody waits for cannot spin the loop.

May not know greenlets, timers or the loop.
"""

from __future__ import annotations

import errno
import select
import selectors
from typing import Protocol

READ = 1
WRITE = 4

_ONESHOT = getattr(select, "EPOLLONESHOT", 0)
# The longest single wait, in seconds: epoll_wait takes an int of milliseconds, and Python raises an error above that.
_LONGEST_WAIT = 86_400.0


class Poller(Protocol):
    """What the loop asks of a platform."""

    def arm(self, fd: int, mask: int) -> bool:
        """Report `fd` once when it is ready for `mask`. False: its kind is always ready (a regular file)."""

    def forget(self, fd: int) -> None:
        """Drop `fd`, which is closed or about to be. Unknown descriptors are fine."""

    def forget_spent(self, fd: int) -> None:
        """As `forget`, for a descriptor that has reported and is about to be closed: this needs no system call."""

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait at most `timeout` seconds (None: for ever) and return `(fd, mask)` pairs."""

    def close(self) -> None:
        """Give back the kernel's resources."""


class EpollPoller:
    """Linux: one epoll descriptor, one `epoll_ctl` per arming."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._known: set[int] = set()

    def arm(self, fd: int, mask: int) -> bool:
        """See `Poller.arm`."""
        # A descriptor that others have closed leaves the kernel's set but not ours, and its number may come back as
        # another file. When the kernel disagrees with us, it is right.
        mask |= _ONESHOT
        try:
            if fd in self._known:
                self._epoll.modify(fd, mask)
            else:
                self._epoll.register(fd, mask)
        except FileNotFoundError:
            self._epoll.register(fd, mask)
        except FileExistsError:
            self._epoll.modify(fd, mask)
        except PermissionError:
            return False
        self._known.add(fd)
        return True

    def forget(self, fd: int) -> None:
        """See `Poller.forget`."""
        if fd not in self._known:
            return
        self._known.discard(fd)
        try:
            self._epoll.unregister(fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF):
                raise

    def forget_spent(self, fd: int) -> None:
        """See `Poller.forget_spent`."""
        # Its report has disarmed it, and the kernel drops it when it is closed.
        self._known.discard(fd)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """See `Poller.poll`."""
        return self._epoll.poll(-1 if timeout is None else min(timeout, _LONGEST_WAIT))

    def close(self) -> None:
        """See `Poller.close`."""
        self._epoll.close()


class SelectorPoller:
    """Other systems: `selectors`, made one-shot by dropping each descriptor when it is reported."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def arm(self, fd: int, mask: int) -> bool:
        """See `Poller.arm`."""
        events = (selectors.EVENT_READ if mask & READ else 0) | (selectors.EVENT_WRITE if mask & WRITE else 0)
        self.forget(fd)
        try:
            self._selector.register(fd, events)
        except PermissionError:
            return False
        return True

    def forget(self, fd: int) -> None:
        """See `Poller.forget`."""
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError):
            return

    def forget_spent(self, fd: int) -> None:
        """See `Poller.forget_spent`."""
        self.forget(fd)  # it was dropped when it was reported: this costs nothing either

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """See `Poller.poll`."""
        ready = []
        for key, events in self._selector.select(None if timeout is None else min(timeout, _LONGEST_WAIT)):
            self._selector.unregister(key.fd)
            mask = (READ if events & selectors.EVENT_READ else 0) | (WRITE if events & selectors.EVENT_WRITE else 0)
            ready.append((key.fd, mask))
        return ready

    def close(self) -> None:
        """See `Poller.close`."""
        self._selector.close()


def new_poller() -> Poller:
    """Return the best poller of this platform."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()

"""Waiting for descriptors, and waking the loop from other threads and from signals.

Built on `poller`, which knows the platform. The loop above decides when to poll. May not know timers, or who waits for
what.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import RLock
from typing import Any, cast

from greenlet import greenlet as RawGreenlet

from gcron.runtime.poller import READ, WRITE, Poller, new_poller
from gcron.runtime.ring import Carrier, Host, interrupt, unpark

__all__ = ["Readiness", "Watch"]


class Watch:
    """One wait for one descriptor. Calls its callback once, in the hub."""

    __slots__ = ("args", "fd", "function", "mask", "owner", "ref")

    def __init__(
        self,
        owner: Readiness,
        fd: int,
        mask: int,
        function: Callable[..., object],
        args: tuple[Any, ...],
        ref: bool,
    ) -> None:
        self.owner = owner
        self.fd = fd
        self.mask = mask
        self.function: Callable[..., object] | None = function
        self.args = args
        self.ref = ref

    @property
    def pending(self) -> bool:
        """True until it fires or is cancelled."""
        return self.function is not None

    def cancel(self) -> None:
        """Do not fire. No effect when it has fired."""
        if self.function is not None:
            self.function = None
            self.owner.drop(self)


class Readiness:
    """A loop's watches, its poller, and the pipe by which threads and signals wake it.

    Its own descriptors are opened on first use: a program that only computes has none.
    """

    def __init__(self, hub: Host) -> None:
        self._hub = hub
        self._watches: dict[int, list[Watch]] = {}
        self._referenced = 0
        self._poller: Poller | None = None
        self._wake_read = self._wake_write = -1
        # Held for each use of the wake-up descriptor by other threads: once closed, its number may be another file's.
        # Reentrant, because a signal handler may wake us while we close.
        self._wake_lock = RLock()

    def watch(self, fd: int, mask: int, function: Callable[..., object], *args: Any, ref: bool = True) -> Watch:
        """Call `function(*args)` in the hub, once, when `fd` is ready for `mask` (`READ`, `WRITE`).

        Errors and hang-ups count as ready. `ref=False`: the watch is not work left to do (see `Hub.join`). Raises
        `OSError` for a descriptor that is not open.
        """
        poller = self._poller or self.open()
        watch = Watch(self, fd, mask, function, args, ref)
        watches = self._watches.get(fd)
        if watches is None:
            self._watches[fd] = [watch]
        else:
            watches.append(watch)
        self._referenced += ref
        try:
            armed = poller.arm(fd, mask if watches is None else _combined(watches))
        except BaseException:
            watch.cancel()
            raise
        if not armed:
            self._hub.call_soon(self._dispatch, fd, mask)
        return watch

    def drop(self, watch: Watch) -> None:
        """Remove a watch that is cancelled or has fired."""
        watches = self._watches.get(watch.fd)
        if watches is None or watch not in watches:
            return
        watches.remove(watch)
        self._referenced -= watch.ref
        if not watches:
            del self._watches[watch.fd]

    def closing(self, fd: int, error: OSError) -> None:
        """Announce that `fd` will be closed: greenlets that wait for it get `error`, and the poller forgets it."""
        for watch in self._watches.pop(fd, []):
            self._referenced -= watch.ref
            watch.function = None
            waiter = watch.args[0] if watch.args else None
            if isinstance(waiter, RawGreenlet):
                parked = cast(Carrier, waiter)
                # One that has another error pending leaves this wait with that. Ours would hit its next wait.
                if parked.pending is None:
                    interrupt(parked, parked.task, type(error)(*error.args))
        if self._poller is not None:
            self._poller.forget(fd)

    def release(self, watch: Watch) -> None:
        """Cancel a watch whose descriptor is closed or about to be. Cheap once it has fired."""
        fired = watch.function is None
        watch.cancel()
        # If it is watched again, another thread has closed it, and its number is another file's by now.
        if self._poller is None or watch.fd in self._watches:
            return
        if fired:
            self._poller.forget_spent(watch.fd)
        else:
            self._poller.forget(watch.fd)

    def has_referenced(self) -> bool:
        """True when somebody waits for a descriptor that is not one of ours."""
        return self._referenced > 0

    def has_any(self) -> bool:
        """True when polling could report something."""
        return bool(self._watches)

    def poll(self, timeout: float | None) -> None:
        """Wait at most `timeout` seconds (None: for ever), and call the callbacks of what became ready."""
        ready = self.open().poll(timeout)
        self._hub.polling = False  # whom the callbacks wake needs no byte in our pipe
        if self._hub.on_wake:
            called, self._hub.on_wake = self._hub.on_wake, []
            for function in called:
                self._hub.guard(function, ())
        for fd, mask in ready:
            self._dispatch(fd, mask)

    def _dispatch(self, fd: int, mask: int) -> None:
        watches = self._watches.get(fd)
        if watches is None:
            return
        # Errors and hang-ups come without READ and WRITE. Readers and writers must see them.
        if mask & ~(READ | WRITE):
            mask |= READ | WRITE
        if len(watches) == 1 and (watch := watches[0]).mask & mask:  # as mostly. HOT PATH
            del self._watches[fd]
            self._referenced -= watch.ref
            function: Any = watch.function
            watch.function = None
            if function is unpark:  # which cannot fail
                unpark(*watch.args)
            else:
                self._hub.guard(function, watch.args)
            return
        for watch in [watch for watch in watches if watch.mask & mask]:
            called = watch.function
            watch.cancel()
            if called is not None:
                self._hub.guard(called, watch.args)
        if left := self._watches.get(fd):
            self._rearm(fd, left)

    def _rearm(self, fd: int, watches: list[Watch]) -> None:
        try:
            armed = self.open().arm(fd, _combined(watches))
        except OSError as error:
            # Others have closed it. Whoever waits for it gets the error, and the loop goes on.
            self.closing(fd, error)
            return
        if not armed:
            self._hub.call_soon(self._dispatch, fd, _combined(watches))

    # -- descriptors of our own -----------------------------------------------------------------------------

    def open(self) -> Poller:
        """Return the poller. The first call opens it and the wake-up pipe."""
        if self._poller is None:
            self._poller = new_poller()
            self._wake_read, self._wake_write = os.pipe()
            os.set_blocking(self._wake_read, False)
            os.set_blocking(self._wake_write, False)
            self._listen_for_wakes()
            for fd, watches in list(self._watches.items()):
                self._rearm(fd, watches)
        return self._poller

    @property
    def wake_fd(self) -> int:
        """A byte written here ends a blocking `poll`. Usable for `signal.set_wakeup_fd`."""
        self.open()
        return self._wake_write

    def wake(self) -> None:
        """End a blocking `poll`, from any thread. Does nothing when the loop has ended meanwhile."""
        with self._wake_lock:
            if self._wake_write < 0:
                return
            try:
                os.write(self._wake_write, b"\0")
            except BlockingIOError:
                return  # the pipe is full of wake-ups: one more changes nothing

    def _listen_for_wakes(self) -> None:
        self.watch(self._wake_read, READ, self._drain_wakes, ref=False)

    def _drain_wakes(self) -> None:
        # Not contextlib.suppress: a Ctrl-C in its code would count as one in the user's code, see `signals`.
        try:  # noqa: SIM105
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass  # a signal of the program was written twice
        self._listen_for_wakes()

    def close(self) -> None:
        """Give our descriptors back, at the end of a thread or in a forked child. Watches of others are kept."""
        if self._poller is None:
            return
        self._watches.pop(self._wake_read, None)
        self._poller.close()
        self._poller = None
        with self._wake_lock:
            read, write = self._wake_read, self._wake_write
            self._wake_read = self._wake_write = -1
            os.close(read)
            os.close(write)

    def forget_all(self) -> None:
        """Drop all watches: in a forked child they are those of its parent."""
        self._watches.clear()
        self._referenced = 0
        if self._poller is not None:
            self._listen_for_wakes()

    def close_after_fork(self) -> None:
        """As `close()`, in a forked child: a thread that no longer exists may have held the lock."""
        self._wake_lock = RLock()
        self.close()


def _combined(watches: list[Watch]) -> int:
    mask = 0
    for watch in watches:
        mask |= watch.mask
    return mask

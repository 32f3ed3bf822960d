"""How the exit of a child process is learnt, once, and only of children that were asked about.

On Linux by pidfd: readable when the child has ended, and safe from pid reuse. Elsewhere (other kernels, seccomp) by
SIGCHLD, and by looking again and again outside the main thread. Never `waitpid(-1)`: other code's children in this
process keep their status. Greenlets of several threads may wait for one child. May not know pipes or commands.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from gcron.hub import READ, Hub, SignalHandler, Timer, get_hub
from gcron.linkable import Linkable
from gcron.timeout import Timeout

__all__ = ["Child", "ensure_reapable"]

# How soon to look again (seconds) where nothing tells of the exit: outside the main thread without pidfds, and while
# a tracer still holds a dead child.
_LOOK_AGAIN = 0.02


class Child:
    """A child process, from its start until its status is collected.

    `ended` says whether it has been; `status` is as `Popen.returncode`, or None when somebody else collected it.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = False
        self.status: int | None = None
        # Opened while the child cannot have been collected, so it is this process and no later one of its pid.
        self.pidfd = _open_pidfd(pid)
        self._collecting = threading.Lock()
        self.vigils: dict[Hub, _Vigil] = {}
        """Who waits for it now: one entry a thread."""

    def wait(self, timeout: float | Timeout | None = None) -> bool:
        """Wait for the end; False after `timeout` seconds."""
        if self.ended:
            return True
        vigil = self._vigil()
        try:
            return vigil.wait(timeout)
        finally:
            vigil.end_if_alone()

    def rawlink(self, callback: Callable[[Any], object]) -> None:
        """Call `callback` with one argument, in this thread's hub, once the child has ended."""
        vigil = self._vigil()
        vigil.rawlink(callback)
        vigil.begin()

    def unlink(self, callback: Callable[[Any], object]) -> None:
        """Forget an earlier `rawlink` of this thread."""
        vigil = self._vigil()
        vigil.unlink(callback)
        vigil.end_if_alone()

    def _vigil(self) -> _Vigil:
        hub = get_hub()
        return self.vigils.get(hub) or _Vigil(self, hub)

    def check(self) -> bool:
        """Collect the status if the child has ended; never waits. False: another thread is at it."""
        if self.ended:
            return True
        # One collects: the second would be told that there is no such child.
        if not self._collecting.acquire(blocking=False):
            return False
        try:
            if not self.ended:
                self._check()
        finally:
            self._collecting.release()
        return True

    def _check(self) -> None:
        try:
            outcome = self._collect()
        except ChildProcessError:
            self._end(None)
            return
        if outcome is not None:
            self._end(outcome)

    def _collect(self) -> int | None:
        """Return the exit status, or None while it is not to be had."""
        if self.pidfd is None:
            pid, raw = os.waitpid(self.pid, os.WNOHANG)
            if not pid or os.WIFSTOPPED(raw):  # told of a stop: it is traced by this very process
                return None
            return os.waitstatus_to_exitcode(raw)
        # None also while a tracer holds the dead child: waiting for it here would stall every other greenlet.
        info = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        if info is None:
            return None
        return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status

    def _end(self, status: int | None) -> None:
        # `ended` last: a thread that sees it takes the status; and before the vigils are told, see `_Vigil.begin`.
        self.status = status
        self.ended = True
        for hub, vigil in list(self.vigils.items()):
            if hub is get_hub():
                vigil.fulfil()
            else:
                hub.call_soon_threadsafe(vigil.fulfil)
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    def __del__(self) -> None:
        if self.pidfd is not None:
            os.close(self.pidfd)


class _Vigil(Linkable):
    """One thread's wait for a child: its hub is told of the exit, whatever thread learns of it."""

    def __init__(self, child: Child, hub: Hub) -> None:
        self._child = child
        self._hub = hub
        self._timer: Timer | None = None
        # While it goes on: what ends it.
        self._stop: Callable[[], object] | None = None

    def ready(self) -> bool:
        """True once the status is collected."""
        return self._child.ended

    def wait(self, timeout: float | Timeout | None) -> bool:
        """Wait for the end; False after `timeout` seconds."""
        self.begin()
        return self._child.ended or self._wait_link(timeout)

    def begin(self) -> None:
        """Have the hub told of the exit."""
        child = self._child
        if self._stop is not None or child.ended:
            return
        self._stop = _nothing
        child.vigils[self._hub] = self
        if child.ended:  # another thread has just learnt of it, and may not have seen us
            self.fulfil()
        elif child.pidfd is not None:
            self._watch(child.pidfd)
        elif threading.current_thread() is threading.main_thread():
            roll = _Roll.of(self._hub)
            self._stop = partial(roll.remove, self)
            roll.add(self)
            self.look()  # it may have ended before the roll listened
        else:
            self._look_later()

    def _watch(self, pidfd: int) -> None:
        io = self._hub.io
        try:
            io.watch(pidfd, READ, self._look_until_ended)
        except OSError:
            # Closed by another thread, which has learnt of the exit and tells us; or no room left to watch.
            self._look_later()
            return
        self._stop = partial(io.closing, pidfd, OSError(errno.EBADF, "the child has ended"))

    def look(self) -> None:
        """Ask for the status; ask again later if another thread is asking."""
        if not self._child.check():
            self._look_later()

    def _look_until_ended(self) -> None:
        self._child.check()
        if not self._child.ended and self._stop is not None:
            self._look_later()

    def _look_later(self) -> None:
        self._timer = self._hub.call_later(_LOOK_AGAIN, self._look_until_ended)

    def fulfil(self) -> None:
        """The child has ended: wake who waits in this thread."""
        self.end()
        self._notify()

    def end_if_alone(self) -> None:
        """Stop when nobody waits any more: an abandoned wait is no work left to do."""
        if not self._links:
            self.end()

    def end(self) -> None:
        """Watch no longer."""
        if self._stop is None:
            return
        self._stop()
        self._stop = None
        self._child.vigils.pop(self._hub, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _nothing() -> None:
    """What ends a vigil that only a timer serves."""


class _Roll:
    """Children waited for without pidfds: looked at, one by one, at each SIGCHLD."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._vigils: set[_Vigil] = set()
        self._release: Any = None
        self._handler: SignalHandler | None = None

    @classmethod
    def of(cls, hub: Hub) -> _Roll:
        """The hub's own, made on first use."""
        roll: _Roll | None = hub.child_roll
        if roll is None:
            roll = hub.child_roll = cls(hub)
        return roll

    def add(self, vigil: _Vigil) -> None:
        """Look at its child from now on."""
        if not self._vigils:
            self._handler = self._hub.signals.handle(signal.SIGCHLD, self._on_sigchld)
            self._release = self._hub.hold()
        self._vigils.add(vigil)

    def _on_sigchld(self) -> None:
        for vigil in list(self._vigils):
            vigil.look()

    def remove(self, vigil: _Vigil) -> None:
        """It has ended, or nobody waits for it any more."""
        self._vigils.discard(vigil)
        if not self._vigils and self._handler is not None:
            self._handler.cancel()
            self._handler = None
            self._release()


def ensure_reapable() -> None:
    """Undo an inherited `SIGCHLD = ignore`: the kernel would throw the exit statuses of children away."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        # No such call on this kernel, forbidden by seccomp, or out of descriptors: the portable way serves.
        return None

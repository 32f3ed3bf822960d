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
from typing import Any

from gcron.runtime.hub import READ, Callback, Hub, SignalHandler, Timer, Watch, current, get_hub, park, unpark

__all__ = ["UNKNOWN_STATUS", "Child", "Vigil", "ensure_reapable"]

# How soon to look again (seconds) where nothing tells of the exit: outside the main thread without pidfds, and while
# a tracer still holds a dead child. A helper thread in a blocking `waitid` would be told at once, but could not be
# called back when the wait is abandoned: one would be left for each child that lives on.
_LOOK_AGAIN = 0.02
_IF_ENDED = os.WEXITED | os.WNOHANG
UNKNOWN_STATUS = -signal.NSIG
"""The status when somebody else collected it: no real status, and not success."""


class Child:
    """A child process, from its start until its status is collected.

    `ended` says whether it has been; `status` is as `Popen.returncode` then, and None before.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = False
        self.status: int | None = None
        # Opened while the child cannot have been collected, so it is this process and no later one of its pid.
        self.pidfd = _open_pidfd(pid)
        self._collecting = threading.Lock()
        self.vigils: list[Vigil] = []
        """Those who wait for it now, in the order they came, in whatever thread."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; False after `timeout` seconds."""
        if timeout is not None:
            self.check()
        if self.ended:
            return True
        me = current()
        timer = None if timeout is None else me.hub.call_later(timeout, unpark, me)
        directly = True
        try:
            while not self.ended and (timer is None or timer.pending):
                vigil = Vigil(self, unpark, me)
                try:
                    vigil.begin(directly)
                    park(me)
                finally:
                    vigil.stop()
                if directly:
                    self.check()
                    directly = False  # the next time round another thread is asking, or a tracer holds the dead child
        finally:
            if timer is not None:
                timer.cancel()
        return self.ended

    def at_end(self, function: Callable[..., object], *args: Any) -> Vigil:
        """Call `function(*args)` in this thread's hub once the child has ended; what is returned can be cancelled."""
        vigil = Vigil(self, get_hub().call_soon, function, *args)
        vigil.begin()
        return vigil

    def check(self) -> bool:
        """Collect the status if the child has ended; never waits. False: another thread is at it."""
        if self.ended:
            return True
        # One collects: the second would be told that there is no such child.
        if not self._collecting.acquire(False):
            return False
        try:
            if not self.ended:
                self._collect()
        finally:
            self._collecting.release()
        return True

    def _collect(self) -> None:
        try:
            if self.pidfd is None:
                pid, raw = os.waitpid(self.pid, os.WNOHANG)
                # Told of a stop: it is traced by this very process.
                if pid and not os.WIFSTOPPED(raw):
                    self._end(os.waitstatus_to_exitcode(raw))
                return
            # None also while a tracer holds the dead child: waiting for it here would stall every other greenlet.
            try:
                info = os.waitid(os.P_PIDFD, self.pidfd, _IF_ENDED)
            except OSError as error:
                if error.errno not in (errno.EBADF, errno.EINVAL):
                    raise
                self.pidfd = None  # somebody has closed all descriptors of this process
                self._collect()
                return
            if info is None:
                return
            if info.si_code == os.CLD_EXITED:
                self._end(info.si_status)
            elif info.si_code in (os.CLD_KILLED, os.CLD_DUMPED):  # not of a stop, see above
                self._end(-info.si_status)
        except ChildProcessError:
            self._end(UNKNOWN_STATUS)

    def _end(self, status: int) -> None:
        # `ended` last: a thread that sees it takes the status; and before anybody is told, see `Vigil.begin`.
        self.status = status
        self.ended = True
        if self.vigils:
            here = get_hub()
            for vigil in self.vigils[:]:
                if vigil.hub is here:
                    vigil.fulfil()
                else:
                    vigil.hub.call_soon_threadsafe(vigil.fulfil)
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    # Bound here: as Python ends, the names of a module may be gone before the objects that use them.
    def __del__(self, close: Callable[[int], object] = os.close) -> None:
        # Forgotten, too: the collector may call this for a child whose `Popen` is then kept, to be asked again.
        pidfd, self.pidfd = self.pidfd, None
        if pidfd is not None:
            close(pidfd)


class Vigil:
    """One wait for a child: calls `function(*args)` once, in its own thread, whatever thread learns of the end.

    Meanwhile it has the status asked for whenever there may be one.
    """

    __slots__ = ("_args", "_child", "_due", "_function", "_roll", "_timer", "_watch", "hub", "pending")

    def __init__(self, child: Child, function: Callable[..., object], *args: Any) -> None:
        self.hub = get_hub()
        self.pending = True
        self._child = child
        self._function = function
        self._args = args
        self._due: object = None
        self._watch: Watch | None = None
        self._roll: _Roll | None = None
        self._timer: Timer | None = None

    def begin(self, directly: bool = False) -> None:
        """Have the status asked for from now on.

        `directly`: where a pidfd tells of the end, it calls the function, which has to ask for the status itself. That
        is the shortest way from a child's end to who waits for it. HOT PATH.
        """
        child = self._child
        child.vigils.append(self)
        if child.ended:  # a thread that has just learnt of it may not have seen us
            self.fulfil()
        elif child.pidfd is not None:
            self._watch_pidfd(child.pidfd, directly)
        elif threading.current_thread() is threading.main_thread():
            self._roll = _Roll.of(self.hub)
            self._roll.add(self)
            self.look()  # it may have ended before the roll listened
        else:
            self._look_later()

    def _watch_pidfd(self, pidfd: int, directly: bool) -> None:
        try:
            if directly:
                self._watch = self.hub.io.watch(pidfd, READ, self._function, *self._args)
            else:
                self._watch = self.hub.io.watch(pidfd, READ, self._look_until_ended)
        except OSError:
            # Closed by another thread, which has learnt of the exit and tells us; or no room left to watch.
            self._look_later()

    def look(self) -> None:
        """Ask for the status; ask again later if another thread is asking."""
        if not self._child.check():
            self._look_later()

    def _look_until_ended(self) -> None:
        self._child.check()
        if self.pending:  # another thread is asking, or a tracer holds the dead child
            self._look_later()

    def _look_later(self) -> None:
        self._timer = self.hub.call_later(_LOOK_AGAIN, self._look_until_ended)

    def fulfil(self) -> None:
        """The child has ended. In its own thread alone."""
        if self.pending:
            self.stop()
            self._due = self._function(*self._args)

    def cancel(self) -> None:
        """Call nothing, even if the call is due. In its own thread alone."""
        self.stop()
        if isinstance(self._due, Callback):
            self._due.cancel()

    def stop(self) -> None:
        """Wait no longer: an abandoned wait is no work left to do. In its own thread alone."""
        if not self.pending:
            return
        self.pending = False
        self._child.vigils.remove(self)
        if self._watch is not None:
            self.hub.io.release(self._watch)
        if self._roll is not None:
            self._roll.remove(self)
        if self._timer is not None:
            self._timer.cancel()


class _Roll:
    """Children waited for without pidfds: looked at, one by one, at each SIGCHLD."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._vigils: set[Vigil] = set()
        self._release: Any = None
        self._handler: SignalHandler | None = None

    @classmethod
    def of(cls, hub: Hub) -> _Roll:
        """The hub's own, made on first use."""
        roll: _Roll | None = hub.child_roll
        if roll is None:
            roll = hub.child_roll = cls(hub)
        return roll

    def add(self, vigil: Vigil) -> None:
        """Look at its child from now on."""
        if not self._vigils:
            self._handler = self._hub.signals.handle(signal.SIGCHLD, self._on_sigchld)
            self._release = self._hub.hold()
        self._vigils.add(vigil)

    def _on_sigchld(self) -> None:
        for vigil in list(self._vigils):
            vigil.look()

    def remove(self, vigil: Vigil) -> None:
        """It has ended, or nobody waits for it any more."""
        self._vigils.discard(vigil)
        if not self._vigils and self._handler is not None:
            self._handler.cancel()
            self._handler = None
            self._release()


def ensure_reapable() -> None:
    """Undo an inherited `SIGCHLD = ignore`: the kernel would throw the exit statuses of children away."""
    ignored = signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    if ignored and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        # No such call on this kernel, forbidden by seccomp, or out of descriptors: the portable way serves.
        return None

"""Waiting for child processes: each exit status is collected once, and only of children that were asked about.

On Linux an exit is learnt from a pidfd, which becomes readable, and which is safe from pid reuse. Elsewhere (other
kernels, seccomp) it is learnt from SIGCHLD, or outside the main thread by checking repeatedly. Never `waitpid(-1)`:
children of other code in this process keep their status. Greenlets of several threads may wait for one child.

May not know pipes or commands.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gcron.runtime.hub import READ, Callback, Hub, SignalHandler, Timer, Watch, current, get_hub, park, unpark

if TYPE_CHECKING:
    from resource import struct_rusage

__all__ = ["UNKNOWN_STATUS", "Child", "Wait", "ensure_reapable"]

# Seconds between two checks where nothing announces the exit: outside the main thread without pidfds, and while a
# tracer still holds a dead child. A helper thread in a blocking `waitid` would learn of it at once, but it could not be
# stopped when the wait is abandoned: one thread would be left for each child that lives on.
_CHECK_INTERVAL = 0.02
# Without waiting: a tracer may hold the dead child, and every other greenlet would stop.
_IF_DEAD = os.WEXITED | os.WNOHANG | os.WNOWAIT
_DEATHS = (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)
UNKNOWN_STATUS = -signal.NSIG
"""The status when somebody else has collected the real one. It equals no real status, and is not success."""


class Child:
    """A child process, from its start until its status is collected.

    Then `ended` is True, and `status` is as `Popen.returncode`. Before that it is None.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = False
        self.status: int | None = None
        self.usage: struct_rusage | None = None
        """What it used, with the children whose end it waited for. None before its end, or if its status is unknown."""
        # Opened before anybody can have collected the child: it is this process and no later one with its pid.
        self.pidfd = _open_pidfd(pid)
        self._collecting = threading.Lock()
        self.waits: list[Wait] = []
        """All present waits for it, of all threads, in their order."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end. False after `timeout` seconds."""
        if timeout is not None:
            self.check()
        if self.ended:
            return True
        me = current()
        timer = None if timeout is None else me.hub.call_later(timeout, unpark, me)
        directly = True
        try:
            while not self.ended and (timer is None or timer.pending):
                wait = Wait(self, unpark, me)
                try:
                    wait.begin(directly)
                    park(me)
                finally:
                    wait.stop()
                if directly:
                    self.check()
                    directly = False  # another thread is collecting, or a tracer holds the dead child
        finally:
            if timer is not None:
                timer.cancel()
        return self.ended

    def at_end(self, function: Callable[..., object], *args: Any) -> Wait:
        """Call `function(*args)` in this thread's hub when the child has ended. The returned wait can be cancelled."""
        wait = Wait(self, get_hub().call_soon, function, *args)
        wait.begin()
        return wait

    def check(self) -> bool:
        """Collect the status if the child has ended. Never waits. False: another thread is doing so."""
        if self.ended:
            return True
        # Only one at a time: the kernel would tell the second that there is no such child.
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
            if self.pidfd is not None and not self._has_died(self.pidfd):
                return
            # By its pid: only `wait4` returns what it used. The pid is still its own: with a pidfd it is known to be
            # dead and not collected, and numbers come again only after all others.
            pid, raw, usage = os.wait4(self.pid, os.WNOHANG)
            # A stop is reported if this process traces the child.
            if pid and not os.WIFSTOPPED(raw):
                self.usage = usage
                self._end(os.waitstatus_to_exitcode(raw))
        except ChildProcessError:
            self._end(UNKNOWN_STATUS)

    def _has_died(self, pidfd: int) -> bool:
        """Whether its status can be collected, as far as is known. Not while a tracer holds the dead child."""
        try:
            info = os.waitid(os.P_PIDFD, pidfd, _IF_DEAD)
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.EINVAL):
                raise
            self.pidfd = None  # somebody has closed all descriptors of this process
            return True
        # A stop is reported if this process traces the child.
        return info is not None and info.si_code in _DEATHS

    def _end(self, status: int) -> None:
        # `ended` comes last, because a thread that sees it uses the status. It comes before the waits, see
        # `Wait.begin`.
        self.status = status
        self.ended = True
        if self.waits:
            here = get_hub()
            for wait in self.waits[:]:
                if wait.hub is here:
                    wait.fulfil()
                else:
                    wait.hub.call_soon_threadsafe(wait.fulfil)
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    # Bound here: when Python ends, a module's names may go before the objects that use them.
    def __del__(self, close: Callable[[int], object] = os.close) -> None:
        # Set to None, too: the collector may call this for a child whose `Popen` is then kept, and asked again.
        pidfd, self.pidfd = self.pidfd, None
        if pidfd is not None:
            close(pidfd)


class Wait:
    """One wait for a child. Calls `function(*args)` once, in its own thread, no matter which thread learns of the exit.

    Until then it checks the status whenever there may be one.
    """

    __slots__ = ("_args", "_child", "_due", "_function", "_registry", "_timer", "_watch", "hub", "pending")

    def __init__(self, child: Child, function: Callable[..., object], *args: Any) -> None:
        self.hub = get_hub()
        self.pending = True
        self._child = child
        self._function = function
        self._args = args
        self._due: object = None
        self._watch: Watch | None = None
        self._registry: _SigchldWaits | None = None
        self._timer: Timer | None = None

    def begin(self, directly: bool = False) -> None:
        """Begin to wait.

        `directly`: when a pidfd reports the exit, call the function, which then has to check the status itself. That is
        the shortest way from an exit to whoever waits for it. HOT PATH.
        """
        child = self._child
        child.waits.append(self)
        if child.ended:  # a thread that has just collected the status may not have seen us
            self.fulfil()
        elif child.pidfd is not None:
            self._watch_pidfd(child.pidfd, directly)
        elif threading.current_thread() is threading.main_thread():
            self._registry = _SigchldWaits.of(self.hub)
            self._registry.add(self)
            self.check()  # it may have ended before the signal was handled
        else:
            self._check_later()

    def _watch_pidfd(self, pidfd: int, directly: bool) -> None:
        try:
            if directly:
                self._watch = self.hub.io.watch(pidfd, READ, self._function, *self._args)
            else:
                self._watch = self.hub.io.watch(pidfd, READ, self._check_until_ended)
        except OSError:
            # Another thread, which tells us, has closed it; or there is no room for one more watch.
            self._check_later()

    def check(self) -> None:
        """Check the status. Check again later if another thread is doing so."""
        if not self._child.check():
            self._check_later()

    def _check_until_ended(self) -> None:
        self._child.check()
        if self.pending:  # another thread is collecting, or a tracer holds the dead child
            self._check_later()

    def _check_later(self) -> None:
        self._timer = self.hub.call_later(_CHECK_INTERVAL, self._check_until_ended)

    def fulfil(self) -> None:
        """Call the function: the child has ended. Only in its own thread."""
        if self.pending:
            self.stop()
            self._due = self._function(*self._args)

    def cancel(self) -> None:
        """Call nothing, even if the call is due. Only in its own thread."""
        self.stop()
        if isinstance(self._due, Callback):
            self._due.cancel()

    def stop(self) -> None:
        """Stop waiting: an abandoned wait is no work left to do. Only in its own thread."""
        if not self.pending:
            return
        self.pending = False
        self._child.waits.remove(self)
        if self._watch is not None:
            self.hub.io.release(self._watch)
        if self._registry is not None:
            self._registry.remove(self)
        if self._timer is not None:
            self._timer.cancel()


class _SigchldWaits:
    """The waits of a hub without pidfds: at each SIGCHLD, all their children are checked, one by one."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._waits: set[Wait] = set()
        self._release: Any = None
        self._handler: SignalHandler | None = None

    @classmethod
    def of(cls, hub: Hub) -> _SigchldWaits:
        """Return that of `hub`, made on first use."""
        waits: _SigchldWaits | None = hub.sigchld_waits
        if waits is None:
            waits = hub.sigchld_waits = cls(hub)
        return waits

    def add(self, wait: Wait) -> None:
        """Check its child from now on."""
        if not self._waits:
            self._handler = self._hub.signals.handle(signal.SIGCHLD, self._on_sigchld)
            self._release = self._hub.hold()
        self._waits.add(wait)

    def _on_sigchld(self) -> None:
        for wait in list(self._waits):
            wait.check()

    def remove(self, wait: Wait) -> None:
        """Check its child no more."""
        self._waits.discard(wait)
        if not self._waits and self._handler is not None:
            self._handler.cancel()
            self._handler = None
            self._release()


def ensure_reapable() -> None:
    """Undo an inherited `SIGCHLD = ignore`: the kernel would discard the exit statuses of children."""
    ignored = signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    if ignored and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        # This kernel has no such call, seccomp forbids it, or descriptors have run out: use the portable way.
        return None

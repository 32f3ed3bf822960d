"""How the exit of a child process is learnt, once, and only of children that were asked about.

On Linux by pidfd: readable when the child has ended, and safe from pid reuse. Elsewhere (other kernels, seccomp) by
SIGCHLD, and by looking again and again outside the main thread. Never `waitpid(-1)`: other code's children in this
process keep their status. May not know pipes or commands.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from gcron.hub import READ, Hub, SignalHandler, get_hub
from gcron.linkable import Linkable
from gcron.timeout import Timeout

__all__ = ["Child", "ensure_reapable"]

# How soon to look again (seconds) where nothing tells of the exit: outside the main thread without pidfds, and while
# a tracer still holds a dead child.
_LOOK_AGAIN = 0.02


class Child(Linkable):
    """A child process, from its start until its status is collected.

    `ended` says whether it has been; `status` is as `Popen.returncode`, or None when somebody else collected it.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = False
        self.status: int | None = None
        self._watched = False
        self._roll: _Roll | None = None
        # Opened while the child cannot have been collected, so it is this process and no later one of its pid.
        self._pidfd = _open_pidfd(pid)

    def ready(self) -> bool:
        """True once the status is collected."""
        return self.ended

    def wait(self, timeout: float | Timeout | None = None) -> bool:
        """Wait for the end; False after `timeout` seconds."""
        if self.ended:
            return True
        self._watch()
        return self.ended or self._wait_link(timeout)

    def rawlink(self, callback: Any) -> None:
        """See `Linkable.rawlink`."""
        super().rawlink(callback)
        if not self.ended:
            self._watch()

    def check(self) -> None:
        """Collect the status if the child has ended; never waits."""
        if self.ended:
            return
        try:
            outcome = self._collect()
        except ChildProcessError:
            self._end(None)
            return
        if outcome is not None:
            self._end(outcome)

    def _collect(self) -> int | None:
        """Return the exit status, or None while it is not to be had."""
        if self._pidfd is None:
            pid, raw = os.waitpid(self.pid, os.WNOHANG)
            return os.waitstatus_to_exitcode(raw) if pid else None
        # None also while a tracer holds the dead child: waiting for it here would stall every other greenlet.
        info = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        if info is None:
            return None
        return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status

    def _end(self, status: int | None) -> None:
        self.ended = True
        self.status = status
        if self._roll is not None:
            self._roll.remove(self)
        self._close()
        self._notify()

    def _close(self) -> None:
        if self._pidfd is not None:
            if self._watched:
                get_hub().io.closing(self._pidfd, OSError(9, "the child has ended"))
            os.close(self._pidfd)
            self._pidfd = None

    def __del__(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)

    # -- being told -----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._watched:
            return
        self._watched = True
        hub = get_hub()
        if self._pidfd is not None:
            hub.io.watch(self._pidfd, READ, self._on_pidfd)
        elif threading.current_thread() is threading.main_thread():
            self._roll = _Roll.of(hub)
            self._roll.add(self)
            self.check()  # it may have ended before the roll listened
        else:
            hub.call_later(_LOOK_AGAIN, self._look_again)

    def _on_pidfd(self) -> None:
        self.check()
        if not self.ended:
            get_hub().call_later(_LOOK_AGAIN, self._look_again)

    def _look_again(self) -> None:
        self.check()
        if not self.ended:
            get_hub().call_later(_LOOK_AGAIN, self._look_again)


class _Roll:
    """Children waited for without pidfds: looked at, one by one, at each SIGCHLD."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._children: set[Child] = set()
        self._release: Any = None
        self._handler: SignalHandler | None = None

    @classmethod
    def of(cls, hub: Hub) -> _Roll:
        roll: _Roll | None = getattr(hub, "child_roll", None)
        if roll is None:
            roll = hub.child_roll = cls(hub)
        return roll

    def add(self, child: Child) -> None:
        if not self._children:
            self._handler = self._hub.signals.handle(signal.SIGCHLD, self._on_sigchld)
            self._release = self._hub.hold()
        self._children.add(child)

    def _on_sigchld(self) -> None:
        for child in list(self._children):
            child.check()

    def remove(self, child: Child) -> None:
        """It has ended, however that was learnt."""
        self._children.discard(child)
        if not self._children and self._handler is not None:
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

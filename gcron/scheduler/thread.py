"""A scheduler in a thread of its own, inside a program that has other things to do.

The thread is a daemon, so that it keeps no program alive; at the end of the program the schedulers that still run are
stopped, all at the same time, by `atexit`. It waits for the threads to end, too: Python unwinds the stack of a daemon
thread that comes back while it goes down, and one that is not as it was, because of greenlets, is a crash then.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import Protocol

from gcron.runtime.greenlet import spawn
from gcron.runtime.hub import get_hub
from gcron.runtime.waiting import joinall

__all__ = ["Background", "Startable"]

# Seconds that a thread has to end once its scheduler is stopped. It takes microseconds; but a job that swallows all
# that is raised in it may hang in there.
_MAY_TAKE = 5.0


class Startable(Protocol):
    """A scheduler."""

    def start(self) -> None:
        """Begin."""

    def run(self) -> None:
        """Go on until it is stopped."""

    def stop(self, grace: float) -> object:
        """Let it end."""

    def kill(self) -> None:
        """Let what it runs end at once."""


class Background:
    """The thread of `scheduler`; at the end of the program that is stopped with `grace` (seconds)."""

    def __init__(self, scheduler: Startable, grace: float) -> None:
        self._scheduler = scheduler
        self._grace = grace
        self._has_begun = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="gcron-scheduler", daemon=True)

    def start(self) -> None:
        """Return when the scheduler has started; raises what that raised."""
        # Now, and not when the module is loaded: what was registered last is called first, and the loggers and pools
        # that jobs use are to be there still.
        atexit.unregister(_stop_all)
        atexit.register(_stop_all)
        _living.difference_update([each for each in _living if each.has_ended])
        _living.add(self)
        self._thread.start()
        self._has_begun.wait()  # not by the hub: in the main thread that would handle Ctrl-C from now on
        if self._error is not None:
            raise self._error

    def _live(self) -> None:
        release = get_hub().hold()  # other threads have things done here
        try:
            self._scheduler.start()
        except BaseException as error:
            self._error = error
            return
        finally:
            self._has_begun.set()
        try:
            self._scheduler.run()
        finally:
            # Also when an error came up here that is to end programs: jobs are not left to themselves by it.
            self._scheduler.stop(self._grace)
            release()

    @property
    def has_ended(self) -> bool:
        """True when there was a thread, and is none any more."""
        return self._has_begun.is_set() and not self._thread.is_alive()

    def stop(self) -> None:
        """The program ends."""
        self._scheduler.stop(self._grace)

    def kill(self) -> None:
        """The program is to end now."""
        self._scheduler.kill()

    def join(self, timeout: float) -> None:
        """Wait until the thread has ended, for `timeout` seconds at most."""
        self._thread.join(timeout)


_living: set[Background] = set()


def _stop_all() -> None:
    living = [each for each in _living if not each.has_ended]
    stopping = [spawn(each.stop) for each in living]
    release = get_hub().hold()
    try:
        joinall(stopping)
    except KeyboardInterrupt:  # once more: whoever sits there does not want to wait
        for each in living:
            each.kill()
        joinall(stopping)
    finally:
        release()
    for each in living:
        each.join(_MAY_TAKE)


os.register_at_fork(after_in_child=_living.clear)  # a fork takes no threads along

"""A scheduler in a thread of its own, and the end of the program for all schedulers that still run.

The thread is a daemon, so it keeps no program alive. At the end of the program, `atexit` stops all schedulers that
still run, at the same time, and waits for their threads: when Python shuts down it unwinds the stack of a daemon thread
that comes back, and a stack that greenlets have changed crashes then.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from gcron.runtime.hub import get_hub

__all__ = ["Background", "Foreground", "Startable", "stop_at_exit"]

# Seconds between two looks at the thread of a scheduler that stops.
_LOOK = 0.5
# Seconds that a thread may take to end once its scheduler has stopped. It takes microseconds.
_MAY_TAKE = 5.0


class Startable(Protocol):
    """A scheduler."""

    @property
    def has_stopped(self) -> bool:
        """Whether it has ended."""

    def stop(self, grace: float) -> object:
        """Let it end."""

    def kill(self) -> None:
        """Let what it runs end at once."""

    def ask_to_stop(self, grace: float, kill: bool = False) -> None:
        """Have it stopped in its thread."""

    def is_blocked(self) -> bool:
        """Whether something keeps its thread busy."""

    def stop_takes(self, grace: float) -> float:
        """Seconds that a stop may take."""


class Background:
    """The thread of `scheduler`, in which `begin` starts it and `go_on` waits for its end.

    The scheduler is stopped with `grace` (seconds) at the end of the program.
    """

    def __init__(
        self, scheduler: Startable, begin: Callable[[], object], go_on: Callable[[], object], grace: float
    ) -> None:
        self._scheduler = scheduler
        self._begin = begin
        self._go_on = go_on
        self._grace = grace
        self._has_begun = threading.Event()
        self._has_ended = threading.Event()
        """Not `is_alive`: Python 3.11 takes a thread for dead when Ctrl-C interrupts a `join`."""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="gcron-scheduler", daemon=True)

    def start(self) -> None:
        """Start the thread; returns when the scheduler has started. Raises what that raised."""
        stop_at_exit(self)
        self._thread.start()
        self._has_begun.wait()  # not by the hub: in the main thread it would handle Ctrl-C from now on
        if self._error is not None:
            raise self._error

    def _live(self) -> None:
        try:
            self._run()
        finally:
            self._has_ended.set()

    def _run(self) -> None:
        release = get_hub().hold()  # other threads have calls made here
        try:
            self._begin()
        except BaseException as error:
            self._error = error
            return
        finally:
            self._has_begun.set()
        try:
            # Not `run`: when somebody stopped it meanwhile, that would start it again. And no other stop after it: by
            # then another thread may have started the scheduler again.
            self._go_on()
        finally:
            release()

    @property
    def has_ended(self) -> bool:
        """True when the thread began and has ended."""
        return self._has_ended.is_set()

    def begin_to_stop(self) -> None:
        """Have the scheduler stopped, for the program ends."""
        self._scheduler.ask_to_stop(self._grace)

    def begin_to_kill(self) -> None:
        """Have it stopped at once."""
        self._scheduler.ask_to_stop(0.0, kill=True)

    def await_end(self) -> None:
        """Wait until the thread has ended, as long as it goes on with the stop."""
        deadline = time.monotonic() + self._scheduler.stop_takes(self._grace)
        while not self._has_ended.wait(_LOOK):
            if time.monotonic() > deadline and self._scheduler.is_blocked():
                return
        self._thread.join(_MAY_TAKE)


class Foreground:
    """A scheduler that was started in the program's own thread, and is stopped with `grace` at the end."""

    def __init__(self, scheduler: Startable, grace: float) -> None:
        self._scheduler = scheduler
        self._grace = grace
        self._thread = threading.current_thread()

    @property
    def has_ended(self) -> bool:
        """True when there is nothing to stop, or no thread that could."""
        is_alive = self._thread is threading.main_thread() or self._thread.is_alive()  # the former at its very end, too
        return self._scheduler.has_stopped or not is_alive

    def begin_to_stop(self) -> None:
        """Stop the scheduler, for the program ends, if that is its thread."""
        if self._thread is not threading.main_thread():
            self._scheduler.ask_to_stop(self._grace)

    def begin_to_kill(self) -> None:
        """Let what it runs end at once."""
        self._scheduler.kill()

    def await_end(self) -> None:
        """Wait until it has stopped."""
        self._scheduler.stop(self._grace)


_living: set[Background | Foreground] = set()


def stop_at_exit(scheduler: Background | Foreground) -> None:
    """Stop it when the program ends, unless it has ended by then."""
    # Registered now, not when the module is loaded: what is registered last runs first, and jobs still need their
    # loggers and pools.
    atexit.unregister(_stop_all)
    atexit.register(_stop_all)
    _living.difference_update([each for each in _living if each.has_ended])
    _living.add(scheduler)


def _stop_all() -> None:
    living = [each for each in _living if not each.has_ended]
    # Without greenlets: uwsgi calls this where none may run.
    for each in living:
        each.begin_to_stop()
    try:
        for each in living:
            each.await_end()
    except KeyboardInterrupt:  # Ctrl-C again: do not wait any longer
        with suppress(KeyboardInterrupt):
            for each in living:
                each.begin_to_kill()
            for each in living:
                each.await_end()


os.register_at_fork(after_in_child=_living.clear)  # a forked child has no threads

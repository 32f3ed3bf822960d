"""Ends gcron when a part of it has died, so that no process looks alive and does nothing.

Every few seconds it checks the watch of the clock, the watch of the files, the thread of the log, and the collection of
processes that have ended. The check itself runs in the loop, and so shows that the loop turns. If all is well, it feeds
the service manager's watchdog (`WatchdogSec=`). Nothing here waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Protocol

from gcron.daemon.formats.format import Level
from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.runtime.timeout import Timeout
from gcron.scheduler import Run, Scheduler

__all__ = ["CHECK_EVERY", "EXIT_BROKEN", "SelfCheck"]

EXIT_BROKEN = 6
"""Exit status when a part of gcron has died; the log names the part."""
CHECK_EVERY = 10.0
"""Seconds between two checks; fewer when `WatchdogSec=` is short."""
# Seconds to end the jobs, and to write the last records of the log.
_MAY_TAKE = 5.0
_IF_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT


class Watched(Protocol):
    """A part that may die."""

    @property
    def has_died(self) -> bool:
        """True when its thread or greenlet has ended without a `stop`."""


class Log(Watched, Protocol):
    """The log."""

    def say(self, text: str, level: Level = "info") -> None:
        """Write a message."""

    def close(self, timeout: float) -> None:
        """Write what is left, for at most `timeout` seconds."""


class ManagersWatchdog(Protocol):
    """The service manager's watchdog."""

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds without a sign after which it restarts gcron; None without a watchdog."""

    def alive(self) -> None:
        """Feed it."""


class SelfCheck:
    """A part of the daemon. `exit` ends the process with a status, at once."""

    def __init__(
        self,
        scheduler: Scheduler,
        log: Log,
        follower: Watched,
        watchdog: ManagersWatchdog,
        exit: Callable[[int], object] = os._exit,
    ) -> None:
        self._scheduler = scheduler
        self._log = log
        self._follower = follower
        self._watchdog = watchdog
        self._exit = exit
        self._ended: set[str] = set()
        """Ids of the runs whose process had ended at the last check."""
        self._checker: Greenlet | None = None

    def start(self) -> None:
        """Begin to check."""
        self._checker = spawn(self._check_all)

    def stop(self) -> None:
        """End the checks."""
        if self._checker is not None:
            self._checker.kill(block=False)

    def _check_all(self) -> None:
        interval = self._watchdog.watchdog_interval
        pause = CHECK_EVERY if interval is None else min(CHECK_EVERY, interval / 2)
        while True:
            if broken := list(self._broken()):
                self._end(broken)
                return
            if interval is not None:
                self._watchdog.alive()
            sleep(pause)

    def _broken(self) -> Iterator[str]:
        if self._scheduler.has_died:
            yield "the watch of the clock"
        if self._follower.has_died:
            yield "the watch of the files"
        if self._log.has_died:
            yield "the thread of the log"
        before, self._ended = self._ended, {run.run_id for run in self._scheduler.running() if _has_ended(run)}
        if before & self._ended:
            yield "the collection of exit statuses"

    def _end(self, broken: list[str]) -> None:
        """End the jobs, as far as the parts that are left can, and then gcron."""
        self._log.say(f"{', '.join(broken)} has died: gcron ends with status {EXIT_BROKEN}", "error")
        with Timeout(_MAY_TAKE, False):
            self._scheduler.kill()
            self._scheduler.stop(0.0)
        self._log.close(_MAY_TAKE)
        self._exit(EXIT_BROKEN)


def _has_ended(run: Run) -> bool:
    """Whether its process has ended and waits to be collected. gcron normally does that at once."""
    if run.pid is None:
        return False
    try:
        return os.waitid(os.P_PID, run.pid, _IF_ENDED) is not None
    except OSError:
        return False  # it was collected

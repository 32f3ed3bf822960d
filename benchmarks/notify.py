"""What messages cost: the loop for each run, and memory while nobody takes them.

    python benchmarks/notify.py --impl gcron --only failures
    python benchmarks/notify.py --impl gcron-alone --only failures     # the same runs without a target

There is no peer: these are promises of docs/notifications.md. The work of senders is in other threads and is left out.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import harness
from harness import Area, Measure

AREAS = (
    Area("failures", "runs of a function that fails, each with a message", 5_000, (Measure("a run", "µs"),)),
    Area("successes", "runs of a function, with a target that wants failures only", 5_000, (Measure("a run", "µs"),)),
    Area("pings", "runs of a function, each with two pings", 1_000, (Measure("a run", "µs"),)),
    Area(
        "dead-target",
        "messages for a target that takes none; how much memory grows over the last nine tenths",
        100_000,
        (Measure("memory", "MB"),),
        1,
        False,
    ),
)


class Messages:
    """The areas, with one target for the job, or without."""

    def __init__(self, has_target: bool) -> None:
        self._has_target = has_target

    def failures(self, size: int) -> float:
        """CPU seconds of the loop's thread for a run that fails."""
        return self._runs(size, "url=https://hooks.example/x", _fail, is_alive=False)

    def successes(self, size: int) -> float:
        """For a run that succeeds: what it costs to see that there is nothing to tell."""
        return self._runs(size, "url=https://hooks.example/x", _succeed, is_alive=True)

    def pings(self, size: int) -> float:
        """For a run whose start and end are delivered one by one, in a thread each."""
        return self._runs(size, "ping=https://hc.example/x", _succeed, is_alive=True)

    def dead_target(self, size: int) -> float:
        """Bytes that the process grows by. Descriptors and threads must not grow at all."""
        harness.check(self._has_target, "this area is about a target")
        with self._scheduler("url=https://hooks.example/x", _fail, is_alive=False) as (scheduler, notifications):
            _run(scheduler, size // 10)
            before = _used()
            _run(scheduler, size - size // 10)
            after = _used()
            (counts,) = notifications.counts()
            harness.check(counts.waiting == size, f"{counts.waiting:,} messages wait")
            harness.check(after[1:] == before[1:], f"descriptors and threads: {before[1:]} became {after[1:]}")
            return max(0, after[0] - before[0])

    def _runs(self, size: int, options: str, function: object, is_alive: bool) -> float:
        with self._scheduler(options, function, is_alive) as (scheduler, notifications):
            _run(scheduler, 50)
            before = time.thread_time()
            _run(scheduler, size)
            if is_alive:
                _wait_for(notifications)
            return (time.thread_time() - before) / size

    @contextmanager
    def _scheduler(self, options: str, function: object, is_alive: bool) -> Iterator[tuple[object, object]]:
        from gcron import Scheduler
        from gcron.crontab import parse
        from gcron.notify.notifications import Notifications
        from gcron.notify.senders import SenderSettings
        from gcron.schedule.clock import SystemClock

        logger = logging.getLogger("gcron")
        logger.setLevel(logging.CRITICAL)
        (target,) = parse(f"# gcron-notify: ops {options}\n").targets
        scheduler, clock = Scheduler(), SystemClock()
        names = ["ops"] if self._has_target else []
        scheduler.job("@yearly", name="job", greenlet=True, notify=names, notify_again=0)(function)
        settings = SenderSettings(clock, lambda event: None)
        notifications = Notifications(
            scheduler, clock, lambda text: None, settings, make=lambda route, settings: _Sender(is_alive)
        )
        notifications.add_named(target)
        yield scheduler, notifications
        scheduler.stop(grace=0)
        notifications.stop()


class _Sender:
    """Takes messages at once in its thread, or none."""

    blocks = True

    def __init__(self, is_alive: bool) -> None:
        self._is_alive = is_alive

    def send(self, message: object) -> str:
        from gcron.notify.delivery import DeliveryError

        if not self._is_alive:
            raise DeliveryError("nobody is there")
        return "delivered"


def _fail() -> None:
    raise RuntimeError("no")


def _succeed() -> None:
    pass


def _run(scheduler: object, size: int) -> None:
    for _ in range(size):
        scheduler.trigger("job").result.get()


def _wait_for(notifications: object) -> None:
    from gcron.greenlet import sleep

    while any(counts.waiting for counts in notifications.counts()):
        sleep(0.002)


def _used() -> tuple[int, int, int]:
    """Resident bytes, descriptors and threads of this process."""
    import psutil

    from gcron.greenlet import sleep

    sleep(0.5)  # threads of the first deliveries end
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss, len(os.listdir("/proc/self/fd")), process.num_threads()


PROGRAM = harness.Program(
    "notify", AREAS, {"gcron": lambda: Messages(has_target=True), "gcron-alone": lambda: Messages(has_target=False)}
)

if __name__ == "__main__":
    harness.main(PROGRAM)

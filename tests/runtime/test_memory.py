"""What has ended is freed with its last reference, without the cyclic garbage collector.

An idle carrier kept the first task that it had run, with value and error. A parked greenlet kept the task that it had
switched to. A failed greenlet kept itself, through its traceback. A hundred results of 5 MB were never freed.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import gcron
from gcron.event import AsyncResult, Event
from gcron.pool import Group, Pool
from gcron.queue import Queue
from gcron.threadpool import ThreadPool
from tests.measuring import unmeasured

pytestmark = pytest.mark.usefixtures("bounded")


class Thing:
    """An object that a function returns, or has in a variable when it fails."""


class Watched:
    """Makes things, and counts those that are not freed."""

    def __init__(self) -> None:
        self._things: list[weakref.ref[Thing]] = []

    def make(self, *_: Any) -> Thing:
        thing = Thing()
        self._things.append(weakref.ref(thing))
        return thing

    def fail(self, *_: Any) -> None:
        thing = self.make()
        raise ValueError(thing)

    def wait(self, *_: Any) -> None:
        thing = self.make()
        gcron.sleep(60)
        del thing

    def wait_within(self, *limit: Any) -> None:
        thing = self.make()
        with gcron.Timeout(*limit):
            gcron.sleep(60)
        del thing

    def living(self) -> int:
        assert self._things, "nothing was made"
        return sum(thing() is not None for thing in self._things)

    def all_go(self) -> bool:
        """True when all are freed. A thread or a helper greenlet may need a moment for that."""
        deadline = time.monotonic() + 5
        while self.living() and time.monotonic() < deadline:
            gcron.sleep(0.001)
        return not self.living()


@pytest.fixture
def watched(capsys: pytest.CaptureFixture[str]) -> Iterator[Watched]:
    gc.collect()
    gc.disable()
    try:
        yield Watched()
    finally:
        gc.enable()


def after_kill(watched: Watched) -> None:
    greenlet = gcron.spawn(watched.wait)
    gcron.sleep(0)
    greenlet.kill()
    held.append(greenlet)


def through_a_queue(watched: Watched) -> None:
    queue: Queue[Thing] = Queue()
    getters = [gcron.spawn(queue.get) for _ in range(3)]
    gcron.sleep(0)
    for _ in getters:
        queue.put(watched.make())
    gcron.joinall(getters)


held: list[Any] = []
WAYS: dict[str, Callable[[Watched], Any]] = {
    "values": lambda watched: gcron.joinall([gcron.spawn(watched.make) for _ in range(10)]),
    "values of later ones": lambda watched: gcron.spawn_later(0.001, watched.make).join(),
    "mapped values": lambda watched: Pool(3).map(watched.make, range(5)),
    "values out of threads": lambda watched: ThreadPool(2).map(watched.make, range(5)),
    "join": lambda watched: gcron.spawn(watched.fail).join(),
    "get": lambda watched: gcron.spawn(watched.fail).get(),
    "joinall": lambda watched: gcron.joinall([gcron.spawn(watched.fail) for _ in range(3)]),
    "joinall, raising": lambda watched: gcron.joinall([gcron.spawn(watched.fail) for _ in range(3)], raise_error=True),
    "wait": lambda watched: gcron.wait([gcron.spawn(watched.fail) for _ in range(3)]),
    "group": lambda watched: Group([gcron.spawn(watched.fail) for _ in range(3)]).join(raise_error=True),
    "map": lambda watched: Pool(3).map(watched.fail, range(5)),
    "map_async": lambda watched: Pool(3).map_async(watched.fail, range(5)).get(),
    "imap": lambda watched: list(Pool(3).imap(watched.fail, range(5))),
    "imap_unordered": lambda watched: list(Pool(3).imap_unordered(watched.fail, range(5))),
    "apply": lambda watched: Pool(3).apply(watched.fail),
    "apply_async": lambda watched: Pool(3).apply_async(watched.fail).get(),
    "thread pool": lambda watched: ThreadPool(2).apply(watched.fail),
    "thread pool, as a future": lambda watched: ThreadPool(2).spawn(watched.fail).result(timeout=5),
    "mapped in threads": lambda watched: ThreadPool(2).map(watched.fail, range(3)),
    "kill": after_kill,
    "a silent limit": lambda watched: watched.wait_within(0.001, False),
    "a limit": lambda watched: watched.wait_within(0.001),
    "with_timeout": lambda watched: gcron.with_timeout(0.001, watched.wait, timeout_value=None),
    "a limit as argument": lambda watched: [watched.make(), Event().wait(gcron.Timeout(0.001))],
    "a queue": through_a_queue,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_has_ended_is_freed_at_once(way: str, watched: Watched) -> None:
    with suppress(ValueError, gcron.Timeout):
        WAYS[way](watched)
    assert watched.all_go()
    held.clear()


def test_a_freed_result_frees_its_error(watched: Watched) -> None:
    def ask() -> None:
        result: AsyncResult[None] = AsyncResult()
        gcron.spawn(watched.fail).link(result)
        for get in (result.get, result.result, result.wait):
            with suppress(ValueError):
                get()

    ask()
    gcron.sleep(0)
    # The frame of `ask`, which refers to the result, is in the error's traceback: that cycle is the program's own.
    gc.collect()
    assert watched.living() == 0


def test_an_idle_carrier_keeps_no_task_alive(watched: Watched) -> None:
    """The arguments of a raw greenlet's first switch live as long as the greenlet: a task must not be among them."""
    hub = gcron.get_hub()
    count = len(hub.idle_carriers) + 20
    gcron.joinall([gcron.spawn(lambda: [watched.make(), gcron.sleep(0)]) for _ in range(count)])
    assert len(hub.idle_carriers) >= 20
    assert watched.living() == 0


def test_a_waiting_greenlet_keeps_no_task_alive_that_it_switched_to(watched: Watched) -> None:
    """Each of these switches to the task that it has just spawned, and then waits for ever."""
    never = Event()

    def wait() -> None:
        gcron.spawn(watched.make)
        never.wait()

    waiting = [gcron.spawn(wait) for _ in range(20)]
    gcron.sleep(0.001)
    assert watched.living() == 0
    gcron.killall(waiting)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_memory_of_a_hundred_large_results_is_freed() -> None:
    """478 of these 500 MB were never freed. In a process of its own: the memory of a used one has gaps."""
    program = (
        "import os, gcron\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6\n"
        "before = resident()\n"
        "gcron.joinall([gcron.spawn(bytearray, 5_000_000) for _ in range(100)])\n"
        "print(resident() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=unmeasured())
    assert float(done.stdout) < 20

"""Known traps of runtimes on raw greenlets."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

import gcron
from gcron.event import AsyncResult, Event
from gcron.lock import Semaphore
from gcron.pool import Group, Pool
from gcron.queue import Channel, Empty, Full, Queue
from gcron.runtime.hub import READ, get_hub
from gcron.subprocess import PIPE, Popen, TimeoutExpired


def test_a_long_chain_of_starts_does_not_exhaust_the_stack() -> None:
    """A raw greenlet begins at its starter's stack depth. If each started the next one, the stack would overflow."""
    reached = []

    def link(number: int) -> None:
        if number == 20_000:
            reached.append(number)
        else:
            gcron.spawn(link, number + 1)

    gcron.spawn(link, 0)
    while not reached:
        gcron.sleep(0)

    assert reached == [20_000]


def test_a_long_chain_of_greenlets_that_wait_for_each_other_works() -> None:
    def link(number: int) -> int:
        return number if number == 3_000 else gcron.spawn(link, number + 1).get()

    assert gcron.spawn(link, 0).get() == 3_000


def test_100_000_greenlets_start_and_end() -> None:
    count = 0

    def one() -> None:
        nonlocal count
        count += 1

    gcron.joinall([gcron.spawn(one) for _ in range(100_000)])

    assert count == 100_000


def test_20_000_greenlets_wait_at_once_and_are_all_woken() -> None:
    event = Event()
    waiting = [gcron.spawn(event.wait) for _ in range(20_000)]
    gcron.sleep(0)

    event.set()
    gcron.joinall(waiting)

    assert all(greenlet.value is True for greenlet in waiting)


def recurse(depth: int) -> int:
    return 0 if depth == 0 else 1 + recurse(depth - 1)


def test_recursion_can_be_as_deep_in_a_greenlet_as_in_main() -> None:
    """In a separate program, so that the stack depth of the test runner does not count."""
    program = """if True:
        import gcron

        def recurse(depth, at_the_bottom=None):
            if depth == 0:
                return at_the_bottom() if at_the_bottom else 0
            return 1 + recurse(depth - 1, at_the_bottom)

        def start_and_wait():
            # Nothing has blocked before: what starts lazily would start here, 900 frames deep.
            greenlets = [gcron.spawn(recurse, 900) for _ in range(10)]
            gcron.joinall(greenlets)
            assert [greenlet.get() for greenlet in greenlets] == [900] * 10
            return 0

        assert recurse(900, start_and_wait) == 900
        print("deep")
    """
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (finished.stdout, finished.stderr) == ("deep\n", "")


def test_a_greenlet_that_recurses_too_deep_gets_its_error_and_the_others_go_on() -> None:
    beside = gcron.spawn(lambda: [gcron.sleep(0) for _ in range(10)])
    deep = gcron.Greenlet(recurse, 10**6)
    deep.start()
    deep.join()
    beside.get()

    assert isinstance(deep.exception, RecursionError)
    assert gcron.spawn(recurse, 400).get() == 400


def test_100_000_greenlets_killed_before_their_first_turn_leave_the_ring() -> None:
    """Their entries in the ring are skipped, without a stack frame for each."""
    greenlets = [gcron.spawn(pytest.fail, "ran") for _ in range(100_000)]
    gcron.killall(greenlets)

    assert all(isinstance(greenlet.value, gcron.GreenletExit) for greenlet in greenlets)


def test_a_waiting_greenlet_that_nobody_can_wake_is_collected_and_the_loop_goes_on() -> None:
    """The collector ends it with GreenletExit. Its carrier must not take anything from the ring then."""
    cleaned = []

    def wait_for_ever() -> None:
        try:
            Event().wait()
        finally:
            cleaned.append(True)

    for _ in range(10):
        gcron.spawn(wait_for_ever)
    gcron.sleep(0)
    gc.collect()
    gcron.sleep(0)

    assert gcron.spawn(lambda: "alive").get() == "alive"
    assert gcron.joinall([gcron.spawn(gcron.sleep, 0) for _ in range(100)])


WAITS: dict[str, Callable[[float | None], Any]] = {
    "sleep": lambda limit: gcron.sleep(100 if limit is None else limit),
    "Event.wait": lambda limit: Event().wait(limit),
    "AsyncResult.get": lambda limit: AsyncResult().get(timeout=limit),
    "AsyncResult.wait": lambda limit: AsyncResult().wait(timeout=limit),
    "Greenlet.join": lambda limit: gcron.spawn(Event().wait).join(limit),
    "Greenlet.get": lambda limit: gcron.spawn(Event().wait).get(timeout=limit),
    "joinall": lambda limit: gcron.joinall([gcron.spawn(Event().wait)], timeout=limit),
    "wait": lambda limit: gcron.wait([Event()], timeout=limit),
    "Queue.get": lambda limit: Queue().get(timeout=limit),
    "Queue.peek": lambda limit: Queue().peek(timeout=limit),
    "Queue.put": lambda limit: Queue(1, [0]).put(1, timeout=limit),
    "Queue.join": lambda limit: Queue(items=[0]).join(limit),
    "Channel.get": lambda limit: Channel().get(timeout=limit),
    "Channel.put": lambda limit: Channel().put(1, timeout=limit),
    "Semaphore.acquire": lambda limit: Semaphore(0).acquire(timeout=limit),
    "Semaphore.wait": lambda limit: Semaphore(0).wait(limit),
    "Pool.add": lambda limit: Pool(0).add(gcron.Greenlet(recurse, 1), timeout=limit),
    "Group.join": lambda limit: Group([gcron.spawn(Event().wait)]).join(limit),
    "hub.wait_io": lambda limit: wait_for_silent_pipe(limit),
    "Popen.wait": lambda limit: sleeping_child().wait(limit),
    "Popen.communicate": lambda limit: sleeping_child().communicate(timeout=limit),
    "ThreadPool.apply": lambda limit: get_hub().threadpool.apply(time.sleep, (0.1,)),
}


def wait_for_silent_pipe(limit: float | None) -> None:
    reader, writer = os.pipe()
    try:
        get_hub().wait_io(reader, READ, limit)
    finally:
        get_hub().io.closing(reader, OSError("closing"))
        os.close(reader)
        os.close(writer)


children: list[Popen] = []


def sleeping_child() -> Popen:
    child = Popen(["sleep", "100"], stdout=PIPE)
    children.append(child)
    return child


@pytest.fixture(autouse=True)
def no_child_left() -> Any:
    yield
    while children:
        with children.pop() as child:
            child.kill()


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("inner", [None, 50.0], ids=["no-inner-limit", "longer-inner-limit"])
def test_an_outer_timeout_gets_through_every_inner_wait(name: str, inner: float | None) -> None:
    outer = gcron.Timeout(0.01)
    with pytest.raises(gcron.Timeout) as caught, outer:
        WAITS[name](inner)

    assert caught.value is outer


@pytest.mark.parametrize("name", sorted(WAITS.keys() - {"ThreadPool.apply", "sleep"}))
def test_an_inner_timeout_leaves_the_outer_one_pending(name: str) -> None:
    with gcron.Timeout(50) as outer:
        # Timeout, Empty, Full, TimeoutExpired: each wait has its own exception.
        with contextlib.suppress(gcron.Timeout, Empty, Full, TimeoutExpired):
            WAITS[name](0.01)
        assert outer.pending

"""When the loop has its turn, and what is left of it when its thread ends."""

from __future__ import annotations

import gc
import os
import threading

import greenlet

import gcron
from gcron.event import AsyncResult


def ping_pong(rounds: int, stop: list[bool]) -> int:
    """Two greenlets that wake each other: always exactly one is ready."""
    turns = 0
    while turns < rounds and not stop:
        there: AsyncResult[None] = AsyncResult()
        gcron.spawn(there.set)
        there.get()
        turns += 1
    return turns


def test_a_timer_fires_while_others_keep_the_ring_busy() -> None:
    stop: list[bool] = []
    gcron.get_hub().call_later(0.01, stop.append, True)
    assert gcron.spawn(ping_pong, 10_000_000, stop).get() < 10_000_000


def test_a_descriptor_is_polled_while_others_keep_the_ring_busy() -> None:
    stop: list[bool] = []
    reader, writer = os.pipe()
    gcron.get_hub().io.watch(reader, 1, stop.append, True)
    busy = gcron.spawn(ping_pong, 10_000_000, stop)
    gcron.sleep(0)
    os.write(writer, b"x")
    assert busy.get() < 10_000_000
    os.close(reader)
    os.close(writer)


def use_a_hub() -> None:
    gcron.joinall([gcron.spawn(gcron.sleep, 0.001) for _ in range(50)])
    assert gcron.get_hub().threadpool.apply(len, ("abc",)) == 3


def test_a_hub_ends_with_its_thread() -> None:
    """A thread's hub, its carriers and its pool threads stayed for ever: each thread that used gcron leaked."""
    gc.collect()
    before = sum(isinstance(thing, greenlet.greenlet) for thing in gc.get_objects())
    threads = set(threading.enumerate())
    descriptors = len(os.listdir("/dev/fd"))
    for _ in range(20):
        thread = threading.Thread(target=use_a_hub)
        thread.start()
        thread.join()
    for thread in set(threading.enumerate()) - threads:
        thread.join(60)  # those of the hubs' thread pools
    gc.collect()
    after = sum(isinstance(thing, greenlet.greenlet) for thing in gc.get_objects())
    # What the last thread has left is freed at the next switch. A leak would be at least one per thread.
    assert after - before < 20
    assert len(os.listdir("/dev/fd")) == descriptors


def test_waking_an_ended_hub_does_nothing() -> None:
    """The wake-up was written to a closed descriptor, which may be another file by then."""
    hubs = []

    def borrow() -> None:
        gcron.sleep(0.001)
        hubs.append(gcron.get_hub())

    thread = threading.Thread(target=borrow)
    thread.start()
    thread.join()
    hubs[0].io.close()
    hubs[0].io.wake()

"""The way from another thread into a loop: `call_soon_threadsafe` of the waiters' hub (docs/runtime.md, Threads)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import gcron
from gcron.event import AsyncResult, Event
from gcron.lock import Semaphore
from gcron.queue import Channel, Queue

WAYS: dict[str, Callable[[], tuple[Callable[[], Any], Callable[..., Any], tuple[Any, ...]]]] = {
    "Event": lambda: ((event := Event()).wait, event.set, ()),
    "AsyncResult": lambda: ((result := AsyncResult[int]()).get, result.set, (7,)),
    "Queue": lambda: ((queue := Queue[int]()).get, queue.put_nowait, (7,)),
    "Channel": lambda: ((channel := Channel[int]()).get, channel.put_nowait, (7,)),
    "Semaphore": lambda: ((semaphore := Semaphore(0)).acquire, semaphore.release, ()),
}


@pytest.mark.parametrize("name", WAYS)
def test_another_thread_wakes_a_loop_that_waits_for_it(name: str) -> None:
    wait, act, arguments = WAYS[name]()
    hub = gcron.get_hub()
    release = hub.hold()
    waiting = gcron.spawn(wait)
    gcron.sleep(0)
    other = threading.Thread(target=hub.call_soon_threadsafe, args=(act, *arguments))
    other.start()
    try:
        assert waiting.get(timeout=20) == (arguments[0] if arguments else True)
    finally:
        release()
        other.join()


def test_many_threads_put_into_one_queue_and_nothing_is_lost() -> None:
    queue: Queue[tuple[int, int]] = Queue()
    hub = gcron.get_hub()
    release = hub.hold()

    def produce(producer: int) -> None:
        for number in range(200):
            hub.call_soon_threadsafe(queue.put_nowait, (producer, number))

    threads = [threading.Thread(target=produce, args=(producer,)) for producer in range(4)]
    for thread in threads:
        thread.start()
    with gcron.Timeout(20):
        got = [queue.get() for _ in range(800)]
    release()
    for thread in threads:
        thread.join()

    for producer in range(4):
        assert [number for who, number in got if who == producer] == list(range(200))

"""The runtime's areas on trio: nurseries, memory channels, and events instead of futures."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from time import monotonic, perf_counter, process_time

import trio
from harness import check
from workload import POOL_WIDTH, CoroutineAreas, delay_until, increment, wake_times


class Trio(CoroutineAreas):
    """Those of this module."""

    def __init__(self) -> None:
        super().__init__(sys.modules[__name__], trio.run)


async def spawn_join(count: int) -> float:
    start = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_nothing)
    return (perf_counter() - start) / count


async def _nothing() -> None:
    pass


async def sleep0(count: int, tasks: int) -> float:
    turns = max(1, count // tasks)

    async def take_turns() -> None:
        for _ in range(turns):
            await trio.sleep(0)

    return await _run_all(*[take_turns] * tasks) / (turns * tasks)


async def queue(count: int, room: int) -> float:
    send, receive = trio.open_memory_channel[int](room)

    async def produce() -> None:
        for number in range(count):
            await send.send(number)

    async def consume() -> None:
        for number in range(count):
            check(await receive.receive() == number, "an item out of order")

    return await _run_all(produce, consume) / count


async def queue_reply(count: int) -> float:
    send_there, receive_there = trio.open_memory_channel[int](float("inf"))
    send_back, receive_back = trio.open_memory_channel[int](float("inf"))
    rounds = max(1, count // 2)

    async def ask() -> None:
        for number in range(rounds):
            await send_there.send(number)
            check(await receive_back.receive() == number, "a wrong reply")

    async def reply() -> None:
        for _ in range(rounds):
            await send_back.send(await receive_there.receive())

    return await _run_all(ask, reply) / (rounds * 2)


class _Result:
    """The smallest thing that passes on a value: trio has no futures."""

    __slots__ = ("event", "value")

    def __init__(self) -> None:
        self.event = trio.Event()

    def set(self, value: int) -> None:
        self.value = value
        self.event.set()

    async def get(self) -> int:
        await self.event.wait()
        return self.value


async def async_result(count: int) -> float:
    rounds = max(1, count // 2)
    there = [_Result() for _ in range(rounds)]
    back = [_Result() for _ in range(rounds)]

    async def ask() -> None:
        for number, (question, answer) in enumerate(zip(there, back, strict=True)):
            question.set(number)
            check(await answer.get() == number, "a wrong answer")

    async def reply() -> None:
        for question, answer in zip(there, back, strict=True):
            answer.set(await question.get())

    return await _run_all(ask, reply) / (rounds * 2)


async def semaphore(count: int) -> float:
    there, back = trio.Semaphore(0), trio.Semaphore(0)
    rounds = max(1, count // 2)

    async def ask() -> None:
        for _ in range(rounds):
            there.release()
            await back.acquire()

    async def reply() -> None:
        for _ in range(rounds):
            await there.acquire()
            back.release()

    return await _run_all(ask, reply) / (rounds * 2)


async def pool_map(count: int) -> float:
    """One task an item as in a pool, bounded by a limiter of the pool's width."""
    places = trio.CapacityLimiter(POOL_WIDTH)
    results = [0] * count

    async def work(number: int) -> None:
        async with places:
            results[number] = increment(number)

    start = perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(work, number)
    elapsed = perf_counter() - start
    check(results == list(range(1, count + 1)), "results out of order")
    return elapsed / count


async def event(count: int) -> float:
    event = trio.Event()
    woken: list[float] = []

    async def wait() -> None:
        await event.wait()
        woken.append(perf_counter())

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(wait)
        await trio.sleep(0.01)
        start = perf_counter()
        event.set()
    check(len(woken) == count and min(woken) >= start, "a waiter that did not wait")
    return (max(woken) - start) / count


async def sleepers(count: int) -> tuple[float, float]:
    late: list[float] = []

    async def sleep_until(wake_time: float) -> None:
        await trio.sleep(delay_until(wake_time))
        late.append(monotonic() - wake_time)

    start = process_time()
    async with trio.open_nursery() as nursery:
        for wake_time in wake_times(count):
            nursery.start_soon(sleep_until, wake_time)
    cpu = process_time() - start
    check(len(late) == count, "a sleeper that never woke")
    return cpu / count, max(late)


async def _run_all(*functions: Callable[[], Awaitable[None]]) -> float:
    start = perf_counter()
    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(function)
    return perf_counter() - start

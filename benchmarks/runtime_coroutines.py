"""The runtime's areas on asyncio's tasks, with its own loop or uvloop's."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import monotonic, perf_counter, process_time
from typing import Any, Protocol, TypeVar

from harness import check
from workload import POOL_WIDTH, STREAM_ROOM, TURN_TAKERS, delay_until, increment, wake_times

T = TypeVar("T")


class Run(Protocol):
    """As `asyncio.run`."""

    def __call__(self, main: Coroutine[Any, Any, T], /) -> T: ...


class Coroutines:
    """`run` starts a loop, runs one coroutine in it and ends it; the time of neither end is counted."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def spawn_join(self, count: int) -> float:
        return self.run(_spawn_join(count))

    def sleep0(self, count: int) -> float:
        return self.run(_sleep0(count, TURN_TAKERS))

    def sleep0_alone(self, count: int) -> float:
        return self.run(_sleep0(count, 1))

    def queue(self, count: int) -> float:
        return self.run(_queue(count, 1))

    def queue_stream(self, count: int) -> float:
        return self.run(_queue(count, STREAM_ROOM))

    def queue_reply(self, count: int) -> float:
        return self.run(_queue_reply(count))

    def async_result(self, count: int) -> float:
        return self.run(_future(count))

    def semaphore(self, count: int) -> float:
        return self.run(_semaphore(count))

    def pool_map(self, count: int) -> float:
        return self.run(_pool_map(count))

    def event(self, count: int) -> float:
        return self.run(_event(count))

    def sleepers(self, count: int) -> tuple[float, float]:
        return self.run(_sleepers(count))


async def _spawn_join(count: int) -> float:
    start = perf_counter()
    await asyncio.gather(*[_nothing() for _ in range(count)])
    return (perf_counter() - start) / count


async def _nothing() -> None:
    pass


async def _sleep0(count: int, tasks: int) -> float:
    turns = max(1, count // tasks)

    async def take_turns() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    return await _run_all(*[take_turns() for _ in range(tasks)]) / (turns * tasks)


async def _queue(count: int, room: int) -> float:
    queue: asyncio.Queue[int] = asyncio.Queue(room)

    async def produce() -> None:
        for number in range(count):
            await queue.put(number)

    async def consume() -> None:
        for number in range(count):
            check(await queue.get() == number, "an item out of order")

    return await _run_all(produce(), consume()) / count


async def _queue_reply(count: int) -> float:
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()
    rounds = max(1, count // 2)

    async def ask() -> None:
        for number in range(rounds):
            await there.put(number)
            check(await back.get() == number, "a wrong reply")

    async def reply() -> None:
        for _ in range(rounds):
            await back.put(await there.get())

    return await _run_all(ask(), reply()) / (rounds * 2)


async def _future(count: int) -> float:
    create_future = asyncio.get_running_loop().create_future
    rounds = max(1, count // 2)
    there = [create_future() for _ in range(rounds)]
    back = [create_future() for _ in range(rounds)]

    async def ask() -> None:
        for number, (question, answer) in enumerate(zip(there, back, strict=True)):
            question.set_result(number)
            check(await answer == number, "a wrong answer")

    async def reply() -> None:
        for question, answer in zip(there, back, strict=True):
            answer.set_result(await question)

    return await _run_all(ask(), reply()) / (rounds * 2)


async def _semaphore(count: int) -> float:
    there, back = asyncio.Semaphore(0), asyncio.Semaphore(0)
    rounds = max(1, count // 2)

    async def ask() -> None:
        for _ in range(rounds):
            there.release()
            await back.acquire()

    async def reply() -> None:
        for _ in range(rounds):
            await there.acquire()
            back.release()

    return await _run_all(ask(), reply()) / (rounds * 2)


async def _pool_map(count: int) -> float:
    """One task an item as in a pool, bounded by a semaphore of the pool's width."""
    places = asyncio.Semaphore(POOL_WIDTH)

    async def work(number: int) -> int:
        async with places:
            return increment(number)

    start = perf_counter()
    results = await asyncio.gather(*[work(number) for number in range(count)])
    elapsed = perf_counter() - start
    check(results == list(range(1, count + 1)), "results out of order")
    return elapsed / count


async def _event(count: int) -> float:
    event = asyncio.Event()
    woken: list[float] = []

    async def wait() -> None:
        await event.wait()
        woken.append(perf_counter())

    waiters = [asyncio.create_task(wait()) for _ in range(count)]
    await asyncio.sleep(0.01)
    start = perf_counter()
    event.set()
    await asyncio.gather(*waiters)
    check(len(woken) == count and min(woken) >= start, "a waiter that did not wait")
    return (max(woken) - start) / count


async def _sleepers(count: int) -> tuple[float, float]:
    late: list[float] = []

    async def sleep_until(wake_time: float) -> None:
        await asyncio.sleep(delay_until(wake_time))
        late.append(monotonic() - wake_time)

    start = process_time()
    await asyncio.gather(*[sleep_until(wake_time) for wake_time in wake_times(count)])
    cpu = process_time() - start
    check(len(late) == count, "a sleeper that never woke")
    return cpu / count, max(late)


async def _run_all(*coroutines: Coroutine[Any, Any, None]) -> float:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    start = perf_counter()
    await asyncio.gather(*tasks)
    return perf_counter() - start

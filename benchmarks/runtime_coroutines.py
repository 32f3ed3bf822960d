"""The runtime's areas on asyncio's tasks, with its own loop or uvloop's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from time import monotonic, perf_counter, process_time
from typing import Any

from harness import check
from workload import POOL_WIDTH, CoroutineAreas, delay_until, increment, wake_times


class Coroutines(CoroutineAreas):
    """Those of this module, on the loop that `run` starts, as `asyncio.run` does."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__(sys.modules[__name__], lambda function, *args: run(function(*args)))


async def spawn_join(count: int) -> float:
    start = perf_counter()
    await asyncio.gather(*[_nothing() for _ in range(count)])
    return (perf_counter() - start) / count


async def _nothing() -> None:
    pass


async def sleep0(count: int, tasks: int) -> float:
    turns = max(1, count // tasks)

    async def take_turns() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    return await _run_all(*[take_turns() for _ in range(tasks)]) / (turns * tasks)


async def queue(count: int, room: int) -> float:
    queue: asyncio.Queue[int] = asyncio.Queue(room)

    async def produce() -> None:
        for number in range(count):
            await queue.put(number)

    async def consume() -> None:
        for number in range(count):
            check(await queue.get() == number, "an item out of order")

    return await _run_all(produce(), consume()) / count


async def queue_reply(count: int) -> float:
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


async def async_result(count: int) -> float:
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


async def semaphore(count: int) -> float:
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


async def pool_map(count: int) -> float:
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


async def event(count: int) -> float:
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


async def sleepers(count: int) -> tuple[float, float]:
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

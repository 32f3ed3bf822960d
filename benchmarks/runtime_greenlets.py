"""The runtime's areas on greenlets: gcron and gevent, which share their names."""

from __future__ import annotations

from importlib import import_module
from time import monotonic, perf_counter, process_time
from typing import Any

from harness import check
from workload import POOL_WIDTH, STREAM_ROOM, TURN_TAKERS, delay_until, increment, wake_times


class Greenlets:
    """Works on any package with gevent's names and module paths."""

    def __init__(self, package: str) -> None:
        runtime = import_module(package)
        self.spawn, self.sleep, self.joinall = runtime.spawn, runtime.sleep, runtime.joinall
        event = import_module(f"{package}.event")
        self.Event, self.AsyncResult = event.Event, event.AsyncResult
        self.Queue = import_module(f"{package}.queue").Queue
        self.Semaphore = import_module(f"{package}.lock").Semaphore
        self.Pool = import_module(f"{package}.pool").Pool

    def spawn_join(self, count: int) -> float:
        spawn = self.spawn
        start = perf_counter()
        self.joinall([spawn(_nothing) for _ in range(count)])
        return (perf_counter() - start) / count

    def sleep0(self, count: int, tasks: int = TURN_TAKERS) -> float:
        sleep, turns = self.sleep, max(1, count // tasks)

        def take_turns() -> None:
            for _ in range(turns):
                sleep(0)

        return self._run_all(*[take_turns] * tasks) / (turns * tasks)

    def sleep0_alone(self, count: int) -> float:
        return self.sleep0(count, tasks=1)

    def queue(self, count: int, room: int = 1) -> float:
        queue = self.Queue(room)

        def produce() -> None:
            for number in range(count):
                queue.put(number)

        def consume() -> None:
            for number in range(count):
                check(queue.get() == number, "an item out of order")

        return self._run_all(produce, consume) / count

    def queue_stream(self, count: int) -> float:
        return self.queue(count, room=STREAM_ROOM)

    def queue_reply(self, count: int) -> float:
        there, back = self.Queue(), self.Queue()
        rounds = max(1, count // 2)

        def ask() -> None:
            for number in range(rounds):
                there.put(number)
                check(back.get() == number, "a wrong reply")

        def reply() -> None:
            for _ in range(rounds):
                back.put(there.get())

        return self._run_all(ask, reply) / (rounds * 2)

    def async_result(self, count: int) -> float:
        rounds = max(1, count // 2)
        there = [self.AsyncResult() for _ in range(rounds)]
        back = [self.AsyncResult() for _ in range(rounds)]

        def ask() -> None:
            for number, (question, answer) in enumerate(zip(there, back, strict=True)):
                question.set(number)
                check(answer.get() == number, "a wrong answer")

        def reply() -> None:
            for question, answer in zip(there, back, strict=True):
                answer.set(question.get())

        return self._run_all(ask, reply) / (rounds * 2)

    def semaphore(self, count: int) -> float:
        there, back = self.Semaphore(0), self.Semaphore(0)
        rounds = max(1, count // 2)

        def ask() -> None:
            for _ in range(rounds):
                there.release()
                back.acquire()

        def reply() -> None:
            for _ in range(rounds):
                there.acquire()
                back.release()

        return self._run_all(ask, reply) / (rounds * 2)

    def pool_map(self, count: int) -> float:
        pool = self.Pool(POOL_WIDTH)
        start = perf_counter()
        results = pool.map(increment, range(count))
        elapsed = perf_counter() - start
        check(results == list(range(1, count + 1)), "results out of order")
        return elapsed / count

    def event(self, count: int) -> float:
        event = self.Event()
        woken: list[float] = []

        def wait() -> None:
            event.wait()
            woken.append(perf_counter())

        waiters = [self.spawn(wait) for _ in range(count)]
        self.sleep(0.01)
        start = perf_counter()
        event.set()
        self.joinall(waiters)
        check(len(woken) == count and min(woken) >= start, "a waiter that did not wait")
        return (max(woken) - start) / count

    def sleepers(self, count: int) -> tuple[float, float]:
        sleep = self.sleep
        late: list[float] = []

        def sleep_until(wake_time: float) -> None:
            sleep(delay_until(wake_time))
            late.append(monotonic() - wake_time)

        start = process_time()
        sleepers = [self.spawn(sleep_until, wake_time) for wake_time in wake_times(count)]
        self.joinall(sleepers)
        cpu = process_time() - start
        check(len(late) == count, "a sleeper that never woke")
        return cpu / count, max(late)

    def _run_all(self, *functions: Any) -> float:
        greenlets = [self.spawn(function) for function in functions]
        start = perf_counter()
        self.joinall(greenlets, raise_error=True)
        return perf_counter() - start


def _nothing() -> None:
    pass

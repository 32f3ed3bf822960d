"""The floor under gcron and gevent: raw greenlets that switch to each other; no loop, no errors, no waiting.

It keeps no promise of a runtime. It shows which part of a number is the switch itself.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from time import monotonic, perf_counter, process_time

from greenlet import getcurrent, greenlet
from harness import check
from workload import POOL_WIDTH, TURN_TAKERS, delay_until, increment, wake_times


class Floor:
    def spawn_join(self, count: int) -> float:
        """One greenlet runs all tasks: it gets one, runs it, switches back."""
        carrier = _carrier()
        start = perf_counter()
        for _ in range(count):
            carrier.switch(_nothing, ())
        return (perf_counter() - start) / count

    def sleep0(self, count: int, tasks: int = TURN_TAKERS) -> float:
        """Each task goes to the end of the line and switches to the first."""
        line: deque[greenlet] = deque()
        turns = max(1, count // tasks)

        def take_turns() -> None:
            me = getcurrent()
            for _ in range(turns):
                line.append(me)
                line.popleft().switch()

        line.extend(greenlet(take_turns) for _ in range(tasks))
        start = perf_counter()
        while line:
            line.popleft().switch()
        return (perf_counter() - start) / (turns * tasks)

    def queue(self, count: int) -> float:
        """The item travels with the switch; one switch there, one back."""

        def consume(number: int) -> None:
            while True:
                number = getcurrent().parent.switch(number)

        consumer = greenlet(consume)
        start = perf_counter()
        for number in range(count):
            consumer.switch(number)
        return (perf_counter() - start) / count

    def queue_reply(self, count: int) -> float:
        return self.queue(count) / 2

    def async_result(self, count: int) -> float:
        return self.queue(count) / 2

    def semaphore(self, count: int) -> float:
        return self.queue(count) / 2

    def pool_map(self, count: int) -> float:
        """As many greenlets as the pool is wide, taking turns with the items."""
        carriers = [_carrier() for _ in range(POOL_WIDTH)]
        start = perf_counter()
        results = [carriers[number % POOL_WIDTH].switch(increment, (number,)) for number in range(count)]
        elapsed = perf_counter() - start
        check(results == list(range(1, count + 1)), "results out of order")
        return elapsed / count

    def event(self, count: int) -> float:
        """As many greenlets as waiters, each switched to once by the one before: their stacks are cold by then."""
        main = getcurrent()
        line: deque[greenlet] = deque()
        woken: list[float] = []

        def wait() -> None:
            main.switch()
            woken.append(perf_counter())
            line.popleft().switch()

        waiters = [greenlet(wait) for _ in range(count)]
        for waiter in waiters:
            waiter.switch()
        line.extend([*waiters, main])
        start = perf_counter()
        line.popleft().switch()
        check(len(woken) == count, "a waiter that did not wake")
        return (max(woken) - start) / count

    def sleepers(self, count: int) -> tuple[float, float]:
        """A heap of wake-up times and one loop that sleeps to the first."""
        main = getcurrent()
        heap: list[tuple[float, int, greenlet]] = []
        late: list[float] = []

        def sleep_until(wake_time: float) -> None:
            delay = delay_until(wake_time)
            heapq.heappush(heap, (monotonic() + delay, len(heap), getcurrent()))
            main.switch()
            late.append(monotonic() - wake_time)

        start = process_time()
        for wake_time in wake_times(count):
            greenlet(sleep_until).switch(wake_time)
        while heap:
            time.sleep(max(0.0, heap[0][0] - monotonic()))
            while heap and heap[0][0] <= monotonic():
                heapq.heappop(heap)[2].switch()
        return (process_time() - start) / count, max(late)


def _carrier() -> greenlet:
    """A greenlet that runs each function that is passed to its `switch`."""

    def carry() -> None:
        home = getcurrent().parent
        task, arguments = home.switch()
        while True:
            task, arguments = home.switch(task(*arguments))

    carrier = greenlet(carry)
    carrier.switch()
    return carrier


def _nothing() -> None:
    pass

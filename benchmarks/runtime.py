"""The runtime: what a task, a switch and handing over an item cost.

    python benchmarks/runtime.py --impl gcron --only spawn-join

Each implementation is a class with one method an area, in the `runtime_*` module of its idiom.
"""

from __future__ import annotations

import harness
from harness import Area, Measure

AREAS = (
    Area("spawn-join", "spawn and join a task that does nothing", 100_000, (Measure("each", "µs"),)),
    Area("sleep0", "sleep(0) round trip, 100 tasks taking turns", 200_000, (Measure("each", "µs"),)),
    Area("sleep0-alone", "sleep(0) round trip, one task alone", 100_000, (Measure("each", "µs"),)),
    Area("queue", "an item from producer to consumer, room for one", 100_000, (Measure("each", "µs"),)),
    Area("queue-stream", "the same, room for 100", 200_000, (Measure("each", "µs"),)),
    Area("queue-reply", "a message over one of two queues, to and fro", 100_000, (Measure("each", "µs"),)),
    Area("async-result", "set one, the other wakes with its value", 100_000, (Measure("each", "µs"),)),
    Area("semaphore", "release one, the other wakes holding it", 100_000, (Measure("each", "µs"),)),
    Area("pool-map", "map a plain function, one task an item, 100 at once", 100_000, (Measure("each", "µs"),)),
    Area("event", "set() until the last of all waiters has run", 10_000, (Measure("each", "µs"),), repeat=5),
    Area(
        "sleepers",
        "tasks that sleep to times in disorder, start to finish",
        100_000,
        (Measure("cpu each", "µs"), Measure("worst lateness", "ms")),
        repeat=1,
        warm_up=False,
        # A collector's pause of 0.2 s between reading the clock and arming the timer would be the worst lateness. Which
        # implementation has one there depends on its allocations, not on its timers.
        collector=False,
    ),
)


def _greenlets(package: str) -> object:
    from runtime_greenlets import Greenlets

    return Greenlets(package)


def _asyncio() -> object:
    import asyncio

    from runtime_coroutines import Coroutines

    return Coroutines(asyncio.run)


def _uvloop() -> object:
    import uvloop
    from runtime_coroutines import Coroutines

    return Coroutines(uvloop.run)


def _trio() -> object:
    from runtime_trio import Trio

    return Trio()


def _floor() -> object:
    from runtime_floor import Floor

    return Floor()


PROGRAM = harness.Program(
    "runtime",
    AREAS,
    {
        "gcron": lambda: _greenlets("gcron"),
        "gevent": lambda: _greenlets("gevent"),
        "uvloop": _uvloop,
        "asyncio": _asyncio,
        "trio": _trio,
        "greenlet": _floor,
    },
)

if __name__ == "__main__":
    harness.main(PROGRAM)

"""Queues between greenlets, with the standard library's `Empty` and `Full`.

`Queue(0)` and `Queue(None)` have no bound. A `Channel` hands each item over directly: `put` waits for a `get`.

Example::

    from gcron import spawn
    from gcron.queue import Queue

    jobs = Queue(maxsize=10)
    spawn(jobs.put, "first")
    print(jobs.get(timeout=1.0))
"""

from gcron.runtime.queue import (
    Channel,
    Empty,
    Full,
    JoinableQueue,
    LifoQueue,
    PriorityQueue,
    Queue,
    ShutDown,
    SimpleQueue,
)

__all__ = [
    "Channel",
    "Empty",
    "Full",
    "JoinableQueue",
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "ShutDown",
    "SimpleQueue",
]

"""Locks for greenlets, first come, first served: `Semaphore`, `BoundedSemaphore`, `RLock`.

Example::

    from gcron.lock import Semaphore

    connections = Semaphore(2)
    with connections:
        print("at most two greenlets are here at once")
"""

from gcron.runtime.lock import BoundedSemaphore, DummySemaphore, RLock, Semaphore

__all__ = ["BoundedSemaphore", "DummySemaphore", "RLock", "Semaphore"]

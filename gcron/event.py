"""`Event`, a flag that greenlets wait for, and `AsyncResult`, a value or an error that arrives once.

Example::

    from gcron import spawn
    from gcron.event import AsyncResult

    answer = AsyncResult()
    spawn(answer.set, 42)
    print(answer.get(timeout=1.0))
"""

from gcron.runtime.event import AsyncResult, Event

__all__ = ["AsyncResult", "Event"]

"""Errors that say that a program has gone wrong, not what it asked for.

Example::

    from gcron.event import Event
    from gcron.exceptions import LoopExit

    try:
        Event().wait()
    except LoopExit:
        print("nobody is left who could set it")
"""

from gcron.runtime.hub import LoopExit
from gcron.runtime.sockets import ConcurrentObjectUseError

__all__ = ["ConcurrentObjectUseError", "LoopExit"]

"""The loop of a thread: `get_hub` returns it, `LoopExit` says that nothing can wake the main greenlet any more.

Example::

    from gcron.hub import get_hub

    get_hub().call_later(1.0, print, "a second later")
"""

from gcron.runtime.hub import Hub, LoopExit, get_hub

__all__ = ["Hub", "LoopExit", "get_hub"]

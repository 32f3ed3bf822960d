"""gcron: a cron that supervises what it starts, and the cooperative runtime under it.

This is the front door: it names what users import and loads each room on first use, so that a program that only wants
greenlets need not know of crontabs. Only the loop itself is loaded at once: it has to start where the stack is shallow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gcron.hub import Hub, LoopExit, get_hub
from gcron.version import __version__

if TYPE_CHECKING:
    from gcron.greenlet import (
        Greenlet,
        GreenletExit,
        getcurrent,
        iwait,
        joinall,
        kill,
        killall,
        sleep,
        spawn,
        spawn_later,
        wait,
    )
    from gcron.scheduler import Job, Scheduler
    from gcron.timeout import Timeout, with_timeout

__all__ = [
    "Greenlet",
    "GreenletExit",
    "Job",
    "LoopExit",
    "Scheduler",
    "Timeout",
    "__version__",
    "get_hub",
    "getcurrent",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "sleep",
    "spawn",
    "spawn_later",
    "wait",
    "with_timeout",
]

_ROOMS = {
    "gcron.greenlet": (
        "Greenlet",
        "GreenletExit",
        "getcurrent",
        "iwait",
        "joinall",
        "kill",
        "killall",
        "sleep",
        "spawn",
        "spawn_later",
        "wait",
    ),
    "gcron.scheduler": ("Job", "Scheduler"),
    "gcron.timeout": ("Timeout", "with_timeout"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load the room of `name` on first use."""
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module 'gcron' has no attribute {name!r}")
    value = getattr(import_module(room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _make_threadpool(hub: Hub) -> Any:
    return import_module("gcron.threadpool").ThreadPool(hub=hub)


Hub.make_threadpool = _make_threadpool

"""How each implementation of `pipes.py` and `spawn.py` runs a coroutine. Those without coroutines never suspend one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, float]], float]


def implementations(
    on_popen: Callable[[str], T], on_asyncio: Callable[[Run], T], on_trio: Callable[[Run], T]
) -> dict[str, Callable[[], T]]:
    """A program's implementations: `on_popen` makes one of a module's `Popen`, the others of what runs a coroutine."""
    return {
        "gcron": lambda: on_popen("gcron.subprocess"),
        "gevent": lambda: on_popen("gevent.subprocess"),
        "asyncio": lambda: on_asyncio(_asyncio_run()),
        "uvloop": lambda: on_asyncio(_uvloop_run()),
        "trio": lambda: on_trio(_trio_run()),
        "stdlib": lambda: on_popen("subprocess"),
    }


def run_unsuspended(coroutine: Coroutine[Any, Any, float]) -> float:
    """Run a coroutine whose every wait blocks."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: float = end.value
        return result
    raise RuntimeError("a blocking implementation suspended its coroutine")


def _asyncio_run() -> Run:
    import asyncio

    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        # The default of later versions; 3.11 would start a thread for each child.
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    return asyncio.run


def _uvloop_run() -> Run:
    import uvloop

    run: Run = uvloop.run
    return run


def _trio_run() -> Run:
    import trio

    async def await_it(coroutine: Coroutine[Any, Any, float]) -> float:
        return await coroutine

    return lambda coroutine: trio.run(await_it, coroutine)

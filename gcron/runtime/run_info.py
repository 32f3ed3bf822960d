"""A listing of what every thread and every greenlet does, for a program that seems to hang.

There is no list of all greenlets, because that would make every spawn slower. The garbage collector knows them.
"""

from __future__ import annotations

import gc
import sys
import threading
from types import FrameType
from typing import TextIO

from greenlet import getcurrent as raw_getcurrent

from gcron.runtime.greenlet import Greenlet, getcurrent
from gcron.runtime.hub import Hub, describe, get_hub

__all__ = ["format_run_info", "print_run_info"]

_EVERYWHERE = frozenset(f"{__package__}.{name}" for name in ("greenlet", "hub", "links", "loop", "ring"))


def format_run_info(thread_stacks: bool = True, greenlet_stacks: bool = True, limit: int | None = None) -> list[str]:
    """Return the lines of a list of all threads, and of all greenlets that have not ended, with their stacks.

    `thread_stacks`, `greenlet_stacks`: False omits the stacks. `limit`: the innermost frames of each, at most so many.
    Greenlets of other threads are listed without a stack, because it may change at any time.
    """
    lines = []
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        here = " (this one)" if ident == threading.get_ident() else ""
        lines.append(f"Thread {names.get(ident, 'of an unknown name')}{here}")
        if thread_stacks:
            lines += _stack(frame, limit)
    hub = get_hub()
    main = hub.main
    if main is not None and main is not raw_getcurrent():
        lines.append("Main greenlet, waiting")
        if greenlet_stacks:
            lines += _stack(main.gr_frame, limit)
    for greenlet in _unended():
        lines.append(f"{describe(greenlet)}, {_state(greenlet, hub)}")
        if greenlet_stacks and greenlet.hub is hub:
            lines += _stack(greenlet.gr_frame, limit)
    return lines


def print_run_info(
    thread_stacks: bool = True, greenlet_stacks: bool = True, limit: int | None = None, file: TextIO | None = None
) -> None:
    """Print what `format_run_info` returns to `file`, standard error by default."""
    print(*format_run_info(thread_stacks, greenlet_stacks, limit), sep="\n", file=file or sys.stderr)


def _unended() -> list[Greenlet]:
    # Not isinstance: that asks the object for its class, and some proxies raise an error then.
    greenlets = [thing for thing in gc.get_objects() if issubclass(type(thing), Greenlet)]
    return [greenlet for greenlet in greenlets if greenlet.started]


def _state(greenlet: Greenlet, hub: Hub) -> str:
    if greenlet is getcurrent():
        return "running: see its thread"
    if greenlet.hub is not hub:
        return "in another thread"
    return "not begun" if greenlet.gr_frame is None else "waiting"


def _stack(frame: FrameType | None, limit: int | None) -> list[str]:
    if frame is None:
        return []
    import traceback

    # From the inside out, without the frames that are the same in every greenlet.
    frames = [pair for pair in traceback.walk_stack(frame) if pair[0].f_globals.get("__name__") not in _EVERYWHERE]
    entries = traceback.StackSummary.extract(iter(frames[:limit][::-1]))
    return [line for entry in entries.format() for line in entry.rstrip("\n").split("\n")]

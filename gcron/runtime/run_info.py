"""What every thread and every greenlet does just now, as text for people: for a program that seems to hang.

Greenlets keep no list of themselves, which would cost at every spawn: the garbage collector knows them.
"""

from __future__ import annotations

import gc
import sys
import threading
import traceback
from types import FrameType
from typing import TextIO

from greenlet import getcurrent as raw_getcurrent

from gcron.runtime.greenlet import Greenlet, getcurrent
from gcron.runtime.hub import Hub, describe, get_hub

__all__ = ["format_run_info", "print_run_info"]

_EVERYWHERE = frozenset(f"{__package__}.{name}" for name in ("greenlet", "hub", "links", "loop", "ring"))


def format_run_info(thread_stacks: bool = True, greenlet_stacks: bool = True, limit: int | None = None) -> list[str]:
    """Return lines that list all threads, and all greenlets that have not ended, each with where it is.

    `thread_stacks`, `greenlet_stacks`: False leaves the stacks out. `limit`: at most so many frames of each, the
    innermost. Stacks of greenlets are those of the calling thread; another thread's may move while one looks.
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
    # Not isinstance: it asks the object, and a proxy somewhere may answer with an error.
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
    # From the inside out. What is the same in every greenlet is left out.
    frames = [pair for pair in traceback.walk_stack(frame) if pair[0].f_globals.get("__name__") not in _EVERYWHERE]
    entries = traceback.StackSummary.extract(iter(frames[:limit][::-1]))
    return [line for entry in entries.format() for line in entry.rstrip("\n").split("\n")]

"""A line of progress on stderr, for work that takes long enough for somebody to wonder."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["with_progress"]

_Item = TypeVar("_Item")

_PATIENCE = 0.5
"""Seconds after which one wonders; most commands have answered by then, and never show anything."""
_CLEAR_LINE = "\r\x1b[K"


def with_progress(items: Sequence[_Item], doing: str) -> Iterator[_Item]:
    """Yield the items; while that takes long and stderr is a terminal, say there how many are done: `reading 3/40`."""
    since = time.monotonic()
    shown = False
    try:
        for done, item in enumerate(items):
            if time.monotonic() - since > _PATIENCE and sys.stderr.isatty():
                shown = True
                print(f"{_CLEAR_LINE}gcron: {doing} {done}/{len(items)}", end="", file=sys.stderr, flush=True)
            yield item
    finally:
        if shown:
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)

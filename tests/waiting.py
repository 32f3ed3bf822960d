"""Waiting for events. A test waits until something has happened, never for a time in which it should happen."""

from __future__ import annotations

import fcntl
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import TypeVar

import psutil

from gcron.greenlet import sleep

__all__ = ["FULL_PIPE", "PATIENCE", "SLACK", "takes", "unread", "until"]

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which a test gives up. Nothing takes that long, even on a busy machine."""
FULL_PIPE = 60_000
"""Bytes in a pipe that nobody reads, at least: its pages, 64 KiB together, may not be filled."""
SLACK = 5.0
"""Seconds that a busy machine may add to a promised time. A broken promise must take longer than both."""


def until(condition: Callable[[], T], what: str = "it", patience: float = PATIENCE) -> T:
    """Return what `condition` returns once that is true. Greenlets run meanwhile.

    A condition about a process that has ended does not hold. `patience` is real time, also on a virtual clock.
    """
    deadline = time.monotonic() + patience
    while True:
        with suppress(psutil.NoSuchProcess):
            if found := condition():
                return found
        assert time.monotonic() < deadline, f"waited {patience:g} s in vain for {what}"
        sleep(0.005)


@contextmanager
def takes(at_least: float = 0.0, at_most: float = inf) -> Iterator[None]:
    """Assert how many seconds the block takes. `at_most` is the promised time, to which `SLACK` is added."""
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    assert at_least <= seconds < at_most + SLACK


def unread(pipe: int) -> int:
    """Return how many bytes wait to be read from a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)

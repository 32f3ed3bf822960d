"""Waiting for events in tests. A test waits for what it needs, and never for a time in which that should happen."""

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
"""Seconds after which a test gives up waiting. Nothing takes that long, also on a machine that is busy."""
FULL_PIPE = 60_000
"""Bytes in a pipe that nobody reads: 64 KiB, but for what is unused of its pages."""
SLACK = 5.0
"""Seconds that a busy machine may add to what is promised. What a broken promise takes has to be longer still."""


def until(condition: Callable[[], T], what: str = "it", patience: float = PATIENCE) -> T:
    """Return what `condition` returns once that is true. Greenlets run meanwhile.

    It may look at processes that end. `patience` is in seconds of the machine, also while the hub is on virtual time.
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
    """Assert how many seconds the block takes. `at_most` is what is promised; a busy machine has `SLACK` more."""
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    assert at_least <= seconds < at_most + SLACK


def unread(pipe: int) -> int:
    """Return how many bytes wait to be read from a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)

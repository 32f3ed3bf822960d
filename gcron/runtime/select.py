"""Waiting for descriptors of others, given as numbers or as objects with a `fileno()`.

For what has no cooperative class here: pipes of `multiprocessing`, devices, sockets of a C library. The descriptors
stay as they are, blocking or not.
"""

from __future__ import annotations

import errno
import os
import select as _stdlib
from collections.abc import Iterable, Sequence
from typing import Any

from gcron.runtime.hub import READ, WRITE, get_hub, sleep

__all__ = ["select", "wait_read", "wait_readwrite", "wait_write"]

_EXCEPTIONAL = _stdlib.POLLPRI
_READABLE = _stdlib.POLLIN | _stdlib.POLLHUP | _stdlib.POLLERR
_WRITABLE = _stdlib.POLLOUT | _stdlib.POLLERR


def wait_read(
    fileno: Any, timeout: float | None = None, timeout_exc: BaseException | type[BaseException] | None = None
) -> None:
    """Wait until `fileno` (a number, or an object with a `fileno()`) can be read.

    Raises `timeout_exc`, or else `TimeoutError("timed out")`, after `timeout` seconds.
    """
    _wait(fileno, READ, timeout, timeout_exc)


def wait_write(
    fileno: Any, timeout: float | None = None, timeout_exc: BaseException | type[BaseException] | None = None
) -> None:
    """Wait until `fileno` can be written to. As `wait_read`."""
    _wait(fileno, WRITE, timeout, timeout_exc)


def wait_readwrite(
    fileno: Any, timeout: float | None = None, timeout_exc: BaseException | type[BaseException] | None = None
) -> None:
    """Wait until `fileno` can be read or written to. As `wait_read`."""
    _wait(fileno, READ | WRITE, timeout, timeout_exc)


def _wait(
    fileno: Any, mask: int, timeout: float | None, timeout_exc: BaseException | type[BaseException] | None
) -> None:
    if not get_hub().wait_io(_number(fileno), mask, timeout):
        raise TimeoutError("timed out") if timeout_exc is None else timeout_exc


def select(
    rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: float | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """As `select.select`: return what can be read, what can be written to, and what has an exceptional condition.

    Returns three empty lists after `timeout` seconds. With 0, others have a turn first. It does not wait for
    exceptional conditions (`xlist`), but reports them beside others. Descriptors may be larger than 1023.

    Raises `TypeError` for what has no descriptor, `ValueError` for negative descriptors and time-outs, `OSError` for
    descriptors that are not open.
    """
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    lists = tuple([(item, _number(item)) for item in items] for items in (rlist, wlist, xlist))
    wanted = [(fd, READ) for _, fd in lists[0]] + [(fd, WRITE) for _, fd in lists[1]]
    deadline = None if timeout is None else get_hub().monotonic() + timeout
    if timeout == 0:
        sleep()
    while True:
        ready = _look(lists)
        left = None if deadline is None else deadline - get_hub().monotonic()
        if any(ready) or (left is not None and left <= 0):
            return ready
        get_hub().wait_any_io(wanted, left)


def _look(lists: Sequence[list[tuple[Any, int]]]) -> tuple[list[Any], list[Any], list[Any]]:
    """Ask the kernel, without waiting."""
    poll = _stdlib.poll()
    masks: dict[int, int] = {}
    for items, mask in zip(lists, (_stdlib.POLLIN, _stdlib.POLLOUT, _EXCEPTIONAL), strict=True):
        for _, fd in items:
            masks[fd] = masks.get(fd, 0) | mask
    for fd, mask in masks.items():
        poll.register(fd, mask)
    found = dict(poll.poll(0))
    if any(mask & _stdlib.POLLNVAL for mask in found.values()):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    readable, writable, exceptional = (
        [item for item, fd in items if found.get(fd, 0) & mask]
        for items, mask in zip(lists, (_READABLE, _WRITABLE, _EXCEPTIONAL), strict=True)
    )
    return readable, writable, exceptional


def _number(item: Any) -> int:
    fd = item if isinstance(item, int) else getattr(item, "fileno", lambda: None)()
    if not isinstance(fd, int):
        raise TypeError(f"expected a descriptor or an object with a fileno() method, got {item!r}")
    if fd < 0:
        raise ValueError(f"a descriptor is 0 or more, got {fd}")
    return fd

"""A deadline for the connections of one delivery. For threads.

The time-outs of sockets are for one read each. A server that sends a byte now and then, or answers that never end,
holds a thread for ever, and with it its target. So the connection is cut from outside.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

from gcron.notify.delivery import DeliveryError

__all__ = ["Deadline", "watch"]

_thread = threading.local()


class Deadline:
    """Cuts the connections that its thread opens in the `with` block, once `seconds` have passed.

    Raises DeliveryError instead of the error that the cut makes, and when the system allows no thread for the clock.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._is_over = False

    @property
    def error(self) -> DeliveryError | None:
        """What the deliverer says when the time is over; None before."""
        text = f"it did not come to an end within {self._seconds:g} s"
        return DeliveryError(text) if self._is_over else None

    def __enter__(self) -> Deadline:
        try:
            self._timer.start()
        except RuntimeError:
            raise DeliveryError("no thread is free") from None
        _thread.deadline = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _thread.deadline = None
        self._timer.cancel()
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        if error is not None and self.error is not None:
            raise self.error from None

    def add(self, connection: socket.socket) -> None:
        """Cut this connection, too. A copy is kept, for TLS takes the socket away from its object."""
        with self._lock:
            self._connections.append(connection.dup())
            if self._is_over:
                _shut(connection)

    def _cut(self) -> None:
        with self._lock:
            self._is_over = True
            for connection in self._connections:
                _shut(connection)


def watch(connection: socket.socket) -> socket.socket:
    """Return a connection, which is cut at the deadline of the calling thread."""
    deadline: Deadline | None = getattr(_thread, "deadline", None)
    if deadline is not None:
        deadline.add(connection)
    return connection


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)

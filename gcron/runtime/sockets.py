"""The class `gcron.socket.socket`: each call is tried at once, and waits in the hub when it would block.

The descriptor is always non-blocking. The time-out that the user set is stored here. Descriptors, options, names,
`makefile`, `dup` and `repr` are the standard library's.

A socket belongs to the thread whose hub waits for it. Closing it in another thread wakes nobody.
"""

from __future__ import annotations

import errno
import io
import math
import operator
import os
import socket as _stdlib
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from greenlet import getcurrent

from gcron.runtime.dns import resolve
from gcron.runtime.hub import READ, WRITE, Hub, get_hub, sleep

__all__ = ["ConcurrentObjectUseError", "socket"]

T = TypeVar("T")
_Std = _stdlib.socket

# A peer that is always faster than we are must not stop everybody else: after so many calls in a row that did not wait,
# others have a turn.
_MOST_UNWAITED = 64
# Seconds between two tries where the kernel has no event to wait for.
_NAP = 0.005
# A flag of every transfer. Whether a descriptor blocks is shared with its duplicates, for example that of a child which
# got the socket as stdin. A plain number, because the enumeration's `&` is slow. HOT PATH.
_DONTWAIT = int(_stdlib.MSG_DONTWAIT)
_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY)
# Errors of `os.sendfile` for files that it cannot send. They can be read and sent.
_NO_SENDFILE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOVERFLOW)
_SENDFILE_BLOCK = 2**30


class ConcurrentObjectUseError(AssertionError):
    """A greenlet would wait to read (or to write) a socket for which another greenlet already waits to do so."""

    __module__ = "gcron.exceptions"


class socket(_Std):  # noqa: N801 - the standard library's name
    """As `socket.socket`, but a call that would block parks the calling greenlet instead of the thread.

    A call that takes longer than the time-out raises `TimeoutError("timed out")`. If another greenlet closes the
    socket, it raises `OSError` (`EBADF`). With time-out 0 it does not wait, but raises `BlockingIOError`. One greenlet
    may read while another writes. A second one that would wait for the same raises `ConcurrentObjectUseError`.
    """

    __module__ = "gcron.socket"
    __slots__ = ("_limit", "_unwaited", "_waited_for")

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        super().__init__(family, type, proto, fileno)
        # The default time-out, or 0 for a type with SOCK_NONBLOCK.
        self._limit: float | None = super().gettimeout()
        super().settimeout(0.0)
        self._unwaited = 0
        self._waited_for = 0

    # -- time-outs ------------------------------------------------------------------------------------------

    def settimeout(self, value: float | None, /) -> None:
        """Let calls wait at most `value` seconds. None: for ever. 0: not at all.

        Applies from the next call on. Raises `ValueError` for negative numbers, `TypeError` for what is no number.
        """
        if value is None:
            self._limit = None
            return
        seconds = float(value if isinstance(value, float) else operator.index(value))
        if math.isnan(seconds) or seconds < 0:
            raise ValueError(f"a time-out is 0 seconds or more, got {value}")
        if seconds > threading.TIMEOUT_MAX:
            raise OverflowError(f"{value} seconds are more than a time-out can be")
        self._limit = seconds

    def gettimeout(self) -> float | None:
        """Return the seconds that a call may wait. None: for ever. 0.0: non-blocking."""
        return self._limit

    timeout = property(gettimeout, doc="As `gettimeout()`.")

    def setblocking(self, flag: bool, /) -> None:
        """True: `settimeout(None)`; False: `settimeout(0)`."""
        self._limit = None if flag else 0.0

    def getblocking(self) -> bool:
        """False with time-out 0, otherwise True."""
        return self._limit != 0

    # -- connections ----------------------------------------------------------------------------------------

    def connect(self, address: Any, /) -> None:
        """Connect. A host name is looked up in a thread, which the time-out does not include.

        Raises `OSError` as the standard library does, `gaierror` for an unknown name.
        """
        code = self._connect(address)
        if code:
            raise OSError(code, os.strerror(code))

    def connect_ex(self, address: Any, /) -> int:
        """As `connect`, but return the error's number. 0 is success, `EAGAIN` a time-out."""
        try:
            return self._connect(address)
        except TimeoutError:
            return errno.EAGAIN
        except OSError as error:
            if error.errno != errno.EBADF:
                raise  # an unknown host
            return errno.EBADF

    def _connect(self, address: Any) -> int:
        address = resolve(address, self.family)
        may_wait = self._limit != 0
        deadline = self._deadline()
        code = super().connect_ex(address)
        while may_wait and self._under_way(code):
            if code == errno.EAGAIN:
                self._nap(deadline)
            else:
                self._wait(WRITE, deadline)
            code = self.getsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_ERROR)
            # No error is no success yet: the wake-up may have had another reason.
            code = code or super().connect_ex(address)
            if code == errno.EISCONN:
                return 0
        return code

    def _under_way(self, code: int) -> bool:
        # EAGAIN of a Unix socket: the listener's queue is full. Of others: no port is free, and waiting does not help.
        return code in _UNDER_WAY or (code == errno.EAGAIN and self.family == _stdlib.AF_UNIX)

    def accept(self) -> tuple[socket, Any]:
        """Wait for a connection. Return a new socket for it, and the address of its other end."""
        fd, address = self._attempt(READ, 0, _Std._accept)  # type: ignore[attr-defined]
        return socket(self.family, self.type, self.proto, fileno=fd), address

    def bind(self, address: Any, /) -> None:
        """Bind to `address`. A host name is looked up in a thread."""
        super().bind(resolve(address, self.family))

    # -- receiving ------------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Return 1 to `bufsize` bytes, or b"" when the other end has finished."""
        return self._attempt(READ, flags, _Std.recv, bufsize, flags | _DONTWAIT)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `recv`, but into `buffer`. Return the number of bytes."""
        return self._attempt(READ, flags, _Std.recv_into, buffer, nbytes, flags | _DONTWAIT)

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """As `recv`, but also return the sender's address."""
        return self._attempt(READ, flags, _Std.recvfrom, bufsize, flags | _DONTWAIT)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As `recv_into`, but also return the sender's address."""
        return self._attempt(READ, flags, _Std.recvfrom_into, buffer, nbytes, flags | _DONTWAIT)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        """Return data, ancillary data (descriptors, credentials), flags and the sender's address."""
        return self._attempt(READ, flags, _Std.recvmsg, bufsize, ancbufsize, flags | _DONTWAIT)

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[Any], int, Any]:
        """As `recvmsg`, but into `buffers`."""
        buffers = list(buffers)  # a second try needs them again
        return self._attempt(READ, flags, _Std.recvmsg_into, buffers, ancbufsize, flags | _DONTWAIT)

    # -- sending --------------------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send as much as there is room for. Return the number of bytes."""
        return self._attempt(WRITE, flags, _Std.send, data, flags | _DONTWAIT)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of `data`. The time-out is for the whole. After an error nobody knows how much was sent."""
        deadline = self._deadline()
        sent = self._attempt(WRITE, flags, _Std.send, data, flags | _DONTWAIT, deadline=deadline)
        if type(data) is bytes and sent == len(data):
            return  # HOT PATH: most calls end here
        with memoryview(data) as view, view.cast("B") if view.nbytes else memoryview(b"") as octets:
            while sent < len(octets):
                if deadline is not None and get_hub().monotonic() >= deadline:
                    raise TimeoutError("timed out")
                sent += self._attempt(WRITE, flags, _Std.send, octets[sent:], flags | _DONTWAIT, deadline=deadline)

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """`sendto(data[, flags], address)`: send one datagram. A host name is looked up in a thread."""
        if len(flags_and_address) not in (1, 2):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(flags_and_address)} given)")
        *given, address = flags_and_address
        flags = given[0] if given else 0
        address = resolve(address, self.family)
        return self._attempt(WRITE, flags, _Std.sendto, data, flags | _DONTWAIT, address)

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Any = None, /
    ) -> int:
        """Send `buffers` as one message with ancillary data. Return the number of plain bytes sent."""
        buffers, ancdata = list(buffers), list(ancdata)  # a second try needs them again
        address = resolve(address, self.family)
        return self._attempt(WRITE, flags, _Std.sendmsg, buffers, ancdata, flags | _DONTWAIT, address)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a binary file from `offset` to its end, or `count` bytes of it. Return the number of bytes sent.

        The time-out is for each wait. Reading the file blocks. Afterwards, also on errors, the file's position is after
        what was sent. Raises `ValueError` with time-out 0.
        """
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]
        if self._limit == 0:
            raise ValueError("non-blocking sockets are not supported")
        start = offset
        try:
            source = file.fileno()
            block = min(count or os.fstat(source).st_size, _SENDFILE_BLOCK)
            while block and (sent := self._attempt(WRITE, 0, _send_block, source, offset, block)):
                offset += sent
                if count is not None:
                    block = min(start + count - offset, _SENDFILE_BLOCK)
        except (AttributeError, OSError) as error:
            cannot = isinstance(error, AttributeError | io.UnsupportedOperation) or error.errno in _NO_SENDFILE
            if offset > start or not cannot:
                raise
            return int(self._sendfile_use_send(file, offset, count))  # type: ignore[attr-defined]
        finally:
            if offset > start and hasattr(file, "seek"):
                file.seek(offset)
        return offset - start

    # -- closing --------------------------------------------------------------------------------------------

    def detach(self) -> int:
        """Return the descriptor, open and non-blocking, and forget it. Whoever waits for it gets `EBADF`."""
        self._wake_waiters()
        return super().detach()

    def _real_close(self, *args: Any) -> None:
        # The standard library's close() calls this when the last file of makefile() is closed, too.
        self._wake_waiters()
        super()._real_close(*args)  # type: ignore[misc]

    def _wake_waiters(self) -> None:
        # A thread without a hub needs none for this: nobody waits there.
        hub: Hub | None = getattr(getcurrent(), "hub", None)
        if hub is not None and self.fileno() >= 0:
            hub.io.closing(self.fileno(), OSError(errno.EBADF, "the socket was closed while it was waited for"))

    # -- waiting --------------------------------------------------------------------------------------------

    def _attempt(self, mask: int, flags: int, call: Callable[..., T], *args: Any, deadline: float | None = None) -> T:
        """Return `call(self, *args)`. Wait for `mask` as long as it would block. HOT PATH."""
        limit = self._limit
        self._unwaited += 1
        if self._unwaited > _MOST_UNWAITED and limit != 0:
            # Before the call, never after it: a time limit that is raised here must not lose what was received.
            self._unwaited = 0
            sleep()
        try:
            return call(self, *args)
        except BlockingIOError:
            if limit == 0 or flags & _DONTWAIT:
                raise
        self._unwaited = 0
        if deadline is None:
            deadline = self._deadline()
        while True:
            self._wait(mask, deadline)
            try:
                return call(self, *args)
            except BlockingIOError:
                continue

    def _deadline(self) -> float | None:
        # None for time-out 0, too: a call that does not wait is never late.
        return get_hub().monotonic() + self._limit if self._limit else None

    def _wait(self, mask: int, deadline: float | None) -> None:
        """Wait until the socket is ready for `mask`. Raises `TimeoutError` at `deadline`."""
        # An unconnected datagram socket polls as writable even while its receiver's queue is full.
        if mask == WRITE and self.family == _stdlib.AF_UNIX and self.type == _stdlib.SOCK_DGRAM:
            self._nap(deadline)
            return
        if self._waited_for & mask:
            raise ConcurrentObjectUseError(f"another greenlet waits for this socket already: {self!r}")
        hub = get_hub()
        left = None if deadline is None else max(0.0, deadline - hub.monotonic())
        self._waited_for |= mask
        try:
            # What came in time counts, however late the hub polls: it does so before it lets a timed-out greenlet run.
            if not hub.wait_io(self.fileno(), mask, left):
                raise TimeoutError("timed out")
        finally:
            self._waited_for &= ~mask

    def _nap(self, deadline: float | None) -> None:
        left = _NAP if deadline is None else deadline - get_hub().monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        sleep(min(left, _NAP))


def _send_block(to: socket, source: int, offset: int, size: int) -> int:
    return os.sendfile(to.fileno(), source, offset, size)

"""Pipes to and from child processes: file objects that park the calling greenlet instead of the thread.

`cooperative` rebuilds the standard library's stack of file objects on one pipe. `wait_for_any` waits for several pipes
at once. May not know processes.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
from collections.abc import Iterable
from typing import Any

from gcron.runtime.hub import READ, WRITE, get_hub, sleep
from gcron.runtime.readiness import Readiness

__all__ = ["READ", "WRITE", "Pipe", "blocking_twin", "cooperative", "raw_pipe", "wait_for_any"]

READ_SIZE = 65536
"""Bytes per read: as many as a Linux pipe holds by default."""
# A child that writes as fast as we read never makes us park. After so many transfers in a row others have a turn.
_TRANSFERS_IN_A_ROW = 16
# A shorter read has nearly emptied the pipe: others have a turn at once, and the child fills it meanwhile. To read
# again at once, on another processor, costs both sides more: they would exchange many small pieces.
_SHORT_READ = READ_SIZE // 4


class Pipe(io.RawIOBase):
    """One end of a pipe. Tries the system call first, and parks until the pipe is ready if it would block."""

    # A plain attribute instead of the base class's computed one: buffers read it for every line. HOT PATH.
    closed = False

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        # Of the hub in which somebody waited for it last.
        self._readiness: Readiness | None = None
        self._in_a_row = 0
        self.name = file.name
        self.mode = file.mode
        self.patient = True
        """False: `readinto` and `write` return None where they would have to wait."""
        os.set_blocking(file.fileno(), False)

    def fileno(self) -> int:
        """See `io.RawIOBase`."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """See `io.RawIOBase`."""
        return False

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return self._file.readable()

    def writable(self) -> bool:
        """See `io.RawIOBase`."""
        return self._file.writable()

    def readinto(self, buffer: Any) -> int | None:
        """See `io.RawIOBase`. HOT PATH."""
        if self._in_a_row >= _TRANSFERS_IN_A_ROW and self.patient:
            self._be_fair()
        while (count := self._file.readinto(buffer)) is None:
            if not self.patient:
                return None
            self._wait(READ)
        self._in_a_row += 1 if count >= _SHORT_READ or count == len(buffer) else _TRANSFERS_IN_A_ROW
        return count

    def readall(self) -> bytes:
        """Read to the end."""
        chunks = []
        while chunk := self.read(READ_SIZE):
            chunks.append(chunk)
        return b"".join(chunks)

    def write(self, data: Any) -> int | None:
        """See `io.RawIOBase`. HOT PATH."""
        if self.patient and self._in_a_row >= _TRANSFERS_IN_A_ROW:
            self._be_fair()
        while (count := self._file.write(data)) is None:
            if not self.patient:
                return None
            self._wait(WRITE)
        self._in_a_row += 1
        return count

    def _wait(self, mask: int) -> None:
        self._in_a_row = 0
        hub = get_hub()
        self._readiness = hub.io
        hub.wait_io(self.fileno(), mask)

    def _be_fair(self) -> None:
        # Before a transfer, not after it: a greenlet that is killed here loses no data.
        self._in_a_row = 0
        sleep()

    def watched_by(self, readiness: Readiness) -> None:
        """Note that somebody waits for the descriptor there, and must be woken when it is closed."""
        self._readiness = readiness

    def close(self) -> None:
        """Close the descriptor. A greenlet that waits for it gets `OSError` (`EBADF`)."""
        if self.closed:
            return
        super().close()
        self.closed = True
        # Another thread's hub needs no word: the kernel removes the descriptor from its set.
        if self._readiness is not None and self._readiness is get_hub().io:
            error = OSError(errno.EBADF, "the pipe was closed while it was waited for")
            self._readiness.closing(self._file.fileno(), error)
        self._file.close()


class _Reader(io.BufferedReader):
    """A buffered reader that can be closed while another greenlet is parked inside it."""

    def close(self) -> None:
        try:
            super().close()
        except RuntimeError:
            # The other greenlet holds the buffer's lock: the pipe below wakes it with EBADF.
            self.raw.close()


class _Writer(io.BufferedWriter):
    """A buffered writer that can be closed while another greenlet is parked inside it."""

    def close(self) -> None:
        try:
            super().close()
        except RuntimeError:
            self.raw.close()

    # The collector may run in the hub, where nothing may wait: the pipe gets what it takes at once. When Python ends, a
    # module's names may go before the objects that use them: this uses attributes only.
    def __del__(self) -> None:
        try:
            self.raw.patient = False  # type: ignore[attr-defined]
            self.close()
        except (OSError, ValueError):
            return  # the pipe is full or the child is gone, so that the rest is lost; or the stream was detached


class _TextWriter(io.TextIOWrapper):
    """A text stream on a `_Writer`."""

    def __del__(self) -> None:
        try:
            self.buffer.raw.patient = False  # type: ignore[attr-defined]
            self.close()
        except (OSError, ValueError):
            return  # as above


def cooperative(stream: Any, buffer_size: int | None) -> Any:
    """Rebuild the stack of file objects that the standard library made on one pipe, on a cooperative `Pipe`.

    `stream` is the `stdin`, `stdout` or `stderr` of a `subprocess.Popen`; None stays None. `buffer_size` is the
    `bufsize` of `Popen`, in bytes. Below 2 it is no size.
    """
    if stream is None:
        return None
    if isinstance(stream, io.TextIOWrapper):
        settings: dict[str, Any] = {
            "encoding": stream.encoding,
            "errors": stream.errors,
            "line_buffering": stream.line_buffering,
            "write_through": stream.write_through,
        }
        text = _TextWriter if stream.writable() else io.TextIOWrapper
        return text(cooperative(stream.detach(), buffer_size), **settings)
    size = buffer_size if buffer_size is not None and buffer_size > 1 else None
    if isinstance(stream, io.BufferedReader):
        return _Reader(Pipe(stream.detach()), size or READ_SIZE)  # type: ignore[arg-type]
    if isinstance(stream, io.BufferedWriter):
        return _Writer(Pipe(stream.detach()), size or io.DEFAULT_BUFFER_SIZE)  # type: ignore[arg-type]
    return Pipe(stream)


def raw_pipe(stream: Any) -> Pipe:
    """Return the `Pipe` of a stream that `cooperative` made."""
    binary = getattr(stream, "buffer", stream)
    pipe: Pipe = getattr(binary, "raw", binary)
    return pipe


def blocking_twin(fd: int) -> int | None:
    """Return a new, blocking descriptor of the pipe `fd`, which stays as it is. None if there is no way to do so.

    Blocking is a property of the open file. Duplicates share it, also those of a child. Only a file that is opened anew
    has its own. Linux can open pipes anew, through /proc, but not sockets.
    """
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISFIFO(mode):
            return None
        access = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
        # Non-blocking at first: otherwise opening a named pipe waits for its other end.
        twin = os.open(f"/proc/self/fd/{fd}", access | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    os.set_blocking(twin, True)
    return twin


def wait_for_any(wanted: Iterable[tuple[Pipe, int]], timeout: float | None) -> None:
    """Wait until one of the pipes is ready for its mask (`READ`, `WRITE`), or `timeout` seconds have passed."""
    hub = get_hub()
    descriptors = []
    for pipe, mask in wanted:
        pipe.watched_by(hub.io)
        descriptors.append((pipe.fileno(), mask))
    hub.wait_any_io(descriptors, timeout)

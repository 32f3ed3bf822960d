"""Writes the log in a thread, which may block in `write`. The loop never blocks: it fills a bounded queue.

While the reader reads, however slowly, everything is written, and jobs that print too fast wait. When the reader has
stopped, job output is dropped and counted to the byte. The log says so when the reader goes on. The user may choose
that jobs wait instead.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections.abc import Callable
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import Literal

from gcron.runtime.event import Event
from gcron.runtime.greenlet import spawn
from gcron.runtime.hub import get_hub

__all__ = ["PASSING_ERRORS", "OnStall", "Outlets", "Sink"]

OnStall = Literal["drop", "block"]
"""What becomes of job output when the reader has stopped."""

QUEUE_LIMIT = 8 * 1024 * 1024
"""Bytes that may wait to be written."""
# gcron's own records are kept beyond the limit: up to so many times the limit.
_OWN_RECORDS = 4
# Seconds without any progress after which the reader counts as stopped.
_STALLED_AFTER = 1.0
# At the end: seconds that such a reader gets to go on, and seconds between two looks at it.
_LAST_CHANCE, _LOOK_AGAIN = 0.5, 0.05
# Bytes of the largest write: for a quick reader, and for a slow one. The progress of a write shows only at its end, so
# a long write to a slow reader would look like a reader that has stopped.
_BATCH, _SMALL_BATCH = 256 * 1024, 4096
# A write that took longer than so many seconds is slow.
_SLOW = 0.05
# Seconds for which short records are gathered.
_GATHERING = 0.005
_NOTHING = (0, 0)
PASSING_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.ENOBUFS}
"""Errors that pass: until then, records are lost and counted. After any other error the log stays off."""


class Sink:
    """Writes to `fd`. `report_drop(lines, size)` returns the log record about dropped lines and bytes.

    `on_stall="block"`: job output waits for a reader that has stopped, for as long as that takes.

    Belongs to the thread that makes it; only `_write_all` and what it calls run in the other one.
    """

    def __init__(
        self,
        fd: int,
        report_drop: Callable[[int, int], bytes],
        limit: int = QUEUE_LIMIT,
        on_stall: OnStall = "drop",
    ) -> None:
        self._fd = fd
        self._report_drop = report_drop
        self._limit = limit
        self._blocks = on_stall == "block"
        self._hub = get_hub()
        self._queue: SimpleQueue[bytes | tuple[int, int] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._written = 0
        """Bytes that were written: it grows while the reader reads."""
        self._writing_since: float | None = None
        """When the present write began to wait for the reader; None when no write waits."""
        self._dropped_lines = 0
        self._dropped_size = 0
        """Bytes that were dropped, and that no record names yet."""
        self.lost = 0
        """All bytes that were dropped."""
        self._room = Event()
        self._room.set()
        self._stalled = False
        self._closed = Event()
        self._is_closing = False
        self._broken = False
        self._batch = _SMALL_BATCH
        self._cut = False
        """True when the disk got full in the middle of a line."""
        self._writer = threading.Thread(target=self._write_all, name="gcron-log", daemon=True)
        self._writer.start()

    def write(self, data: bytes) -> None:
        """Write a record of gcron's own; never waits, and is kept longer than job output is. For any thread."""
        if self._waiting >= self._limit * _OWN_RECORDS:
            self._drop(data)
            return
        if not self._stalled:
            self._tell_dropped()
        self._enqueue(data)

    def write_output(self, data: bytes) -> None:
        """Write job output; parks while there is no room, drops it when the reader has stopped."""
        if self._has_room(len(data)) or self._wait_for_room(len(data)):
            self.write(data)
        else:
            self._drop(data)

    @property
    def is_off(self) -> bool:
        """True when the reader is gone: nothing is written any more."""
        return self._broken

    @property
    def has_died(self) -> bool:
        """True when its thread was ended by an error: nothing is written any more."""
        return not self._writer.is_alive() and not self._is_closing

    def stop_blocking(self) -> None:
        """From now on, drop output when the reader has stopped."""
        self._blocks = False

    def close(self, timeout: float | None = 5.0) -> None:
        """Write what is left, for at most `timeout` seconds; None: for as long as that takes.

        With a timeout, a reader that has stopped gets only half a second to go on.
        """
        self._stalled = False
        self._is_closing = True
        self._tell_dropped()
        self._queue.put(None)
        release = self._hub.hold()
        if timeout is None:
            self._closed.wait()
        else:
            self._wait_for_writer(timeout)
        release()

    def _wait_for_writer(self, timeout: float) -> None:
        began = time.monotonic()
        while not self._closed.wait(_LOOK_AGAIN):
            now = time.monotonic()
            since = self._writing_since
            has_stopped = since is not None and now - since >= _STALLED_AFTER
            if now - began >= (min(timeout, _LAST_CHANCE) if has_stopped else timeout):
                return

    # -- room -----------------------------------------------------------------------------------------------

    def _has_room(self, size: int) -> bool:
        with self._lock:
            return self._broken or self._waiting == 0 or self._waiting + size <= self._limit

    def _wait_for_room(self, size: int) -> bool:
        release = self._hub.hold()
        try:
            while not self._stalled:
                written = self._written
                self._room.clear()
                if self._has_room(size):
                    return True
                if not self._room.wait(_STALLED_AFTER) and self._written == written:
                    self._stalled = not self._blocks
        finally:
            release()
        return False

    def _make_room(self) -> None:
        self._stalled = False
        self._room.set()
        self._tell_dropped()

    def _drop(self, data: bytes) -> None:
        with self._lock:
            self._dropped_lines += data.count(b"\n")
            self._dropped_size += len(data)
            self.lost += len(data)

    def _tell_dropped(self) -> None:
        with self._lock:
            dropped = self._dropped_lines, self._dropped_size
            self._dropped_lines = self._dropped_size = 0
        if dropped[1]:
            self._queue.put(dropped)

    def _enqueue(self, data: bytes) -> None:
        with self._lock:
            if self._broken:
                return
            self._waiting += len(data)
        self._queue.put(data)

    # -- the writer thread ----------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while True:
            records, dropped = self._take()
            if records:
                if lost := self._write_record(records):
                    self._drop(lost)
                self._count_written(len(records))
            if dropped is None:
                break
            if dropped[1] and self._write_record(self._report_drop(*dropped)):
                with self._lock:
                    self._dropped_lines += dropped[0]
                    self._dropped_size += dropped[1]
        self._hub.call_soon_threadsafe(self._closed.set)

    def _take(self) -> tuple[bytes, tuple[int, int] | None]:
        """Wait for records: those of one write, and what was dropped after them (None at the end of the queue)."""
        item = self._queue.get()
        if self._waiting < _SMALL_BATCH:
            # A wake for each short record would cost the loop more time than one write a moment later.
            time.sleep(_GATHERING)
        records: list[bytes] = []
        size = 0
        while isinstance(item, bytes):
            records.append(item)
            size += len(item)
            if size >= _SMALL_BATCH:
                return _joined(records), _NOTHING
            try:
                item = self._queue.get_nowait()
            except Empty:
                return _joined(records), _NOTHING
        return _joined(records), item

    def _write_record(self, data: bytes) -> bytes:
        """Write it; returns what is lost of it."""
        rest = memoryview(data)
        while rest and not self._broken:
            self._writing_since = self._writing_since or time.monotonic()
            try:
                if self._cut:
                    os.write(self._fd, b"\n")
                    self._cut = False
                rest = rest[self._write_some(rest) :]
            except BlockingIOError:
                # Another process that shares the descriptor made it non-blocking, and may need it so.
                _wait_writable(self._fd)
            except OSError as error:
                self._writing_since = None
                if error.errno in PASSING_ERRORS:
                    written = data[: len(data) - len(rest)]
                    self._cut = self._cut or (written != b"" and not written.endswith(b"\n"))
                    return bytes(rest)
                self._broken = True  # the reader is gone (EPIPE): jobs go on without a log
        return b""

    def _write_some(self, rest: memoryview) -> int:
        started = time.monotonic()
        written = os.write(self._fd, rest[: self._batch])
        slow = time.monotonic() - started > _SLOW
        self._writing_since = None
        self._batch = _SMALL_BATCH if slow else min(self._batch * 2, _BATCH)
        self._written += written
        return written

    def _count_written(self, size: int) -> None:
        with self._lock:
            self._waiting -= size
            half_empty = self._waiting < self._limit // 2
        if half_empty and not self._room.is_set():
            self._hub.call_soon_threadsafe(self._make_room)


class Outlets:
    """Sinks for stdout and stderr. One that nobody reads does not delay the other.

    When both are the same file, they share one sink, which keeps records whole and in order.
    """

    def __init__(
        self,
        report_drop: Callable[[int, int], bytes],
        on_stall: OnStall = "drop",
        stdout_fd: int = 1,
        stderr_fd: int = 2,
    ) -> None:
        self._report_drop = report_drop
        self._on_stall: OnStall = on_stall
        self._stderr_fd = stderr_fd
        self._are_same = os.path.samestat(os.fstat(stdout_fd), os.fstat(stderr_fd))
        self.stdout = Sink(stdout_fd, report_drop, on_stall=on_stall)
        self._sinks = [self.stdout]

    @cached_property
    def stderr(self) -> Sink:
        """The sink for stderr, made at the first use. That for stdout if they are the same file."""
        if self._are_same:
            return self.stdout
        sink = Sink(self._stderr_fd, self._report_drop, on_stall=self._on_stall)
        self._sinks.append(sink)
        return sink

    @property
    def has_died(self) -> bool:
        """See `Sink.has_died`."""
        return any(sink.has_died for sink in self._sinks)

    @property
    def lost(self) -> int:
        """Bytes that were dropped."""
        return sum(sink.lost for sink in self._sinks)

    def stop_blocking(self) -> None:
        """See `Sink.stop_blocking`."""
        self._on_stall = "drop"
        for sink in self._sinks:
            sink.stop_blocking()

    def close(self, timeout: float | None = 5.0) -> None:
        """Write what is left, for at most `timeout` seconds; None: for as long as that takes."""
        for closing in [spawn(sink.close, timeout) for sink in self._sinks]:
            closing.join()


def _joined(records: list[bytes]) -> bytes:
    return records[0] if len(records) == 1 else b"".join(records)


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()

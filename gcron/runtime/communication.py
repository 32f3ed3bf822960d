"""The work of `Popen.communicate`: send the input and read both outputs at once, whichever pipe is ready.

It handles bytes only, and can be interrupted and continued any number of times. May not know processes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gcron.runtime.hub import get_hub, sleep
from gcron.runtime.pipes import READ, READ_SIZE, WRITE, raw_pipe, wait_for_any

__all__ = ["Communication"]

# A child that writes as fast as we read never makes us park. After so many reads others have a turn.
_READS_IN_A_ROW = 64


class Communication:
    """The streams of one child, as `pipes.cooperative` makes them (None: no such pipe), and their data."""

    def __init__(self, stdin: Any, outputs: tuple[Any, ...], data: bytes | bytearray | memoryview | None) -> None:
        """Take over the streams. Flush `stdin`, and close it if there is no `data` to send."""
        self._stdin = stdin
        self._unsent: memoryview | None = None
        self._collected: dict[Any, io.BytesIO] = {}
        if stdin is not None:
            self._begin_sending(data)
        for stream in outputs:
            if stream is not None and not stream.closed:
                self._collected[stream] = collected = io.BytesIO()
                collected.write(_take_buffered(stream))

    def _begin_sending(self, data: bytes | bytearray | memoryview | None) -> None:
        if not data:
            _close_ignoring_broken_pipe(self._stdin)
            return
        unsent = memoryview(data).cast("B")
        with suppress(BrokenPipeError):
            self._stdin.flush()
        self._unsent = unsent

    def run(self, deadline: float | None) -> bool:
        """Send and receive until all is sent and the outputs have ended. False once `deadline` has passed.

        The deadline is in seconds on the hub's clock.
        """
        monotonic = get_hub().monotonic
        while True:
            reading = [stream for stream in self._collected if not stream.closed]
            moved = self._send() if self._unsent is not None else False
            for stream in reading:
                moved = self._receive(stream) or moved
            wanted = [(raw_pipe(stream), READ) for stream in reading if not stream.closed]
            if self._unsent is not None:
                wanted.append((raw_pipe(self._stdin), WRITE))
            if not wanted:
                return True
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                return False
            if moved:
                sleep()
            else:
                wait_for_any(wanted, left)

    def _receive(self, stream: Any) -> bool:
        """Read what there is, and close the stream at its end. False when there is nothing yet. HOT PATH."""
        fd = stream.fileno()
        collect: Callable[[bytes], int] = self._collected[stream].write
        for count in range(_READS_IN_A_ROW):
            try:
                chunk = os.read(fd, READ_SIZE)
            except BlockingIOError:
                return count > 0
            if not chunk:
                stream.close()
                break
            collect(chunk)
        return True

    def _send(self) -> bool:
        """Write what the pipe takes, and close it after the last byte. False when it is full."""
        assert self._unsent is not None
        try:
            sent = os.write(self._stdin.fileno(), self._unsent)
        except BlockingIOError:
            return False
        except BrokenPipeError:
            sent = len(self._unsent)  # the child does not want the rest, as with a shell's pipe
        self._unsent = self._unsent[sent:] if sent < len(self._unsent) else None
        if self._unsent is None:
            _close_ignoring_broken_pipe(self._stdin)
        return True

    def output(self, stream: Any) -> bytes:
        """Return what was read so far from one of the outputs."""
        # A BytesIO grows in place and returns its bytes without a copy. A list of chunks would need twice the memory.
        collected = self._collected.get(stream)
        return b"" if collected is None else collected.getvalue()


def _take_buffered(stream: Any) -> bytes:
    """Return what earlier reads have left in the stream's buffer, without waiting for more."""
    binary = getattr(stream, "buffer", stream)
    if not isinstance(binary, io.BufferedReader):
        return b""
    pipe = raw_pipe(stream)
    pipe.patient = False
    try:
        return binary.read1(READ_SIZE) or b""
    finally:
        pipe.patient = True


def _close_ignoring_broken_pipe(stream: Any) -> None:
    """Close a pipe to a child that may be gone. What it did not read is lost, as with a shell's pipe."""
    with suppress(BrokenPipeError):
        stream.close()

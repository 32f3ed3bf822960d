"""The output pump: reads one pipe of a job and hands on whole lines, while everything else goes on.

May not know who listens. A listener that takes its time (by parking) slows down this one pipe, and so its job, and
nobody else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any, Literal

from gcron.greenlet import sleep
from gcron.hub import READ, get_hub
from gcron.supervise.lines import Excerpt, LineSplitter

__all__ = ["Pump", "Stream"]

Stream = Literal["stdout", "stderr"]
_READ_SIZE = 65536
# Seconds of silence after which an unfinished line is shown: a prompt, a progress bar.
_SHOW_PARTIAL_AFTER = 1.0
# Lines handed on at a time. A job that only writes newlines brings 65,536 of them in one read; making a log of so
# many at once would keep everything else waiting for a quarter of a second.
_BATCH = 1000


class Pump:
    """Reads `pipe` to its end and calls `listener(stream, lines, late)` with every batch of lines."""

    def __init__(
        self,
        pipe: IO[Any],
        stream: Stream,
        excerpt: Excerpt,
        listener: Callable[[Stream, list[bytes], bool], None],
    ) -> None:
        self._pipe = pipe
        self._stream: Stream = stream
        self._excerpt = excerpt
        self._listener = listener
        self._splitter = LineSplitter()
        self.late = False
        """Set once the run has ended: what still comes is from a process that it left behind."""
        self.is_waiting_for_listener = False
        """True while lines are read, and who is to get them is not done with the ones before."""

    def run(self) -> None:
        """Pump until the end of file; close the pipe however it ends."""
        try:
            while data := self._read():
                self._excerpt.feed(data)
                self._hand_on(self._splitter.feed(data))
            self._hand_on(self._splitter.flush())
        finally:
            self._pipe.close()

    def _read(self) -> bytes:
        fd = self._pipe.fileno()
        hub = get_hub()
        while True:
            try:
                return os.read(fd, _READ_SIZE)
            except BlockingIOError:
                if not self._splitter.has_partial:
                    hub.wait_io(fd, READ)
                elif not hub.wait_io(fd, READ, _SHOW_PARTIAL_AFTER):
                    self._hand_on(self._splitter.flush())

    def _hand_on(self, lines: list[bytes]) -> None:
        self.is_waiting_for_listener = True
        try:
            for start in range(0, len(lines), _BATCH):
                self._listener(self._stream, lines[start : start + _BATCH], self.late)
                sleep(0)  # the pipe of a job that writes fast is never empty: nothing else would ever wait here
        finally:
            self.is_waiting_for_listener = False

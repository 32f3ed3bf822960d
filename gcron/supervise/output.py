"""The output pump: reads one pipe of a job and hands on what it brings, while everything else goes on.

May not know who listens. A listener that takes its time (by parking) slows down this one pipe, and so its job, and
nobody else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import IO, Any, Generic, Literal, Protocol, TypeVar

from gcron.runtime.greenlet import sleep
from gcron.runtime.hub import READ, get_hub
from gcron.supervise.lines import Excerpt

__all__ = ["AnyPump", "Pump", "Splitter", "Stream"]

Stream = Literal["stdout", "stderr"]
_READ_SIZE = 65536
# Seconds of silence after which an unfinished line is shown: a prompt, a progress bar.
_SHOW_PARTIAL_AFTER = 1.0

Part = TypeVar("Part")
Part_co = TypeVar("Part_co", covariant=True)


class Splitter(Protocol[Part_co]):
    """Makes of bytes what a listener is handed."""

    @property
    def has_partial(self) -> bool:
        """True while bytes wait for others."""

    def feed(self, data: bytes) -> Sequence[Part_co]:
        """Return what `data` completes."""

    def flush(self, at_end: bool = True) -> Sequence[Part_co]:
        """Return what waits; unless it is `at_end`, more may come."""


class Pump(Generic[Part]):
    """Reads `pipe` to its end and calls `listener(stream, part, late)` with every part that `splitter` makes of it."""

    def __init__(
        self,
        pipe: IO[Any],
        stream: Stream,
        excerpt: Excerpt,
        splitter: Splitter[Part],
        listener: Callable[[Stream, Part, bool], None],
    ) -> None:
        self._pipe = pipe
        self._stream: Stream = stream
        self._excerpt = excerpt
        self._listener = listener
        self._splitter = splitter
        self.late = False
        """Set once the run has ended: what still comes is from a process that it left behind."""
        self.is_waiting_for_listener = False
        """True while something is read, and who is to get it is not done with what was before."""

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
                    self._hand_on(self._splitter.flush(at_end=False))

    def _hand_on(self, parts: Sequence[Part]) -> None:
        self.is_waiting_for_listener = True
        try:
            for part in parts:
                self._listener(self._stream, part, self.late)
                sleep(0)  # the pipe of a job that writes fast is never empty: nothing else would ever wait here
        finally:
            self.is_waiting_for_listener = False


AnyPump = Pump[Any]

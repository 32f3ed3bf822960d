"""What happens, as streams for several readers: the events of a scheduler, and the output of one run.

A reader that does not keep up is dropped, with a last event that says so. It slows down nobody: the loop only appends
to a bounded list. All of it is for the thread of the scheduler.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator

from gcron.control.errors import ControlError
from gcron.control.instance import Instance
from gcron.control.operations import live_run, output_part, run
from gcron.control.records import live_run_record
from gcron.frozen import frozen
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import sleep
from gcron.scheduler.events import NEWS, JobEvent, SchedulerEvent
from gcron.scheduler.history import OutputPart, OutputSpan
from gcron.scheduler.records import Record, event_record, instant
from gcron.supervise.run import Run

__all__ = ["Feed", "StreamEvent", "follow_output", "output_record"]

# Events that are kept for readers that come back with a Last-Event-ID.
_KEPT = 2000
# Events that wait for one reader; then it is dropped.
_MOST_WAITING = 1000
_MOST_READERS = 32
# Seconds without an event after which something is sent all the same: a reader that has gone is noticed by that.
KEEP_ALIVE = 15.0
# Seconds between two looks at what a run wrote.
_LOOK_EVERY = 0.2
# The same for a run of another node, which writes its output into the database each few seconds.
_LOOK_ELSEWHERE = 2.0


@frozen
class StreamEvent:
    """One event of a stream (HTML Living Standard, section 9.2). Without a `kind` it only keeps the stream alive."""

    kind: str = ""
    data: Record | None = None
    event_id: str = ""


class Feed:
    """The events of a scheduler except output, from its making on."""

    def __init__(self, gcron: Instance) -> None:
        self._gcron = gcron
        self._era = os.urandom(4).hex()
        """Ids of another process mean nothing here."""
        self._last = 0
        self._kept: deque[tuple[int, SchedulerEvent]] = deque(maxlen=_KEPT)
        self._readers: set[_Reader] = set()
        for kind in NEWS:
            gcron.scheduler.on(kind, self._note)

    def close(self) -> None:
        """Take no more events, and end all streams."""
        for kind in NEWS:
            self._gcron.scheduler.off(kind, self._note)
        for reader in self._readers:
            reader.end("stopped")

    def _note(self, event: SchedulerEvent) -> None:
        self._last += 1
        self._kept.append((self._last, event))
        for reader in self._readers:
            reader.take(self._last, event)

    def follow(
        self, jobs: frozenset[str] = frozenset(), kinds: frozenset[str] = frozenset(), last_id: str = ""
    ) -> Iterator[StreamEvent]:
        """The events from now on, or after the one with `last_id`; of these jobs and kinds, or all of them.

        When events after `last_id` are not kept any more, the first one is a `gap`. Raises ControlError.
        """
        if len(self._readers) >= _MOST_READERS:
            raise ControlError("too-many-streams", f"{_MOST_READERS} streams are being read already")
        reader = _Reader(jobs, kinds)
        is_gap = bool(last_id) and not self._resume(reader, last_id)
        return self._read(reader, is_gap)

    def _resume(self, reader: _Reader, last_id: str) -> bool:
        era, _, number = last_id.partition("-")
        if era != self._era or not number.isdecimal() or int(number) > self._last:
            return False
        for position, event in self._kept:
            if position > int(number):
                reader.take(position, event, is_bounded=False)
        return not self._kept or self._kept[0][0] <= int(number) + 1

    def _read(self, reader: _Reader, is_gap: bool) -> Iterator[StreamEvent]:
        self._readers.add(reader)
        try:
            # At once, so that the reader knows that it is connected, and from which event on.
            yield StreamEvent(
                "gap" if is_gap else "hello", {"last": self._last}, f"{self._era}-{self._last}" * (not is_gap)
            )
            while True:
                while reader.waiting:
                    position, event = reader.waiting.popleft()
                    yield StreamEvent(event.kind, event_record(event), f"{self._era}-{position}")
                if reader.why_ended:
                    yield StreamEvent(reader.why_ended, {"reason": _WHY[reader.why_ended]})
                    return
                reader.ready.clear()
                if not reader.ready.wait(KEEP_ALIVE):
                    yield StreamEvent()
        finally:
            self._readers.discard(reader)


_WHY = {
    "dropped": "this reader was too slow: events are lost; come back with Last-Event-ID for those that are kept",
    "stopped": "gcron stops",
}


class _Reader:
    """One reader of a feed, and what waits for it."""

    def __init__(self, jobs: frozenset[str], kinds: frozenset[str]) -> None:
        self._jobs = jobs
        self._kinds = kinds
        self.waiting: deque[tuple[int, SchedulerEvent]] = deque()
        self.ready = Flag()
        self.why_ended = ""

    def take(self, position: int, event: SchedulerEvent, is_bounded: bool = True) -> None:
        """Have an event sent, if it is one of those that this reader wants."""
        if self.why_ended or (self._kinds and event.kind not in self._kinds):
            return
        if self._jobs and not (isinstance(event, JobEvent) and event.job in self._jobs):
            return
        if is_bounded and len(self.waiting) >= _MOST_WAITING:
            self.waiting.clear()
            self.end("dropped")
            return
        self.waiting.append((position, event))
        self.ready.set()

    def end(self, why: str) -> None:
        """Send no more than what waits, and that."""
        self.why_ended = self.why_ended or why
        self.ready.set()


# -- output -------------------------------------------------------------------------------------------------------


def follow_output(gcron: Instance, run_id: str, position: int = 0, timestamps: bool = False) -> Iterator[StreamEvent]:
    """What a run wrote from `position` on, as it comes, until it has ended: `output`, `gap`, and at last `end`.

    The id of an event is the position after it. `text` holds bytes that are not UTF-8 as `surrogateescape` does. The
    reader is not waited for: what it does not read in time may not be kept any more, and is a `gap`. With `timestamps`,
    outputs have `spans`. Raises ControlError when there is no such run.
    """
    followed = live_run(gcron, run_id)
    if followed is None:
        run(gcron, run_id)
    return _output(gcron, run_id, position, followed, timestamps)


def _output(
    gcron: Instance, run_id: str, position: int, followed: Run | None, timestamps: bool
) -> Iterator[StreamEvent]:
    idle = 0.0
    end: Record | None = None
    while True:
        if followed is None or followed.outcome is not None:
            record = _end(gcron, run_id, followed)  # before its output is read: that is all of it then
            end = None if followed is None and record["state"] == "running" else record
        part = output_part(gcron, run_id, position)
        while part is not None and part.data:
            if part.start > position >= 0:
                yield StreamEvent("gap", {"bytes": part.start - position}, str(part.start))
            position = part.start + len(part.data)
            yield StreamEvent("output", output_record(part, timestamps), str(position))
            idle = 0.0
            part = output_part(gcron, run_id, position)
        if end is not None:
            yield StreamEvent("end", end)
            return
        pause = _LOOK_EVERY if followed is not None else _LOOK_ELSEWHERE
        sleep(pause)
        idle += pause
        if idle >= KEEP_ALIVE:
            idle = 0.0
            yield StreamEvent()


def output_record(part: OutputPart, timestamps: bool) -> Record:
    """A part of an output; with `timestamps`, also when its bytes came, and from which stream."""
    record: Record = {"start": part.start, "text": part.data.decode("utf-8", "surrogateescape")}
    if timestamps:
        record["spans"] = [
            {"bytes": span.size, "time": instant(span.time), "stream": span.stream or None}
            for span in part.spans or (OutputSpan(len(part.data)),)
        ]
    return record


def _end(gcron: Instance, run_id: str, followed: Run | None) -> Record:
    """The record of a run that has ended. It waits a moment for the store, which is to have all of its output."""
    try:
        return run(gcron, run_id)
    except ControlError:
        if followed is None:
            raise
        return live_run_record(followed, gcron.clock.now())

"""Pages that change while somebody looks: one loop for all of them collects what has changed, at most once a second.

However many browsers look, each job that has changed is asked about once, and its row is made once. A browser that
does not read in time gets the newest state later, and slows nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from gcron.control.errors import ControlError
from gcron.control.feed import follow_output
from gcron.control.instance import Instance
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.scheduler.events import NEWS, JobEvent, SchedulerEvent
from gcron.scheduler.history import OutputSpan
from gcron.scheduler.records import Record
from gcron.web.output_html import OutputHtml
from gcron.web.words import seconds_of

__all__ = ["Live", "Reader", "Rows", "follow_html", "json_field"]

# Seconds between two looks at what has changed, and without a change until a client is asked whether it is there.
_TICK, _KEEP_ALIVE = 1.0, 15.0
# Seconds between two looks at whether the crontabs were read again, while somebody looks.
_LOOK = 2.0
_MOST_AT_ONCE = 500
# Browsers that get what has changed in one turn of the loop: all of them at once held it for 26 ms (benchmarks/web.py).
_AT_A_TIME = 2
# Seconds until the next ones do: what the first ones have not taken is sent meanwhile, and not with that of all others.
_NAP = 0.001
# What has changed when it is no job: something that concerns every page.
_EVERYBODY = frozenset({""})
MESSAGES = "\0messages"
"""What has changed when a message was delivered, or not: no job has such a name."""

Rows = Mapping[str, bytes]
"""Of jobs, by their names: a part of a JSON object, which all browsers get. To make it takes more than to send it."""
MakeRows = Callable[[Sequence[str]], Rows]


class Reader:
    """One browser. `names`: the jobs that it shows; None: all, and it only wants to know that something changed."""

    def __init__(self, names: frozenset[str] | None, wants_rows: bool) -> None:
        self.names = names
        self.wants_rows = wants_rows
        self.rows: dict[str, bytes] = {}
        self.has_changed = False
        self.is_over = False
        self.ready = Flag()

    def take(self, changed: frozenset[str], rows: Rows) -> None:
        """Note what has changed. Rows that it has not read yet are replaced: it is never behind by more than a page."""
        mine = changed if self.names is None else changed & (self.names | _EVERYBODY)
        if not mine:
            return
        self.has_changed = True
        if self.wants_rows:
            self.rows |= {name: rows[name] for name in mine if name in rows}
        self.ready.set()


class Live:
    """What changes, for at most `most` browsers. `make_rows` returns the rows of jobs; it may park."""

    def __init__(self, gcron: Instance, make_rows: MakeRows, most: int) -> None:
        self._gcron = gcron
        self._make_rows = make_rows
        self._most = most
        self._readers: set[Reader] = set()
        self._changed: set[str] = set()
        self._something = Flag()
        self._is_closed = False
        self._files = self._look_at_files()
        self._revision = gcron.scheduler.message_revision
        for kind in NEWS:
            gcron.scheduler.on(kind, self._note)
        self._loop: Greenlet = spawn(self._tell)

    def close(self) -> None:
        """End all streams."""
        self._is_closed = True
        for kind in NEWS:
            self._gcron.scheduler.off(kind, self._note)
        self._loop.kill()
        for reader in self._readers:
            reader.is_over = True
            reader.ready.set()

    def follow(self, reader: Reader) -> Iterator[bytes]:
        """Server-sent events for a browser. Raises ControlError when there are too many."""
        if len(self._readers) >= self._most:
            raise ControlError("too-many-streams", f"{self._most} pages are followed already; this one stays as it is")
        return self._follow(reader)

    def _follow(self, reader: Reader) -> Iterator[bytes]:
        if len(self._readers) >= self._most or self._is_closed:
            return
        self._readers.add(reader)
        self._something.set()
        try:
            yield b"retry: 5000\n\n"
            while not reader.is_over:
                if not reader.ready.wait(_KEEP_ALIVE):
                    yield b": still here\n\n"
                    continue
                reader.ready.clear()
                rows, reader.rows = reader.rows, {}
                if reader.has_changed:
                    reader.has_changed = False
                    yield b"event: changed\ndata: {%b}\n\n" % b",".join(rows.values())
        finally:
            self._readers.discard(reader)

    def _note(self, event: SchedulerEvent) -> None:
        if self._readers:
            self._changed.add(event.job if isinstance(event, JobEvent) else "")
            self._something.set()

    def _tell(self) -> None:
        while True:
            self._something.wait(_LOOK if self._readers else None)
            self._something.clear()
            if self._files != (files := self._look_at_files()):
                self._files = files
                self._changed |= _EVERYBODY
            if self._revision != (revision := self._gcron.scheduler.message_revision):
                self._revision = revision
                self._changed.add(MESSAGES)
            changed = frozenset(self._changed)
            self._changed.clear()
            if not changed:
                continue
            with suppress(ControlError):  # the history does not answer; the next change tries again
                self._send(changed)
            sleep(_TICK)

    def _look_at_files(self) -> tuple[object, ...]:
        """How the crontabs were found when they were read last: a reload is no event."""
        reload = self._gcron.reload
        return () if reload is None else (reload.last_read, reload.problem)

    def _send(self, changed: frozenset[str]) -> None:
        shown: set[str] = set()
        for reader in self._readers:
            if reader.wants_rows and reader.names:
                shown |= changed & reader.names
        rows: Rows = self._make_rows(sorted(shown)[:_MOST_AT_ONCE]) if shown else {}
        for number, reader in enumerate(list(self._readers)):
            if number % _AT_A_TIME == 0:
                sleep(_NAP)  # others have their turn: a fire may be due
            reader.take(changed, rows)


def json_field(name: str, text: str) -> bytes:
    """A field of a JSON object."""
    return f"{json.dumps(name)}: {json.dumps(text)}".encode("ascii")


def _message(kind: str, data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode("ascii")


def follow_html(
    gcron: Instance, run_id: str, position: int, run: Callable[[Callable[[Record], object], Record], object]
) -> Iterator[bytes]:
    """What a run writes, as HTML, until it has ended: see `OutputHtml`. `run` calls a function in a thread."""
    converter = OutputHtml()

    def convert(record: Record) -> tuple[str, str]:
        spans = [
            OutputSpan(span["bytes"], span["time"] and seconds_of(span["time"]), span["stream"] or "")
            for span in record["spans"]
        ]
        return converter.convert(record["text"].encode("utf-8", "surrogateescape"), spans)

    for message in follow_output(gcron, run_id, position, timestamps=True):
        if message.kind == "output" and message.data is not None:
            yield _message("output", run(convert, message.data))
        elif message.kind == "gap" and message.data is not None:
            yield _message("output", converter.skip(message.data["bytes"]))
        elif message.kind == "end":
            if any(last := converter.finish()):
                yield _message("output", last)
            yield _message("end", "")
        else:
            yield b": still here\n\n"

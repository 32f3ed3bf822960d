"""`key=value` pairs, one record a line, as Loki, Heroku and many shell users read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from gcron.daemon.formats.format import (
    RECORD_LIMIT,
    Level,
    message_record,
    pieces,
    report_record,
    shortened,
    well_formed,
)
from gcron.scheduler.events import JobOutput, SchedulerEvent
from gcron.scheduler.records import event_record

__all__ = ["LogfmtFormat"]

_NO_KEY = re.compile(r"[^A-Za-z0-9_.-]")
# What needs no quotes: nothing that ends a value or starts another, and nothing beyond ASCII.
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")


class LogfmtFormat:
    """Records as logfmt of at most `limit` bytes: values in double quotes with JSON's escapes where they need any.

    What is inside of a value has its path as its key: `jobs.0.name=backup`.
    """

    def __init__(self, limit: int = RECORD_LIMIT) -> None:
        self._limit = limit

    def event(self, event: SchedulerEvent) -> bytes:
        """See `Format.event`."""
        if isinstance(event, JobOutput):
            return self._output(event)
        return self._record(event_record(event))

    def message(self, time: float, text: str, level: Level = "info") -> bytes:
        """See `Format.message`."""
        return self._record(message_record(time, text, level))

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], level: Level = "info"
    ) -> bytes:
        """See `Format.report`."""
        return self._record(report_record(time, event, fields, level))

    def _output(self, event: JobOutput) -> bytes:
        fields = _text(event_record(event))
        *lines, last = b"\n".join(event.lines).decode("utf-8", "backslashreplace").split("\n")
        records = [record for line in lines for record in self._records(fields, line, False)]
        return "".join([*records, *self._records(fields, last, event.continued)]).encode("ascii")

    def _records(self, fields: str, line: str, goes_on: bool) -> Iterator[str]:
        """The record of a line; if that is too long, one for each piece of it."""
        start = f"{fields} continued=true line="
        room = self._limit - len(start) - len("\n")
        *parts, last = pieces(line if goes_on else line.removesuffix("\r"), room, lambda text: len(_value(text)))
        for part in parts:
            yield f"{start}{_value(part)}\n"
        yield f"{start if goes_on else f'{fields} line='}{_value(last)}\n"

    def _record(self, record: Mapping[str, object]) -> bytes:
        text = _text(record)
        if len(text) >= self._limit:
            text = _text(shortened(record, self._limit - 1, lambda shorter: len(_text(shorter))))
        return f"{text}\n".encode("ascii")


def _text(record: Mapping[str, object]) -> str:
    return " ".join(_pairs("", record))


def _pairs(path: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = dict(enumerate(value)).items()
    else:
        yield f"{path}={_value(value)}"
        return
    for key, part in parts:
        name = _NO_KEY.sub("_", str(key)) or "_"
        yield from _pairs(f"{path}.{name}" if path else name, part)


def _value(value: object) -> str:
    """None is an empty value, true and false are words, all else is text."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if _PLAIN.fullmatch(text) else json.encoder.encode_basestring_ascii(well_formed(text))

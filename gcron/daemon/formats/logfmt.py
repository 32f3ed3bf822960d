"""`key=value` pairs, one record a line, as Loki, Heroku and many shell users read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from gcron.daemon.formats.format import message_record, report_record
from gcron.scheduler.events import JobOutput, SchedulerEvent
from gcron.scheduler.records import event_record

__all__ = ["LogfmtFormat"]

_NO_KEY = re.compile(r"[^A-Za-z0-9_.-]")
# What needs no quotes: nothing that ends a value or starts another, and nothing beyond ASCII.
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")


class LogfmtFormat:
    """Records as logfmt: values in double quotes with JSON's escapes where they need any.

    What is inside of a value has its path as its key: `jobs.0.name=backup`.
    """

    def event(self, event: SchedulerEvent) -> bytes:
        """See `Format.event`."""
        if isinstance(event, JobOutput):
            return _output(event)
        return _record(event_record(event))

    def message(self, time: float, text: str, bad: bool = False) -> bytes:
        """See `Format.message`."""
        return _record(message_record(time, text, bad))

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], bad: bool = False
    ) -> bytes:
        """See `Format.report`."""
        return _record(report_record(time, event, fields))


def _output(event: JobOutput) -> bytes:
    fields = " ".join(_pairs("", event_record(event)))
    lines = b"\n".join(event.lines).decode("utf-8", "backslashreplace").split("\n")
    records = [f"{fields} line={_value(line.removesuffix(chr(13)))}\n" for line in lines]
    if event.continued:
        records[-1] = f"{fields} continued=true line={_value(lines[-1])}\n"
    return "".join(records).encode("ascii")


def _record(fields: Mapping[str, object]) -> bytes:
    return (" ".join(_pairs("", fields)) + "\n").encode("ascii")


def _pairs(path: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = dict(enumerate(value)).items()
    else:
        yield f"{path}={_value(value)}"
        return
    for key, part in parts:
        name = _NO_KEY.sub("_", str(key))
        yield from _pairs(f"{path}.{name}" if path else name, part)


def _value(value: object) -> str:
    """None is an empty value, true and false are words, all else is text."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if _PLAIN.fullmatch(text) else json.encoder.encode_basestring_ascii(text)

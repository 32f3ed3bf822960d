"""One JSON object a line. A job's own JSON object stands under `line` as an object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gcron.daemon.formats.format import message_record, report_record
from gcron.scheduler.events import JobOutput, SchedulerEvent
from gcron.scheduler.records import event_record

__all__ = ["JsonFormat"]

# What lines are made of that are no JSON themselves, and strings of it but for these escapes.
_PLAIN = bytes(range(0x20, 0x7F)).replace(b"{", b"\t\n")
_ESCAPES = ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\t", b"\\t"))


class JsonFormat:
    """Records as JSON; everything beyond ASCII is escaped."""

    def event(self, event: SchedulerEvent) -> bytes:
        """See `Format.event`."""
        if isinstance(event, JobOutput):
            return _output(event)
        return _dump(event_record(event))

    def message(self, time: float, text: str, bad: bool = False) -> bytes:
        """See `Format.message`."""
        return _dump(message_record(time, text, bad))

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], bad: bool = False
    ) -> bytes:
        """See `Format.report`."""
        return _dump(report_record(time, event, fields))


def _output(event: JobOutput) -> bytes:
    """All lines at once, as bytes if they are plain: the hot path of jobs that print much (benchmarks/log.py)."""
    fields = _text(event_record(event))[:-1]
    block = b"\n".join(event.lines)
    if not event.continued and not block.translate(None, _PLAIN):
        start, end = f'{fields},"line":"'.encode("ascii"), b'"}\n'
        for character, escape in _ESCAPES:
            block = block.replace(character, escape)
        return start + block.replace(b"\n", end + start) + end
    lines = block.decode("utf-8", "backslashreplace").split("\n")
    records = [f'{fields},"line":{_value(line)}}}\n' for line in lines]
    if event.continued:
        records[-1] = f'{fields},"continued":true,"line":{_quoted(lines[-1])}}}\n'
    return "".join(records).encode("ascii")


def _value(line: str) -> str:
    """A line as JSON: the object that it is, or a string."""
    if line.endswith("\r"):
        line = line[:-1]
    if line.startswith("{") and line.rstrip().endswith("}"):
        try:
            return _text(json.loads(line))
        except (ValueError, RecursionError):
            pass  # no JSON, or none that every reader takes: NaN, 1e999, a thousand brackets
    return _quoted(line)


# ASCII escapes keep lone surrogates and control characters harmless for every reader.
_quoted = json.encoder.encode_basestring_ascii


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _dump(fields: Mapping[str, object]) -> bytes:
    return _text(fields).encode("ascii") + b"\n"

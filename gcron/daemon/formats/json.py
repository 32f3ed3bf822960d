"""One JSON object a line. A job's own JSON object is under `data`, too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gcron.daemon.formats.format import (
    RECORD_LIMIT,
    Level,
    has_long_line,
    has_surrogates,
    message_record,
    pieces,
    report_record,
    shortened,
    well_formed,
)
from gcron.scheduler.events import JobOutput, SchedulerEvent
from gcron.scheduler.records import event_record

__all__ = ["JsonFormat"]

# What lines are made of that are no JSON themselves, and strings of it but for these escapes.
_PLAIN = bytes(range(0x20, 0x7F)).replace(b"{", b"\t\n")
_ESCAPES = ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\t", b"\\t"))
# Some readers take objects inside of objects to a depth of 128 (serde_json).
_MOST_DEPTH = 64
# An escape for every byte, in the fast path.
_LONGEST_ESCAPE = 2


class JsonFormat:
    """Records as JSON of at most `limit` bytes; everything beyond ASCII is escaped."""

    def __init__(self, limit: int = RECORD_LIMIT) -> None:
        self._limit = limit

    def event(self, event: SchedulerEvent) -> bytes:
        """See `Format.event`."""
        if isinstance(event, JobOutput):
            return self._output(event)
        return self._dump(event_record(event))

    def message(self, time: float, text: str, level: Level = "info") -> bytes:
        """See `Format.message`."""
        return self._dump(message_record(time, text, level))

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], level: Level = "info"
    ) -> bytes:
        """See `Format.report`."""
        return self._dump(report_record(time, event, fields, level))

    def _output(self, event: JobOutput) -> bytes:
        """All lines at once, as bytes if they are plain: the hot path of jobs that print much (benchmarks/log.py)."""
        fields = _text(event_record(event))[:-1]
        start, end = f'{fields},"line":"'.encode("ascii"), b'"}\n'
        block = b"\n".join(event.lines)
        room = (self._limit - len(start) - len(end)) // _LONGEST_ESCAPE
        if not event.continued and not block.translate(None, _PLAIN) and not has_long_line(block, room):
            for character, escape in _ESCAPES:
                block = block.replace(character, escape)
            return start + block.replace(b"\n", end + start) + end
        *lines, last = block.decode("utf-8", "backslashreplace").split("\n")
        records = [record for line in lines for record in self._records(fields, line, False)]
        return "".join([*records, *self._records(fields, last, event.continued)]).encode("ascii")

    def _records(self, fields: str, line: str, goes_on: bool) -> Iterator[str]:
        """The record of a line; if that is too long, one for each piece of it, as a string."""
        if not goes_on:
            line = line.removesuffix("\r")
            start = f'{fields},"line":{_quoted(line)}'
            for end in (_data(line), ""):
                if len(start) + len(end) + len("}\n") <= self._limit:
                    yield f"{start}{end}}}\n"
                    return
        start = f'{fields},"continued":true,"line":'
        room = self._limit - len(start) - len("}\n")
        *parts, last = pieces(line, room, lambda text: len(_quoted(text)))
        for part in parts:
            yield f"{start}{_quoted(part)}}}\n"
        yield f"{start}{_quoted(last)}}}\n" if goes_on else f'{fields},"line":{_quoted(last)}}}\n'

    def _dump(self, record: Mapping[str, Any]) -> bytes:
        text = _text(record)
        if len(text) >= self._limit:
            text = _text(shortened(record, self._limit - 1, lambda shorter: len(_text(shorter))))
        return text.encode("ascii") + b"\n"


def _data(line: str) -> str:
    """Return the object that a line is, as another key of its record; else an empty text."""
    if line.startswith("{") and line.rstrip().endswith("}"):
        try:
            value = json.loads(line)
            if _is_for_everybody(value):
                return f',"data":{_dumps(value)}'
        except (ValueError, RecursionError):
            pass  # no JSON, or none that every reader takes: NaN, 1e999, a thousand brackets
    return ""


def _is_for_everybody(value: Any, depth: int = 0) -> bool:
    """Whether every reader takes a value: it is not deep, and has no lone surrogate."""
    if isinstance(value, str):
        return not has_surrogates(value)
    if isinstance(value, dict):
        parts: Any = [*value, *value.values()]
    elif isinstance(value, list):
        parts = value
    else:
        return True
    return depth < _MOST_DEPTH and all(_is_for_everybody(part, depth + 1) for part in parts)


# ASCII escapes keep control characters harmless for every reader.
_quoted = json.encoder.encode_basestring_ascii


def _text(value: Any) -> str:
    """A record. What gcron read somewhere may have lone surrogates."""
    text = _dumps(value)
    return _dumps(_well_formed(value)) if "\\ud" in text else text


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, Mapping):
        return {_well_formed(key): _well_formed(part) for key, part in value.items()}
    return [_well_formed(part) for part in value] if isinstance(value, list | tuple) else value


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))

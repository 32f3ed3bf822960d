"""What a log format is, the records of what gcron itself says, and how long a record may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from gcron.escaping import escape
from gcron.scheduler.events import SchedulerEvent
from gcron.scheduler.records import Level, Record, instant

__all__ = [
    "LEAST_RECORD_LIMIT",
    "RECORD_LIMIT",
    "Format",
    "Level",
    "has_long_line",
    "has_surrogates",
    "message_record",
    "pieces",
    "report_record",
    "shortened",
    "well_formed",
]

RECORD_LIMIT = 16 * 1024
"""Bytes of the longest record, newline included, by default.

Whoever gets longer ones cuts them: Docker at 16 KiB, journald at 48 KiB. What comes after the cut is then a record of
its own, and a job decides what stands there: it could write what looks like a record of gcron's.
"""

_SURROGATE = re.compile("[\ud800-\udfff]")
LEAST_RECORD_LIMIT = 4096
# What a record that is too long may keep of a text, and of a list: first so much, then half of it, and so on.
_LONGEST_TEXT, _LONGEST_LIST = 4096, 256
# A time, a run's id, most names: these stay whole.
_SHORT_TEXT, _LONGEST_KEY = 32, 100


class Format(Protocol):
    """Makes log records. Each is a line of at most as many bytes as the format was made for."""

    def event(self, event: SchedulerEvent) -> bytes:
        """The record of an event, newline included; empty when the format has none for it. Output may have several."""

    def message(self, time: float, text: str, level: Level = "info") -> bytes:
        """The record of something gcron itself says."""

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], level: Level = "info"
    ) -> bytes:
        """The record of something with parts: `fields` for machines, `lines` for people."""


def message_record(time: float, text: str, level: Level) -> Record:
    """Something that gcron itself says; `time` in seconds of UTC."""
    return report_record(time, "message", {"message": text}, level)


def report_record(time: float, event: str, fields: Mapping[str, object], level: Level) -> Record:
    """Something with parts."""
    return {"time": instant(time), "event": event, "level": level, **fields}


# -- text that others decide ------------------------------------------------------------------------------------------


def has_surrogates(text: str) -> bool:
    """Whether the text has lone surrogates, which no UTF-8 and no strict reader of JSON takes."""
    return _SURROGATE.search(text) is not None


def well_formed(text: str) -> str:
    """Return the text with its lone surrogates as people see them: a byte that was no UTF-8 as `\\xff`."""
    return _SURROGATE.sub(lambda match: escape(match[0]), text)


# -- records that are too long ----------------------------------------------------------------------------------------


def has_long_line(block: bytes, room: int) -> bool:
    """Whether one of the lines has more than `room` bytes. HOT PATH: most blocks are answered by a few looks."""
    half = room // 2
    starts = range(0, len(block) - half + 1, half)
    # A longer line would fill one of these windows, from end to end.
    if all(block.find(b"\n", start, start + half) >= 0 for start in starts):
        return False
    return max(map(len, block.split(b"\n"))) > room


def pieces(text: str, room: int, size: Callable[[str], int]) -> Iterator[str]:
    """Yield the text in pieces of which none takes more than `room` bytes in a record. There is at least one piece.

    `size` says how many bytes a text takes there; a single character is never cut.
    """
    while (needed := size(text)) > room and len(text) > 1:
        taken = max(1, len(text) * room // needed)
        while taken > 1 and size(text[:taken]) > room:
            taken //= 2
        yield text[:taken]
        text = text[taken:]
    yield text


def shortened(record: Mapping[str, Any], limit: int, size: Callable[[Mapping[str, Any]], int]) -> Mapping[str, Any]:
    """Return the record with its long texts and lists cut until it takes at most `limit` bytes, and says so."""
    text, items = _LONGEST_TEXT, _LONGEST_LIST
    while size(record) > limit and text >= _SHORT_TEXT:
        cut = {str(key)[:_LONGEST_KEY]: _cut(value, text, items) for key, value in record.items()}
        record = {**cut, "truncated": True}
        text, items = text // 2, items // 2
    return record


def _cut(value: Any, text: int, items: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= text else f"{value[:text]}..."
    if isinstance(value, Mapping):
        kept = list(value.items())[: max(items, _SHORT_TEXT)]
        return {str(key)[:_LONGEST_KEY]: _cut(part, text, items) for key, part in kept}
    if isinstance(value, list | tuple):
        return [_cut(part, text, items) for part in value[:items]]
    return value

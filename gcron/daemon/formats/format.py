"""What a log format is, and the records of what gcron itself says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gcron.scheduler.events import SchedulerEvent
from gcron.scheduler.records import Record, instant

__all__ = ["Format", "message_record", "report_record"]


class Format(Protocol):
    """Makes log records."""

    def event(self, event: SchedulerEvent) -> bytes:
        """The record of an event, newline included; empty when the format has none for it."""

    def message(self, time: float, text: str, bad: bool = False) -> bytes:
        """The record of something gcron itself says."""

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], bad: bool = False
    ) -> bytes:
        """The record of something with parts: `fields` for machines, `lines` for people."""


def message_record(time: float, text: str, bad: bool) -> Record:
    """Something that gcron itself says; `time` in seconds of UTC."""
    return {"time": instant(time), "event": "message", "level": "error" if bad else "info", "message": text}


def report_record(time: float, event: str, fields: Mapping[str, object]) -> Record:
    """Something with parts."""
    return {"time": instant(time), "event": event, **fields}

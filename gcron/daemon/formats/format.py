"""What a log format is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gcron.scheduler import Event

__all__ = ["Format"]


class Format(Protocol):
    """Makes log records."""

    def event(self, event: Event) -> bytes:
        """The record of an event, newline included; empty when it is not worth one."""

    def message(self, time: float, text: str, bad: bool = False) -> bytes:
        """The record of something gcron itself says."""

    def report(
        self, time: float, event: str, fields: Mapping[str, object], lines: Sequence[str], bad: bool = False
    ) -> bytes:
        """The record of something with parts: `fields` for machines, `lines` for people."""

"""A message: what somebody is told about a job, as plain data that outlives a restart. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from sys import getsizeof

from gcron.frozen import frozen, replace
from gcron.scheduler.records import Record

__all__ = ["DIGEST", "Message", "new_id", "record_of"]

DIGEST = "digest"
"""The kind of a message that stands for many."""
# Bytes of a message beside its long texts: the object, and its record.
_OVERHEAD = 2_000


@frozen
class Message:
    """What somebody is told."""

    message_id: str
    """Unique: a receiver that gets it twice knows it by this."""
    kind: str
    """One of `gcron.crontab.target.KINDS`, `start` for pings, or `DIGEST`."""
    time: float
    """Seconds of UTC."""
    title: str
    """One line."""
    job: str = ""
    """Empty when it is about gcron itself."""
    text: str = ""
    """Lines for people, below the title."""
    record: Mapping[str, object] = {}
    """The event or the run, with the field names of the log."""
    output: str = ""
    """What the run printed; its middle is left out when it is long."""
    tail: str = ""
    """The last 10 kB of that."""
    command: str = ""
    variables: Mapping[str, str] = {}
    """Of the job's environment, those that a mail shows in its headers."""
    is_urgent: bool = False
    """It does not wait for the end of quiet hours."""
    covers: tuple[str, ...] = ()
    """The ids of the messages that a digest stands for."""

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        texts = (self.output, self.tail, self.text, self.command, *self.variables.values())
        return _OVERHEAD * (1 + len(self.covers)) + sum(map(getsizeof, texts))

    def without_output(self) -> Message:
        """Return it without what the run printed; its text says so."""
        if not self.output:
            return self
        text = f"{self.text}\n\nThe output ({len(self.output)} characters) is left out: too many messages wait.".strip()
        return replace(self, text=text, output="", tail="")

    def to_json(self) -> str:
        """Return it as text, for a store."""
        return json.dumps({name: getattr(self, name) for name in self.__match_args__})

    @classmethod
    def from_json(cls, text: str) -> Message:
        """Return the message that `to_json` wrote. Raises ValueError, TypeError or KeyError for another text."""
        values = json.loads(text)
        return cls(**{**values, "covers": tuple(values["covers"])})


def new_id() -> str:
    """Return an id that no other message has."""
    return f"msg_{os.urandom(12).hex()}"


def record_of(message: Message) -> Record:
    """Return what a webhook gets: the fields of the log, and what the message adds to them."""
    record: Record = {
        "job": message.job,
        **message.record,
        "message_id": message.message_id,
        "kind": message.kind,
        "title": message.title,
        "text": message.text,
    }
    return record | ({"output": message.tail} if message.tail else {})

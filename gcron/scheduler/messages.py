"""Messages about jobs, as far as a scheduler knows of them: what keeps them over a restart, and their counts.

This module must not know what a message says, nor how it is delivered: `gcron.notify` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gcron.frozen import frozen

__all__ = ["KeptMessage", "MessageStore", "Messenger", "ProgramMessenger", "TargetCounts"]


@frozen
class KeptMessage:
    """A message that is not delivered yet, and for whom it is."""

    message_id: str
    target: str
    """The name of the target."""
    time: float
    """Seconds of UTC at which it was made."""
    text: str
    """All of it, for who made it."""


class MessageStore(Protocol):
    """Keeps messages until they are delivered, so that a restart loses none."""

    def append_messages(self, messages: Sequence[KeptMessage]) -> None:
        """Keep these soon; one with the same id and target as before is the same. Returns at once, raises nothing."""

    def drop_messages(self, message_ids: Sequence[tuple[str, str]]) -> None:
        """Forget these soon, by id and target: they are delivered, or given up. Returns at once, raises nothing."""

    def list_messages(self, after: KeptMessage | None = None) -> Sequence[KeptMessage]:
        """Some of those that are kept, oldest first, from the one after `after` on; nothing when there are no more.

        May park, and raise whatever it likes.
        """


@frozen
class TargetCounts:
    """What became of the messages for one target, since the start."""

    target: str
    """Its name."""
    where: str
    """A URL as scheme and host, an address, or the job of a command; empty for a target that is gone."""
    sent: int
    waiting: int
    failed: int
    """Tries that failed."""
    lost: int
    """Messages that were given up."""
    last_sent: float | None
    """Seconds of UTC."""
    last_error: str
    """Of the last try, if it failed; else empty."""


class Messenger(Protocol):
    """Sends messages about the jobs of a scheduler."""

    def start(self) -> None:
        """The scheduler has started. Returns at once."""

    def stop(self) -> None:
        """Deliver what waits, within 5 s. The jobs have ended, and the state is still open."""

    def counts(self) -> list[TargetCounts]:
        """What became of the messages, for each target that had any."""


class ProgramMessenger(Messenger, Protocol):
    """Sends messages where a program says."""

    def add_url(self, url: str, name: str | None, settings: Mapping[str, Any]) -> None:
        """Send messages to a URL. Raises ValueError for what is wrong."""

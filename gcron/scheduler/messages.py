"""Messages about jobs, as far as a scheduler knows of them: what keeps them over a restart, and their counts.

This module must not know what a message says, nor how it is delivered: `gcron.notify` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from gcron.frozen import frozen

__all__ = [
    "KeptMessage",
    "MessageState",
    "MessageStore",
    "Messenger",
    "ProgramMessenger",
    "RecentMessage",
    "TargetCounts",
]


@frozen
class KeptMessage:
    """A message that is not delivered yet, and its target."""

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

        May park. Raises StoreUnavailable.
        """


@frozen
class TargetCounts:
    """What became of the messages for one target, since the start. The commands of all jobs for one event are one."""

    target: str
    """Its name; `on-failure commands` and the like for commands."""
    where: str
    """A URL as scheme and host, an address, or what commands; empty for a target that is gone."""
    kind: str
    """`mail`, `webhook`, `ping`, `command`, `apprise`; `unknown` while its URL was not read; `gone`."""
    on: tuple[str, ...]
    """The kinds of messages that it gets."""
    quiet: str
    """Its quiet hours, such as `22:00-07:00`; empty for none."""
    sent: int
    waiting: int
    held: int
    """Of `waiting`, those that wait for a digest."""
    held_until: float | None
    """When that is due, in seconds of UTC."""
    failed: int
    """Tries that failed."""
    lost: int
    """Messages that were given up."""
    dropped: int
    """Of `lost`, those that had no room: too many waited."""
    last_sent: float | None
    """Seconds of UTC."""
    last_error: str
    """Of the last try, if it failed; else empty. Of commands, that of any job whose last one failed."""
    last_error_at: float | None
    """Seconds of UTC."""
    next_try: float | None
    """Seconds of UTC; None when nothing waits for it."""
    failing: int
    """1 when the last try failed, else 0; of commands, for how many jobs."""
    jobs: int | None = None
    """How many jobs have it; None where that was not counted."""


class MessageState(StrEnum):
    """What has become of a message for one target."""

    WAITING = "waiting"
    """For its first try, or for the next one."""
    HELD = "held"
    """For a digest."""
    DELIVERED = "delivered"
    GIVEN_UP = "given-up"
    DROPPED = "dropped"
    """Too many waited."""


@frozen
class RecentMessage:
    """One of the newest messages, for one target."""

    message_id: str
    target: str
    """As in `TargetCounts`."""
    time: float
    """Seconds of UTC at which it was made."""
    job: str
    """Empty when it is about gcron itself."""
    kind: str
    """What it is about: `failure`, `recovery` and so on."""
    title: str
    state: MessageState
    attempts: int
    """Tries of this process."""
    error: str
    """Of the last try, if it failed; else empty."""
    changed: float | None
    """When it was tried last, or dropped, in seconds of UTC."""
    next_try: float | None
    """Seconds of UTC; None when there is none."""
    is_kept: bool
    """An earlier process made it, and this one found it in the state."""


class Messenger(Protocol):
    """Sends messages about the jobs of a scheduler."""

    def start(self) -> None:
        """The scheduler has started. Returns at once."""

    def stop(self) -> None:
        """Deliver what waits, within 5 s. The jobs have ended, and the state is still open."""

    def counts(self) -> list[TargetCounts]:
        """What became of the messages, for each target that had any."""

    def targets(self) -> list[TargetCounts]:
        """The same for each target that any job has, with the number of jobs. May park: all jobs are looked at."""

    def recent(self) -> list[RecentMessage]:
        """The newest messages, newest first."""

    @property
    def revision(self) -> int:
        """Grows with each change of what `counts` and `recent` return."""


class ProgramMessenger(Messenger, Protocol):
    """Sends messages where a program says."""

    def add_url(self, url: str, name: str | None, settings: Mapping[str, Any]) -> None:
        """Send messages to a URL. Raises ValueError for what is wrong."""

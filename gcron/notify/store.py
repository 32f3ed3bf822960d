"""Where messages are kept until they are delivered, so that a restart loses none: in the state of the scheduler.

They are written together with the history, and given to it before the event that they are about. So a run whose end is
on disk has its messages there, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from gcron.scheduler import Scheduler
from gcron.scheduler.messages import KeptMessage, MessageStore

__all__ = ["messages_of"]


def messages_of(scheduler: Scheduler) -> MessageStore | None:
    """What keeps messages over a restart of this scheduler; None when nothing of its state outlives the process."""
    return _StateMessages(scheduler) if scheduler.store.store.is_durable else None


class _StateMessages:
    """A scheduler that starts again has another door to the same store."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def append_messages(self, messages: Sequence[KeptMessage]) -> None:
        self._scheduler.store.append_messages(messages)

    def drop_messages(self, message_ids: Sequence[tuple[str, str]]) -> None:
        self._scheduler.store.drop_messages(message_ids)

    def list_messages(self, after: KeptMessage | None = None) -> Sequence[KeptMessage]:
        return self._scheduler.store.list_messages(after)

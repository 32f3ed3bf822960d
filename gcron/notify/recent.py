"""The newest messages and what became of each: bounded, in memory, and from the start of this process on. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gcron.frozen import replace
from gcron.notify.message import Message
from gcron.scheduler.messages import MessageState, RecentMessage

__all__ = ["Key", "Recent"]

# Messages, and characters of a title and an error: about half a megabyte in all.
_MOST, _LONGEST = 500, 300

Key = tuple[str, str]
"""The id of a message, and the name of a channel."""


class Recent:
    """Remembers the newest messages."""

    def __init__(self) -> None:
        self._messages: dict[Key, RecentMessage] = {}
        self.revision = 0
        """Grows with each change."""

    @property
    def messages(self) -> list[RecentMessage]:
        """All of them, newest first."""
        return sorted(self._messages.values(), key=lambda each: each.time)[::-1]

    def add(self, message: Message, channel: str, target: str, state: MessageState, is_kept: bool) -> None:
        """Note a message that is on its way; the oldest is forgotten."""
        self.revision += 1
        self._messages[message.message_id, channel] = RecentMessage(
            message_id=message.message_id,
            target=target,
            time=message.time,
            job=message.job,
            kind=message.kind,
            title=message.title[:_LONGEST],
            state=state,
            attempts=0,
            error="",
            changed=None,
            next_try=None,
            is_kept=is_kept,
        )
        if len(self._messages) > _MOST:
            del self._messages[next(iter(self._messages))]

    def change(
        self, keys: Sequence[Key], state: MessageState, now: float, error: str = "", next_try: float | None = None
    ) -> None:
        """Note what came of one more try to deliver messages."""
        self._change(keys, 1, state, now, error, next_try)

    def end(self, keys: Sequence[Key], state: MessageState, now: float, error: str) -> None:
        """Note that messages are not tried any more."""
        self._change(keys, 0, state, now, error, None)

    def _change(
        self, keys: Sequence[Key], tries: int, state: MessageState, now: float, error: str, next_try: float | None
    ) -> None:
        self.revision += 1
        for key in keys:
            before = self._messages.get(key)
            if before is not None:  # else it is forgotten already
                self._messages[key] = replace(
                    before,
                    state=state,
                    attempts=before.attempts + tries,
                    error=error[:_LONGEST],
                    changed=now,
                    next_try=next_try,
                )

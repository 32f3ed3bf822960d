"""What became of the messages for one target, or for all commands of one kind: numbers, and the last failure. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gcron.frozen import frozen
from gcron.notify.message import Message
from gcron.notify.recent import Key, Recent
from gcron.scheduler.messages import MessageState, TargetCounts

__all__ = ["Counts", "TargetFacts"]


@frozen
class TargetFacts:
    """What a target is, for people, without secrets."""

    where: str
    kind: str
    on: tuple[str, ...] = ()
    quiet: str = ""


@frozen
class _Trouble:
    """That the last try of a channel failed."""

    error: str
    time: float
    next_try: float | None


class Counts:
    """Counts for the target `name`, by the channels that deliver to it: one, or those of the commands of many jobs.

    `recent`: remembers the newest messages. `lost`: messages that are given up already.
    """

    def __init__(self, name: str, recent: Recent | None = None, lost: int = 0) -> None:
        self.name = name
        self.waiting = 0
        self._recent = recent or Recent()
        self._lost = lost
        self._sent = self._failed = self._dropped = 0
        self._last_sent: float | None = None
        self._troubles: dict[str, _Trouble] = {}
        """By channel, the latest last."""

    def add(self, message: Message, channel: str, is_held: bool, is_kept: bool) -> None:
        """Note a message that is on its way, or waits for a digest. `is_kept`: it comes from an earlier process."""
        state = MessageState.HELD if is_held else MessageState.WAITING
        self._recent.add(message, channel, self.name, state, is_kept)

    def succeed(self, channel: str, keys: Sequence[Key], now: float) -> None:
        """Count a delivery."""
        self._sent += 1
        self._last_sent = now
        self._troubles.pop(channel, None)
        self._recent.change(keys, MessageState.DELIVERED, now)

    def fail(self, channel: str, keys: Sequence[Key], now: float, why: str, next_try: float | None) -> None:
        """Count a try that failed."""
        self._failed += 1
        self._troubles.pop(channel, None)
        self._troubles[channel] = _Trouble(why, now, next_try)
        self._recent.change(keys, MessageState.WAITING, now, why, next_try)

    def lose(self, keys: Sequence[Key], now: float, why: str) -> None:
        """Count a message that is given up after a try."""
        self._lost += 1
        self._recent.end(keys, MessageState.GIVEN_UP, now, why)

    def drop(self, keys: Sequence[Key], now: float, why: str) -> None:
        """Count a message that has no room."""
        self._lost += 1
        self._dropped += 1
        self._recent.end(keys, MessageState.DROPPED, now, why)

    def shorten(self, keys: Sequence[Key], now: float) -> None:
        """Note a message that a digest counts without its words."""
        self._recent.end(keys, MessageState.DROPPED, now, "too many wait: a digest only counts it")

    def give_up(self, count: int) -> None:
        """Count messages of an earlier process that are not delivered any more."""
        self._lost += count

    def forget(self, channel: str) -> None:
        """The channel is gone."""
        self._troubles.pop(channel, None)

    def described(
        self, facts: TargetFacts, held: int = 0, held_until: float | None = None, jobs: int | None = None
    ) -> TargetCounts:
        """Return all that is known of the target."""
        last = next(reversed(self._troubles.values()), None)
        tries = [trouble.next_try for trouble in self._troubles.values() if trouble.next_try is not None]
        return TargetCounts(
            target=self.name,
            where=facts.where,
            kind=facts.kind,
            on=facts.on,
            quiet=facts.quiet,
            sent=self._sent,
            waiting=self.waiting,
            held=held,
            held_until=held_until,
            failed=self._failed,
            lost=self._lost,
            dropped=self._dropped,
            last_sent=self._last_sent,
            last_error="" if last is None else last.error,
            last_error_at=None if last is None else last.time,
            next_try=min(tries, default=None),
            failing=len(self._troubles),
            jobs=jobs,
        )

"""What waits for one target: in which order, and when. Digests and quiet hours. Pure: time is a parameter.

This module does not know how a message is delivered.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from itertools import chain

from gcron.notify.message import DIGEST, Message, new_id
from gcron.scheduler.records import instant

__all__ = ["Outbox", "Quiet"]

_WINDOW = 60.0
# Messages of one digest that it names, and characters of each.
_NAMED, _LONGEST = 2_000, 300


class Quiet:
    """Hours of the day, from `begin` to `end` (minutes), in which nobody wants to be disturbed."""

    def __init__(self, begin: int, end: int, zone: tzinfo) -> None:
        self._begin = begin
        self._end = end
        self._zone = zone

    def until(self, now: float) -> float | None:
        """Return the end of the quiet hours in which `now` is, in seconds of UTC; None when it is in none."""
        local = datetime.fromtimestamp(now, self._zone)
        minute = local.hour * 60 + local.minute
        is_quiet = (minute - self._begin) % 1440 < (self._end - self._begin) % 1440
        if not is_quiet:
            return None
        day = local if minute < self._end else local + timedelta(days=1)
        end = day.replace(hour=self._end // 60, minute=self._end % 60, second=0, microsecond=0, fold=0)
        return max(end.timestamp(), now + 1)


class Outbox:
    """Messages that wait for one target.

    More than `per_minute` become one digest; None: no limit. More than `capacity` that wait become one, too; without a
    limit per minute, the oldest is dropped instead: such receivers take no digest.
    """

    def __init__(self, quiet: Quiet | None = None, per_minute: int | None = 20, capacity: int = 50) -> None:
        self.quiet = quiet
        self._per_minute = per_minute
        self._capacity = capacity
        self._ready: deque[Message] = deque()
        self._recent: deque[float] = deque()
        """When messages were put into `_ready`, in the last minute."""
        self._held: deque[Message] = deque()
        """For a digest; without their outputs."""
        self._held_until = 0.0
        self._holds_urgent = False
        self._unnamed = 0
        """Messages that the digest only counts."""
        self._size = 0

    @property
    def size(self) -> int:
        """About how many bytes the messages that wait take."""
        return self._size

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._ready) + len(self._held) + self._unnamed

    def __iter__(self) -> Iterator[Message]:
        """Yield the messages that wait, but those that a digest will only count."""
        return chain(self._ready, self._held)

    @property
    def held(self) -> tuple[int, float | None]:
        """How many messages wait for a digest, and when that is due, in seconds of UTC."""
        return len(self._held) + self._unnamed, self._held_until if self._held else None

    def holds(self, message: Message) -> bool:
        """Whether the message that was put last waits for a digest, which names it."""
        return bool(self._held) and self._held[-1].message_id == message.message_id

    @property
    def makes_digests(self) -> bool:
        """False for receivers that take each message by itself."""
        return self._per_minute is not None

    def put(self, message: Message, now: float, room: float = math.inf) -> Message | None:
        """Take a message in. Returns one that is dropped because of it, or that a digest will only count.

        `room`: the bytes that it may take. A message that is larger loses its output; if that is not enough, a digest
        names it or only counts it. An outbox that is empty takes one message in any case, without its output.
        """
        if message.size > room:
            message = message.without_output()
        has_room = message.size <= room
        if self._per_minute is None:
            self._push(message)
            is_full = len(self._ready) > self._capacity or not has_room
            return self._pop() if is_full and len(self._ready) > 1 else None
        quiet_until = self.quiet.until(now) if self.quiet is not None and not message.is_urgent else None
        if quiet_until is not None:
            return self._hold(message, quiet_until, room)
        while self._recent and not 0 <= now - self._recent[0] < _WINDOW:
            self._recent.popleft()
        is_full = len(self._recent) >= self._per_minute or len(self._ready) >= self._capacity
        if is_full or (not has_room and len(self)):
            is_later = not self._held or (message.is_urgent and not self._holds_urgent)
            return self._hold(message, now + _WINDOW if is_later else self._held_until, room)
        self._recent.append(now)
        self._push(message)
        return None

    def _hold(self, message: Message, until: float, room: float) -> Message | None:
        # An urgent message does not wait until the morning: what is held with it goes with it.
        self._holds_urgent = message.is_urgent or (self._holds_urgent and bool(self._held))
        self._held_until = min(until, self._held_until) if self._holds_urgent and self._held else until
        short = _short(message)
        if not self._held or (len(self._held) < _NAMED and short.size <= room):
            self._held.append(short)
            self._size += short.size
            return None
        self._unnamed += 1
        return message

    def _push(self, message: Message) -> None:
        self._ready.append(message)
        self._size += message.size

    def _pop(self) -> Message:
        message = self._ready.popleft()
        self._size -= message.size
        return message

    def take(self, now: float) -> Message | None:
        """Return the next message that is due, and forget it; None when there is none."""
        if self._ready:
            return self._pop()
        if not self._held or now < self._held_until:
            return None
        held, unnamed = list(self._held), self._unnamed
        self._held.clear()
        self._size = 0
        self._unnamed = 0
        return held[0] if len(held) == 1 and not unnamed else _digest(held, unnamed, now)

    def put_back(self, message: Message) -> None:
        """Take back the message that `take` returned last."""
        self._ready.appendleft(message)
        self._size += message.size

    def due(self) -> float | None:
        """Seconds of UTC from which on `take` returns a message; None when nothing waits."""
        if self._ready:
            return 0.0
        return self._held_until if self._held else None

    def hurry(self) -> None:
        """Let what waits for a digest be due at once: gcron ends."""
        self._held_until = 0.0


def _short(message: Message) -> Message:
    """The message without what makes it large: a thousand may wait."""
    return Message(
        message.message_id,
        message.kind,
        message.time,
        message.title[:_LONGEST],
        message.job,
        record={
            "time": instant(message.time),
            "job": message.job,
            "kind": message.kind,
            "title": message.title[:_LONGEST],
        },
    )


def _digest(held: list[Message], unnamed: int, now: float) -> Message:
    total = len(held) + unnamed
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(message.kind for message in held).most_common())
    lines = [f"{instant(message.time)} {message.title}" for message in held]
    if unnamed:
        lines.append(f"… and {unnamed} more")
    record = {"event": DIGEST, "count": total, "messages": [dict(message.record) for message in held]}
    title = f"gcron: {total} messages ({kinds})"
    covers = tuple(message.message_id for message in held)
    return Message(new_id(), DIGEST, now, title, text="\n".join(lines), record=record, covers=covers)

"""Where messages are kept until they are delivered, so that a restart loses none.

`MessageStore` is what is asked of a store. The stores of gcron.state do not implement it, and `gcron run` gives none:
what is not delivered when it ends is lost. `MessageJournal` asks a store in batches, in a thread, and goes on without
it when it fails: a message is then only in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gcron.frozen import frozen
from gcron.notify.message import Message
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.threadpool import ThreadPool

__all__ = ["Kept", "MemoryMessages", "MessageJournal", "MessageStore"]

_LARGEST_BATCH = 500
_MOST_WAITING = 10_000


@frozen
class Kept:
    """A message that is not delivered yet, and for whom it is."""

    message_id: str
    target: str
    """The name of the target."""
    time: float
    """Seconds of UTC at which it was made."""
    text: str
    """`Message.to_json`."""


class MessageStore(Protocol):
    """What notifications need of a store. Methods raise whatever they like. They are called one at a time."""

    blocks: bool
    """True when a call may wait for a disk or a network. It is then called in a thread."""

    def append_messages(self, messages: Sequence[Kept]) -> None:
        """Keep these; one with the same id and target as before is the same."""

    def drop_messages(self, message_ids: Sequence[tuple[str, str]]) -> None:
        """Forget these, by id and target: they are delivered, or given up."""

    def list_messages(self, since: float) -> Sequence[Kept]:
        """Return what is kept and was made at or after `since`, oldest first; older ones are dropped."""


class MemoryMessages:
    """Keeps messages as long as it lives itself: for tests, and for a scheduler that is made anew in one program."""

    blocks = False

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Kept] = {}

    def append_messages(self, messages: Sequence[Kept]) -> None:
        """See `MessageStore`."""
        self._kept.update({(kept.message_id, kept.target): kept for kept in messages})

    def drop_messages(self, message_ids: Sequence[tuple[str, str]]) -> None:
        """See `MessageStore`."""
        for key in message_ids:
            self._kept.pop(key, None)

    def list_messages(self, since: float) -> list[Kept]:
        """See `MessageStore`."""
        self._kept = {key: kept for key, kept in self._kept.items() if kept.time >= since}
        return sorted(self._kept.values(), key=lambda kept: kept.time)


class MessageJournal:
    """Keeps messages in `store`, and forgets them; `fail` gets the text of what goes wrong, once in a row."""

    def __init__(self, store: MessageStore, fail: Callable[[str], object]) -> None:
        self._store = store
        self._fail = fail
        self._pool = ThreadPool(1)
        self._appended: dict[tuple[str, str], Kept] = {}
        self._dropped: list[tuple[str, str]] = []
        self._writer: Greenlet | None = None
        self._is_failing = False

    def append(self, target: str, message: Message) -> None:
        """Have a message kept soon; returns at once."""
        if len(self._appended) < _MOST_WAITING:
            kept = Kept(message.message_id, target, message.time, message.to_json())
            self._appended[kept.message_id, target] = kept
            self._write_soon()

    def drop(self, target: str, *message_ids: str) -> None:
        """Have messages forgotten soon; returns at once."""
        for message_id in message_ids:
            if self._appended.pop((message_id, target), None) is None:
                self._dropped.append((message_id, target))
        self._write_soon()

    def list(self, since: float) -> Sequence[Kept]:
        """Return what was not delivered before the last end; parks while the store looks."""
        try:
            if self._store.blocks:
                found: Sequence[Kept] = self._pool.spawn(self._store.list_messages, since).get()
                return found
            return self._store.list_messages(since)
        except Exception as error:
            self._complain(error)
            return ()

    def close(self, timeout: float) -> None:
        """Write what waits, for at most `timeout` seconds."""
        if self._writer is not None:
            self._writer.join(timeout)
        self._pool.kill()

    def _write_soon(self) -> None:
        if self._writer is None:
            self._writer = spawn(self._write)

    def _write(self) -> None:
        while self._appended or self._dropped:
            appended = list(self._appended.values())[:_LARGEST_BATCH]
            for kept in appended:
                del self._appended[kept.message_id, kept.target]
            dropped, self._dropped = self._dropped, []
            try:
                if self._store.blocks:
                    self._pool.spawn(self._put, appended, dropped).get()
                else:
                    self._put(appended, dropped)
                self._is_failing = False
            except Exception as error:
                self._complain(error)
        self._writer = None

    def _put(self, appended: Sequence[Kept], dropped: Sequence[tuple[str, str]]) -> None:
        if appended:
            self._store.append_messages(appended)
        if dropped:
            self._store.drop_messages(dropped)

    def _complain(self, error: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            self._fail(f"messages are not kept over a restart: {type(error).__name__}: {error}")

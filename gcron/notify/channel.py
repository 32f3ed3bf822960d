"""A channel: one target with what waits for it, and the greenlet that delivers.

A delivery that fails is tried again, with longer and longer pauses, until the message is too old. A channel never makes
anybody wait: `put` returns at once, and what blocks is in a thread.
"""

from __future__ import annotations

from collections.abc import Callable

from gcron.frozen import frozen
from gcron.notify.counts import Counts
from gcron.notify.delivery import Call, DeliveryError, DeliveryThreads, Sender
from gcron.notify.message import Message
from gcron.notify.outbox import Outbox, Quiet
from gcron.notify.space import Space
from gcron.runtime.event import Event
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import get_hub
from gcron.schedule.clock import Clock
from gcron.scheduler.messages import KeptMessage, MessageStore

__all__ = ["Channel", "Patience"]

# Seconds between two looks at what waits for a digest: somebody may set the clock.
_SHORTEST_NAP, _LONGEST_NAP = 0.01, 60.0
_NO_ROOM = "too many wait"


@frozen
class Patience:
    """How long deliveries are waited for and tried. All in seconds."""

    delivery: float = 30.0
    """For one delivery."""
    first_pause: float = 10.0
    """Before the second try; it doubles each time."""
    longest_pause: float = 900.0
    keep: float = 86400.0
    """After which a message is given up."""
    stop: float = 4.0
    """For what waits when gcron stops."""


class Channel:
    """Delivers messages to one target by `sender`, in the order of `outbox`. `say` gets lines for the log.

    What waits takes room in `space`, of `owner`. What becomes of the messages is noted in `counts`.
    """

    def __init__(
        self,
        name: str,
        where: str,
        sender: Sender,
        outbox: Outbox,
        threads: DeliveryThreads,
        clock: Clock,
        say: Callable[[str], object],
        space: Space,
        owner: str = "",
        store: MessageStore | None = None,
        patience: Patience | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.name = name
        self.counts = counts or Counts(name)
        self._waiting = 0
        """Messages that are counted as waiting."""
        self._where = where
        self._sender = sender
        self._outbox = outbox
        self._threads = threads
        self._clock = clock
        self._say = say
        self._space = space
        self._owner = owner
        self._size = 0
        """Bytes that are counted in `space`."""
        self._store = store
        self._patience = patience or Patience()
        self._worker: Greenlet | None = None
        self._news = Event()
        """Set when something was put into the outbox, or gcron stops."""
        self._stopping = Event()
        self._changed = Event()
        """Set when it is worth trying again at once: the target has changed, or gcron stops."""
        self._hanging: Call | None = None
        """A delivery that did not come back in time."""
        self._current: Message | None = None
        self._is_failing = False

    def put(self, message: Message, is_kept: bool = False) -> None:
        """Deliver a message soon; returns at once. `is_kept`: it comes from the store."""
        if self._store is not None and not is_kept:
            self._store.append_messages([KeptMessage(message.message_id, self.name, message.time, message.to_json())])
        room = self._space.room(self._owner)
        if message.size > room:
            self._space.report_cut(self._owner)
        dropped = self._outbox.put(message, self._clock.now(), room)
        self._count()
        self.counts.add(message, self.name, self._outbox.holds(message), is_kept)
        if dropped is not None:
            self._forget(dropped)
            if self._outbox.makes_digests:
                self.counts.shorten(self._keys(dropped), self._clock.now())
            else:
                self.counts.drop(self._keys(dropped), self._clock.now(), _NO_ROOM)
                self._report_loss(dropped, _NO_ROOM)
        self._news.set()
        self.go_on()

    def go_on(self) -> None:
        """Deliver what waits, if anything does; returns at once."""
        if self._worker is None and len(self._outbox):
            self._worker = spawn(self._work)

    def give_up(self, count: int, why: str) -> None:
        """Count messages of an earlier gcron that are not delivered any more."""
        self.counts.give_up(count)
        self._say(f"notify {self.name} ({self._where}): given up: {count}: {why}")

    def use(self, where: str, sender: Sender, quiet: Quiet | None) -> None:
        """Deliver by another sender from now on, and try at once: the target has changed."""
        self._where = where
        self._sender = sender
        self._outbox.quiet = quiet
        self._changed.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return self._worker is None and not len(self._outbox)

    @property
    def held(self) -> tuple[int, float | None]:
        """How many messages wait for a digest, and when that is due, in seconds of UTC."""
        return self._outbox.held

    @property
    def waiting(self) -> set[tuple[str, str]]:
        """What waits, as the store knows it: by id and target."""
        current = () if self._current is None else (self._current,)
        return {key for message in (*current, *self._outbox) for key in self._keys(message)}

    def stop(self) -> Greenlet | None:
        """Deliver what waits at once, each message by one try; returns the greenlet that does it, if there is one."""
        self._outbox.hurry()
        self._stopping.set()
        self._changed.set()
        self._news.set()
        return self._worker

    def begin_anew(self) -> None:
        """Deliver as before from now on: a scheduler that has stopped may start again."""
        self._stopping.clear()
        self._changed.clear()
        self._worker = self._current = None
        self._count()

    def _count(self) -> None:
        waiting = len(self._outbox) + (self._current is not None)
        self.counts.waiting += waiting - self._waiting
        self._waiting = waiting
        size = self._outbox.size + (0 if self._current is None else self._current.size)
        change, self._size = size - self._size, size
        self._space.change(self._owner, change)

    # -- the worker -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (due := self._outbox.due()) is not None:
            self._news.clear()
            message = self._outbox.take(self._clock.now())
            if message is None:
                self._news.wait(min(max(due - self._clock.now(), _SHORTEST_NAP), _LONGEST_NAP))
                continue
            self._current = message
            self._count()
            is_done = self._deliver(message)
            self._current = None
            self._count()
            if not is_done:
                break  # gcron stops, and the target does not answer
        self._worker = None

    def _deliver(self, message: Message) -> bool:
        """Try until it is delivered or given up; False when gcron stops before that."""
        pause = self._patience.first_pause
        while True:
            try:
                self._try(message)
            except DeliveryError as error:
                now = self._clock.now()
                if error.final or now - message.time > self._patience.keep:
                    self._fail(message, str(error))
                    self._forget(message)
                    self._lose(message, str(error))
                    return True
                if self._stopping.is_set():
                    return self._leave(message, str(error))
                wait = max(error.retry_after or 0.0, pause)
                self._fail(message, str(error), now + wait)
                self._complain(str(error), wait)
                self._changed.wait(wait)
                self._changed.clear()
                if self._stopping.is_set():
                    return self._deliver_last(message)
                pause = min(pause * 2, self._patience.longest_pause)
            else:
                self._succeed(message)
                return True

    def _deliver_last(self, message: Message) -> bool:
        try:
            self._try(message)
        except DeliveryError as error:
            return self._leave(message, str(error))
        self._succeed(message)
        return True

    def _leave(self, message: Message, why: str) -> bool:
        """Keep a message that was not delivered when gcron stops."""
        self._fail(message, why)
        self._outbox.put_back(message)
        return False

    def _try(self, message: Message) -> None:
        if self._hanging is not None and not self._hanging.is_over:
            raise DeliveryError("an earlier delivery still hangs")
        self._hanging = None
        try:
            if not self._sender.blocks:
                self._sender.send(message)
                return
            call = self._threads.call(self._sender.send, message, self._patience.delivery)
            if not call.is_over:
                self._hanging = call
                raise DeliveryError(f"no answer within {self._patience.delivery:g} s")
            call.result.get()
        except DeliveryError:
            raise
        except Exception as error:  # its text may hold a secret
            get_hub().report_error(f"notifications to {self.name}", RuntimeError(type(error).__name__))
            raise DeliveryError(f"gcron itself failed: {type(error).__name__}") from None

    # -- what came of it ------------------------------------------------------------------------------------

    def _succeed(self, message: Message) -> None:
        self.counts.succeed(self.name, self._keys(message), self._clock.now())
        self._forget(message)
        if self._is_failing:
            self._is_failing = False
            self._say(f"notify {self.name}: messages are delivered again")

    def _fail(self, message: Message, why: str, next_try: float | None = None) -> None:
        self.counts.fail(self.name, self._keys(message), self._clock.now(), why, next_try)

    def _complain(self, why: str, wait: float) -> None:
        if not self._is_failing:
            self._is_failing = True
            self._say(f"notify {self.name} ({self._where}): not delivered: {why}; tried again in {wait:g} s")

    def _lose(self, message: Message, why: str) -> None:
        self.counts.lose(self._keys(message), self._clock.now(), why)
        self._report_loss(message, why)

    def _report_loss(self, message: Message, why: str) -> None:
        self._say(f"notify {self.name} ({self._where}): given up: {message.title!r}: {why}")

    def _forget(self, message: Message) -> None:
        if self._store is not None:
            self._store.drop_messages(self._keys(message))

    def _keys(self, message: Message) -> list[tuple[str, str]]:
        return [(message_id, self.name) for message_id in message.covers or (message.message_id,)]

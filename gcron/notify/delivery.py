"""Delivering one message: what a sender is, how it fails, and the threads in which it may block.

This module must not know which messages wait, nor which targets there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from gcron.notify.message import Message
from gcron.runtime.event import AsyncResult
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.lock import Semaphore

__all__ = ["Call", "DeliveryError", "DeliveryThreads", "Sender"]


class DeliveryError(Exception):
    """A message that was not delivered, and why, in words that hold no secret.

    `final`: another attempt would fail as well. `retry_after`: seconds that the receiver asks to wait.
    """

    def __init__(self, text: str, *, final: bool = False, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.final = final
        self.retry_after = retry_after


class Sender(Protocol):
    """Delivers messages to one target."""

    blocks: bool
    """True when `send` may wait for a network or a disk. It is then called in a thread."""

    def send(self, message: Message) -> str:
        """Deliver it; returns what came back, for people. Raises DeliveryError."""


class DeliveryThreads:
    """Threads for deliveries, at most `most` at once. They are made when needed, and end after one delivery.

    A thread that does not come back in time is left to itself: nothing can end a thread in a lookup of a name, or in a
    read that brings one byte a second.
    """

    def __init__(self, most: int = 8) -> None:
        self._free = Semaphore(most)

    def call(self, function: Callable[[Message], str], message: Message, seconds: float) -> Call:
        """Call `function(message)` in a thread, parking the caller until it is over or `seconds` have passed."""
        with self._free:
            call = Call(partial(function, message))
            call.begin()
            call.result.wait(seconds)
        return call


class Call:
    """Something that may hang, such as one delivery, in a thread of its own."""

    def __init__(self, work: Callable[[], str]) -> None:
        self._work = work
        self.result: AsyncResult[str] = AsyncResult()

    @property
    def is_over(self) -> bool:
        """False while the thread is at it."""
        return self.result.ready()

    def begin(self) -> None:
        """Start the thread. Raises DeliveryError when the system allows no more."""
        hub = get_hub()
        release = hub.hold()
        thread = threading.Thread(target=self._deliver, args=(hub, release), name="gcron-notify", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            release()
            raise DeliveryError("no thread is free") from None

    def _deliver(self, hub: Hub, release: Callable[[], None]) -> None:
        answer, failure = "", None
        try:
            answer = self._work()
        except Exception as error:
            failure = error

        def arrive() -> None:
            release()
            if failure is None:
                self.result.set(answer)
            else:
                self.result.set_exception(failure)

        with suppress(OSError):  # the loop has ended: nobody waits any more
            hub.call_soon_threadsafe(arrive)

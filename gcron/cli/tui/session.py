"""What the screens ask gcron, in threads: no key waits for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from textual.message import Message
from textual.message_pump import MessagePump

from gcron.cli.following import Follower, View
from gcron.control.client import Client, NoGcron, Refused

__all__ = ["Answered", "Said", "Session", "send", "start"]

Record = dict[str, Any]


class Said(Message):
    """Something to be shown in the line of messages."""

    def __init__(self, text: str, is_error: bool = False) -> None:
        super().__init__()
        self.text = text
        self.is_error = is_error


class Answered(Message):
    """gcron has answered a question of a screen."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer


class Session:
    """The gcron that the screens show."""

    def __init__(self, client: Client, follower: Follower) -> None:
        self._client = client
        self._follower = follower

    @property
    def view(self) -> View:
        """How it stands, as far as is known."""
        return self._follower.view

    def job(self, name: str) -> Record | None:
        """A job, as far as is known."""
        return next((job for job in self.view.jobs if job["job"] == name), None)

    def another_client(self) -> Client:
        """A client for one thread."""
        return self._client.another()

    def act(self, asker: MessagePump, action: Callable[[Client], str]) -> None:
        """Have something done; `asker` gets `Said` with what came of it."""

        def work() -> None:
            send(asker, self._said_by(action))
            self._follower.look_again()

        start(work)

    def ask(self, asker: MessagePump, question: Callable[[Client], object]) -> threading.Thread:
        """Ask something in a thread, and return it; `asker` gets `Answered`, or `Said` with what is wrong."""

        def work() -> None:
            try:
                with self._client.another() as client:
                    send(asker, Answered(question(client)))
            except (NoGcron, Refused, KeyError) as error:
                send(asker, Said(str(error), is_error=True))

        return start(work)

    def _said_by(self, action: Callable[[Client], str]) -> Said:
        try:
            with self._client.another() as client:
                return Said(action(client))
        except (NoGcron, Refused, KeyError) as error:
            return Said(str(error), is_error=True)


def start(work: Callable[[], None]) -> threading.Thread:
    """Do something in a thread that keeps no process from ending."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def send(target: MessagePump, message: Message) -> bool:
    """Post a message from any thread; False when nobody takes it any more."""
    with suppress(RuntimeError):  # the loop has ended
        return target.post_message(message)
    return False

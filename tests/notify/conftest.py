"""Fixtures: a scheduler with notifications on virtual time, and senders that remember."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from gcron.crontab import parse
from gcron.notify.channel import Patience
from gcron.notify.delivery import DeliveryError
from gcron.notify.mailer import Mailer
from gcron.notify.message import Message
from gcron.notify.notifications import Notifications
from gcron.notify.routes import Route
from gcron.notify.senders import SenderSettings, make_sender
from gcron.scheduler import Scheduler
from gcron.scheduler.job import jobs_of
from gcron.testing import VirtualClock
from tests.conftest import Recorder
from tests.waiting import PATIENCE


class Postbox:
    """Makes senders that remember what they deliver. `fail`: what the next deliveries raise."""

    def __init__(self) -> None:
        self.delivered: list[tuple[str, Message]] = []
        self.fail: list[DeliveryError] = []
        self.tries = 0

    def make(self, route: Route, settings: SenderSettings) -> Any:
        postbox = self

        class RememberingSender:
            blocks = False

            def send(self, message: Message) -> str:
                postbox.tries += 1
                if postbox.fail:
                    raise postbox.fail.pop(0)
                postbox.delivered.append((route.name, message))
                return "delivered"

        return RememberingSender()

    def titles(self, target: str | None = None) -> list[str]:
        return [message.title for name, message in self.delivered if target in (None, name)]

    def kinds(self, target: str | None = None) -> list[str]:
        return [message.kind for name, message in self.delivered if target in (None, name)]


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


class House:
    """A scheduler of a crontab, with notifications."""

    def __init__(self, scheduler: Scheduler, recorder: Recorder, notifications: Notifications, log: list[str]) -> None:
        self.scheduler = scheduler
        self.recorder = recorder
        self.notifications = notifications
        self.log = log


@pytest.fixture
def make_house(
    make_scheduler: Callable[..., tuple[Scheduler, Recorder]],
) -> Iterator[Callable[..., House]]:
    """Make a scheduler with the jobs of a crontab, and its notifications. All of them are stopped after the test."""
    houses: list[House] = []

    def make(text: str, clock: Any, make: Any = make_sender, mailer: Mailer | None = None, **options: Any) -> House:
        scheduler, recorder = make_scheduler(clock=clock)
        scheduler.replace(jobs_of(parse(text)))
        log: list[str] = []
        patience = options.pop("patience", Patience(stop=0.5))
        settings = SenderSettings(clock, options.pop("emit", lambda event: None), mailer)
        notifications = Notifications(scheduler, clock, log.append, settings, make=make, patience=patience, **options)
        houses.append(House(scheduler, recorder, notifications, log))
        return houses[-1]

    yield make
    for house in houses:
        house.scheduler.kill()
        house.scheduler.stop(grace=0)
        house.notifications.stop()


@pytest.fixture
def house(make_house: Callable[..., House], clock: VirtualClock, postbox: Postbox) -> Callable[..., House]:
    """Make one on virtual time, with senders that remember."""

    def make(text: str, **options: Any) -> House:
        return make_house(text, clock, postbox.make, Mailer(program="/nowhere"), **options)

    return make


@pytest.fixture
def bad_peer() -> Iterator[Callable[[Callable[[socket.socket], object]], str]]:
    """Listen, and let a function do what it likes with each connection; returns `host:port`."""
    listeners: list[socket.socket] = []
    over = threading.Event()

    def listen(behave: Callable[[socket.socket], object]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        behave(connection)
                        over.wait(PATIENCE if behave is hang else 0)

        threading.Thread(target=serve, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield listen
    over.set()
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def hang(connection: socket.socket) -> None:
    """Accept, and say nothing."""

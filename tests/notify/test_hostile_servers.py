"""Servers that never come to an end: each delivery ends nevertheless, with bounded memory, and leaves nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from gcron.notify import http, mail
from gcron.notify.delivery import DeliveryError, DeliveryThreads
from gcron.notify.mail import MailSender
from gcron.notify.mailer import read_mailer
from gcron.notify.message import Message
from gcron.notify.webhook import WebhookSender
from tests.waiting import PATIENCE, until

MESSAGE = Message("msg_1", "failure", 0.0, "backup failed")
MIB = 1024 * 1024


def failure_of(sender: Any) -> str:
    with pytest.raises(DeliveryError) as caught:
        DeliveryThreads().call(sender.send, MESSAGE, PATIENCE).result.get()
    assert not caught.value.final
    return str(caught.value)


def mail_to(address: str, scheme: str = "smtp") -> MailSender:
    return MailSender(read_mailer(f"{scheme}://{address}"), "ops@example.com")


def repeat(data: bytes, pause: float = 0.0) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        while True:  # until the other side is gone
            connection.sendall(data)
            time.sleep(pause)

    return behave


@pytest.fixture
def _short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_DEADLINE", 0.5)
    monkeypatch.setattr(mail, "_DEADLINE", 0.5)


@pytest.mark.usefixtures("_short_deadlines")
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 100 Continue\r\n\r\n" * 100, b"HTTP/1.1 200 OK\r\nX-A: b\r\n" * 100],
    ids=["interim answers", "headers"],
)
def test_a_web_server_that_answers_without_end_is_left(bad_peer: Callable[..., str], answer: bytes) -> None:
    """The thread read interim answers for ever, on a processor of its own."""
    said = failure_of(WebhookSender(f"http://{bad_peer(repeat(answer))}/SECRET"))

    assert said.startswith(("it did not come to an end within 0.5 s", "the connection broke: "))


@pytest.mark.usefixtures("_short_deadlines")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_web_server_that_sends_a_byte_now_and_then_is_left(bad_peer: Callable[..., str], scheme: str) -> None:
    """Each byte began the time-out anew, and the target got no message any more. With https, it is in TLS."""
    first = b"\x16\x03\x03\x40\x00\x02" if scheme == "https" else b"HTTP/1.1 200 OK\r\nX-A: "

    def behave(connection: socket.socket) -> None:
        connection.sendall(first)
        repeat(b"\x00" if scheme == "https" else b"x", pause=0.05)(connection)

    said = failure_of(WebhookSender(f"{scheme}://{bad_peer(behave)}/SECRET"))
    assert said in ("it did not come to an end within 0.5 s", "TLS: SSLError")


def test_a_mail_server_that_greets_without_end_takes_no_memory(bad_peer: Callable[..., str]) -> None:
    """gcron kept all the lines of the greeting: 300 MB more each second."""
    process = psutil.Process()
    before = process.memory_info().rss
    said = failure_of(mail_to(bad_peer(repeat(b"220-" + b"x" * 4000 + b"\r\n"))))

    assert said == "the mail server 127.0.0.1 cannot be reached: it says too much"
    assert process.memory_info().rss - before < 50 * MIB


@pytest.mark.usefixtures("_short_deadlines")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_mail_server_that_sends_a_byte_now_and_then_is_left(bad_peer: Callable[..., str], scheme: str) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00\x02" if scheme == "smtps" else b"220 ")
        repeat(b"\x00", pause=0.05)(connection)

    said = failure_of(mail_to(bad_peer(behave), scheme))
    assert said == "it did not come to an end within 0.5 s" or "cannot be reached" in said


def test_a_mail_server_that_never_greets_is_left(bad_peer: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "_TIMEOUT", 0.3)
    over = threading.Event()
    said = failure_of(mail_to(bad_peer(lambda connection: over.wait(PATIENCE))))
    over.set()

    assert said == "the mail server does not answer within 0.3 s"


def test_a_mail_server_may_greet_slowly_and_say_anything_to_quit(bad_peer: Callable[..., str]) -> None:
    """As those do that wait for spammers to lose patience. To QUIT this one says 250: the mail was sent again."""
    got: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        time.sleep(0.5)
        connection.sendall(b"220 mail\r\n")
        with connection.makefile("rb") as file:
            for line in file:
                got.append(line)
                if line.upper() == b"DATA\r\n":
                    connection.sendall(b"354 go on\r\n")
                    while (line := file.readline()) != b".\r\n":
                        got.append(line)
                connection.sendall(b"250 OK\r\n")

    answer = DeliveryThreads().call(mail_to(bad_peer(behave)).send, MESSAGE, PATIENCE).result.get()
    assert answer == "taken by 127.0.0.1"
    assert b"Subject: backup failed\r\n" in got


@pytest.mark.usefixtures("_short_deadlines")
def test_deliveries_that_failed_leave_no_descriptor_and_no_thread(bad_peer: Callable[..., str]) -> None:
    senders = [
        WebhookSender(f"http://{bad_peer(repeat(b'x', pause=0.05))}/"),
        WebhookSender(f"https://{bad_peer(lambda connection: None)}/"),
        mail_to(bad_peer(lambda connection: None)),
        mail_to(bad_peer(repeat(b"220-x\r\n"))),
    ]
    process = psutil.Process()
    for sender in senders:  # what is imported and opened once
        failure_of(sender)
    before = process.num_fds()
    for _ in range(3):
        for sender in senders:
            failure_of(sender)

    until(lambda: process.num_fds() <= before, "the descriptors are closed")
    until(lambda: not [each for each in threading.enumerate() if each.name == "gcron-notify"], "the threads end")

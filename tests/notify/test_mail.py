"""Mail: what it looks like, a program like sendmail, and real SMTP servers."""

from __future__ import annotations

import email
import email.policy
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from gcron.errors import ArgumentError
from gcron.notify import mail
from gcron.notify.delivery import DeliveryError
from gcron.notify.mail import MailSender, compose
from gcron.notify.mailer import Mailer, read_mailer
from gcron.notify.message import DIGEST, Message
from tests.waiting import takes

OUTPUT = Message(
    "msg_1",
    "output",
    1767225600.0,
    "backup failed: exit status 1",
    "backup",
    "job: backup",
    {"outcome": "failed", "reason": "exit status 1"},
    "no space\n",
    "no space\n",
    "backup --all",
    {"SHELL": "/bin/sh", "MAILTO": "ops@example.com", "LOGNAME": "alice"},
)
FAILURE = Message(
    "msg_2", "failure", 0.0, "backup failed", "backup", "job: backup", OUTPUT.record, "no\n", "no\n", "backup --all"
)


# -- what it looks like -----------------------------------------------------------------------------------------------


def test_output_is_mailed_as_cron_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """People filter cron's mail by these headers."""
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    composed = compose(OUTPUT, "ops@example.com", "cron@example.com")

    assert composed["Subject"] == "Cron <alice@host> backup --all"
    assert (composed["From"], composed["To"]) == ("cron@example.com", "ops@example.com")
    assert composed["Auto-Submitted"] == "auto-generated"
    assert composed["Message-ID"] == "<msg_1@host>"
    assert composed.get_all("X-Cron-Env") == ["<SHELL=/bin/sh>", "<MAILTO=ops@example.com>", "<LOGNAME=alice>"]
    assert (composed["X-Gcron-Job"], composed["X-Gcron-Outcome"]) == ("backup", "failed")
    assert composed["X-Gcron-Reason"] == "exit status 1"
    assert composed.get_content() == "no space\n"


def test_a_failure_says_what_and_why() -> None:
    composed = compose(FAILURE, "ops@example.com")

    assert composed["Subject"] == "backup failed"
    assert composed.get_content() == ("backup failed\n\njob: backup\n\ncommand: backup --all\n\noutput:\n\nno\n\n")


def test_a_digest_is_its_lines() -> None:
    assert compose(Message("m", DIGEST, 0.0, "gcron: 2 messages", text="a\nb"), "ops").get_content() == "a\nb\n"


def test_nothing_in_a_command_or_a_reason_makes_a_header() -> None:
    hostile = Message(
        "m", "output", 0.0, "t", "a\nBcc: x@y.example", record={"reason": "a\r\nBcc: x@y.example"},
        command="echo '\n\nBcc: x@y.example' \udcff\x00", output="x",
    )  # fmt: skip
    composed = email.message_from_bytes(compose(hostile, "ops@example.com").as_bytes())

    assert composed["Bcc"] is None
    assert composed.get_all("To") == ["ops@example.com"]


@pytest.mark.parametrize("sender", ["not an address", "a@", "<>", "a@b.example, c@d.example", "a\nBcc: b@c.example"])
def test_a_wrong_sender_loses_no_mail(sender: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`MAILFROM=not an address` had all mail of its crontab given up; `a@` was an IndexError, tried again for a day."""
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    composed = compose(OUTPUT, "ops@example.com", sender)

    assert composed["From"] == compose(OUTPUT, "ops@example.com")["From"]
    assert composed["Bcc"] is None


@pytest.mark.parametrize("sender", ["root", "Backups <backup@example.com>"])
def test_a_sender_may_be_a_user_or_have_a_display_name(sender: str) -> None:
    assert compose(OUTPUT, "ops@example.com", sender)["From"] == sender


@pytest.mark.parametrize(
    ("to", "header"),
    [
        ("ops@example.com", "ops@example.com"),
        ("a@b.example,c@d.example, root", "a@b.example, c@d.example, root"),
        ("a@b.example c@d.example", "a@b.example, c@d.example"),
        ("Ops <ops@example.com>, bob", "ops@example.com, bob"),
    ],
)
def test_a_mail_may_have_several_addressees(to: str, header: str) -> None:
    """Of two addresses with a blank between them, the second got nothing."""
    assert compose(OUTPUT, to)["To"] == header


@pytest.mark.parametrize(
    "to",
    [
        "a@b.example, |id@x.example",
        "|id@x.example",
        '"|/bin/sh -c id"',
        "/etc/cron.d/evil",
        ":include:/etc/shadow",
        "-oQ/tmp",
        '"/x"@a.example',
    ],
)
def test_no_address_is_a_command_a_file_or_an_option(to: str) -> None:
    """Mail programs deliver to such. gcron gives a user's MAILTO to one that runs as root."""
    with pytest.raises(DeliveryError, match="no address"):
        compose(OUTPUT, to)


@pytest.mark.parametrize("to", ["", "a\nBcc: b@c.example", "<>", ",", "a@", "user:password@mail.example"])
def test_a_wrong_addressee_is_final(to: str) -> None:
    with pytest.raises(DeliveryError, match="no address") as caught:
        compose(OUTPUT, to)
    assert caught.value.final


def test_a_body_has_at_most_a_mebibyte() -> None:
    """The limit counted characters, each of which may have four bytes."""
    large = Message("m", "digest", 0.0, "t", text="\U0001f4a5" * 1_000_000)
    text = compose(large, "ops@example.com").get_content()

    assert 1_000_000 < len(text.encode()) <= 1024 * 1024 + len("\r\n")


def test_any_output_is_safe_text() -> None:
    """Lines of a megabyte, characters of any kind: 7-bit lines of at most 998 characters leave (RFC 5322, 2.1.1)."""
    dirty = Message("m", "output", 0.0, "t", output="x" * 3_000_000 + "\n.\nFrom me\né\ufffd\n")
    data = compose(dirty, "ops@example.com").as_bytes()

    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert len(data) < 2_000_000


# -- a program like sendmail ------------------------------------------------------------------------------------------


@pytest.fixture
def sendmail(tmp_path: Path) -> Callable[[str], Mailer]:
    """Make a program that takes mail; `script` is what it does."""

    def make(script: str) -> Mailer:
        program = tmp_path / "sendmail"
        program.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        program.chmod(0o755)
        return Mailer(program=str(program))

    return make


def test_a_program_gets_the_mail_and_no_addresses_as_arguments(
    sendmail: Callable[[str], Mailer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the mail, so that none can be an option."""
    monkeypatch.setenv("GCRON_SECRET", "x")
    mailer = sendmail('echo "$@" > arguments; env > environment; cat > mail')
    assert MailSender(mailer, "ops@example.com").send(OUTPUT) == f"taken by {mailer.program}"

    assert (tmp_path / "arguments").read_text() == "-i -t\n"
    assert "GCRON_" not in (tmp_path / "environment").read_text()
    taken = email.message_from_bytes((tmp_path / "mail").read_bytes(), policy=email.policy.default)
    assert (taken["To"], taken.get_content()) == ("ops@example.com", "no space\n")
    assert b"\r" not in (tmp_path / "mail").read_bytes()


def test_a_program_that_fails_is_tried_again(sendmail: Callable[[str], Mailer]) -> None:
    mailer = sendmail("echo queue is full; exit 75")

    with pytest.raises(DeliveryError) as caught:
        MailSender(mailer, "ops").send(OUTPUT)
    assert (str(caught.value), caught.value.final) == (f"{mailer.program}: exit status 75: queue is full", False)


def test_a_program_that_does_not_read_its_input_fails(sendmail: Callable[[str], Mailer]) -> None:
    large = Message("m", "output", 0.0, "t", output="x\n" * 400_000)

    with pytest.raises(DeliveryError, match="exit status 1"):
        MailSender(sendmail("exit 1"), "ops").send(large)


def test_a_program_that_hangs_is_ended_with_its_children(
    sendmail: Callable[[str], Mailer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It returns when all have closed the pipe that they share: so the child has ended, too."""
    monkeypatch.setattr(mail, "_SENDMAIL_TIMEOUT", 0.5)

    with takes(0.5, at_most=5), pytest.raises(DeliveryError, match="did not end within"):
        MailSender(sendmail("sleep 1000 & sleep 1000"), "ops").send(OUTPUT)


def test_a_missing_program_is_tried_again() -> None:
    with pytest.raises(DeliveryError, match="/nowhere/sendmail: No such file"):
        MailSender(Mailer(program="/nowhere/sendmail"), "ops").send(OUTPUT)


def test_without_a_mailer_mail_is_given_up() -> None:
    with pytest.raises(DeliveryError, match="nothing sends mail") as caught:
        MailSender(None, "ops").send(OUTPUT)
    assert caught.value.final


# -- SMTP -------------------------------------------------------------------------------------------------------------


class Box:
    """What an SMTP server got. `answer`: what it says to the next mail."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []
        self.sessions: list[Any] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        self.sessions.append(session)
        return self.answer

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def smtp(box: Box) -> Iterator[Callable[..., int]]:
    """Start SMTP servers; returns the port."""
    controllers: list[Controller] = []

    def start(**options: Any) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        controllers.append(Controller(box, hostname="127.0.0.1", port=port, **options))
        controllers[-1].start()
        return port

    yield start
    for controller in controllers:
        controller.stop()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The context of a server whose certificate is trusted."""
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    options = "-addext subjectAltName=DNS:localhost"
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"]
    subprocess.run([*make.split(), *options.split(), *files], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return context


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"gcron", b"topsecret"))


def with_password(tmp_path: Path, port: int, password: str = "topsecret", host: str = "localhost") -> Mailer:
    path = tmp_path / "password"
    path.write_text(password + "\n")
    mailer = read_mailer(f"smtp://gcron@{host}:{port}?password-file={path}")
    assert mailer is not None
    return mailer


def test_a_server_without_tls_gets_mail_without_a_password(smtp: Callable[..., int], box: Box) -> None:
    mailer = read_mailer(f"smtp://127.0.0.1:{smtp()}")
    assert MailSender(mailer, "ops@example.com, dev@example.com", "cron@example.com").send(OUTPUT)

    (envelope,) = box.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("cron@example.com", ["ops@example.com", "dev@example.com"])
    assert b"no space" in envelope.content


def test_a_password_goes_over_starttls(smtp: Callable[..., int], box: Box, tls: ssl.SSLContext, tmp_path: Path) -> None:
    port = smtp(tls_context=tls, authenticator=authenticate)
    MailSender(with_password(tmp_path, port), "ops@example.com").send(OUTPUT)

    (session,) = box.sessions
    assert session.ssl is not None
    assert session.authenticated


def test_a_password_is_not_sent_without_tls(smtp: Callable[..., int], box: Box, tmp_path: Path) -> None:
    port = smtp(authenticator=authenticate, auth_require_tls=False)

    with pytest.raises(DeliveryError, match="no STARTTLS") as caught:
        MailSender(with_password(tmp_path, port), "ops@example.com").send(OUTPUT)
    assert not caught.value.final
    assert box.sessions == []


def test_a_wrong_password_is_not_shown(smtp: Callable[..., int], tls: ssl.SSLContext, tmp_path: Path) -> None:
    port = smtp(tls_context=tls, authenticator=authenticate)

    with pytest.raises(DeliveryError) as caught:
        MailSender(with_password(tmp_path, port, "wr0ng"), "ops@example.com").send(OUTPUT)
    assert str(caught.value) == "the mail server refuses user or password"


def test_a_password_that_smtp_cannot_take_is_named(
    smtp: Callable[..., int], tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """It was an error of gcron itself, and `gcron notify` ended with a traceback."""
    port = smtp(tls_context=tls, authenticator=authenticate)

    with pytest.raises(DeliveryError) as caught:
        MailSender(with_password(tmp_path, port, "p\xe4ss"), "ops@example.com").send(OUTPUT)
    assert str(caught.value) == "user and password for the mail server must be ASCII"


def test_a_certificate_for_another_host_is_refused(
    smtp: Callable[..., int], box: Box, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    port = smtp(tls_context=tls, authenticator=authenticate)

    with pytest.raises(DeliveryError, match="the certificate is not accepted"):
        MailSender(with_password(tmp_path, port, host="127.0.0.1"), "ops@example.com").send(OUTPUT)
    assert box.sessions == []


def test_an_unknown_addressee_is_final(smtp: Callable[..., int]) -> None:
    mailer = read_mailer(f"smtp://127.0.0.1:{smtp()}")

    with pytest.raises(DeliveryError) as caught:
        MailSender(mailer, "nobody@example.com").send(OUTPUT)
    assert (str(caught.value), caught.value.final) == ("the mail server refuses the addressee (550)", True)
    assert "except for nobody@example.com" in MailSender(mailer, "nobody@example.com, ops@example.com").send(OUTPUT)


@pytest.mark.parametrize(("answer", "final"), [("451 try later", False), ("552 too large", True)])
def test_the_servers_answer_decides_whether_it_is_tried_again(
    smtp: Callable[..., int], box: Box, answer: str, final: bool
) -> None:
    box.answer = answer

    with pytest.raises(DeliveryError) as caught:
        MailSender(read_mailer(f"smtp://127.0.0.1:{smtp()}"), "ops@example.com").send(OUTPUT)
    assert (str(caught.value), caught.value.final) == (f"the mail server says {answer}", final)


def test_a_dead_server_is_tried_again() -> None:
    with pytest.raises(DeliveryError, match=r"the mail server 127\.0\.0\.1 cannot be reached: Connection refused"):
        MailSender(read_mailer("smtp://127.0.0.1:1"), "ops@example.com").send(OUTPUT)


@pytest.mark.parametrize(
    ("text", "mailer"),
    [
        ("off", None),
        ("sendmail", Mailer(program="/usr/sbin/sendmail")),
        ("/usr/bin/msmtp", Mailer(program="/usr/bin/msmtp")),
        ("smtp://mail.example", Mailer(host="mail.example", port=587)),
        ("smtps://mail.example", Mailer(host="mail.example", port=465, with_tls=True)),
        ("smtp://a%40b@mail.example:25?password-file=/p", Mailer("", "mail.example", 25, "a@b", "/p")),
    ],
)
def test_a_mailer_is_read(text: str, mailer: Mailer | None) -> None:
    assert read_mailer(text) == mailer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "postfix",
        "http://a.example",
        "smtp://",
        "smtp://me:pass@a.example",
        "smtp://me:pass@a.example:99999",
        "smtp://me:pass/word@a.example",
        "smtp://me@a.example",
        "smtp://a?b=c",
        "smtp://[a",
    ],
)
def test_a_wrong_mailer_is_refused_without_its_password(text: str) -> None:
    """It was a plain ValueError, which `except GcronError` did not catch."""
    with pytest.raises(ArgumentError, match=r"a mailer|a password") as caught:
        read_mailer(text)
    assert not re.search("pass[@/']", str(caught.value))


def test_the_user_of_a_container_may_have_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", no_entry)

    assert str(os.geteuid()) in compose(FAILURE, "ops@example.com")["From"]

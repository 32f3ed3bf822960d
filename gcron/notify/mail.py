"""Mail, as cron sends it: by a program that takes mail as sendmail(8) does, or by SMTP. For threads."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Set
from contextlib import ExitStack
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import TYPE_CHECKING

from gcron.crontab.mail_address import addressees, is_sender
from gcron.notify.deadline import Deadline
from gcron.notify.delivery import DeliveryError
from gcron.notify.mailer import Mailer
from gcron.notify.message import DIGEST, Message
from gcron.notify.program import run_program
from gcron.notify.secrets import read_secret

if TYPE_CHECKING:
    import smtplib

__all__ = ["MailSender", "compose"]

_TIMEOUT = 10.0
# Seconds for all of a talk with a mail server.
_DEADLINE = 25.0
_SENDMAIL_TIMEOUT = 25.0
_LONGEST_BODY = 1024 * 1024
_LONGEST_SUBJECT = 200
# Of gcron's environment, what a mail program needs. The rest may hold secrets.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")


class MailSender:
    """Mails messages to `to`, addresses separated by commas; `sender`: the address that they come from."""

    blocks = True

    def __init__(
        self, mailer: Mailer | None, to: str, sender: str = "", trusted_owners: Set[int] = frozenset()
    ) -> None:
        self._mailer = mailer
        self._to = to
        self._sender = sender
        self._owners = trusted_owners

    def send(self, message: Message) -> str:
        """See `Sender`."""
        if self._mailer is None:
            raise DeliveryError("nothing sends mail: gcron run --mailer names what does", final=True)
        mail = compose(message, self._to, self._sender)
        if self._mailer.program:
            return _hand_to_program(self._mailer.program, mail)
        return _send_by_smtp(self._mailer, mail, self._owners)


def compose(message: Message, to: str, sender: str = "") -> EmailMessage:
    """Return the mail of a message, with the headers that people filter cron's mail by. Raises DeliveryError.

    A `sender` that is no address loses no mail: it comes from gcron's own then, and `gcron check` warns.
    """
    user, host = _user(), socket.gethostname()
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    who = message.variables.get("LOGNAME") or user
    is_of_a_run = bool(message.command) and message.kind in ("output", "success", "failure", "recovery")
    # cron's subject for what a run printed; for all else, what happened.
    subject = f"Cron <{who}@{host}> {message.command}" if message.kind == "output" else message.title
    addresses = addressees(to)
    if not addresses:
        raise DeliveryError("MAILTO is no address", final=True)
    try:
        mail["Subject"] = _one_line(subject)
        mail["From"] = sender if is_sender(sender) else f"gcron <{user}@{host}>"
        mail["To"] = ", ".join(addresses)
        mail["Date"] = formatdate(message.time)
        mail["Message-ID"] = f"<{message.message_id}@{host}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["Precedence"] = "bulk"
        mail["X-Gcron-Kind"] = message.kind
        if message.job:
            mail["X-Gcron-Job"] = _one_line(message.job)
        for key in ("outcome", "reason"):
            if value := message.record.get(key):
                mail[f"X-Gcron-{key.capitalize()}"] = _one_line(str(value))
        for name, value in message.variables.items():
            mail["X-Cron-Env"] = _one_line(f"<{name}={value}>")
    except (ValueError, IndexError):  # `email` itself fails for some of what it has taken
        raise DeliveryError("MAILTO is no address", final=True) from None
    mail.set_content(_body(message, is_of_a_run).encode("utf-8", "replace")[:_LONGEST_BODY].decode("utf-8", "ignore"))
    return mail


def _body(message: Message, is_of_a_run: bool) -> str:
    if message.kind == "output":
        # As cron: what the run printed, and nothing else. A run that printed nothing says why.
        return message.output or f"{message.title}\n\n{message.text}\n"
    parts = [message.title, message.text]
    if is_of_a_run:
        parts.append(f"command: {message.command}")
        parts.append("output:\n\n" + message.output if message.output else "It printed nothing.")
    if message.kind == DIGEST:
        parts = [message.text]
    return "\n\n".join(part for part in parts if part) + "\n"


def _one_line(text: str) -> str:
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in clean).strip()[:_LONGEST_SUBJECT]


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container the number may be all there is
        return str(os.geteuid())


# -- a program like sendmail ------------------------------------------------------------------------------------------


def _hand_to_program(program: str, mail: EmailMessage) -> str:
    """Hand the mail over. Its addresses are in it (`-t`), never in arguments, where one could be an option."""
    environment = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
    data = mail.as_bytes(policy=mail.policy.clone(linesep="\n"))
    try:
        status, said = run_program([program, "-i", "-t"], data, _SENDMAIL_TIMEOUT, environment, with_errors=True)
    except TimeoutError:
        raise DeliveryError(f"{program} did not end within {_SENDMAIL_TIMEOUT:g} s") from None
    except OSError as error:
        raise DeliveryError(f"{program}: {error.strerror}") from None
    if status:
        words = _one_line(said.decode("utf-8", "replace"))
        raise DeliveryError(f"{program}: exit status {status}" + (f": {words}" if words else ""))
    return f"taken by {program}"


# -- SMTP -------------------------------------------------------------------------------------------------------------


def _send_by_smtp(mailer: Mailer, mail: EmailMessage, owners: Set[int]) -> str:
    import smtplib
    import ssl

    from gcron.notify.smtp import Connection, SecureConnection

    try:
        context = ssl.create_default_context()
        with ExitStack() as stack:
            stack.enter_context(Deadline(_DEADLINE))
            server: smtplib.SMTP
            if mailer.with_tls:
                server = SecureConnection(mailer.host, mailer.port, timeout=_TIMEOUT, context=context)
            else:
                server = Connection(mailer.host, mailer.port, timeout=_TIMEOUT)
            stack.enter_context(server)
            server.ehlo_or_helo_if_needed()
            if not mailer.with_tls and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            elif not mailer.with_tls and mailer.user:
                raise DeliveryError("the mail server has no STARTTLS, so it does not get the password")
            if mailer.user:
                _log_in(server, mailer, owners)
            refused = server.send_message(mail)
            return f"taken by {mailer.host}" + (f", except for {', '.join(refused)}" if refused else "")
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        is_final = all(500 <= code < 600 for code in codes)
        raise DeliveryError(f"the mail server refuses the addressee ({codes[0]})", final=is_final) from None
    except smtplib.SMTPNotSupportedError:
        raise DeliveryError("the mail server takes no address with letters that are not ASCII", final=True) from None
    except smtplib.SMTPResponseException as error:
        words = _one_line(_text_of(error.smtp_error))
        is_final = 550 <= error.smtp_code < 560
        raise DeliveryError(f"the mail server says {error.smtp_code} {words}", final=is_final) from None
    except ssl.SSLCertVerificationError as error:
        raise DeliveryError(f"TLS: the certificate is not accepted: {error.verify_message}") from None
    except (smtplib.SMTPException, OSError) as error:
        # `smtplib` says of each error of a connection that it was closed.
        cause = error.__context__ if isinstance(error, smtplib.SMTPServerDisconnected) else error
        if isinstance(cause, TimeoutError):
            raise DeliveryError(f"the mail server does not answer within {_TIMEOUT:g} s") from None
        why = getattr(cause, "strerror", None) or (
            "it closes the connection" if cause is None else type(cause).__name__
        )
        raise DeliveryError(f"the mail server {mailer.host} cannot be reached: {why}") from None


def _log_in(server: smtplib.SMTP, mailer: Mailer, owners: Set[int]) -> None:
    import smtplib

    password = read_secret(mailer.password_file, owners)
    if not (mailer.user + password).isascii():
        raise DeliveryError("user and password for the mail server must be ASCII")
    try:
        server.login(mailer.user, password)
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPServerDisconnected):  # some hang up at once
        raise DeliveryError("the mail server refuses user or password") from None


def _text_of(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer

"""How mail is sent, as data: what `gcron run --mailer` says. Pure, and light: the command line imports it."""

from __future__ import annotations

from gcron.crontab.machine import SENDMAIL, has_mailer
from gcron.errors import ArgumentError
from gcron.frozen import frozen

__all__ = ["Mailer", "default_mailer", "read_mailer"]

_SECURE = {"smtp": 587, "smtps": 465}


@frozen
class Mailer:
    """How mail is sent."""

    program: str = ""
    """Path of a program that takes mail as sendmail does; empty for SMTP."""
    host: str = ""
    port: int = 0
    user: str = ""
    password_file: str = ""
    with_tls: bool = False
    """TLS from the first byte on, instead of STARTTLS."""


def read_mailer(text: str) -> Mailer | None:
    """Return the mailer that `--mailer` names; None for `off`. Raises ArgumentError.

    >>> read_mailer("smtp://gcron@mail.example?password-file=/run/secrets/smtp").port
    587
    """
    if text == "off":
        return None
    if text == "sendmail":
        return Mailer(program=SENDMAIL)
    if text.startswith("/"):
        return Mailer(program=text)
    from urllib.parse import parse_qs, unquote, urlsplit  # slow to import, and not needed for a program

    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # brackets, or a port. Its text may hold a part of a password.
        raise ArgumentError("a mailer's URL has a wrong host or port: smtp://[USER@]HOST[:PORT]") from None
    if parts.scheme not in _SECURE or not parts.hostname:
        raise ArgumentError("a mailer is sendmail, the path of such a program, smtp://[USER@]HOST[:PORT], or off")
    if parts.password is not None:
        raise ArgumentError("a password is not given on the command line: ?password-file=PATH names a file with it")
    query = parse_qs(parts.query)
    if unknown := set(query) - {"password-file"}:
        raise ArgumentError(f"a mailer has no option {sorted(unknown)[0]}: only ?password-file=PATH")
    password_file = query.get("password-file", [""])[0]
    user = unquote(parts.username or "")
    if bool(user) != bool(password_file):
        raise ArgumentError("a mailer has both a user and a password: smtp://USER@HOST?password-file=PATH, or neither")
    return Mailer(
        "", parts.hostname, port or _SECURE[parts.scheme], user, password_file, with_tls=parts.scheme == "smtps"
    )


def default_mailer() -> Mailer | None:
    """Return the machine's own program that takes mail; None when it has none."""
    return Mailer(program=SENDMAIL) if has_mailer() else None

"""Who may: the token, the sessions of browsers that have shown it, and how often a wrong one may be tried.

A session is a signed cookie: nothing is kept for it, so nobody can fill memory with sessions, and it outlives a
restart. The key of the signature comes from the token, so a new token ends all sessions. This module must not know
HTTP beyond the values of two headers.
"""

from __future__ import annotations

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from collections.abc import Callable
from functools import cached_property
from hashlib import pbkdf2_hmac, sha256

from gcron.frozen import frozen

__all__ = ["LIFETIME", "Access", "Session", "TooManyTries"]

LIFETIME = 12 * 3600
"""Seconds that a session lasts."""
_ROUNDS = 200_000
WRONG_TOKENS, WINDOW = 10, 60.0
"""So many wrong tokens in so many seconds, and an address gets no further try."""
_MOST_ADDRESSES = 4096
_LONGEST_COOKIES = 8192


@frozen
class Session:
    """A browser that has shown the token."""

    expires: int
    """Seconds of UTC."""
    number: str
    """Nobody can guess it."""

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.expires}.{self.number}"


class TooManyTries(Exception):
    """The address has shown too many wrong tokens; `seconds` until its next try."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many wrong tokens from this address: wait {seconds} s")
        self.seconds = seconds


class Access:
    """Knows the token. `now`: seconds of UTC; `monotonic`: seconds that never go back."""

    def __init__(self, token: str, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._token = token.encode()
        self._key = sha256(b"gcron: key of sessions\0" + self._token).digest()
        self._now = now
        self._tries = _Tries(monotonic)
        # Browsers send cookies to all ports of a host. Two gcrons must not overwrite each other's.
        self.cookie = f"gcron-{self._sign('cookie')[:8]}"
        """The name of the cookie."""

    def check_token(self, given: str, network: str) -> bool:
        """Whether this is the token. Raises TooManyTries, then also for the right one: else it could be guessed."""
        self._tries.check(network)
        if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token):
            return True
        self._tries.note(network)
        return False

    @cached_property
    def calendar_key(self) -> str:
        """What opens the calendar and nothing else. For a thread: it takes a tenth of a second.

        Calendar programs send it to other machines, so it must not help to guess a token that somebody chose.
        """
        return pbkdf2_hmac("sha256", self._token, b"gcron: key of the calendar", _ROUNDS).hex()

    def is_calendar_key(self, given: str) -> bool:
        """Whether this is the key of the calendar. For a thread."""
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.calendar_key.encode())

    # -- sessions -------------------------------------------------------------------------------------------

    def new_session(self) -> tuple[Session, str]:
        """A session, and the value of its cookie."""
        session = Session(int(self._now()) + LIFETIME, os.urandom(16).hex())
        return session, f"{session.text}.{self._sign('session', session.text)}"

    def read_session(self, cookies: str) -> Session | None:
        """The session of a `Cookie` header; None when there is none, or it is over."""
        value = self._cookie(cookies, self.cookie)
        text, _, signature = value.rpartition(".")
        expires, _, number = text.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", text).encode()):
            return None
        session = Session(int(expires), number)
        return session if self._now() < session.expires <= self._now() + LIFETIME else None

    def csrf_token(self, session: Session) -> str:
        """What a form of this session has to send."""
        return self._sign("csrf", session.text)

    def is_csrf_token(self, session: Session, given: str) -> bool:
        """Whether a form of this session sent that."""
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.csrf_token(session).encode())

    # -- what is said on the next page ------------------------------------------------------------------------

    @property
    def said_cookie(self) -> str:
        """The name of the cookie that carries it."""
        return f"{self.cookie}-said"

    def said(self, session: Session, text: str) -> str:
        """The value of a cookie that shows this text once; nobody else can make one."""
        data = urlsafe_b64encode(text.encode("utf-8", "replace")).decode()
        return f"{data}.{self._sign('said', f'{session.text} {data}')}"

    def read_said(self, session: Session, cookies: str) -> str:
        """The text; empty when there is none."""
        data, _, signature = self._cookie(cookies, self.said_cookie).partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("said", f"{session.text} {data}").encode()):
            return ""
        return urlsafe_b64decode(data).decode("utf-8", "replace")

    def _cookie(self, cookies: str, name: str) -> str:
        """The value of a cookie. Those of other programs may be as wrong as they like."""
        for pair in cookies[:_LONGEST_COOKIES].split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name and value.isascii():
                return value
        return ""

    def _sign(self, use: str, text: str = "") -> str:
        return hmac.new(self._key, f"{use}\0{text}".encode(), sha256).hexdigest()


class _Tries:
    """The wrong tokens of the last minute, by network."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wrong: dict[str, deque[float]] = {}

    def check(self, network: str) -> None:
        times = self._wrong.get(network)
        if times is None or len(times) < WRONG_TOKENS:
            return
        left = times[0] + WINDOW - self._monotonic()
        if left > 0:
            raise TooManyTries(max(1, round(left + 0.5)))

    def note(self, network: str) -> None:
        times = self._wrong.pop(network, None) or deque(maxlen=WRONG_TOKENS)
        times.append(self._monotonic())
        self._wrong[network] = times  # last: the one that has been silent longest goes first
        if len(self._wrong) > _MOST_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]

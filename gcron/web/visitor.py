"""What one request may do: who asks, by token or session, and whether a change really comes from a page of ours."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus
from typing import Any

from gcron.frozen import frozen
from gcron.web.access import Access, Session, TooManyTries
from gcron.web.answers import Refusal
from gcron.web.forwarded import Caller, host_name, is_address
from gcron.web.settings import ANONYMOUS, HttpSettings

__all__ = ["Right", "Visitor", "check_change", "check_host", "check_token", "visitor_of"]

_BEARER = "bearer"
_OWN_SITE = ("same-origin", "none")


class Right(IntEnum):
    """What somebody may do; each includes the ones before it."""

    NOTHING = 0
    HEALTH = 1
    METRICS = 2
    READ = 3
    CHANGE = 4


@frozen
class Visitor:
    """Who asks."""

    right: Right
    caller: Caller
    session: Session | None = None

    @property
    def name(self) -> str:
        """For the log."""
        kind = "a client" if self.session is None else "a browser"
        return f"{kind} at {self.caller.address}" if self.caller.address else kind


def visitor_of(environ: Mapping[str, Any], caller: Caller, access: Access, settings: HttpSettings) -> Visitor:
    """Who asks. Raises Refusal for a wrong token."""
    given = environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, token = given.partition(" ")
    if scheme.lower() == _BEARER:
        if not check_token(token.strip(), caller, access):
            raise Refusal(HTTPStatus.UNAUTHORIZED, "wrong-token", "this is not the token", _CHALLENGE)
        return Visitor(Right.CHANGE, caller)
    session = access.read_session(environ.get("HTTP_COOKIE", ""))
    if session is not None:
        return Visitor(Right.CHANGE, caller, session)
    return Visitor(Right(ANONYMOUS.index(settings.anonymous)), caller)


_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="gcron"'),)


def check_token(token: str, caller: Caller, access: Access) -> bool:
    """Whether it is the token. Raises Refusal after too many wrong ones."""
    try:
        return access.check_token(token, caller.network)
    except TooManyTries as error:
        after = (("Retry-After", str(error.seconds)),)
        raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too-many-tries", str(error), after) from None


def missing_token() -> Refusal:
    """What those get who have shown no token."""
    text = "show the token: Authorization: Bearer TOKEN; `gcron token` prints it"
    return Refusal(HTTPStatus.UNAUTHORIZED, "no-token", text, _CHALLENGE)


def check_host(caller: Caller, names: frozenset[str], takes_addresses: bool) -> None:
    """Raise Refusal for a name that is not ours.

    A page of somebody else can let a name of theirs point to our address (DNS rebinding). A browser then sends that
    name. It cannot do that with an address, so where others may reach us by one, all addresses are taken.
    """
    name = host_name(caller.host)
    if name in names or (takes_addresses and is_address(name)):
        return
    text = f"this gcron is not called {name or 'nothing'!r}; --http-host adds a name"
    raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, "wrong-host", text)


def check_change(environ: Mapping[str, Any], visitor: Visitor, access: Access, csrf: str) -> None:
    """Raise Refusal for a change that a page of somebody else may have sent. `csrf`: what the form sent."""
    origin = environ.get("HTTP_ORIGIN", "").lower()
    site = environ.get("HTTP_SEC_FETCH_SITE", "")
    if origin and origin != visitor.caller.origin:
        text = f"a page of {origin} may not change anything here, only one of {visitor.caller.origin}"
        raise Refusal(HTTPStatus.FORBIDDEN, "foreign-origin", f"{text}; behind a proxy see --http-proxy")
    if site and site not in _OWN_SITE:
        raise Refusal(HTTPStatus.FORBIDDEN, "foreign-origin", "a page of another site may not change anything here")
    if visitor.session is None:
        return
    if not origin and not site:
        raise Refusal(HTTPStatus.FORBIDDEN, "no-origin", "the request does not say which page it comes from (Origin)")
    if not access.is_csrf_token(visitor.session, csrf):
        text = "the form is of another session: load its page again, and press the button once more"
        raise Refusal(HTTPStatus.FORBIDDEN, "wrong-form", text)

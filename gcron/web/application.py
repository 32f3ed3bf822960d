"""The WSGI application of the pages: who may ask, what is asked, and who answers.

It runs in the thread of the scheduler, one greenlet for each client. Pages are made in threads. Whatever a client does,
it holds one of a bounded number of connections, streams and requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote

from gcron.control.api import Api
from gcron.control.errors import ControlError
from gcron.control.instance import Instance
from gcron.web import calendar
from gcron.web.access import LIFETIME, Access
from gcron.web.address import Address
from gcron.web.answers import (
    HTML,
    Answer,
    Refusal,
    StartResponse,
    accepts_html,
    html_of,
    own_place,
    plain_page,
    redirect,
    secured,
    send,
)
from gcron.web.forwarded import Caller, caller_of
from gcron.web.happened import Happened
from gcron.web.health import Health
from gcron.web.metrics import Metrics
from gcron.web.pages import Pages
from gcron.web.settings import HttpSettings
from gcron.web.static import find_static
from gcron.web.visitor import Right, Visitor, check_change, check_host, check_token, missing_token, visitor_of

__all__ = ["Application"]

_MOST_UNDER_WAY = 64
# Streams of the API: each is made for its reader alone.
_MOST_FOLLOWERS = 32
_MOST_FORM, _MOST_FIELDS = 16 * 1024, 50
_FORM = "application/x-www-form-urlencoded"
_BUSY = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "busy", "too many requests are under way; try again", (("Retry-After", "1"),)
).as_problem()

Environ = dict[str, Any]
Form = Mapping[str, str]


class Application:
    """Serves the pages and the API of one gcron. `most_streams`: of changes on pages, at a time."""

    def __init__(
        self,
        gcron: Instance,
        settings: HttpSettings,
        access: Access,
        address: Address,
        metrics: Metrics,
        happened: Happened,
        most_streams: int,
    ) -> None:
        self._settings = settings
        self._access = access
        self._names = address.names | settings.hosts
        self._takes_addresses = not address.is_loopback
        self._api = Api(gcron, lambda environ: str(environ["gcron.who"]))
        self._pages = Pages(gcron, settings.prefix, access, happened, most_streams)
        self._health = Health(gcron)
        self._metrics = metrics
        self._calendar = calendar.Calendar(gcron, settings.prefix)
        self._under_way = 0
        self._followers = _Count(_MOST_FOLLOWERS)

    def close(self) -> None:
        """End the streams."""
        self._api.close()
        self._pages.close()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """See PEP 3333."""
        start = secured(start_response)
        if self._under_way >= _MOST_UNDER_WAY:
            return send(_BUSY, start)
        self._under_way += 1
        try:
            return self._respond(environ, start)
        finally:
            self._under_way -= 1

    def _respond(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        path = self._path(environ)
        try:
            caller = caller_of(environ, self._settings.proxies)
            check_host(caller, self._names, self._takes_addresses)
            if path.startswith("//"):
                raise _no_page(path)
            if path.startswith("/static/"):
                return send(find_static(path, environ), start)
            visitor = visitor_of(environ, caller, self._access, self._settings)
            if path == calendar.PLACE:
                return send(self._answer_calendar(environ, visitor), start)
            if path.startswith("/api/"):
                return self._answer_program(path, environ, visitor, start)
            answer = self._answer(path, environ, visitor)
        except Refusal as refusal:
            is_page = accepts_html(environ) and not path.startswith("/api/")
            answer = refusal.as_page(self._settings.prefix) if is_page else refusal.as_problem()
        if isinstance(answer, Answer):
            return send(answer, start)
        start("200 OK", [("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no")])
        return answer if environ["REQUEST_METHOD"] == "GET" else []  # the server would wait for the end of a body

    def _path(self, environ: Environ) -> str:
        """The path below the prefix, whether or not the proxy has removed that."""
        path: str = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "surrogateescape")
        prefix = self._settings.prefix
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return path.removeprefix(prefix) or "/"
        return path

    # -- programs -------------------------------------------------------------------------------------------

    def _answer_program(self, path: str, environ: Environ, visitor: Visitor, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            _require(visitor, Right.READ)
        else:
            _require(visitor, Right.CHANGE)
            check_change(environ, visitor, self._access, environ.get("HTTP_X_CSRF_TOKEN", ""))
        environ["PATH_INFO"] = path.encode("utf-8", "surrogateescape").decode("latin-1")
        environ["SCRIPT_NAME"] = self._settings.prefix
        environ["gcron.who"] = visitor.name
        answer = self._api(environ, start)
        return answer if isinstance(answer, list) else self._followers.count(answer)

    def _answer_calendar(self, environ: Environ, visitor: Visitor) -> Answer:
        """Calendar programs send no header with a token, so they get a key in the address, for this place alone."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            raise _not_allowed(environ["REQUEST_METHOD"])
        run = self._pages.run
        if visitor.right < Right.READ:
            key = _fields(environ.get("QUERY_STRING", "")).get("key", "")
            if not (key and run(self._access.is_calendar_key, key)):
                raise missing_token()
        return self._calendar.answer(visitor.caller.origin, run)

    # -- people ---------------------------------------------------------------------------------------------

    def _answer(self, path: str, environ: Environ, visitor: Visitor) -> Answer | Iterator[bytes]:
        method = environ["REQUEST_METHOD"]
        if path in ("/login", "/logout", "/do") and method == "POST":
            return self._change(path, environ, visitor)
        if method not in ("GET", "HEAD"):
            raise _not_allowed(method)
        if path == "/healthz":
            _require(visitor, Right.HEALTH)
            return self._health()
        if path == "/metrics":
            _require(visitor, Right.METRICS)
            text, kind = self._metrics.text(environ.get("HTTP_ACCEPT", ""), self._pages.run)
            return Answer(text, kind)
        query = _fields(environ.get("QUERY_STRING", ""))
        if (token := query.pop("token", None)) is not None:
            return self._login(token, f"{path}{_query_text(query)}", visitor.caller)
        if visitor.right < Right.READ:
            return self._ask_for_token(path, query, environ)
        try:
            return self._pages.answer(path, query, visitor, environ)
        except ControlError as error:
            raise Refusal(error.status, error.code, error.detail) from None

    def _ask_for_token(self, path: str, query: Form, environ: Environ) -> Answer:
        if not accepts_html(environ):
            raise missing_token()
        base = self._settings.prefix
        if environ.get("HTTP_SEC_FETCH_SITE") == "cross-site":
            # The link was clicked on a page of another site, so the browser sends no cookie (SameSite=Strict). It does
            # when this page loads itself.
            again = "<meta http-equiv=refresh content=0>"
            return Answer(plain_page(base, "One moment", "<p>Loading…</p>", again), HTML)
        return Answer(_login_page(base, f"{path}{_query_text(query)}", ""), HTML, HTTPStatus.UNAUTHORIZED)

    def _change(self, path: str, environ: Environ, visitor: Visitor) -> Answer:
        form = _read_form(environ)
        if path == "/login":
            check_change(environ, Visitor(Right.NOTHING, visitor.caller), self._access, "")
            return self._login(form.get("token", "").strip(), form.get("next", "/"), visitor.caller)
        _require(visitor, Right.CHANGE)
        csrf = environ.get("HTTP_X_CSRF_TOKEN", "") or form.get("csrf", "")
        check_change(environ, visitor, self._access, csrf)
        base = self._settings.prefix
        if path == "/logout":
            return redirect(f"{base}/", ("Set-Cookie", f"{self._access.cookie}=; Path={base or '/'}; Max-Age=0"))
        try:
            return self._pages.act(form, visitor, environ)
        except ControlError as error:
            raise Refusal(error.status, error.code, error.detail) from None

    def _login(self, token: str, following: str, caller: Caller) -> Answer:
        base = self._settings.prefix
        if not check_token(token, caller, self._access):
            text = "This is not the token. <code>gcron token</code> prints it."
            return Answer(_login_page(base, following, text), HTML, HTTPStatus.FORBIDDEN)
        _, value = self._access.new_session()
        cookie = f"{self._access.cookie}={value}; Path={base or '/'}; Max-Age={LIFETIME}; HttpOnly; SameSite=Strict"
        place = f"{base}{own_place(following)}"
        return redirect(place, ("Set-Cookie", cookie + ("; Secure" if caller.scheme == "https" else "")))


class _Count:
    """Bounds how many answers are sent in pieces at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0

    def count(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces; none of them when too many are sent already."""
        close: Callable[[], object] = getattr(pieces, "close", lambda: None)
        if self._open >= self._most:
            close()
            return
        self._open += 1
        try:
            yield from pieces
        finally:
            self._open -= 1
            close()


def _require(visitor: Visitor, right: Right) -> None:
    if visitor.right < right:
        raise missing_token()


def _not_allowed(method: str) -> Refusal:
    allowed = (("Allow", "GET, HEAD"),)
    return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", f"{method} means nothing here", allowed)


def _no_page(path: str) -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, "no-such-page", f"there is no page {path}")


def _fields(text: str) -> dict[str, str]:
    """The fields of a query or a form; of several with one name the last."""
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="surrogateescape"))
    except ValueError:
        text = f"more than {_MOST_FIELDS} fields"
        raise Refusal(HTTPStatus.BAD_REQUEST, "bad-request", text) from None


def _query_text(query: Form) -> str:
    fields = "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in query.items())
    return f"?{fields}" if fields else ""


def _read_form(environ: Environ) -> dict[str, str]:
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    data: bytes = environ["wsgi.input"].read(_MOST_FORM + 1)
    if len(data) > _MOST_FORM:
        text = f"a form of more than {_MOST_FORM} bytes"
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", text)
    if data and kind != _FORM:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "bad-request", f"a form is {_FORM}")
    return _fields(data.decode("utf-8", "surrogateescape"))


def _login_page(base: str, following: str, problem: str) -> bytes:
    """`problem`: HTML."""
    said = f"<p class=bad role=alert>{problem}</p>" if problem else ""
    form = (
        f"<form method=post action='{base}/login'><input type=hidden name=next value='{html_of(following)}'>"
        "<label for=token>Token</label>"
        "<input id=token name=token type=password autocomplete=current-password required autofocus>"
        "<button class=main>Sign in</button></form>"
        "<p>The log of the start shows a link with the token, and <code>gcron token</code> prints it again.</p>"
    )
    return plain_page(base, "Sign in", said + form)

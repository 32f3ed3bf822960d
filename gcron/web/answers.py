"""What a request is answered with, and the headers that every answer has."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from html import escape as escape_html
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from gcron.escaping import escape
from gcron.frozen import frozen

__all__ = [
    "HTML",
    "Answer",
    "Refusal",
    "StartResponse",
    "accepts_html",
    "compressed",
    "html_of",
    "own_place",
    "plain_page",
    "redirect",
    "secured",
    "send",
]

StartResponse = Callable[..., Any]
HTML = "text/html; charset=utf-8"

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with that, browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SMALL = 1000
_LEVEL = 4


@frozen
class Answer:
    """A whole answer."""

    body: bytes = b""
    kind: str = HTML
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):
    """A request that is refused. `code` is for programs, `detail` for people."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers

    def as_problem(self) -> Answer:
        """The answer for a program (RFC 9457)."""
        data = {
            "type": f"about:blank#{self.code}",
            "title": self.code.replace("-", " ").capitalize(),
            "status": self.status.value,
            "detail": self.detail,
            "code": self.code,
        }
        body = json.dumps(data).encode("ascii") + b"\n"
        return Answer(body, "application/problem+json", self.status, self.headers)

    def as_page(self, base: str) -> Answer:
        """The answer for a person; `base`: the prefix of all pages."""
        title = self.code.replace("-", " ").capitalize()
        text = f"<p>{html_of(self.detail)}</p><p><a href='{base}/'>All jobs</a></p>"
        return Answer(plain_page(base, title, text), HTML, self.status, self.headers)


def html_of(text: str) -> str:
    """A text of others as HTML."""
    return escape_html(escape(text))


def plain_page(base: str, title: str, content: str, head: str = "") -> bytes:
    """A page without anything about jobs: for those who may not see more, and cheap enough for a flood of them."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html_of(title)} · gcron</title>{head}<link rel=stylesheet href='{base}/static/gcron.css'>"
        f"<link rel=icon href='{base}/static/icon.svg'>"
        f"<main class=plain><h1>{html_of(title)}</h1>{content}</main></html>\n"
    ).encode("utf-8", "replace")


def own_place(text: str) -> str:
    """A path and query below the prefix, as a form or a query gave it; the first page instead of another site."""
    if not text.startswith("/") or text.startswith(("//", "/\\")):
        return "/"
    return quote(text, safe="/?&=%~.-_+,:")


def redirect(place: str, *headers: tuple[str, str]) -> Answer:
    """Let the browser get another page."""
    return Answer(status=HTTPStatus.SEE_OTHER, headers=(("Location", place), *headers))


def compressed(answer: Answer, accepted: str) -> Answer:
    """The answer, smaller if the client takes that. For a thread."""
    if len(answer.body) < _SMALL or "gzip" not in accepted:
        return answer
    body = gzip.compress(answer.body, _LEVEL, mtime=0)
    return Answer(body, answer.kind, answer.status, (*answer.headers, ("Content-Encoding", "gzip")))


def send(answer: Answer, start_response: StartResponse) -> list[bytes]:
    """Answer a WSGI request."""
    headers = [*answer.headers]
    if answer.body:
        headers.append(("Content-Type", answer.kind))
    start_response(f"{answer.status.value} {answer.status.phrase}", headers)
    return [answer.body]


def secured(start_response: StartResponse) -> StartResponse:
    """A `start_response` that adds the headers which every answer has."""

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        given = {name.lower() for name, _ in headers}
        return start_response(
            status, [*headers, *((name, value) for name, value in _ALWAYS.items() if name.lower() not in given)], *more
        )

    return start


def accepts_html(environ: Mapping[str, Any]) -> bool:
    """Whether a person asks."""
    return "text/html" in environ.get("HTTP_ACCEPT", "")

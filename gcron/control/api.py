"""The API over HTTP: a WSGI application for the thread of the scheduler, whose answers are JSON.

Who may ask is decided before: `socket.py` asks the kernel who connected. This module must not know sockets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from gcron.control.answers import Asked, Output
from gcron.control.endpoints import ENDPOINTS, Endpoint
from gcron.control.errors import ControlError
from gcron.control.feed import Feed, StreamEvent
from gcron.control.instance import AT_ONCE, Instance
from gcron.control.openapi import openapi_document
from gcron.control.request import read_body, read_parameters
from gcron.runtime.greenlet import sleep

__all__ = ["PREFIX", "Api", "problem"]

PREFIX = "/api/v1"

Environ = Mapping[str, Any]
StartResponse = Callable[..., Any]

_HEADERS = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
_PARAMETER = re.compile(r"\{(\w+)\}")


class Api:
    """Answers for one gcron, below `PREFIX`. `who` names the user of a request, for the log.

    HEAD is answered as GET. GET changes nothing.
    """

    def __init__(self, gcron: Instance, who: Callable[[Environ], str] = lambda environ: "") -> None:
        self._gcron = gcron
        self._who = who
        self._feed = Feed(gcron)
        self._routes = [(_pattern(endpoint.path), endpoint) for endpoint in ENDPOINTS]

    def close(self) -> None:
        """End the streams."""
        self._feed.close()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """See PEP 3333."""
        try:
            return self._answer(environ, start_response)
        except ControlError as error:
            return problem(error, start_response)

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "surrogateescape")
        method = "GET" if environ["REQUEST_METHOD"] == "HEAD" else environ["REQUEST_METHOD"]
        if path == f"{PREFIX}/openapi.json" and method == "GET":
            return _json(start_response, openapi_document(environ.get("SCRIPT_NAME", "") + PREFIX))
        endpoint, in_path = self._route(method, path)
        body = {} if method == "GET" else read_body(environ["wsgi.input"], environ.get("CONTENT_TYPE", ""))
        values = read_parameters(endpoint.parameters, in_path, environ.get("QUERY_STRING", ""), body)
        last_id = environ.get("HTTP_LAST_EVENT_ID", "")[:100]
        answer = endpoint.answer(Asked(self._gcron, self._feed, values, self._who(environ), last_id))
        if endpoint.streams is True or (endpoint.streams and values.get(endpoint.streams)):
            return _stream(start_response, answer if environ["REQUEST_METHOD"] == "GET" else iter(()))
        if isinstance(answer, Output):
            start_response("200 OK", [("Content-Type", answer.kind), *_HEADERS])
            return answer.pieces
        return _json(start_response, answer)

    def _route(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        if not path.startswith(f"{PREFIX}/"):
            raise ControlError("no-such-page", f"there is no page {path!r}: all pages are below {PREFIX}")
        allowed = []
        for pattern, endpoint in self._routes:
            if (match := pattern.fullmatch(path.removeprefix(PREFIX))) is None:
                continue
            if endpoint.method == method:
                return endpoint, match.groupdict()
            allowed.append(endpoint.method)
        if allowed:
            text = f"{method} means nothing here: write {' or '.join(allowed)}"
            raise ControlError("method-not-allowed", text, allow=allowed)
        raise ControlError("no-such-page", f"there is no page {path!r}: {PREFIX}/openapi.json lists them")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", path.replace(".", r"\.")))


# -- answers ------------------------------------------------------------------------------------------------------


def _json(start_response: StartResponse, data: Mapping[str, Any]) -> list[bytes]:
    body = _encode(data)
    start_response("200 OK", [("Content-Type", "application/json"), *_HEADERS])
    return [body]


def _encode(data: Mapping[str, Any]) -> bytes:
    """A JSON object in one line; a long list in parts, with turns for others in between."""
    fields = []
    for name, value in data.items():
        text = json.dumps(value) if not isinstance(value, list) else f"[{', '.join(_items(value))}]"
        fields.append(f"{json.dumps(name)}: {text}")
    return ("{" + ", ".join(fields) + "}\n").encode("ascii")


def _items(items: list[Any]) -> Iterator[str]:
    for index, item in enumerate(items):
        if index and index % AT_ONCE == 0:
            sleep(0)
        yield json.dumps(item)


def _stream(start_response: StartResponse, events: Iterator[StreamEvent]) -> Iterator[bytes]:
    # Now, and not at the first event: a client wants to know that it is connected.
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no"), *_HEADERS])
    return _Stream(events)


class _Stream:
    """Events as the bytes of a stream. Its `close` ends the events, also when the client has gone."""

    def __init__(self, events: Iterator[StreamEvent]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return _text_of(next(self._events))

    def close(self) -> None:
        """See PEP 3333."""
        close = getattr(self._events, "close", None)
        if close is not None:
            close()


def _text_of(event: StreamEvent) -> bytes:
    if not event.kind:
        return b": still here\n\n"
    lines = f"event: {event.kind}\n" + (f"id: {event.event_id}\n" if event.event_id else "")
    return f"{lines}data: {json.dumps(event.data)}\n\n".encode("ascii")


def problem(error: ControlError, start_response: StartResponse) -> list[bytes]:
    """The answer to a request that cannot be answered (RFC 9457)."""
    status = error.status
    data = {
        "type": f"about:blank#{quote(error.code)}",
        "title": error.code.replace("-", " ").capitalize(),
        "status": status.value,
        "detail": error.detail,
        "code": error.code,
        **error.more,
    }
    headers = [("Content-Type", "application/problem+json"), *_HEADERS]
    if error.code == "method-not-allowed":
        headers.append(("Allow", ", ".join(error.more["allow"])))
    start_response(f"{status.value} {status.phrase}", headers)
    return [(json.dumps(data) + "\n").encode("ascii")]

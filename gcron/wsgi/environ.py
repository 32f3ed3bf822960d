"""The environ of a request: PEP 3333, "environ Variables"."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

from gcron.wsgi.request import Request, RequestError, is_host

__all__ = ["make_environ"]

# From header names, as clients write them, to environ keys. Bounded, because clients may send any number of them.
_KEYS: dict[bytes, str] = {}
_MOST_KEYS = 1024
_DROPPED = ""


def make_environ(base: dict[str, Any], request: Request, body: BinaryIO) -> dict[str, Any]:
    """Return a new environ for `request`. `base` is the part that all requests of its connection share.

    Raises `RequestError` for a target that is neither a path, nor a whole URL, nor `*`.
    """
    environ = base.copy()
    for name, value in request.headers:
        key = _KEYS.get(name) or _key_of(name)
        if key == _DROPPED:
            continue
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text
    target = request.target.decode("latin-1")
    if not target.startswith("/") and target != "*":
        target, environ["HTTP_HOST"] = _split_url(target)
    path, _, query = target.partition("?")
    environ["REQUEST_METHOD"] = request.method
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
    environ["QUERY_STRING"] = query
    environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
    environ["wsgi.input"] = body
    return environ


def _key_of(name: bytes) -> str:
    text = name.decode("ascii")
    if "_" in text or text.lower() == "transfer-encoding":
        # `X_Real_IP` would get the same key as `X-Real-IP`, which a proxy in front has checked. And the body is no
        # longer chunked: some frameworks would decode it again.
        key = _DROPPED
    else:
        key = text.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
    if len(_KEYS) < _MOST_KEYS:
        _KEYS[name] = key
    return key


def _split_url(target: str) -> tuple[str, str]:
    """Return path with query, and host, of a whole URL: RFC 9112, section 3.2.2."""
    scheme, found, rest = target.partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        raise RequestError(HTTPStatus.BAD_REQUEST, "a target begins with / or is a whole URL")
    end = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    host, path = rest[:end], rest[end:]
    if not host or not is_host(host.encode("latin-1")):
        raise RequestError(HTTPStatus.BAD_REQUEST, "a whole URL names its host, and no user")
    return path if path.startswith("/") else f"/{path}", host

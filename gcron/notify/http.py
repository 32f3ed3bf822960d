"""One HTTP request, by urllib3. For threads: importing it takes 0.2 s, and a request up to its time-outs.

urllib3, not httpx: it imports in two thirds of the time, with three quarters of the memory (13.7 of 18.4 MB). Neither
limits the time of a whole request, which is why its connection has a deadline.

Redirects are not followed: a secret in a header or in the body would go to another host. Texts of errors name neither
path nor query of a URL, which may be secrets.
"""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from gcron.notify.deadline import Deadline, watch
from gcron.notify.delivery import DeliveryError
from gcron.notify.secrets import has_secret_of, shown_url
from gcron.version import __version__

__all__ = ["Answer", "check", "request"]

_TIMEOUT = urllib3.Timeout(connect=10.0, read=10.0)
# Seconds for all of a request.
_DEADLINE = 20.0
_LONGEST_RETRY_AFTER = 3600.0
# Bytes of an answer that are read: they may say what is wrong.
_READ = 1000
_TOO_MANY = 429


class Answer(NamedTuple):
    """What the server said."""

    status: int
    text: str
    retry_after: float | None
    """Seconds."""
    location: str
    """Where it redirects to."""


def request(method: str, url: str, body: bytes | None, headers: Mapping[str, str], now: float) -> Answer:
    """Send a request, and return the answer, whatever its status. `now`: seconds of UTC. Raises DeliveryError."""
    try:
        parts = urllib3.util.parse_url(url)
        if parts.scheme not in ("http", "https") or not parts.host:
            raise DeliveryError("this is no web address", final=True)
        all_headers = {"User-Agent": f"gcron/{__version__}", **headers}
        if parts.auth:
            all_headers["Authorization"] = _basic(parts.auth)
        with Deadline(_DEADLINE) as deadline, _manager(parts.scheme, parts.host) as manager:
            response = manager.request(
                method,
                parts._replace(auth=None).url,
                body=body,
                headers=all_headers,
                timeout=_TIMEOUT,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            with response:
                if deadline.error is not None:  # to `http.client`, the cut was the end of the headers
                    raise deadline.error
                status = response.status
                text = "" if 200 <= status < 300 else _beginning(response, url)
                retry_after = _seconds(response.headers.get("Retry-After", ""), now)
                return Answer(status, text, retry_after, response.headers.get("Location", ""))
    except HTTPError as error:
        raise DeliveryError(_words(error)) from None
    except (OSError, ValueError) as error:  # of a proxy's URL, or of a header
        raise DeliveryError(f"the request failed: {type(error).__name__}") from None


def check(answer: Answer) -> str:
    """Return what came back when it is a success. Raises DeliveryError, which says whether it is final."""
    status = answer.status
    if 200 <= status < 300:
        return f"status {status}"
    if 300 <= status < 400:
        where = f" to {shown_url(answer.location)}" if answer.location else ""
        raise DeliveryError(f"status {status}: it redirects{where}, which is not followed", final=True)
    said = f": {answer.text}" if answer.text else ""
    if 400 <= status < 500 and status != _TOO_MANY:
        raise DeliveryError(f"status {status}{said}", final=True)
    raise DeliveryError(f"status {status}{said}", retry_after=answer.retry_after)


def _manager(scheme: str, host: str) -> urllib3.PoolManager:
    proxy = getproxies().get(scheme)
    if not proxy or proxy_bypass(host):
        return _with_watched(urllib3.PoolManager())
    parts = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
    headers = {"Proxy-Authorization": _basic(parts.auth)} if parts.auth else None
    return _with_watched(urllib3.ProxyManager(parts._replace(auth=None).url, proxy_headers=headers))


class _WatchedConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return watch(super()._new_conn())


class _WatchedSecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return watch(super()._new_conn())


class _WatchedPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _WatchedSecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedSecureConnection


def _with_watched(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    manager.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedSecurePool}
    return manager


def _basic(user_and_password: str) -> str:
    """The header for them as they stand in a URL, where `%40` is an `@`."""
    return "Basic " + base64.b64encode(unquote(user_and_password).encode()).decode()


def _beginning(response: urllib3.BaseHTTPResponse, url: str) -> str:
    """What the server says is wrong. Many pages for 404 name the path, which is the secret of a webhook."""
    try:
        data = response.read1(_READ)
    except (HTTPError, OSError):  # what it says is not needed
        return ""
    line = " ".join(data.decode("utf-8", "replace").split())
    if has_secret_of(url, line):
        return "what the server says is left out, for it has a part of the URL"
    return "".join(char for char in line if char.isprintable())[:200]


def _seconds(text: str, now: float) -> float | None:
    """The seconds of a Retry-After header: a number, or a date (RFC 9110, 10.2.3)."""
    try:
        seconds = float(text) if text.isdecimal() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def _words(error: HTTPError) -> str:
    """Say what went wrong. Not by the text of the error, which may name the whole URL."""
    cause = error
    while isinstance(cause, ProxyError) and isinstance(cause.original_error, HTTPError):
        cause = cause.original_error
    if isinstance(cause, NameResolutionError):
        return "the host's name is not known"
    if isinstance(cause, NewConnectionError):
        return f"no connection: {_reason(cause)}"
    if isinstance(cause, ConnectTimeoutError):
        return "no connection within 10 s"
    if isinstance(cause, ReadTimeoutError):
        return "no answer within 10 s"
    if isinstance(cause, SSLError):
        return f"TLS: {_reason(cause)}"
    if isinstance(cause, LocationValueError):
        return "this is no web address"
    return f"the connection broke: {_reason(cause)}"


def _reason(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {seen.verify_message}"
        if isinstance(seen, OSError) and seen.strerror:
            return str(seen.strerror)
        inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        seen = inner or seen.__cause__ or seen.__context__
    return type(error).__name__

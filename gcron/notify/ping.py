"""Pings: URLs that are called at the start and the end of each run, for services that notice when none comes.

The protocol of healthchecks.io (https://healthchecks.io/docs/http_api/), and those of others by `ping-style`. For
threads.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Set
from typing import NamedTuple
from urllib.parse import urlencode

from gcron.crontab import Target
from gcron.notify.http import check, request
from gcron.notify.message import Message
from gcron.notify.secrets import url_of

__all__ = ["Ping", "PingSender", "ping_of", "takes_tests_as_success"]

_LONGEST_TEXT = 200


class Ping(NamedTuple):
    """One call."""

    url: str
    body: bytes | None = None
    """None: a GET."""


class PingSender:
    """Calls the URL of a target."""

    blocks = True

    def __init__(self, target: Target, trusted_owners: Set[int] = frozenset()) -> None:
        self._target = target
        self._owners = trusted_owners

    def send(self, message: Message) -> str:
        """See `Sender`."""
        ping = ping_of(self._target.ping_style, url_of(self._target, self._owners), message)
        if ping is None:
            return "nothing to call"
        headers = {"Content-Type": "text/plain; charset=utf-8"} if ping.body is not None else {}
        method = "GET" if ping.body is None else "POST"
        return check(request(method, ping.url, ping.body, headers, time.time()))


def ping_of(style: str, url: str, message: Message) -> Ping | None:
    """Return the call that a style has for a message; None when it has none."""
    return _STYLES[style](url, message)


def takes_tests_as_success(style: str) -> bool:
    """Whether a service has no call that says nothing: there a test message ends an alarm."""
    return style != "healthchecks"


def _healthchecks(url: str, message: Message) -> Ping:
    run_id = message.record.get("run_id")
    rid = {} if run_id is None else {"rid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"gcron:{run_id}"))}
    body = message.tail.encode()[-10_000:] or message.title.encode()
    if message.kind == "start":
        return Ping(_with(url, "/start", rid))
    if message.kind == "success":
        return Ping(_with(url, "", rid), body)
    if message.kind == "failure":
        return Ping(_with(url, f"/{_exit_status(message) or 'fail'}", rid), body)
    return Ping(_with(url, "/log", rid), body)


def _cronitor(url: str, message: Message) -> Ping | None:
    state = {"start": "run", "success": "complete", "failure": "fail", "test": "ok"}.get(message.kind)
    if state is None:
        return None
    values = {"state": state, "message": message.title[:_LONGEST_TEXT]}
    if run_id := message.record.get("run_id"):
        values["series"] = str(run_id)
    if state in ("complete", "fail") and message.record.get("exit_code") is not None:
        values["status_code"] = str(message.record["exit_code"])
    return Ping(_with(url, "", values))


def _uptime_kuma(url: str, message: Message) -> Ping | None:
    status = {"success": "up", "failure": "down", "test": "up"}.get(message.kind)
    if status is None:
        return None
    duration = message.record.get("duration", 0)
    milliseconds = round(duration * 1000) if isinstance(duration, int | float) else 0
    return Ping(_with(url, "", {"status": status, "msg": message.title[:_LONGEST_TEXT], "ping": str(milliseconds)}))


def _plain(url: str, message: Message) -> Ping | None:
    return Ping(url) if message.kind in ("success", "test") else None


_STYLES: Mapping[str, Callable[[str, Message], Ping | None]] = {
    "healthchecks": _healthchecks,
    "cronitor": _cronitor,
    "uptime-kuma": _uptime_kuma,
    "plain": _plain,
}


def _exit_status(message: Message) -> int | None:
    code = message.record.get("exit_code")
    is_exit = message.record.get("reason_code") == "exit-status"
    return code if is_exit and isinstance(code, int) and 1 <= code <= 255 else None


def _with(url: str, path: str, values: Mapping[str, str]) -> str:
    """The URL with a longer path and more values in its query."""
    base, _, query = url.partition("?")
    more = "&".join(part for part in (query, urlencode(values)) if part)
    return base.rstrip("/") + path + (f"?{more}" if more else "") if path else base + (f"?{more}" if more else "")

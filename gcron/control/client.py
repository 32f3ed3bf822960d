"""The other side: finds a gcron that runs, and asks it over its Unix socket.

It starts quickly: it loads neither the scheduler nor what answers.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode

from gcron.control.places import Running, running, short_address
from gcron.escaping import escape_line
from gcron.frozen import frozen

__all__ = ["Client", "Happening", "NoGcron", "Refused", "choose", "connect"]

PREFIX = "/api/v1"
_TIMEOUT = 30.0
# An answer is sent at least every 15 s on a stream.
_STREAM_TIMEOUT = 60.0
_LONGEST_LINE = 16 * 1024 * 1024

Record = dict[str, Any]


class NoGcron(Exception):
    """There is no gcron to talk to, or more than one. The text says what to do."""


class Refused(Exception):
    """gcron refused a request. `code` and `record` are those of the problem document."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__(str(record.get("detail") or record.get("title") or "refused"))
        self.record = dict(record)
        self.code = str(record.get("code", ""))


@frozen
class Happening:
    """One event of a stream."""

    kind: str
    data: Record
    last_id: str


# -- which gcron --------------------------------------------------------------------------------------------------


def connect(instance: str | None = None, path: str | None = None) -> Client:
    """Return a client of the gcron that is meant; see `choose`. `path`: of a socket. Raises NoGcron."""
    return Client(path if path is not None else choose(instance, running()).socket)


def choose(instance: str | None, found: list[Running]) -> Running:
    """Return the gcron that is meant: by the name of an instance, or the path of a crontab of it; else the only one.

    The caller's own come first: root's command must not depend on how another user names his. Raises NoGcron.
    """
    own = [one for one in found if one.is_own]
    if instance is None:
        if len(own or found) == 1:
            return (own or found)[0]
        if not found:
            raise NoGcron("no gcron of yours runs here; `gcron run crontab` starts one")
        raise NoGcron("several gcrons run here; choose one with --instance:\n" + _listed(found))
    matches = _matches(instance, own) or _matches(instance, found)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise NoGcron(f"several gcrons run {instance}:\n{_listed(matches)}")
    others = f"; these run here:\n{_listed(found)}" if found else "; `gcron run crontab` starts one"
    raise NoGcron(f"no gcron runs here with the name or the crontab {instance!r}{others}")


def _matches(instance: str, found: list[Running]) -> list[Running]:
    path = os.path.abspath(instance)
    return [one for one in found if one.name == instance] or [one for one in found if path in one.crontabs]


def _listed(found: list[Running]) -> str:
    lines = (f"{one.name}  pid {one.pid}, since {one.since}: {', '.join(one.crontabs)}" for one in found)
    return "\n".join(f"  {escape_line(line)}" for line in lines)


# -- asking -------------------------------------------------------------------------------------------------------


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """See `HTTPConnection.connect`."""
        directory = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(self.timeout)
            self.sock = made  # closed by `close`, also when it cannot be connected
            made.connect(short_address(self._path, directory))
        finally:
            os.close(directory)


class Client:
    """Asks the gcron at the socket `path`.

    All methods raise NoGcron when it does not answer, Refused when it refuses.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: _Connection | None = None

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get(self, *words: str, **query: object) -> Record:
        """Ask: `client.get("jobs", "backup", "runs", limit=10)`. Values that are None are left out."""
        return self._json("GET", _target(words, query), None)

    def post(self, *words: str, **body: object) -> Record:
        """Have something done: `client.post("jobs", "backup", "trigger", why="a test")`."""
        return self._json("POST", _target(words, {}), {key: value for key, value in body.items() if value is not None})

    def pages(self, items: str, *words: str, **query: object) -> Iterator[Record]:
        """All items of a list, page by page."""
        cursor = None
        while True:
            page = self.get(*words, **query, cursor=cursor)
            yield from page[items]
            cursor = page["cursor"]
            if cursor is None:
                return

    def data(self, *words: str, **query: object) -> Iterator[bytes]:
        """The bytes of an answer that is not JSON."""
        response = self._ask("GET", _target(words, query), None, _TIMEOUT)
        while piece := self._read(response, 65536):
            yield piece

    def stream(self, *words: str, last_id: str = "", **query: object) -> Iterator[Happening]:
        """The events of a stream, as they come, on a connection of its own."""
        with Client(self._path) as client:
            response = client._ask("GET", _target(words, query), None, _STREAM_TIMEOUT, {"Last-Event-ID": last_id})
            yield from client._happenings(response, last_id)

    def _happenings(self, response: HTTPResponse, last_id: str) -> Iterator[Happening]:
        kind, data = "", ""
        while line := self._read_line(response):
            text = line.decode("utf-8").rstrip("\r\n")
            if not text:
                if kind:
                    yield Happening(kind, json.loads(data), last_id)
                kind, data = "", ""
                continue
            name, _, value = text.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                data = value
            elif name == "id":
                last_id = value

    def _json(self, method: str, target: str, body: Record | None) -> Record:
        response = self._ask(method, target, body, _TIMEOUT)
        try:
            answer: Record = json.loads(self._read(response, None))
        except ValueError as error:
            raise NoGcron(f"{escape_line(self._path)}: the answer is no JSON: {error}") from None
        return answer

    def _ask(
        self, method: str, target: str, body: Record | None, timeout: float, headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        if self._connection is None:
            self._connection = _Connection(self._path, timeout)
        data = None if body is None else json.dumps(body).encode("ascii")
        sent = {"Content-Type": "application/json"} if data is not None else {}
        try:
            self._connection.request(method, target, data, sent | {k: v for k, v in (headers or {}).items() if v})
            response = self._connection.getresponse()
        except (OSError, HTTPException) as error:
            raise self._gone(error) from None
        if response.status >= 400:
            text = self._read(response, None)
            try:
                problem = json.loads(text)
            except ValueError:
                problem = {"detail": f"{response.status} {text[:200].decode('utf-8', 'replace').strip()}"}
            raise Refused(problem)
        return response

    def _read(self, response: HTTPResponse, size: int | None) -> bytes:
        try:
            return response.read(size) if size is None else response.read1(size)
        except (OSError, HTTPException) as error:
            raise self._gone(error) from None

    def _read_line(self, response: HTTPResponse) -> bytes:
        try:
            return response.readline(_LONGEST_LINE)
        except (OSError, HTTPException) as error:
            raise self._gone(error) from None

    def _gone(self, error: Exception) -> NoGcron:
        self.close()
        path = escape_line(self._path)
        if isinstance(error, PermissionError):
            return NoGcron(f"{path}: only its own user and root may talk to this gcron")
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            return NoGcron(f"{path}: no gcron listens there")
        if isinstance(error, TimeoutError):
            return NoGcron(f"{path}: gcron does not answer")
        return NoGcron(f"{path}: the connection broke: {error or type(error).__name__}")


def _target(words: tuple[str, ...], query: Mapping[str, object]) -> str:
    path = "/".join(quote(word, safe="", errors="surrogateescape") for word in words)
    given = {name.rstrip("_"): _plain(value) for name, value in query.items() if value is not None}
    text = urlencode(given, errors="surrogateescape")
    return f"{PREFIX}/{path}" + (f"?{text}" if text else "")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""The other side: finds a gcron that runs, and asks it over its Unix socket.

It starts quickly: it loads neither the scheduler nor what answers.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import Any
from urllib.parse import quote, urlencode

from gcron.control.places import Running, running, short_address
from gcron.escaping import escape_line
from gcron.frozen import frozen

__all__ = ["Client", "Happening", "NoGcron", "Refused", "choose", "connect"]

PREFIX = "/api/v1"
# Seconds for a whole answer, however it comes: to a question, and to a request that changes something.
_TIMEOUT = 10.0
_ACTION_TIMEOUT = 30.0
# Seconds without a byte after which `slow` is called.
_SLOW = 2.0
# Seconds for each piece of a long answer that comes piece by piece.
_PIECE_TIMEOUT = 30.0
# An answer is sent at least every 15 s on a stream.
_STREAM_TIMEOUT = 60.0
_LONGEST_LINE = 16 * 1024 * 1024
# Bytes of an answer that is read as a whole.
_MOST_ANSWER = 64 * 1024 * 1024
# Process, user and group of a peer: `struct ucred`.
_CREDENTIALS = struct.Struct("iII")

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


def connect(
    instance: str | None = None, path: str | None = None, slow: Callable[[str], object] | None = None
) -> Client:
    """Return a client of the gcron that is meant; see `choose`. `path`: of a socket. Raises NoGcron."""
    if path is not None:
        return Client(path, slow=slow)
    chosen = choose(instance, running())
    return Client(chosen.socket, chosen.owner, slow)


def choose(instance: str | None, found: list[Running]) -> Running:
    """Return the gcron that is meant: by the name of an instance, or the path of a crontab of it; else the only own.

    The caller's own come first: root's command must not depend on how another user names his. Nor does root talk to
    another user's gcron without being told to. Raises NoGcron.
    """
    own = [one for one in found if one.is_own]
    if instance is None:
        if len(own) == 1:
            return own[0]
        if not found:
            raise NoGcron("no gcron of yours runs here; `gcron run crontab` starts one")
        if not own:
            raise NoGcron("no gcron of yours runs here; choose another user's with --instance:\n" + _listed(found))
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


class _Socket(socket.socket):
    """A socket whose reads end at one deadline: a timeout for each would let a peer send a byte now and then."""

    deadline: float | None = None
    slow: Callable[[], object] | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """See `socket.recv_into`."""
        while self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.settimeout(left if self.slow is None else min(left, _SLOW))
            try:
                return super().recv_into(*args, **kwargs)
            except TimeoutError:
                slow, self.slow = self.slow, None
                if slow is not None:
                    slow()
        return super().recv_into(*args, **kwargs)


class _Connection(HTTPConnection):
    """HTTP over a Unix socket on which one of `users` listens."""

    def __init__(self, path: str, timeout: float, users: frozenset[int]) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._users = users
        self._deadline: float | None = None
        self._slow: Callable[[], object] | None = None

    def expect(self, deadline: float | None, slow: Callable[[], object] | None = None) -> None:
        """From now on, all that is read comes until `deadline`, on the monotonic clock, or raises TimeoutError.

        `slow` is called once, when nothing has come for a while.
        """
        self._deadline, self._slow = deadline, slow
        if isinstance(self.sock, _Socket):
            self.sock.deadline, self.sock.slow = deadline, slow
            self.sock.settimeout(self.timeout)

    def connect(self) -> None:
        """See `HTTPConnection.connect`. Raises _Foreign."""
        directory = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            made = _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(self.timeout)
            made.deadline, made.slow = self._deadline, self._slow
            self.sock = made  # closed by `close`, also when it cannot be connected
            made.connect(short_address(self._path, directory))
        finally:
            os.close(directory)
        user = _listener_of(made)
        if user is not None and user not in self._users:
            raise _Foreign(user)

    def hang_up(self) -> None:
        """End the connection, also while another thread reads from it."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


class _Foreign(OSError):
    """Another user listens on a socket. Nothing was sent to it."""

    def __init__(self, user: int) -> None:
        super().__init__(f"user {user} listens there")
        self.user = user


def _listener_of(made: socket.socket) -> int | None:
    """The user of the process that listens (unix(7)); None where the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, user, _ = _CREDENTIALS.unpack(made.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return int(user)


class Client:
    """Asks the gcron at the socket `path`, of this user, of root, or of the user `owner`. For one thread.

    `slow` is called with a sentence when an answer is late. What listens there may be anything: answers are bounded in
    size and time. All methods raise NoGcron when it does not answer, Refused when it refuses.
    """

    def __init__(self, path: str, owner: int | None = None, slow: Callable[[str], object] | None = None) -> None:
        self._path = path
        self._owner = owner
        self._slow = slow
        self._connection: _Connection | None = None
        self._streaming: Client | None = None

    def another(self) -> Client:
        """Return a client of the same gcron, for another thread."""
        return Client(self._path, self._owner)

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
        response = self._ask("GET", _target(words, query), None, _PIECE_TIMEOUT)
        self._expect_pieces()
        while piece := self._read(response, 65536):
            yield piece

    def stream(self, *words: str, last_id: str = "", **query: object) -> Iterator[Happening]:
        """The events of a stream, as they come, on a connection of its own. See `hang_up`."""
        with self.another() as client:
            self._streaming = client
            response = client._ask("GET", _target(words, query), None, _STREAM_TIMEOUT, {"Last-Event-ID": last_id})
            client._expect_pieces()
            yield from client._happenings(response, last_id)

    def hang_up(self) -> None:
        """End the stream that another thread reads: it raises NoGcron there, or ends."""
        connection = None if self._streaming is None else self._streaming._connection
        if connection is not None:
            connection.hang_up()

    def _happenings(self, response: HTTPResponse, last_id: str) -> Iterator[Happening]:
        kind, data = "", ""
        while line := self._read_line(response):
            text = line.decode("utf-8").rstrip("\r\n")
            if not text:
                if kind:
                    yield Happening(kind, self._record(data), last_id)
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
        timeout = _TIMEOUT if method == "GET" else _ACTION_TIMEOUT
        return self._record(self._read_all(self._ask(method, target, body, timeout)))

    def _record(self, text: str | bytes) -> Record:
        """Read a JSON object. Raises NoGcron."""
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise NoGcron(f"{escape_line(self._path)}: the answer is no JSON: {error}") from None
        if not isinstance(record, dict):
            raise NoGcron(f"{escape_line(self._path)}: the answer is no JSON object: no gcron listens there")
        return record

    def _ask(
        self, method: str, target: str, body: Record | None, timeout: float, headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        if self._connection is None:
            self._connection = _Connection(self._path, timeout, self._users())
        self._connection.expect(time.monotonic() + timeout, partial(self._tell_slow, timeout))
        data = None if body is None else json.dumps(body).encode("ascii")
        sent = {"Content-Type": "application/json"} if data is not None else {}
        with self._connected():
            self._connection.request(method, target, data, sent | {k: v for k, v in (headers or {}).items() if v})
            response = self._connection.getresponse()
        if response.status >= 400:
            text = self._read_all(response)
            try:
                problem = self._record(text)
            except NoGcron:
                problem = {"detail": f"{response.status} {text[:200].decode('utf-8', 'replace').strip()}"}
            raise Refused(problem)
        return response

    def _expect_pieces(self) -> None:
        """From here on, only the next piece has to come in time."""
        if self._connection is not None:
            self._connection.expect(None)

    def _tell_slow(self, timeout: float) -> None:
        if self._slow is not None:
            self._slow(f"{escape_line(self._path)}: gcron does not answer; waiting for {timeout:g} s at most")

    def _users(self) -> frozenset[int]:
        """The users who may listen there: another one would only pretend to be gcron."""
        return frozenset({0, os.getuid() if self._owner is None else self._owner})

    def _read_all(self, response: HTTPResponse) -> bytes:
        with self._connected():
            data = response.read(_MOST_ANSWER + 1)
            if len(data) <= _MOST_ANSWER and response.length:
                raise IncompleteRead(data, response.length)
        if len(data) > _MOST_ANSWER:
            self.close()
            raise NoGcron(
                f"{escape_line(self._path)}: an answer of more than {_MOST_ANSWER >> 20} MiB: that is no gcron"
            )
        return data

    def _read(self, response: HTTPResponse, size: int) -> bytes:
        with self._connected():
            return response.read1(size)

    def _read_line(self, response: HTTPResponse) -> bytes:
        with self._connected():
            return response.readline(_LONGEST_LINE)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Raise NoGcron for what goes wrong with the connection in the block."""
        try:
            yield
        except (OSError, HTTPException) as error:
            raise self._gone(error) from None

    def _gone(self, error: Exception) -> NoGcron:
        self.close()
        path = escape_line(self._path)
        if isinstance(error, _Foreign):
            wanted = "root or you" if self._owner is None else f"root or the user {self._owner}"
            return NoGcron(f"{path}: the user {error.user} listens there, and not {wanted}: nothing was sent")
        if isinstance(error, PermissionError):
            return NoGcron(f"{path}: only its own user and root may talk to this gcron")
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            return NoGcron(f"{path}: no gcron listens there")
        if isinstance(error, TimeoutError):
            return NoGcron(f"{path}: gcron does not answer")
        why = str(error).strip() or type(error).__name__  # it may hold a line of what was read
        return NoGcron(f"{path}: the connection broke: {escape_line(why)}")


def _target(words: tuple[str, ...], query: Mapping[str, object]) -> str:
    path = "/".join(quote(word, safe="", errors="surrogateescape") for word in words)
    given = {name.rstrip("_"): _plain(value) for name, value in query.items() if value is not None}
    text = urlencode(given, errors="surrogateescape")
    return f"{PREFIX}/{path}" + (f"?{text}" if text else "")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

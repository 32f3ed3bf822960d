"""One connection: reads requests and sends the application's answers, in turn, until one side ends it.

Every wait is limited by the server's `Limits`. Every way out closes the application's iterable and the socket.
"""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable, Iterable
from enum import Enum, auto
from http import HTTPStatus
from socket import MSG_DONTWAIT, MSG_PEEK, SHUT_WR
from typing import Any, Protocol

from gcron.runtime.hub import get_hub
from gcron.runtime.sockets import socket
from gcron.runtime.timeout import Timeout
from gcron.wsgi.body import open_body
from gcron.wsgi.environ import make_environ
from gcron.wsgi.limits import Limits
from gcron.wsgi.listener import peer_uid
from gcron.wsgi.log import access_line, write_line
from gcron.wsgi.request import Request, RequestError, RequestParser
from gcron.wsgi.response import Response, ResponseError, date_line

__all__ = ["Connection", "Part", "Server"]

_RECEIVE = 65536
# Bytes of a body that the application has not read. Up to so many are read and dropped, to get to the next request.
_MOST_UNREAD = 65536
# Seconds during which the rest of what a client sends is read and dropped before the connection is closed. Closed at
# once, it would be reset, and the client would lose the last answer.
_LINGER = 2.0
_PEEK = int(MSG_PEEK) | int(MSG_DONTWAIT)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}

Application = Callable[..., Iterable[bytes]]


class Server(Protocol):
    """What a connection knows of its server."""

    application: Application
    environ: dict[str, Any]
    limits: Limits
    log: Any
    error_log: Any
    started: bool

    def note_waiting(self, connection: Connection, part: Part) -> None:
        """The connection waits for its client: it may be closed to make room for others."""

    def note_busy(self, connection: Connection) -> None:
        """The connection has a request, or is over."""


class Part(Enum):
    """What a connection waits for. In the order in which connections are closed to make room for others."""

    HEAD = auto()
    """The rest of a request's head."""
    REQUEST = auto()
    """The first byte of a request."""
    BODY = auto()
    """More of a request's body, which an application reads."""


class _ClientGone(ConnectionAbortedError):
    """There is nobody to answer any more."""


class Connection:
    """Serves one connected socket. `serve` runs in a greenlet of its own."""

    def __init__(self, server: Server, sock: socket, peer: Any) -> None:
        self._server = server
        self._socket = sock
        self._limits = server.limits
        self._parser = RequestParser(server.limits)
        self._monotonic = get_hub().monotonic
        self._body_wait = 0.0
        self._environ = {**server.environ, "wsgi.errors": server.error_log}
        self._client = ""
        if isinstance(peer, tuple):
            self._client = peer[0]
            self._environ.update(REMOTE_ADDR=peer[0], REMOTE_PORT=str(peer[1]))
        elif (uid := peer_uid(sock)) is not None:
            self._environ["gcron.peer_uid"] = uid

    def serve(self) -> None:
        """Answer requests until the client, the application or a limit ends the connection."""
        try:
            while (request := self._next_request()) is not None and self._answer(request):
                pass
        except RequestError as error:
            self._refuse(error, self._parser.refused_method)
            self._note("-", str(error.status), 0, 0.0)
        except OSError:
            return  # the client is gone, or the socket was closed to make room
        finally:
            self.close()
            self._parser.close()

    def close(self) -> None:
        """Close the socket at once, even if it is in use."""
        self._server.note_busy(self)
        self._socket.close()

    # -- receiving ------------------------------------------------------------------------------------------

    def _next_request(self) -> Request | None:
        """Wait for a request's head and return the request. None if the client has finished or is idle for too long."""
        parser = self._parser
        if not self._server.started:
            return None  # the last answer, from before the stop, has said that the connection goes on
        if (request := parser.next_request()) is not None:
            return request
        if not parser.begun and not self._wait_idle():
            return None
        if (request := parser.next_request()) is not None:
            return request
        deadline = self._monotonic() + self._limits.header_timeout
        self._server.note_waiting(self, Part.HEAD)
        try:
            while (request := parser.next_request()) is None:
                data = self._receive(deadline - self._monotonic())
                if not data:
                    return None
                parser.feed(data)
        except TimeoutError:
            raise RequestError(HTTPStatus.REQUEST_TIMEOUT, "the head of the request took too long") from None
        finally:
            self._server.note_busy(self)
        return request

    def _wait_idle(self) -> bool:
        """Wait for the first bytes of a request. False if the client has finished or is idle for too long."""
        self._server.note_waiting(self, Part.REQUEST)
        try:
            data = self._receive(self._limits.idle_timeout)
        except TimeoutError:
            return False
        finally:
            self._server.note_busy(self)
        self._parser.feed(data)
        return bool(data)

    def _receive(self, seconds: float) -> bytes:
        if seconds <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds)
        return self._socket.recv(_RECEIVE)

    def _next_piece(self, request: Request) -> bytes:
        """Return a piece of the body, or b"" at its end."""
        while not request.pieces:
            if request.complete:
                return b""
            if self._parser.error is not None:
                raise self._parser.error
            if request.expects_continue:
                request.expects_continue = False
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._receive_body(request)
        return request.pieces.popleft()

    def _receive_body(self, request: Request) -> None:
        # Only waiting counts: a slow application is not the client's fault.
        allowed = self._limits.body_timeout + request.received / self._limits.body_rate - self._body_wait
        before = self._monotonic()
        self._server.note_waiting(self, Part.BODY)
        try:
            data = self._receive(allowed)
        except TimeoutError:
            raise self._cut_off(HTTPStatus.REQUEST_TIMEOUT, "the body of the request came too slowly") from None
        except OSError as error:
            raise self._cut_off(HTTPStatus.BAD_REQUEST, f"the client went away: {error}") from error
        finally:
            self._server.note_busy(self)
        if not data:
            gone = f"the client went away after {request.received} bytes of its body"
            raise self._cut_off(HTTPStatus.BAD_REQUEST, gone)
        self._body_wait += self._monotonic() - before
        self._parser.feed(data)

    def _cut_off(self, status: HTTPStatus, message: str) -> RequestError:
        # Stored, because the application may catch it, and what follows on this connection is no request.
        self._parser.error = RequestError(status, message)
        return self._parser.error

    # -- answering ------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> bool:
        """Let the application answer. True if the connection goes on."""
        self._body_wait = 0.0
        before = self._monotonic()
        body = open_body(lambda: self._next_piece(request)) if request.has_body else io.BytesIO()
        response = Response(request, self)
        status = ""
        try:
            environ = make_environ(self._environ, request, body)
            self._run_application(environ, response)
        except RequestError as error:
            status = str(error.status)
            self._refuse(error, request.method)
            return False
        finally:
            response.over = True
            asked = f"{request.method} {request.target.decode('latin-1')} HTTP/{request.version}"
            self._note(asked, status or response.status[:3], response.body_sent, self._monotonic() - before)
        if response.keep_alive and self._drop_rest(request):
            return True
        # A client that has announced its last request is not checked: that takes a tenth of a short connection's time.
        if not request.complete or (request.keep_alive and self._is_sending()):
            self._linger()
        return False

    def _run_application(self, environ: dict[str, Any], response: Response) -> None:
        """Call the application and send what it returns. Raises `RequestError` for another answer instead."""
        try:
            result = self._server.application(environ, response.start)
            try:
                response.send_all(result)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except RequestError:
            if response.head_sent:
                raise _ClientGone from None
            raise
        except _ClientGone:
            raise
        except (Exception, Timeout) as error:
            self._report(environ, error)
            if response.head_sent:
                # A client would not understand anything else now. It does understand a body that ends early.
                raise _ClientGone from None
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "") from None

    def _report(self, environ: dict[str, Any], error: BaseException) -> None:
        asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']!r}"
        if isinstance(error, ResponseError):
            write_line(self._server.error_log, f"{asked}: {error}\n")
        else:
            write_line(self._server.error_log, f"{''.join(traceback.format_exception(error))}{asked} failed\n")

    def _refuse(self, error: RequestError, method: str) -> None:
        """Answer that the request is wrong, and why. The connection is of no more use."""
        phrase = _PHRASES.get(error.status, "Error")
        text = f"{phrase}: {error}\n" if str(error) else f"{phrase}\n"
        body = text.encode("utf-8", "replace")
        head = (
            f"HTTP/1.1 {error.status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\n{date_line()}Connection: close\r\n\r\n"
        )
        if method == "HEAD":
            body = b""
        self.send(head.encode("ascii") + body)
        self._linger()

    def send(self, data: bytes) -> None:
        """Send all of it. Raises when the client accepts nothing for too long, or is gone. HOT PATH."""
        sock = self._socket
        sock.settimeout(self._limits.send_timeout)
        try:
            sent = sock.send(data)
            if sent == len(data):
                return
            rest = memoryview(data)[sent:]
            while rest:
                rest = rest[sock.send(rest) :]
        except OSError as error:
            raise _ClientGone from error

    def may_stay_open(self, request: Request) -> bool:
        """True if the next request can be reached: not after a body that was not asked for, or that is long."""
        if not self._server.started:
            return False
        if request.complete:
            return True  # even if the next request is wrong, it gets its own answer
        if self._parser.error is not None:
            return False
        return not request.expects_continue and request.length - request.received <= _MOST_UNREAD

    @property
    def is_silent(self) -> bool:
        """True if nothing has come that the connection has not seen."""
        try:
            return not self._socket.recv(1, _PEEK)
        except OSError:  # nothing has come, or the client is gone
            return True

    # -- between answers ------------------------------------------------------------------------------------

    def _drop_rest(self, request: Request) -> bool:
        """Read the part of the body that the application has not read. True if the next request can follow."""
        dropped = 0
        try:
            while dropped <= _MOST_UNREAD and (piece := self._next_piece(request)):
                dropped += len(piece)
        except RequestError:
            return False  # it already has its answer
        return request.complete

    def _is_sending(self) -> bool:
        """True if something has come that nobody will read."""
        try:
            return bool(self._socket.recv(1, _PEEK))
        except OSError:
            return False

    def _linger(self) -> None:
        """Let the last answer arrive before the connection is closed."""
        self._server.note_waiting(self, Part.REQUEST)
        deadline = self._monotonic() + _LINGER
        try:
            self._socket.shutdown(SHUT_WR)
            while self._receive(deadline - self._monotonic()):
                pass
        except OSError:
            return

    def _note(self, asked: str, status: str, size: int, seconds: float) -> None:
        if self._server.log is not None:
            write_line(self._server.log, access_line(self._client, asked, status or "-", size, seconds))

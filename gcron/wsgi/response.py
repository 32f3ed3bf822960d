"""An application's answer, framed for HTTP/1.1: `start_response`, `write`, and the iterable.

The head is sent with the first data, or at the end if there is none. Then it is decided how the client learns where the
body ends: by the application's Content-Length, by one computed for a list, by chunks, or by closing the connection.

May not know sockets: it has a function that sends.

Sources: PEP 3333; RFC 9112, section 6; RFC 9110, sections 8.6, 9.3.2 and 15.3.5, 15.4.5.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from types import TracebackType
from typing import Any, Protocol

from gcron.wsgi.request import Request

__all__ = ["Response", "ResponseError", "date_line"]

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

# Bodies of up to this many bytes are sent in one piece with their head.
_ONE_PIECE = 65536
_STATUS = re.compile(r"[1-5][0-9]{2} [^\x00-\x1f\x7f]*\Z")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_HOP_BY_HOP = frozenset(
    ("keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade")
)


class ResponseError(Exception):
    """The application broke a rule of WSGI. The message says which."""


class Sender(Protocol):
    """What a response needs of its connection."""

    def send(self, data: bytes) -> None:
        """Send all of it, or raise."""

    def may_stay_open(self, request: Request) -> bool:
        """True if the connection can have another request after this one."""


class Response:
    """One answer. After `send_all`, `keep_alive` says whether the connection goes on."""

    def __init__(self, request: Request, sender: Sender) -> None:
        self._request = request
        self._sender = sender
        self._lines: list[str] | None = None
        self._length: int | None = None
        self._bodyless = False
        self._chunked = False
        self._wants_close = False
        self._has_date = False
        self.status = ""
        self.head_sent = False
        self.over = False
        """True when what the application writes belongs to no request any more."""
        self.body_sent = 0
        """Bytes of body sent, without their framing."""
        self.keep_alive = False

    # -- what the application calls ---------------------------------------------------------------------------

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """`start_response` of PEP 3333; returns `write`.

        Raises `ResponseError` for a status or header that cannot be sent, and when it is called twice without
        `exc_info`. Raises the error of `exc_info` again if the head has been sent.
        """
        if exc_info is not None:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # its traceback refers to this frame: break the cycle
        elif self._lines is not None:
            raise ResponseError("start_response was called twice")
        if type(status) is not str or not _STATUS.match(status):
            raise ResponseError(f"a status is a text like '200 OK', got {status!r}")
        self.status = status
        self._length = None
        self._wants_close = self._has_date = False
        self._lines = [self._checked(name, value) for name, value in headers]
        code = status[:3]
        self._bodyless = self._request.method == "HEAD" or code in ("204", "304") or code[0] == "1"
        if self._length is not None and (code == "204" or code[0] == "1"):
            self._lines = [line for line in self._lines if not line.lower().startswith("content-length:")]
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece of the body now, with the head if that was not sent yet. HOT PATH."""
        if type(data) is not bytes:
            data = _octets(data)
        if self.over:
            raise ResponseError("write was called after the end of its request")
        if not data:
            return
        if self._length is not None and self.body_sent + len(data) > self._length and not self._bodyless:
            excess = self.body_sent + len(data) - self._length
            self._send(data[: self._length - self.body_sent])
            raise ResponseError(f"{excess} bytes more than its Content-Length of {self._length} were cut off")
        self._send(data)

    # -- what the connection calls ------------------------------------------------------------------------------

    def send_all(self, result: Iterable[bytes]) -> None:
        """Send what the application returned, and the end of the body.

        Raises `ResponseError` if the application broke a rule. Errors of the application itself pass through.
        """
        if isinstance(result, list | tuple) and not self.head_sent:
            self._send_known(result)
        else:
            for piece in result:
                self.write(piece)
        self._finish()

    def _send_known(self, pieces: list[bytes] | tuple[bytes, ...]) -> None:
        pieces = [piece if type(piece) is bytes else _octets(piece) for piece in pieces]
        size = sum(map(len, pieces))
        if self._length is None and self._request.method != "HEAD":
            self._length = size
            if not self._bodyless and self._lines is not None:
                self._lines.append(f"Content-Length: {size}\r\n")
        if size <= _ONE_PIECE:
            self.write(b"".join(pieces))
            return
        for piece in pieces:
            self.write(piece)

    def _finish(self) -> None:
        if not self.head_sent:
            if self._length is None and not self._bodyless and self._lines is not None:
                self._length = 0
                self._lines.append("Content-Length: 0\r\n")
            self._sender.send(self._take_head())
        if self._bodyless:
            return
        if self._chunked:
            self._sender.send(b"0\r\n\r\n")
        elif self._length is not None and self.body_sent < self._length:
            raise ResponseError(f"only {self.body_sent} bytes of its Content-Length of {self._length} were given")

    def _send(self, data: bytes) -> None:
        head = b"" if self.head_sent else self._take_head()
        if self._bodyless:
            data = b""
        self.body_sent += len(data)
        if self._chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if head and len(data) > _ONE_PIECE:
            self._sender.send(head)
            head = b""
        if head or data:
            self._sender.send(head + data if head else data)

    # -- the head -----------------------------------------------------------------------------------------------

    def _checked(self, name: str, value: str) -> str:
        if not (type(name) is str and type(value) is str and _NAME.match(name) and _VALUE.match(value)):
            raise ResponseError(f"a header is two texts without control characters, got {name!r}: {value!r}")
        key = name.lower()
        if key in _HOP_BY_HOP:
            raise ResponseError(f"{name} is for the server to send")
        if key == "connection":
            self._wants_close = value.strip().lower() == "close"
            return ""  # the server adds its own
        if key == "content-length":
            if self._length is not None or not (value.isascii() and value.isdigit()):
                raise ResponseError(f"one Content-Length, of digits, can be sent, got {value!r}")
            self._length = int(value)
        elif key == "date":
            self._has_date = True
        return f"{name}: {value}\r\n"

    def _take_head(self) -> bytes:
        """Decide how the body ends, and return the head."""
        if self._lines is None:
            raise ResponseError("the application did not call start_response")
        request = self._request
        self.keep_alive = request.keep_alive and not self._wants_close and self._sender.may_stay_open(request)
        lines = self._lines
        if self._length is None and not self._bodyless:
            self._chunked = request.version == "1.1"
            if self._chunked:
                lines.append("Transfer-Encoding: chunked\r\n")
            else:
                self.keep_alive = False
        if not self._has_date:
            lines.append(date_line())
        if not self.keep_alive:
            lines.append("Connection: close\r\n")
        elif request.version == "1.0":
            lines.append("Connection: keep-alive\r\n")
        try:
            head = f"HTTP/1.1 {self.status}\r\n{''.join(lines)}\r\n".encode("latin-1")
        except UnicodeEncodeError as error:
            raise ResponseError(f"a head is made of latin-1 characters, got {error.object[error.start]!r}") from None
        self.head_sent = True
        request.expects_continue = False  # `100 Continue` cannot be sent within an answer
        return head


def _octets(piece: Any) -> bytes:
    """Return a piece of a body as bytes. `ResponseError` for what has none (a text, a number, None)."""
    try:
        return bytes(memoryview(piece))
    except TypeError:
        raise ResponseError(f"a body is made of bytes, got {type(piece).__name__}") from None


_last_date: tuple[int, str] = (0, "")


def date_line() -> str:
    """Return the present `Date` header. HOT PATH: it is made once a second."""
    global _last_date
    now = int(time.time())
    if _last_date[0] != now:
        _last_date = (now, f"Date: {formatdate(now, usegmt=True)}\r\n")
    return _last_date[1]

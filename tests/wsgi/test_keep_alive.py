"""Several requests of one connection: their order, its end, and clients that abort."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

import pytest

import gcron
from gcron import socket
from gcron.event import Event
from gcron.wsgi import RequestError, WSGIServer

Ask = Callable[[WSGIServer, bytes], bytes]
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"


def get(path: str = "/", version: str = "1.1", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: a", *headers, "", ""]).encode()


def tell_path(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"<%b>" % environ["PATH_INFO"].encode()]


def paths(answer: bytes) -> list[bytes]:
    return [piece.split(b">")[0] for piece in answer.split(b"<")[1:]]


def test_pipelined_requests_are_answered_in_their_order(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    running = 0

    def application(environ: Any, start_response: Any) -> list[bytes]:
        nonlocal running
        running += 1
        assert running == 1, "one connection's requests do not run together"
        gcron.sleep(0.01 if environ["PATH_INFO"] == "/slow" else 0)
        running -= 1
        return tell_path(environ, start_response)

    asked = ["/slow", "/b", "/slow", "/d", "/e"]

    answer = ask(serve(application), b"".join(get(path) for path in asked))

    assert paths(answer) == [path.encode() for path in asked]


def test_thousands_of_requests_at_once(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """More requests than the server reads at once, and more answers than the connection buffers."""
    client = connect(serve(tell_path))
    asked = [f"/{number}" for number in range(3000)]
    sending = gcron.spawn(client.send, b"".join(map(get, asked[:-1])) + get(asked[-1], "1.1", "Connection: close"))

    assert paths(client.read_all()) == [path.encode() for path in asked]
    sending.get()


@pytest.mark.parametrize(
    ("request_line", "stays"),
    [
        (get(), True),
        (get("/", "1.1", "Connection: keep-alive"), True),
        (get("/", "1.1", "Connection: close"), False),
        (get("/", "1.1", "Connection: CLOSE"), False),
        (get("/", "1.1", "Connection: x, close"), False),
        (get("/", "1.0"), False),
        (get("/", "1.0", "Connection: keep-alive"), True),
        (get("/", "1.0", "Connection: Keep-Alive"), True),
        (get("/", "1.0", "Connection: close"), False),
    ],
)
def test_either_side_may_end_the_connection(
    request_line: bytes, stays: bool, serve: Callable[..., WSGIServer], connect: Any
) -> None:
    client = connect(serve(tell_path))
    client.send(request_line)
    head = client.read_until(b"\r\n\r\n")
    client.read_until(b"</>")

    assert (b"Connection: close\r\n" in head) is not stays
    if stays:
        client.send(get("/again"))
        client.read_until(b"</again>")
    else:
        assert client.is_closed()


def test_nothing_is_served_after_the_last_request(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    assert paths(ask(serve(tell_path), get("/a", "1.0") + get("/b"))) == [b"/a"]


def test_a_client_that_has_shut_down_its_side_gets_its_answers(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """Its earlier requests must be answered, although its sending side is closed."""
    go_on = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        go_on.wait()
        return tell_path(environ, start_response)

    client = connect(serve(application))
    client.send(get("/a") + get("/b"))
    client.finish()
    gcron.sleep(0.01)
    go_on.set()

    assert paths(client.read_all()) == [b"/a", b"/b"]


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", get(), get() * 3000, POST, POST + b"abc", b"no request\r\n\r\n"],
    ids=["nothing", "half a head", "a request", "many", "no body", "half a body", "nonsense"],
)
@pytest.mark.parametrize("reset", [False, True])
def test_aborted_connections_leave_nothing_behind(
    sent: bytes, reset: bool, serve: Callable[..., WSGIServer], connect: Any, ask: Ask, capfd: Any
) -> None:
    served: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except RequestError as error:
            served.append(error.status)
            raise
        return tell_path(environ, start_response)

    server = serve(application)
    ask(server, get())
    before = set(os.listdir("/proc/self/fd"))
    client = connect(server)
    if reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.send(sent)
    gcron.sleep(0.01)
    client.close()
    _wait_until(lambda: set(os.listdir("/proc/self/fd")) == before)

    assert served == ([400] if sent.startswith(POST) else [])
    assert paths(ask(server, get("/next"))) == [b"/next"]
    assert capfd.readouterr().err == ""


def _wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, until the time limit of the fixture."""
    while not condition():
        gcron.sleep(0.001)


# -- bodies between requests ---------------------------------------------------------------------------------


def test_an_application_that_reads_slowly_slows_its_client_down(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """The body stays in the connection, not in the server's memory."""
    go_on = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(1)
        go_on.wait()
        return tell_path(environ, start_response)

    client = connect(serve(application))
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
    client.socket.settimeout(0.1)
    sent = 0
    with pytest.raises(TimeoutError):
        while True:
            sent += client.socket.send(b"x" * 65536)

    assert sent < 30_000_000, "the kernel's buffers, and no more"
    go_on.set()


def test_an_answer_need_not_wait_for_the_body(serve: Callable[..., WSGIServer], connect: Any) -> None:
    client = connect(serve(tell_path))
    client.send(POST)

    client.read_until(b"</>")
    client.send(b"0123456789" + get("/next"))
    client.read_until(b"</next>")


@pytest.mark.realtime
def test_an_endless_unread_body_ends_the_connection(serve: Callable[..., WSGIServer], connect: Any) -> None:
    client = connect(serve(tell_path))

    def send() -> None:
        try:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                client.send(b"ffff\r\n" + b"y" * 0xFFFF + b"\r\n")
        except OSError:
            return

    sending = gcron.spawn(send)
    client.read_until(b"</>")

    sending.get()


def test_reading_on_after_an_error_raises_it_again(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    seen: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        for _ in range(3):
            try:
                seen.append(environ["wsgi.input"].read(5))
            except RequestError as error:
                seen.append(error.status)
        return tell_path(environ, start_response)

    ask(serve(application), POST + b"abcdefg")

    assert seen == [b"abcde", 400, 400]

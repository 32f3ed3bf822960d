"""Regression tests of the web server."""

from __future__ import annotations

import errno
import gc
import io
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gcron
from gcron import socket
from gcron.event import Event
from gcron.pool import Pool
from gcron.wsgi import Limits, RequestError, WSGIServer
from gcron.wsgi.request import Request, RequestParser

Ask = Callable[[WSGIServer, bytes], bytes]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def answering(result: Any, status: str = "200 OK", headers: Any = ()) -> Any:
    def application(environ: Any, start_response: Any) -> Any:
        start_response(status, list(headers))
        return result

    return application


# -- what goes over the wire ---------------------------------------------------------------------------------


def test_no_100_continue_within_an_answer(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """If an application began its answer before it read, "100 Continue" was sent within the answer."""

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        yield environ["wsgi.input"].read()

    client = connect(serve(application))
    client.send(EXPECTING)
    head = client.read_until(b"5\r\nbegun\r\n")
    client.send(b"abc")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.read_all() == b"3\r\nabc\r\n0\r\n\r\n"


def test_many_offers_to_upgrade_at_once(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """Each one made the stack two calls deeper: a thousand raised `RecursionError`, and had no answer."""
    offer = b"GET / HTTP/1.1\r\nHost:a\r\nConnection:upgrade\r\nUpgrade:x\r\n\r\n"

    assert ask(serve(hello), offer * 1000 + GET).count(b"HTTP/1.1 200 OK") == 1001


def test_the_last_answer_arrives_although_the_client_is_still_sending(
    serve: Callable[..., WSGIServer], connect: Any
) -> None:
    """A connection that is closed with unread data is reset, and the client loses what it has not received yet."""
    client = connect(serve(answering([b"x" * 300_000], headers=[("Connection", "close")])))

    def send() -> None:
        try:
            client.send(GET + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + b"z" * 5_000_000)
        except OSError:
            return

    sending = gcron.spawn(send)
    gcron.sleep(0.1)

    assert client.read_all().count(b"x") == 300_000
    sending.kill()


@pytest.mark.parametrize("status", ["204 No Content"])
def test_no_content_has_no_length(status: str, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """RFC 9110, section 8.6: also not the length that the application sets."""
    answer = ask(serve(answering([b"hello"], status, [("Content-Length", "5")])), GET)

    assert answer.startswith(b"HTTP/1.1 204 ")
    assert b"Content-Length" not in answer


@pytest.mark.parametrize("name", ["X: y", "Transfer-Encoding: chunked;a", "Set-Cookie: a=b; x"])
def test_header_names_and_values_are_checked_separately(name: str, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """Both were checked as one line, so that a name could contain a whole header, even one of the server."""
    assert ask(serve(answering([], headers=[(name, "v")])), GET).startswith(b"HTTP/1.1 500 ")


def test_write_after_its_request_raises(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """A `write` that an application had kept wrote before the answer of the next request."""
    kept: list[Any] = []
    refused: list[Exception] = []

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        for write in kept:
            try:
                write(b"STRAY")
            except Exception as error:
                refused.append(error)
        kept.append(start_response("200 OK", []))
        return iter([b"hello"])

    client = connect(serve(application))
    client.send(GET + GET)
    client.finish()

    assert b"STRAY" not in client.read_all()
    assert len(refused) == 1


@pytest.mark.parametrize("host", [b"a b", b"a/b", b"u@b", b"a\\b", b"a?b", b'"a"'])
@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n"])
def test_an_invalid_host_is_refused(
    request_line: bytes, host: bytes, serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    """RFC 9112, section 3.2. Applications make links from it, and proxies route by it."""
    assert ask(serve(hello), request_line % host).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("host", [b"", b"a", b"a.example:80", b"127.0.0.1:8000", b"[::1]", b"[::1]:80", b"a_b", b"a:"])
def test_a_valid_host_is_accepted(host: bytes, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    assert ask(serve(hello), b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host).startswith(b"HTTP/1.1 200 ")


def test_a_refusal_has_a_date(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """RFC 9110, section 6.6.1."""
    assert b"\r\nDate: " in ask(serve(hello), b"GET / HTTP/1.1\r\n\r\n")


def test_a_refusal_of_head_has_no_body(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    answer = ask(serve(hello), b"HEAD / HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\n")


def test_server_port_is_set_for_a_unix_socket(serve: Callable[..., WSGIServer], ask: Ask, tmp_path: Any) -> None:
    """PEP 3333: SERVER_NAME and SERVER_PORT are never empty."""
    seen: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        return hello(environ, start_response)

    ask(serve(application, tmp_path / "sock"), GET)

    assert seen[0]["SERVER_NAME"]
    assert seen[0]["SERVER_PORT"]


# -- errors --------------------------------------------------------------------------------------------------


class Unwritable(io.TextIOBase):
    """A log on a full disk, or a closed file."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


UNWRITABLE = [OSError(errno.ENOSPC, "No space left on device"), ValueError("I/O operation on closed file")]


@pytest.mark.parametrize("error", UNWRITABLE)
def test_a_log_that_cannot_be_written_loses_no_request(
    error: Exception, serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    """It ended the connection of each request."""
    assert ask(serve(hello, log=Unwritable(error)), GET + GET).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("error", UNWRITABLE)
def test_an_error_log_that_cannot_be_written_loses_no_answer(
    error: Exception, serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    assert ask(serve(answering(None), error_log=Unwritable(error)), GET).startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("length", [10**13, 2**63, 2**64 - 1])
def test_reading_allocates_only_what_arrives(length: int, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """`read(CONTENT_LENGTH)`, which is usual, allocated the announced length: a `MemoryError`, and a 500."""
    log = io.StringIO()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        return hello(environ, start_response)

    announcing = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nabc" % length
    answer = ask(serve(application, error_log=log), announcing)

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))
    assert log.getvalue() == ""


def test_a_request_error_of_the_applications_own_is_answered(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """A status that the standard library does not know had no answer."""

    def application(environ: Any, start_response: Any) -> Any:
        raise RequestError(499, "so")

    assert ask(serve(application), GET).startswith(b"HTTP/1.1 499 ")


# -- connections ---------------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_half_a_head_after_a_request_has_the_header_timeout(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """The connection counted as idle: it had the longer idle time, and was then closed without an answer."""
    client = connect(serve(hello, limits=Limits(header_timeout=0.1, idle_timeout=60)))
    client.send(GET + b"GET /x HTTP/1.1\r\nHo")

    answer = client.read_all()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 408 ") == 1


@pytest.mark.realtime
def test_a_full_server_closes_nobody_if_no_client_waits(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """At the maximum number of connections, all that were idle for a second were closed, without need."""
    server = serve(hello, limits=Limits(connections=2))
    clients = [connect(server) for _ in range(2)]
    for client in clients:
        client.send(GET)
        client.read_until(b"hello")
    gcron.sleep(1.3)

    for client in clients:
        client.send(GET)
        client.read_until(b"hello")


@pytest.mark.realtime
@pytest.mark.parametrize("options", [{"limits": Limits(connections=3)}, {"spawn": 3}, {"spawn": Pool(3)}])
def test_one_connection_is_closed_per_waiting_client(
    options: Any, serve: Callable[..., WSGIServer], connect: Any
) -> None:
    server = serve(hello, **options)
    clients = [connect(server) for _ in range(3)]
    for client in clients:
        client.send(GET)
        client.read_until(b"hello")
    gcron.sleep(1.2)
    late = connect(server)
    late.send(GET)
    late.read_until(b"hello")

    assert clients[0].is_closed()
    for client in clients[1:]:
        client.send(GET)
        client.read_until(b"hello")


def test_an_ended_connection_leaves_nothing_to_the_garbage_collector(
    serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    """Parser and requests referred to each other, and kept unread bodies until the next collection."""
    server = serve(hello)

    def count() -> int:
        return sum(isinstance(thing, Request | RequestParser) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = count()
        for _ in range(10):
            ask(server, GET + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        left = count() - before
    finally:
        gc.enable()

    assert left <= 4, "those of one connection, perhaps, that is just ending"


# -- start and stop ------------------------------------------------------------------------------------------


def test_a_restarted_server_has_all_its_places(ask: Ask) -> None:
    """Each stop lost a place: the acceptor was killed while it held one for the next client."""
    server = WSGIServer(("127.0.0.1", 0), hello, log=None, error_log=None, spawn=1)
    for _ in range(3):
        server.start()
        try:
            assert ask(server, GET).endswith(b"hello")
        finally:
            server.stop(0)


@pytest.mark.realtime
def test_stop_is_bounded_whatever_the_application_does(connect: Any) -> None:
    """It waited for ever for an application that catches `GreenletExit` and goes on."""
    go_on = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        while not go_on.is_set():
            try:
                go_on.wait()
            except gcron.GreenletExit:
                continue
        return hello(environ, start_response)

    server = WSGIServer(("127.0.0.1", 0), application, log=None, error_log=None)
    server.start()
    client = connect(server)
    client.send(GET)
    gcron.sleep(0.01)
    try:
        with gcron.Timeout(5):
            server.stop(timeout=0.05)
        assert client.is_closed()
    finally:
        go_on.set()


@pytest.mark.realtime
def test_stop_returns_after_the_last_answer(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """The last answer had announced keep-alive: its connection became idle, and `stop` waited for it."""
    go_on = Event()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        go_on.wait()
        yield b"ended"

    server = serve(application)
    client = connect(server)
    client.send(GET)
    client.read_until(b"5\r\nbegun\r\n")
    stopping = gcron.spawn(server.stop, 60)
    gcron.sleep(0.01)
    go_on.set()

    stopping.get(timeout=5)
    assert client.read_all() == b"5\r\nended\r\n0\r\n\r\n"


@pytest.mark.realtime
def test_stop_does_not_wait_for_refused_clients(serve: Callable[..., WSGIServer], connect: Any) -> None:
    server = serve(hello)
    client = connect(server)
    client.send(b"nonsense\r\n\r\n")
    client.read_until(b"\r\n\r\n")
    began = time.monotonic()

    server.stop(timeout=60)

    assert time.monotonic() - began < 1


def test_an_error_of_spawn_affects_one_client(connect: Any, ask: Ask) -> None:
    """It ended the acceptor: `started` stayed True, but nobody was served any more."""
    log = io.StringIO()
    calls: list[Any] = []

    def spawn(function: Any, *args: Any) -> gcron.Greenlet:
        calls.append(args)
        if len(calls) == 1:
            raise RuntimeError("not this one")
        return gcron.spawn(function, *args)

    server = WSGIServer(("127.0.0.1", 0), hello, log=None, error_log=log, spawn=spawn)
    server.start()
    try:
        first = connect(server)
        assert first.is_closed()
        assert ask(server, GET).endswith(b"hello")
        assert "not this one" in log.getvalue()
    finally:
        server.stop()


def test_a_broken_listener_ends_the_server() -> None:
    """Only its acceptor ended. `serve_forever` went on waiting, though no client could connect."""
    log = io.StringIO()
    given = socket.create_server(("127.0.0.1", 0))
    server = WSGIServer(given, hello, log=None, error_log=log)
    forever = gcron.spawn(server.serve_forever)
    gcron.sleep(0.001)

    given.shutdown(socket.SHUT_RDWR)

    with pytest.raises(OSError, match="Invalid argument"):
        forever.get(timeout=5)
    assert not server.started
    assert "no more connections can be accepted" in log.getvalue()


@pytest.mark.parametrize("listener", [("127.0.0.1", 99999), "127.0.0.1:70000", ("127.0.0.1", -1)])
def test_a_port_above_65535_is_refused(listener: Any) -> None:
    """The resolver uses it modulo 65536: the server listened on another port."""
    with pytest.raises(ValueError, match="65535"):
        WSGIServer(listener, hello)


def test_a_start_that_fails_leaves_no_descriptor(tmp_path: Any) -> None:
    gcron.get_hub().threadpool.apply(int)
    before = set(os.listdir("/proc/self/fd"))
    for place in (tmp_path / "no" / "such", ("192.0.2.1", 0), "unix:/" + "x" * 200):
        server = WSGIServer(place, hello)
        with pytest.raises(OSError):  # noqa: PT011 - each has its own words
            server.start()
        assert not server.started
        server.stop()

    assert set(os.listdir("/proc/self/fd")) == before

"""Slow, silent and many clients. In real time, but short, and with bounds instead of exact times."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import gcron
from gcron.event import Event
from gcron.wsgi import Limits, WSGIServer
from gcron.wsgi import server as server_module
from gcron.wsgi.connection import Part
from tests.waiting import takes, until

pytestmark = pytest.mark.realtime

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
# A limit that a test reaches, and one that it must not reach.
SHORT, LONG = 0.1, 60.0


def echo(environ: Any, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [b"read %d" % len(body)]


def limits(**short: float) -> Limits:
    times = ("header_timeout", "body_timeout", "idle_timeout", "send_timeout")
    return Limits(**{**dict.fromkeys(times, LONG), "body_rate": 1e9, **short})  # type: ignore[arg-type]


def drip(client: Any, data: Iterator[bytes]) -> None:
    """Send little at a time, much more often than any limit, until the server ends the connection."""
    try:
        for piece in data:
            client.send(piece)
            gcron.sleep(SHORT / 10)
    except OSError:
        return


def endless(*begin: bytes) -> Iterator[bytes]:
    yield from begin
    while True:
        yield b"x"


@pytest.mark.parametrize("sent", [b"", GET], ids=["new", "used"])
def test_an_idle_connection_is_closed_without_an_answer(
    sent: bytes, serve: Callable[..., WSGIServer], connect: Any
) -> None:
    client = connect(serve(echo, limits=limits(idle_timeout=SHORT)))
    client.send(sent)

    assert client.read_all().count(b"HTTP/1.1 408") == 0


@pytest.mark.parametrize("begin", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_header_timeout_is_for_the_whole_head(begin: bytes, serve: Callable[..., WSGIServer], connect: Any) -> None:
    """A client must not hold a connection by a byte now and then."""
    client = connect(serve(echo, limits=limits(header_timeout=SHORT)))
    dripping = gcron.spawn(drip, client, endless(begin))

    answer = client.read_all()

    assert answer.startswith((b"HTTP/1.1 408 Request Timeout\r\n", b"HTTP/1.1 400"))
    dripping.kill()


def test_endless_empty_lines_are_no_request(serve: Callable[..., WSGIServer], connect: Any) -> None:
    client = connect(serve(echo, limits=limits(header_timeout=SHORT)))
    dripping = gcron.spawn(drip, client, iter(lambda: b"\r\n", None))

    assert client.read_all().startswith(b"HTTP/1.1 408 ")
    dripping.kill()


def test_a_body_that_stops_times_out(serve: Callable[..., WSGIServer], connect: Any) -> None:
    client = connect(serve(echo, limits=limits(body_timeout=SHORT)))
    client.send(POST + b"some")

    assert client.read_all().startswith(b"HTTP/1.1 408 ")


def test_a_body_that_is_too_slow_times_out(serve: Callable[..., WSGIServer], connect: Any) -> None:
    client = connect(serve(echo, limits=limits(body_timeout=SHORT)))
    dripping = gcron.spawn(drip, client, endless(POST))

    assert client.read_all().startswith(b"HTTP/1.1 408 ")
    dripping.kill()


def test_a_body_that_is_fast_enough_has_the_time_it_needs(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """1000 bytes, one each 0.1 ms or more, take longer than the fixed time. Their rate allows the rest."""
    client = connect(serve(echo, limits=limits(body_timeout=SHORT, body_rate=20)))

    def send() -> None:
        client.send(POST)
        for _ in range(20):
            client.send(b"x" * 50)
            gcron.sleep(SHORT / 5)

    sending = gcron.spawn(send)

    assert client.read_until(b"read 1000").startswith(b"HTTP/1.1 200")
    sending.join()


def test_an_application_that_reads_slowly_is_not_the_clients_fault(
    serve: Callable[..., WSGIServer], connect: Any
) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(4)
        gcron.sleep(SHORT * 3)
        return echo(environ, start_response)

    client = connect(serve(application, limits=limits(body_timeout=SHORT)))
    client.send(POST + b"x" * 1000)

    assert client.read_until(b"read 996").startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_receive_is_dropped(serve: Callable[..., WSGIServer], connect: Any) -> None:
    closed = Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            return iter(lambda: b"x" * 65536, None)

        def close(self) -> None:
            closed.set()

    def application(environ: Any, start_response: Any) -> Endless:
        start_response("200 OK", [])
        return Endless()

    client = connect(serve(application, limits=limits(send_timeout=SHORT)))
    client.send(GET)

    assert closed.wait(10)


def test_a_client_that_receives_slowly_is_served(serve: Callable[..., WSGIServer], connect: Any) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x" * 20_000_000]

    client = connect(serve(application, limits=limits(send_timeout=SHORT * 2)))
    client.send(GET)
    client.finish()
    received = 0
    while piece := client.socket.recv(1_000_000):
        received += len(piece)
        gcron.sleep(SHORT / 5)

    assert received > 20_000_000


def test_a_full_server_closes_idle_connections(serve: Callable[..., WSGIServer], connect: Any) -> None:
    server = serve(echo, limits=limits(connections=3))
    idle = [connect(server) for _ in range(3)]
    for client in idle:
        client.send(GET)
        client.read_until(b"read 0")

    late = connect(server)
    late.send(GET)

    assert late.read_until(b"read 0").startswith(b"HTTP/1.1 200")
    assert idle[0].is_closed()


CROWD = """
    import os, resource, sys, time
    import gcron
    from gcron import socket
    from gcron.wsgi import WSGIServer, Limits

    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"served"]

    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    before = len(os.listdir("/proc/self/fd"))
    server = WSGIServer(sys.argv[1], application, log=None, backlog=1024)
    server.start()
    print("ready", flush=True)
    gcron.get_hub().threadpool.apply(sys.stdin.readline)
    server.stop()
    gcron.sleep(0.05)
    print("cpu", time.process_time())
    print("open", len(os.listdir("/proc/self/fd")) - before, flush=True)
"""
"""A server that may open 100 descriptors, until a line comes on its standard input."""


def test_five_hundred_idle_connections_at_a_hundred_descriptors(tmp_path: Any) -> None:
    """The server neither spins nor refuses: idle connections are closed for a client with a request."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    path = str(tmp_path / "sock")
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CROWD), path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    crowd: list[Any] = []
    try:
        assert child.stdout.readline() == "ready\n"
        crowd += [_connected(path) for _ in range(500)]
        time.sleep(0.5)  # it meets its limit now, if ever

        late = _connected(path)
        crowd.append(late)
        late.settimeout(30)
        late.sendall(GET)
        assert late.recv(1000).startswith(b"HTTP/1.1 200 OK")
        time.sleep(1)

        output, errors = child.communicate("stop\n", timeout=20)
    finally:
        for one in crowd:
            one.close()
        child.kill()
        child.wait()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    figures = dict(re.findall(r"(cpu|open) ([0-9.]+)", output))
    assert float(figures["cpu"]) < 2, "it waits, it does not try again and again"
    assert "accepting connections pauses: [Errno 24]" in errors
    assert int(figures["open"]) <= 6, "what is left are the loop's own and the thread pool's"


def _connected(path: str) -> Any:
    import socket

    one = socket.socket(socket.AF_UNIX)
    one.connect(path)
    return one


SILENT = 1500


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"], ids=["none", "byte", "head"]
)
def test_silent_connections_do_not_keep_a_client_waiting(
    sent: bytes, serve: Callable[..., WSGIServer], connect: Any
) -> None:
    """1,500 silent connections kept a client waiting for 25 seconds: one of them was closed each tenth of a second."""
    server = serve(echo, limits=limits(connections=50), backlog=2048)
    crowd = [connect(server) for _ in range(SILENT)]
    for one in crowd:
        with suppress(OSError):  # it may have been closed to make room for others
            one.send(sent)

    with takes(at_most=3):
        late = connect(server)
        late.send(GET)
        assert late.read_until(b"read 0").startswith(b"HTTP/1.1 200")


def test_half_requests_are_closed_before_idle_connections(serve: Callable[..., WSGIServer], connect: Any) -> None:
    server = serve(echo, limits=limits(connections=3))
    idle, half, _ = clients = [connect(server) for _ in range(3)]
    for client in clients:
        client.send(GET)
        client.read_until(b"read 0")
    half.send(b"GET /")
    until(lambda: server._waiting[Part.HEAD])

    late = connect(server)
    late.send(GET)

    assert late.read_until(b"read 0").startswith(b"HTTP/1.1 200")
    assert half.is_closed()
    idle.send(GET)
    assert idle.read_until(b"read 0").startswith(b"HTTP/1.1 200")


def test_a_connection_whose_request_has_come_is_not_closed_to_make_room(
    serve: Callable[..., WSGIServer], connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many clients at once are no attack: each gets its answer, in turn."""
    monkeypatch.setattr(server_module, "_BRIEF", 0.0)
    server = serve(echo, limits=limits(connections=5), backlog=2048)
    crowd = [connect(server) for _ in range(5)]
    until(lambda: len(server._waiting[Part.REQUEST]) == 5)
    for one in crowd:
        one.socket.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert server._make_room() is False


STARTING = """
    import resource, sys
    import gcron
    from gcron import Scheduler, every
    from gcron.wsgi import WSGIServer

    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"served"]

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    server = WSGIServer(sys.argv[1], application, log=None, error_log=None, backlog=1024)
    server.start()
    scheduler = Scheduler()
    scheduler.command("echo ran", every(1), name="beside", output="raw")
    scheduler.on("run-finished", lambda event: print(event.result.outcome, flush=True))
    print("ready", flush=True)
    scheduler.run()
"""
"""A server and a job each second, with 256 descriptors."""


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost: a\r\n"], ids=["silent", "half"])
def test_jobs_start_beside_more_connections_than_there_are_descriptors(tmp_path: Any, sent: bytes) -> None:
    """Accepting went on until the last descriptor, and starting keeps 24 free: no job started beside such clients."""
    path = str(tmp_path / "sock")
    command = [sys.executable, "-c", textwrap.dedent(STARTING), path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None
        crowd: list[Any] = []
        try:
            assert child.stdout.readline() == "ready\n"
            crowd += [_connected(path) for _ in range(600)]
            for one in crowd:
                with suppress(OSError):
                    one.sendall(sent)
            seen = [child.stdout.readline() for _ in range(8)]
        finally:
            for one in crowd:
                one.close()
            child.kill()
    assert seen.count("succeeded\n") >= 3, seen
    assert set(seen) <= {"succeeded\n", "ran\n"}, seen

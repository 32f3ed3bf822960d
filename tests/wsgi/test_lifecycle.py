"""Starting, listening, stopping."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import signal
import socket as stdlib_socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gcron
from gcron import socket
from gcron.event import Event
from gcron.pool import Group, Pool
from gcron.wsgi import Limits, WSGIServer

Ask = Callable[[WSGIServer, bytes], bytes]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


class Slow:
    """An application whose requests wait for an event."""

    def __init__(self) -> None:
        self.begun = Event()
        self.go_on = Event()
        self.ended: list[str] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.begun.set()
        try:
            self.go_on.wait()
        except gcron.GreenletExit:
            self.ended.append("killed")
            raise
        self.ended.append("done")
        start_response("200 OK", [])
        return [b"slow"]


def test_address_host_and_port_are_the_real_ones(serve: Callable[..., WSGIServer]) -> None:
    server = WSGIServer(("127.0.0.1", 0), hello, log=None)
    assert not server.started

    server.start()
    try:
        assert server.started
        assert server.server_host == "127.0.0.1"
        assert server.server_port is not None
        assert server.server_port > 0
        assert server.address == ("127.0.0.1", server.server_port)
        server.start()  # nothing happens
    finally:
        server.stop()
    assert not server.started
    server.stop()  # nothing happens


def test_a_server_knows_its_address_before_it_starts(tmp_path: Path) -> None:
    """A program that printed its address before the start printed None, and `server_host` was "unix"."""
    for listener in (("127.0.0.1", 8099), "127.0.0.1:8099"):
        server = WSGIServer(listener, hello, log=None)
        assert (server.address, server.server_host, server.server_port) == (("127.0.0.1", 8099), "127.0.0.1", 8099)
    on_path = WSGIServer(f"unix:{tmp_path}/s", hello, log=None)
    assert (on_path.address, on_path.server_host, on_path.server_port) == (f"{tmp_path}/s", "unix", None)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        assert WSGIServer(bound, hello, log=None).address == bound.getsockname()


def test_arguments_may_be_given_by_position(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """As in gevent: listener, application, backlog, spawn, log, error_log."""
    log = io.StringIO()
    server = WSGIServer(("127.0.0.1", 0), hello, 5, 10, log, None)
    server.start()
    try:
        assert ask(server, GET).startswith(b"HTTP/1.1 200 OK")
    finally:
        server.stop()
    assert "GET / HTTP/1.1" in log.getvalue()


@pytest.mark.parametrize("listener", ["127.0.0.1:0", ":0", ("localhost", 0), ("", 0)])
def test_an_address_has_several_forms(listener: Any, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    server = serve(hello, listener)

    client = stdlib_socket.create_connection(("127.0.0.1", server.server_port), timeout=5)
    client.close()


def test_a_server_on_ipv6(serve: Callable[..., WSGIServer]) -> None:
    try:
        server = serve(hello, "[::1]:0")
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            pytest.skip("this machine has no IPv6")
        raise
    assert server.server_host == "::1"
    socket.create_connection(("::1", server.server_port), timeout=5).close()


@pytest.mark.parametrize("listener", ["nothing", 80, ("a",), None, "host:port"])
def test_a_wrong_address_is_refused_at_once(listener: Any) -> None:
    with pytest.raises(ValueError, match="a listener is"):
        WSGIServer(listener, hello)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"application": 5}, "a WSGI application is callable"),
        ({"spawn": 0}, "room for a connection"),
        ({"spawn": "many"}, "spawn is"),
        ({"log": 5}, "a log has a write method"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], says: str) -> None:
    arguments = {"listener": ("127.0.0.1", 0), "application": hello, **options}
    with pytest.raises((TypeError, ValueError), match=says):
        WSGIServer(**arguments)


def test_limits_are_above_zero() -> None:
    with pytest.raises(ValueError, match=r"Limits\.idle_timeout is a number above 0"):
        Limits(idle_timeout=0)


# -- listeners -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "unix:"])
def test_a_unix_socket(prefix: str, serve: Callable[..., WSGIServer], ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    seen: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        return hello(environ, start_response)

    server = serve(application, f"{prefix}{path}")

    assert ask(server, GET).endswith(b"hello")
    assert server.address == str(path)
    assert server.server_port is None
    assert "REMOTE_ADDR" not in seen[0]
    server.stop()
    assert not path.exists()


def test_the_file_of_an_ended_server_is_replaced(serve: Callable[..., WSGIServer], ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with stdlib_socket.socket(stdlib_socket.AF_UNIX) as gone:
        gone.bind(str(path))

    assert ask(serve(hello, path), GET).endswith(b"hello")


def test_a_path_in_use_is_refused(serve: Callable[..., WSGIServer], ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    first = serve(hello, path)

    with pytest.raises(OSError, match="somebody listens") as refusal:
        serve(hello, path)

    assert refusal.value.errno == errno.EADDRINUSE
    assert ask(first, GET).endswith(b"hello")


def test_a_file_that_is_no_socket_is_not_replaced(serve: Callable[..., WSGIServer], tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    with pytest.raises(OSError, match="is no socket"):
        serve(hello, path)

    assert path.read_text() == "data"


def test_stop_leaves_the_file_of_a_successor(serve: Callable[..., WSGIServer], ask: Ask, tmp_path: Path) -> None:
    """A deployment moves the old socket away, starts a new server in its place, and then stops the old one."""
    path = tmp_path / "sock"
    old = serve(hello, path)
    path.rename(tmp_path / "old")
    new = serve(hello, path)

    old.stop()

    assert ask(new, GET).endswith(b"hello")


@pytest.mark.parametrize("module", [stdlib_socket, socket])
@pytest.mark.parametrize("listens", [True, False])
def test_a_given_socket_is_used_and_closed(
    module: Any, listens: bool, serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    given = module.socket()
    given.bind(("127.0.0.1", 0))
    if listens:
        given.listen()
    address = given.getsockname()
    server = serve(hello, given)

    assert server.address == address
    assert ask(server, GET).endswith(b"hello")
    server.stop()
    assert given.fileno() == -1
    with pytest.raises(ConnectionRefusedError):
        stdlib_socket.create_connection(address, timeout=5)


def test_start_raises_if_the_port_is_in_use(serve: Callable[..., WSGIServer]) -> None:
    first = serve(hello)
    second = WSGIServer(first.address, hello)

    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        second.start()
    assert not second.started


# -- the end -------------------------------------------------------------------------------------------------


def test_a_stopped_server_refuses_connections_and_starts_again(ask: Ask) -> None:
    server = WSGIServer(("127.0.0.1", 0), hello, log=None)
    for _ in range(2):
        server.start()
        assert ask(server, GET).endswith(b"hello")
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            stdlib_socket.create_connection(server.address, timeout=5)


def test_stop_closes_waiting_connections_at_once(serve: Callable[..., WSGIServer], connect: Any) -> None:
    server = serve(hello)
    fresh, used = connect(server), connect(server)
    used.send(GET)
    used.read_until(b"hello")

    with gcron.Timeout(1):
        server.stop(timeout=60)

    assert fresh.is_closed()
    assert used.is_closed()


def test_stop_lets_requests_end(serve: Callable[..., WSGIServer], connect: Any) -> None:
    slow = Slow()
    server = serve(slow)
    client = connect(server)
    client.send(GET)
    slow.begun.wait()

    stopping = gcron.spawn(server.stop, 60)
    gcron.sleep(0.01)
    assert not stopping.ready()
    slow.go_on.set()
    stopping.get(timeout=5)

    answer = client.read_all()
    assert answer.endswith(b"slow")
    assert b"Connection: close\r\n" in answer


@pytest.mark.realtime
def test_stop_is_bounded(serve: Callable[..., WSGIServer], connect: Any) -> None:
    slow = Slow()
    server = serve(slow)
    client = connect(server)
    client.send(GET)
    slow.begun.wait()

    with gcron.Timeout(5):
        server.stop(timeout=0.05)

    assert slow.ended == ["killed"]
    assert client.is_closed()


def test_a_request_may_stop_its_server(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        server.stop(timeout=60)
        return hello(environ, start_response)

    server = serve(application)
    forever = gcron.spawn(server.serve_forever)
    gcron.sleep(0)

    assert ask(server, GET).endswith(b"hello")
    forever.get(timeout=5)


def test_serve_forever_returns_after_stop(ask: Ask) -> None:
    server = WSGIServer(("127.0.0.1", 0), hello, log=None)
    forever = gcron.spawn(server.serve_forever)
    gcron.sleep(0)
    assert ask(server, GET).endswith(b"hello")
    assert not forever.ready()

    server.stop()

    forever.get(timeout=5)


def test_serve_forever_killed_stops(ask: Ask) -> None:
    server = WSGIServer(("127.0.0.1", 0), hello, log=None)
    forever = gcron.spawn(server.serve_forever)
    gcron.sleep(0)

    forever.kill()

    assert not server.started


def test_ctrl_c_ends_a_server_in_a_terminal(tmp_path: Path) -> None:
    # It prints this from a greenlet, when the main one already waits: before that there is no handler for the signal.
    script = (
        "import gcron\nfrom gcron.wsgi import WSGIServer\n"
        "def application(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n"
        f"server = WSGIServer({str(tmp_path / 'sock')!r}, application)\n"
        "gcron.spawn(print, 'ready', flush=True)\n"
        "try:\n    server.serve_forever()\nexcept KeyboardInterrupt:\n    print('stopped', server.started)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"

    child.send_signal(signal.SIGINT)

    assert child.communicate(timeout=10)[0] == "stopped False\n"
    assert child.returncode == 0
    assert os.listdir(tmp_path) == []


def test_a_killed_start_leaves_no_connection_open(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """A connection's greenlet that is killed before its first turn never runs: the server closes the connection."""
    clients = []
    server = serve(hello, spawn=lambda function, *args: gcron.spawn_later(3600, function, *args))
    clients = [connect(server) for _ in range(3)]
    gcron.sleep(0.01)

    server.stop(timeout=0)

    assert all(client.is_closed() for client in clients)


# -- who runs connections ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: Pool(5), Group, lambda: 5, lambda: gcron.spawn, lambda: "default"])
def test_spawn_may_be_a_pool_a_number_or_a_function(
    make: Callable[[], Any], serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    assert ask(serve(hello, spawn=make()), GET).endswith(b"hello")


def test_connections_above_the_number_wait(serve: Callable[..., WSGIServer], connect: Any) -> None:
    slow = Slow()
    server = serve(slow, spawn=1)
    first, second = connect(server), connect(server)
    first.send(b"GET / HTTP/1.0\r\n\r\n")
    second.send(b"GET / HTTP/1.0\r\n\r\n")
    slow.begun.wait()
    gcron.sleep(0.02)
    assert slow.ended == []

    slow.go_on.set()

    assert first.read_all().endswith(b"slow")
    assert second.read_all().endswith(b"slow")


# -- logs ----------------------------------------------------------------------------------------------------


def test_one_log_line_per_request(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    log = io.StringIO()
    server = serve(hello, log=log)

    ask(server, b'GET /x?"y"\\z HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n')

    lines = log.getvalue().splitlines()
    assert re.fullmatch(
        r"127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
        r'"GET /x\?\\"y\\"\\\\z HTTP/1\.1" 200 5 0\.\d{6}',
        lines[0],
    )
    assert '"-" 400 0 ' in lines[1]


def test_logs_may_be_loggers(serve: Callable[..., WSGIServer], ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise RuntimeError("told")

    with caplog.at_level(logging.INFO):
        ask(serve(application, log=logging.getLogger("access"), error_log=logging.getLogger("errors")), GET)

    told = {(record.name, record.levelname) for record in caplog.records}
    assert told == {("access", "INFO"), ("errors", "ERROR")}
    assert "RuntimeError: told" in caplog.text


def test_logs_are_stderr_by_default(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server = WSGIServer(("127.0.0.1", 0), hello)
    server.start()
    ask(server, GET)
    server.stop()

    assert '"GET / HTTP/1.1" 200 5 ' in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(stdlib_socket, "SO_PEERCRED"), reason="Linux says who connected")
def test_the_application_learns_which_user_connected_to_a_unix_socket(
    serve: Callable[..., WSGIServer], ask: Ask, tmp_path: Path
) -> None:
    def who(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [str(environ.get("gcron.peer_uid")).encode()]

    assert ask(serve(who, f"unix:{tmp_path}/s"), GET).endswith(b"\r\n\r\n%d" % os.getuid())
    assert ask(serve(who), GET).endswith(b"None"), "nobody knows that for TCP"

"""Real clients: the standard library's, and curl."""

from __future__ import annotations

import http.client
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gcron
from gcron.subprocess import run
from gcron.threadpool import ThreadPool
from gcron.wsgi import WSGIServer

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def mirror(environ: Any, start_response: Any) -> Any:
    """An application that answers with method and body, in chunks for /chunks."""
    body = environ["wsgi.input"].read()
    answer = [environ["REQUEST_METHOD"].encode(), b" ", body]
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return iter(answer) if environ["PATH_INFO"] == "/chunks" else answer


def in_thread(call: Callable[[], Any]) -> Any:
    """Run a blocking client in a thread, where it does not stop the server."""
    return ThreadPool(1).apply(call)


def curl(
    server: WSGIServer, *arguments: str, path: str = "/", stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run curl. It fails the test if it finds the answer malformed."""
    if isinstance(server.address, str):
        place = ["--unix-socket", server.address, f"http://localhost{path}"]
    else:
        place = [f"http://127.0.0.1:{server.server_port}{path}"]
    finished = run(["curl", "-sS", "--max-time", "10", *arguments, *place], input=stdin, capture_output=True)
    assert finished.returncode == 0, finished.stderr
    return finished


def test_http_client_keeps_its_connection(serve: Callable[..., WSGIServer]) -> None:
    server = serve(mirror)

    def talk() -> list[Any]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        seen = []
        for method, path, body in [
            ("GET", "/", None),
            ("POST", "/", b"x" * 100_000),
            ("POST", "/chunks", iter([b"some ", b"chunks"])),
            ("HEAD", "/", None),
            ("GET", "/chunks", None),
        ]:
            connection.request(method, path, body=body, encode_chunked=body is not None)
            sock = connection.sock
            answer = connection.getresponse()
            seen.append((answer.status, answer.read()))
            assert connection.sock is sock
        connection.close()
        return seen

    assert in_thread(talk) == [
        (200, b"GET "),
        (200, b"POST " + b"x" * 100_000),
        (200, b"POST some chunks"),
        (200, b""),
        (200, b"GET "),
    ]


def test_a_hundred_clients_at_once(serve: Callable[..., WSGIServer]) -> None:
    together: list[int] = []
    running = 0

    def application(environ: Any, start_response: Any) -> list[bytes]:
        nonlocal running
        running += 1
        together.append(running)
        gcron.sleep(0.05)
        running -= 1
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    server = serve(application)

    def ask(number: int) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.request("GET", f"/{number}")
        body = connection.getresponse().read()
        connection.close()
        return body

    assert ThreadPool(100).map(ask, range(100)) == [f"/{number}".encode() for number in range(100)]
    assert max(together) > 10, "requests of different connections run together"


@needs_curl
@pytest.mark.parametrize("arguments", [[], ["--http1.0"], ["--http1.1"], ["--no-keepalive"]])
def test_curl_get(arguments: list[str], serve: Callable[..., WSGIServer]) -> None:
    assert curl(serve(mirror), *arguments).stdout == b"GET "


@needs_curl
@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_curl_gets_a_body_without_length(version: str, serve: Callable[..., WSGIServer]) -> None:
    assert curl(serve(mirror), version, path="/chunks").stdout == b"GET "


@needs_curl
def test_curl_uses_one_connection_for_several(serve: Callable[..., WSGIServer]) -> None:
    server = serve(mirror)
    url = f"http://127.0.0.1:{server.server_port}/more"

    finished = curl(server, "-v", url, url)

    assert finished.stdout == b"GET " * 3
    assert finished.stderr.count(b"Connected to 127.0.0.1") == 1


@needs_curl
def test_curl_uploads_in_chunks(serve: Callable[..., WSGIServer]) -> None:
    data = bytes(range(256)) * 2000

    assert curl(serve(mirror), "-T", "-", stdin=data).stdout == b"PUT " + data


@needs_curl
def test_curl_waits_for_100_continue(serve: Callable[..., WSGIServer]) -> None:
    """Without 100 Continue it would wait for 60 seconds, which is longer than its time limit."""
    expecting = ["--expect100-timeout", "60", "-H", "Expect: 100-continue", "--data-binary", "@-", "-v"]

    finished = curl(serve(mirror), *expecting, stdin=b"x" * 2000)

    assert finished.stdout == b"POST " + b"x" * 2000
    assert b"< HTTP/1.1 100 Continue" in finished.stderr


@needs_curl
def test_curl_head(serve: Callable[..., WSGIServer]) -> None:
    assert curl(serve(mirror), "--head").stdout.startswith(b"HTTP/1.1 200 OK\r\n")


@needs_curl
def test_curl_over_a_unix_socket(serve: Callable[..., WSGIServer], tmp_path: Path) -> None:
    assert curl(serve(mirror, tmp_path / "sock")).stdout == b"GET "


@needs_curl
@pytest.mark.parametrize("body", [[], ["--data-binary", "abc"]])
def test_curl_that_offers_http_2_is_served_http_1(body: list[str], serve: Callable[..., WSGIServer]) -> None:
    offer = ["-H", "Connection: Upgrade, HTTP2-Settings", "-H", "Upgrade: h2c", "-H", "HTTP2-Settings: AAMAAABk"]

    assert curl(serve(mirror), *offer, *body).stdout == (b"POST abc" if body else b"GET ")

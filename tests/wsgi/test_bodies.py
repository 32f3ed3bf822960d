"""What applications get: `wsgi.input` and the rest of the environ."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from gcron.wsgi import Limits, RequestError, WSGIServer

Ask = Callable[[WSGIServer, bytes], bytes]
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
GET = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body: bytes, length: int | None = None) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (length or len(body), body)


def echo(environ: Any, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [body]


class Reader:
    """An application that calls one method of its input, and stores the result."""

    def __init__(self, *calls: Callable[[Any], Any]) -> None:
        self.calls = calls
        self.results: list[Any] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.results += [call(environ["wsgi.input"]) for call in self.calls]
        start_response("200 OK", [])
        return [b"read"]


@pytest.mark.parametrize("framed", [post, lambda body: CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)])
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda file: file.read(), b"one\ntwo\nthree"),
        (lambda file: file.read(-1), b"one\ntwo\nthree"),
        (lambda file: file.read(None), b"one\ntwo\nthree"),
        (lambda file: [file.read(4), file.read(0), file.read(100), file.read(1)], [b"one\n", b"", b"two\nthree", b""]),
        (lambda file: [file.readline(), file.readline(2), file.readline()], [b"one\n", b"tw", b"o\n"]),
        (lambda file: file.readlines(), [b"one\n", b"two\n", b"three"]),
        (lambda file: file.readlines(5), [b"one\n", b"two\n"]),
        (list, [b"one\n", b"two\n", b"three"]),
    ],
)
def test_the_input_is_a_file(
    call: Any, expected: Any, framed: Callable[[bytes], bytes], serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    reader = Reader(call)

    ask(serve(reader), framed(b"one\ntwo\nthree"))

    assert reader.results == [expected]


def test_a_large_body_arrives_whole(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    body = bytes(range(256)) * 20_000

    assert ask(serve(echo), post(body) + GET).count(body) == 1


def test_without_a_body_the_input_is_empty(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    reader = Reader(lambda file: [file.read(), file.readline(), list(file)])

    ask(serve(reader), GET)

    assert reader.results == [[b"", b"", []]]


def test_reading_waits_for_the_client(serve: Callable[..., WSGIServer], connect: Any) -> None:
    client = connect(serve(echo))
    client.send(post(b"", length=6))
    client.send(b"abc")
    client.send(b"def")

    assert client.read_until(b"abcdef").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [10, 60_000, 500_000])
def test_an_unread_body_does_not_become_the_next_request(size: int, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """Short ones are skipped, long ones end the connection. None is read as a request."""
    paths: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        paths.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"done"]

    body = (b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" * (size // 20))[:size]
    answer = ask(serve(application), post(body) + GET)

    assert paths == (["/", "/next"] if size < 65536 else ["/"])
    assert answer.count(b"HTTP/1.1 200") == len(paths)
    assert (b"Connection: close" in answer) is (size > 65536)


def test_a_body_cut_off_raises_in_the_application(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    caught: list[Any] = []

    def read(file: Any) -> Any:
        try:
            file.read()
        except RequestError as error:
            caught.append((error.status, str(error)))

    answer = ask(serve(Reader(read)), post(b"abc", length=10))

    assert caught == [(400, "the client went away after 3 bytes of its body")]
    assert answer.count(b"HTTP/1.1") == 1, "the application has answered: there is no second answer"


def test_a_request_error_that_passes_is_the_answer(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    log = io.StringIO()

    answer = ask(serve(echo, error_log=log), CHUNKED + b"zz\r\n")

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"Bad Request: Invalid character in chunk size\n")
    assert log.getvalue() == "", "it is the client's error, not ours"


def test_a_caught_request_error_is_up_to_the_application(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except RequestError as error:
            start_response("422 Mine", [])
            return [f"{error.status}".encode()]
        raise AssertionError("no error")

    answer = ask(serve(application), CHUNKED + b"zz\r\n" + GET)

    assert answer.startswith(b"HTTP/1.1 422 Mine\r\n")
    assert b"Connection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\n400")


# -- 100-continue --------------------------------------------------------------------------------------------


def test_the_first_read_sends_100_continue(serve: Callable[..., WSGIServer], connect: Any) -> None:
    client = connect(serve(echo))
    client.send(EXPECTING)

    assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc" + GET)
    assert client.read_until(b"\r\n\r\nabc").startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_no_100_continue_if_the_body_has_arrived(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    assert ask(serve(echo), EXPECTING + b"abc").startswith(b"HTTP/1.1 200 OK\r\n")


def test_no_100_continue_if_the_body_is_not_read(serve: Callable[..., WSGIServer], connect: Any) -> None:
    """Nobody knows whether its body will follow: the connection is of no more use."""
    client = connect(serve(Reader()))
    client.send(EXPECTING)

    answer = client.read_all()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in answer


# -- the environ ---------------------------------------------------------------------------------------------


def test_the_environ_has_everything_pep_3333_asks_for(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    seen: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    log = io.StringIO()
    server = serve(application, error_log=log, environ={"app.setting": 5})
    ask(server, b"PUT /a%20b?c=d HTTP/1.1\r\nHost: example.org:81\r\nContent-Type: x/y\r\nContent-Length: 2\r\n\r\nok")

    environ = seen[0]
    assert type(environ) is dict
    assert environ["REMOTE_PORT"].isdigit()
    assert {key: value for key, value in environ.items() if key not in ("REMOTE_PORT", "wsgi.input")} == {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=d",
        "CONTENT_TYPE": "x/y",
        "CONTENT_LENGTH": "2",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.server_port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": environ["SERVER_SOFTWARE"],
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "example.org:81",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": log,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": environ["wsgi.file_wrapper"],
        "wsgi.input_terminated": True,
        "app.setting": 5,
    }


def test_a_decoded_body_is_not_announced_as_chunked(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """Bottle decoded the body again because the environ said that it is chunked, failed, and answered 400."""
    seen: list[tuple[Any, bytes]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append((environ.get("HTTP_TRANSFER_ENCODING"), environ["wsgi.input"].read()))
        start_response("200 OK", [])
        return []

    for name in (b"Transfer-Encoding", b"TRANSFER-ENCODING"):
        ask(serve(application), CHUNKED.replace(b"Transfer-Encoding", name) + b"3\r\nabc\r\n0\r\n\r\n")
    assert seen == [(None, b"abc"), (None, b"abc")]


def test_each_request_has_an_environ_of_its_own(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        found = str(environ.get("seen", "nothing"))
        environ["seen"] = "something"
        start_response("200 OK", [])
        return [found.encode()]

    answer = ask(serve(application), GET * 3)

    assert answer.count(b"nothing") == 3
    assert b"something" not in answer


def test_the_file_wrapper_sends_a_file_and_closes_it(serve: Callable[..., WSGIServer], ask: Ask, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 10_000)
    opened: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        opened.append(path.open("rb"))
        start_response("200 OK", [("Content-Length", "70000")])
        return environ["wsgi.file_wrapper"](opened[0], 4096)

    assert ask(serve(application), GET).endswith(b"\r\n\r\n" + b"content" * 10_000)
    assert opened[0].closed


def test_a_body_that_becomes_too_long_raises_while_it_is_read(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    server = serve(echo, limits=Limits(body_bytes=10))

    assert ask(server, post(b"0123456789")).startswith(b"HTTP/1.1 200")
    assert ask(server, post(b"01234567890")).startswith(b"HTTP/1.1 413")
    assert ask(server, CHUNKED + b"6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n").startswith(b"HTTP/1.1 413")

"""What applications return, and how it is sent."""

from __future__ import annotations

import io
import re
from array import array
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

import gcron
from gcron.event import Event
from gcron.wsgi import WSGIServer

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
Ask = Callable[[WSGIServer, bytes], bytes]


def answering(result: Any, status: str = "200 OK", headers: Any = ()) -> Any:
    def application(environ: Any, start_response: Any) -> Any:
        start_response(status, list(headers))
        return result() if callable(result) else result

    return application


def split(answer: bytes) -> tuple[str, dict[str, str], bytes]:
    """Return status line, headers and what follows."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


class Closable:
    """An iterable that counts how often it is closed."""

    def __init__(self, pieces: Any) -> None:
        self.pieces: Iterator[bytes] = iter(pieces)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        self.closed += 1


# -- framing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [[b"hello"], (b"hel", b"", b"lo")])
def test_a_list_gets_its_length(result: Any, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    status, headers, body = split(ask(serve(answering(result, headers=[("X", "y")])), GET))

    assert (status, body) == ("HTTP/1.1 200 OK", b"hello")
    assert headers["Content-Length"] == "5"
    assert headers["X"] == "y"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["Date"])
    assert "Transfer-Encoding" not in headers
    assert "Connection" not in headers


def test_a_long_list_arrives_whole(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    pieces = [bytes([number]) * 100_000 for number in range(20)]

    _, headers, body = split(ask(serve(answering(pieces)), GET))

    assert headers["Content-Length"] == "2000000"
    assert body == b"".join(pieces)


def test_an_empty_list_has_length_zero(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    _, headers, body = split(ask(serve(answering([])), GET))

    assert (headers["Content-Length"], body) == ("0", b"")


def test_other_iterables_go_out_in_chunks(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    _, headers, body = split(ask(serve(answering(lambda: iter([b"a", b"", b"b" * 20]))), GET))

    assert headers["Transfer-Encoding"] == "chunked"
    assert body == b"1\r\na\r\n14\r\n" + b"b" * 20 + b"\r\n0\r\n\r\n"


def test_for_http_1_0_the_connection_ends_the_body(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    keeping = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

    _, headers, body = split(ask(serve(answering(lambda: iter([b"a", b"b"]))), keeping))

    assert "Transfer-Encoding" not in headers
    assert headers["Connection"] == "close"
    assert body == b"ab"


def test_pieces_go_out_as_they_come(serve: Callable[..., WSGIServer], connect: Any) -> None:
    go_on = Event()

    def pieces() -> Iterator[bytes]:
        yield b"first"
        go_on.wait()
        yield b"second"

    client = connect(serve(answering(pieces)))
    client.send(GET)

    client.read_until(b"5\r\nfirst\r\n")
    go_on.set()
    assert client.read_until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"


def test_the_head_waits_for_the_first_data(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("X", "early")])
        yield b""
        try:
            raise ValueError("too late? no")
        except ValueError:
            import sys

            start_response("503 Later", [("X", "late")], sys.exc_info())
        yield b"sorry"

    status, headers, _ = split(ask(serve(application), GET))

    assert (status, headers["X"]) == ("HTTP/1.1 503 Later", "late")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_body_get_none(status: str, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    answer = ask(serve(answering([b"never seen"], status)), GET + GET)

    assert answer.count(f"HTTP/1.1 {status}\r\n".encode()) == 2
    assert b"never seen" not in answer
    assert b"Content-Length" not in answer
    assert b"Transfer-Encoding" not in answer


@pytest.mark.parametrize("result", [lambda: [b"hello"], lambda: iter([b"hello"]), list])
def test_head_gets_the_head_alone(result: Any, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    server = serve(answering(result, headers=[("Content-Length", "5")]))

    answer = ask(server, HEAD + HEAD)

    assert answer.count(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n") == 2
    assert b"hello" not in answer


def test_head_without_content_length_gets_none(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """The application may return nothing for HEAD. A length of 0 would be wrong for GET."""
    _, headers, body = split(ask(serve(answering([])), HEAD))

    assert "Content-Length" not in headers
    assert "Transfer-Encoding" not in headers
    assert body == b""


# -- wrong lengths ----------------------------------------------------------------------------------------


def test_more_than_the_content_length_is_cut_off(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    log = io.StringIO()
    server = serve(answering(lambda: iter([b"abc", b"def"]), headers=[("Content-Length", "4")]), error_log=log)

    _, _, body = split(ask(server, GET))

    assert body == b"abcd"
    assert "2 bytes more than its Content-Length of 4 were cut off" in log.getvalue()


def test_less_than_the_content_length_drops_the_connection(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    log = io.StringIO()
    server = serve(answering([b"abc"], headers=[("Content-Length", "10")]), error_log=log)

    answer = ask(server, GET + GET)

    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.endswith(b"\r\n\r\nabc")
    assert "only 3 bytes of its Content-Length of 10" in log.getvalue()


# -- errors --------------------------------------------------------------------------------------------------


def test_an_error_before_the_first_data_is_a_500(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    log = io.StringIO()

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        raise ZeroDivisionError("one by nothing")

    status, headers, body = split(ask(serve(application, error_log=log), GET))

    assert status == "HTTP/1.1 500 Internal Server Error"
    assert headers["Connection"] == "close"
    assert b"one by nothing" not in body, "what went wrong inside is nobody's business outside"
    assert "ZeroDivisionError: one by nothing" in log.getvalue()
    assert "GET '/' failed" in log.getvalue()


def test_a_timeout_in_the_application_is_a_500(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """`gcron.Timeout` is no `Exception`: ordinary handlers do not catch it, but the server must."""

    def application(environ: Any, start_response: Any) -> Any:
        with gcron.Timeout(0.001):
            Event().wait()

    assert ask(serve(application), GET).startswith(b"HTTP/1.1 500 ")


def test_the_server_goes_on_after_errors(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    calls: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        calls.append(environ["PATH_INFO"])
        raise RuntimeError

    server = serve(application)
    for _ in range(3):
        assert ask(server, GET).startswith(b"HTTP/1.1 500 ")
    assert len(calls) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_error_to_a_head_has_no_body(method: str, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    answer = ask(serve(answering(None)), f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    _, _, body = split(answer)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert (body == b"") is (method == "HEAD")


def test_an_error_within_the_body_drops_the_connection(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    """A client must recognise that the answer is incomplete: the last chunk is missing."""
    log = io.StringIO()

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("broken")

    answer = ask(serve(answering(pieces), error_log=log), GET + GET)

    assert answer.endswith(b"4\r\nhalf\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert "RuntimeError: broken" in log.getvalue()


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        ("200", [], "a status is a text like '200 OK'"),
        ("OK 200", [], "a status"),
        (b"200 OK", [], "a status"),
        ("200 O\r\nX: y", [], "a status"),
        ("200 OK", [("X", "a\r\nSet-Cookie: evil=1")], "without control characters"),
        ("200 OK", [("X\r\nY", "a")], "without control characters"),
        ("200 OK", [("X:", "a")], "without control characters"),
        ("200 OK", [("", "a")], "without control characters"),
        ("200 OK", [("X", b"a")], "two texts"),
        ("200 OK", [("X", "\u20ac")], "latin-1"),
        ("200 OK", [("Transfer-Encoding", "chunked")], "Transfer-Encoding is for the server"),
        ("200 OK", [("Upgrade", "h2c")], "Upgrade is for the server"),
        ("200 OK", [("Content-Length", "-1")], "one Content-Length"),
        ("200 OK", [("Content-Length", "1"), ("content-length", "1")], "one Content-Length"),
    ],
)
def test_status_and_headers_that_cannot_be_sent_are_refused(
    status: Any, headers: Any, says: str, serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    log = io.StringIO()

    answer = ask(serve(answering([b"x"], status, headers), error_log=log), GET)

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"evil" not in answer
    assert says in log.getvalue()


@pytest.mark.parametrize("as_iterator", [False, True])
def test_a_piece_of_a_body_may_be_any_bytes_like_object(
    as_iterator: bool, serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    """Applications that build their answer in a `bytearray` got a 500, unlike with other servers."""
    pieces = [bytearray(b"a"), b"", memoryview(b"b"), array("B", b"c")]
    answer = ask(serve(answering((lambda: iter(pieces)) if as_iterator else pieces)), GET)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    body = answer.partition(b"\r\n\r\n")[2]
    assert body == (b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n" if as_iterator else b"abc")


@pytest.mark.parametrize("result", [["text"], [None], [5], b"bytes", lambda: iter(["text"])])
def test_a_body_is_made_of_bytes(result: Any, serve: Callable[..., WSGIServer], ask: Ask) -> None:
    log = io.StringIO()

    assert ask(serve(answering(result), error_log=log), GET).startswith(b"HTTP/1.1 500 ")
    assert "a body is made of bytes" in log.getvalue()


def test_start_response_must_be_called_exactly_once(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    log = io.StringIO()

    def twice(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    assert ask(serve(twice, error_log=log), GET).startswith(b"HTTP/1.1 500 ")
    assert ask(serve(lambda environ, start: [b"x"], error_log=log), GET).startswith(b"HTTP/1.1 500 ")
    assert "start_response was called twice" in log.getvalue()
    assert "did not call start_response" in log.getvalue()


def test_after_the_head_exc_info_is_raised_again(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    log = io.StringIO()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        import sys

        start_response("200 OK", [])
        yield b"begun"
        try:
            raise KeyError("deep inside")
        except KeyError:
            start_response("500 Oops", [], sys.exc_info())
        yield b"never"

    answer = ask(serve(application, error_log=log), GET)

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"never" not in answer
    assert "KeyError: 'deep inside'" in log.getvalue()


# -- write, close --------------------------------------------------------------------------------------------


def test_write_sends_before_what_is_returned(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        write(b"one")
        write(b"two")
        return [b"three"]

    _, _, body = split(ask(serve(application), GET))

    assert body == b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"


@pytest.mark.parametrize("request_line", [GET, HEAD, OLD])
@pytest.mark.parametrize(
    "pieces",
    [lambda: [b"a", b"b"], list, lambda: [b"a", 3], lambda: (1 // 0 for _ in "x")],
    ids=["whole", "empty", "broken in the middle", "broken at once"],
)
def test_the_returned_iterable_is_closed_exactly_once(
    pieces: Any, request_line: bytes, serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    result = Closable(pieces())

    ask(serve(answering(lambda: result)), request_line)

    assert result.closed == 1


def test_it_is_closed_once_when_start_response_was_forgotten(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    result = Closable([b"a"])

    ask(serve(lambda environ, start_response: result), GET)

    assert result.closed == 1


def test_it_is_closed_once_when_the_client_is_gone(serve: Callable[..., WSGIServer], connect: Any) -> None:
    closed = Event()

    class Endless(Closable):
        def close(self) -> None:
            super().close()
            closed.set()

    result = Endless(iter(lambda: b"x" * 65536, None))
    client = connect(serve(answering(lambda: result)))
    client.send(GET)
    client.read_until(b"\r\n\r\n")
    client.close()

    assert closed.wait(10)
    gcron.sleep(0.01)
    assert result.closed == 1


def test_it_is_closed_once_when_the_server_kills_the_request(serve: Callable[..., WSGIServer], connect: Any) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a"
        Event().wait()

    result = Closable(pieces())
    server = serve(answering(lambda: result))
    client = connect(server)
    client.send(GET)
    client.read_until(b"1\r\na\r\n")

    server.stop(timeout=0)

    assert result.closed == 1
    assert client.is_closed()


def test_an_error_of_close_is_logged(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    log = io.StringIO()

    class Bad(Closable):
        def close(self) -> None:
            raise OSError("cannot close")

    answer = ask(serve(answering(lambda: Bad([b"a"])), error_log=log), GET)

    assert answer.endswith(b"1\r\na\r\n0\r\n\r\n")
    assert "OSError: cannot close" in log.getvalue()


# -- connections ---------------------------------------------------------------------------------------------


def test_the_application_may_close_the_connection(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    answer = ask(serve(answering([b"x"], headers=[("Connection", "close")])), GET + GET)

    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.count(b"Connection: close\r\n") == 1


def test_http_1_0_keep_alive_is_confirmed(serve: Callable[..., WSGIServer], connect: Any) -> None:
    client = connect(serve(answering([b"x"])))

    for _ in range(2):
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"Connection: keep-alive\r\n" in client.read_until(b"\r\n\r\nx")


def test_the_application_sets_the_date(serve: Callable[..., WSGIServer], ask: Ask) -> None:
    answer = ask(serve(answering([b"x"], headers=[("date", "Mon, 01 Jan 2001 00:00:00 GMT")])), GET)

    assert answer.lower().count(b"date: ") == 1


@pytest.mark.parametrize(
    "request_line", [GET, HEAD, OLD, b"POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"]
)
def test_the_standard_librarys_validator_finds_nothing(
    request_line: bytes, serve: Callable[..., WSGIServer], ask: Ask
) -> None:
    """`wsgiref.validate` runs between server and application, and checks both against PEP 3333."""
    log = io.StringIO()

    def application(environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(10)
        environ["wsgi.errors"].write("")
        environ["wsgi.errors"].flush()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    answer = ask(serve(validator(application), error_log=log), request_line)

    assert answer.startswith(b"HTTP/1.1 200 OK"), log.getvalue()
    assert log.getvalue() == ""

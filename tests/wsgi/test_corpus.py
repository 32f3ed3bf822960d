"""Requests as files, good and hostile ones, each sent whole, byte by byte and in random pieces."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import gcron
from gcron.wsgi import Limits, WSGIServer
from gcron.wsgi.request import RequestParser

CORPUS = Path(__file__).parent / "requests"
LIMITS = Limits(header_bytes=8192, header_count=100, body_bytes=4096)


def cases(kind: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted((CORPUS / kind).glob("*.http"))]


def whole(data: bytes) -> Iterable[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> Iterable[bytes]:
    # Long files repeat one part: it need not be sent in small pieces.
    return [data[i : i + 1] for i in range(300)] + [data[300:]] if len(data) > 300 else [bytes([b]) for b in data]


def in_random_pieces(data: bytes) -> Iterable[bytes]:
    chance = random.Random(len(data))
    cuts = sorted(chance.sample(range(1, len(data)), min(5, len(data) - 1)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


WAYS = [whole, byte_by_byte, in_random_pieces]


class Recorder:
    """An application that stores the requests that it could read completely."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.environs: list[dict[str, Any]] = []
        self.calls = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.calls += 1
        body = environ["wsgi.input"].read()
        self.environs.append(environ)
        self.asked.append(
            {
                "method": environ["REQUEST_METHOD"],
                "path": environ["PATH_INFO"],
                "query": environ["QUERY_STRING"],
                "body": body.decode("latin-1"),
            }
        )
        start_response("200 OK", [])
        return [b"done"]


def converse(client: Any, pieces: Iterable[bytes]) -> bytes:
    """Send each piece on its own. Return everything that the server sends until it closes the connection."""

    def send() -> None:
        try:
            for piece in pieces:
                client.send(piece)
                gcron.sleep(1e-6)  # until the loop has polled: the server reads this piece before the next comes
            client.finish()
        except OSError:
            return  # it has heard enough

    sender = gcron.spawn(send)
    answer: bytes = client.read_all()
    sender.kill()
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)]


@pytest.mark.parametrize("cut", WAYS)
@pytest.mark.parametrize("path", cases("invalid"))
def test_a_hostile_request_is_refused_and_the_connection_closed(
    path: Path, cut: Callable[[bytes], Iterable[bytes]], serve: Callable[..., WSGIServer], connect: Any
) -> None:
    recorder = Recorder()
    server = serve(recorder, limits=LIMITS)
    expected = json.loads(path.with_suffix(".json").read_text())

    answer = converse(connect(server), cut(path.read_bytes() + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))

    assert statuses(answer) == [expected["status"]]
    assert b"\r\nConnection: close\r\n" in answer
    assert recorder.asked == []
    # An error in a body is found by the application that reads it. After a bad head no application is called.
    assert recorder.calls == (1 if expected.get("in_body") else 0)


@pytest.mark.parametrize("cut", WAYS)
@pytest.mark.parametrize("path", cases("invalid"))
def test_requests_before_a_hostile_one_are_answered(
    path: Path, cut: Callable[[bytes], Iterable[bytes]], serve: Callable[..., WSGIServer], connect: Any
) -> None:
    recorder = Recorder()
    server = serve(recorder, limits=LIMITS)
    expected = json.loads(path.with_suffix(".json").read_text())["status"]

    answer = converse(connect(server), cut(b"GET /before HTTP/1.1\r\nHost: a\r\n\r\n" + path.read_bytes()))

    assert statuses(answer) == [200, expected]
    assert [request["path"] for request in recorder.asked] == ["/before"]


@pytest.mark.parametrize("cut", WAYS)
@pytest.mark.parametrize("path", cases("valid"))
def test_a_valid_request_is_understood(
    path: Path, cut: Callable[[bytes], Iterable[bytes]], serve: Callable[..., WSGIServer], connect: Any
) -> None:
    recorder = Recorder()
    server = serve(recorder, limits=LIMITS)
    expected = json.loads(path.with_suffix(".json").read_text())["requests"]

    answer = converse(connect(server), cut(path.read_bytes()))

    headers = [request.pop("headers") for request in expected]
    assert recorder.asked == expected
    # A client that holds its body back gets 100 Continue first, unless the body has come meanwhile.
    assert [status for status in statuses(answer) if status != 100] == [200] * len(expected)
    for environ, wanted in zip(recorder.environs, headers, strict=True):
        assert {key: environ.get(key) for key in wanted} == wanted


def test_pieces_arrive_as_they_are_cut(
    serve: Callable[..., WSGIServer], connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent without pauses the pieces arrived together, and "byte by byte" did not test that."""
    fed: list[bytes] = []
    feed = RequestParser.feed

    def keep(parser: RequestParser, data: bytes) -> None:
        fed.append(data)
        feed(parser, data)

    monkeypatch.setattr(RequestParser, "feed", keep)
    data = (CORPUS / "valid" / "get.http").read_bytes()

    converse(connect(serve(Recorder())), byte_by_byte(data))

    assert b"".join(fed) == data
    assert len(fed) > len(data) / 2


def test_the_corpus_is_there() -> None:
    assert len(cases("invalid")) > 60
    assert len(cases("valid")) > 35

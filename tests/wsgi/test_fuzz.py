"""Damaged requests: for any input the parser keeps its invariants."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.wsgi.limits import Limits
from gcron.wsgi.request import Request, RequestError, RequestParser

CORPUS = [path.read_bytes() for path in sorted((Path(__file__).parent / "requests").rglob("*.http"))]
SHORT = [data for data in CORPUS if len(data) < 2000]
LIMITS = Limits(header_bytes=4096, header_count=50, body_bytes=1000)


def read_all(pieces: list[bytes]) -> tuple[list[tuple[str, bytes, list[Any], bytes, bool]], int]:
    """Return what a connection would make of the pieces: its requests, and the status of the error or 0."""
    parser = RequestParser(LIMITS)
    requests: list[Request] = []
    status = 0
    for piece in pieces:
        parser.feed(piece)
        try:
            while (request := parser.next_request()) is not None:
                requests.append(request)
        except RequestError as error:
            status = error.status
    told = [(r.method, r.target, r.headers, b"".join(r.pieces), r.complete) for r in requests]
    return told, status


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """One or two requests of the corpus, with some bytes changed, removed, doubled or inserted."""
    data = bytearray(draw(st.sampled_from(SHORT)) + draw(st.sampled_from([b"", *SHORT])))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 3))
        data[at : at + length] = draw(st.one_of(st.binary(max_size=4), st.sampled_from([b"\r\n", b"\n", b":", b" "])))
    return bytes(data)


@given(data=damaged())
@settings(max_examples=3 * settings.default.max_examples)
def test_any_input_ends_in_requests_or_one_refusal(data: bytes) -> None:
    requests, status = read_all([data])

    assert status in (0, 400, 413, 417, 431, 501, 505)
    for method, target, headers, body, _ in requests:
        assert method.isascii()
        assert b" " not in target
        assert len(body) <= 1000
        assert not any(byte in name + value for name, value in headers for byte in b"\r\n\0")
    assert all(complete for *_, complete in requests[:-1]), "one begins when the one before it is over"


@given(data=damaged(), cuts=st.lists(st.integers(0, 500), max_size=8))
@settings(max_examples=3 * settings.default.max_examples)
def test_segments_make_no_difference(data: bytes, cuts: list[int]) -> None:
    """Two readers that get different segments must get the same requests."""
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [data[a:b] for a, b in pairwise(places)]

    whole, cut = read_all([data]), read_all(pieces)

    assert [request[:3] for request in cut[0]] == [request[:3] for request in whole[0]]
    assert [request[3] for request in cut[0] if request[4]] == [request[3] for request in whole[0] if request[4]]
    assert cut[1] == whole[1]


@pytest.mark.parametrize("data", SHORT, ids=range(len(SHORT)))
def test_a_cut_at_any_byte_makes_no_difference(data: bytes) -> None:
    whole = read_all([data])
    for at in range(1, len(data)):
        cut = read_all([data[:at], data[at:]])
        assert [request[:3] for request in cut[0]] == [request[:3] for request in whole[0]], at
        assert cut[1] == whole[1], at


@pytest.mark.parametrize("blank", [b"\n", b"\r", b"\n\r\n", b"\r\n\n", b"\r\r\n"])
def test_a_bare_line_end_between_two_requests_is_refused_wherever_it_is_cut(blank: bytes) -> None:
    """The parser skips them. A proxy in front may see a request where the server sees none, or the other way round."""
    first = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n"
    for before in (
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n\n",
        first,
    ):
        data = before + blank + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        for at in range(len(data)):
            requests, status = read_all([data[:at], data[at:]])
            assert (len(requests), status) == (bool(before), 400), (before, at)

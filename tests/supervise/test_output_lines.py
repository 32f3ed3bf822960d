"""Cutting bytes into lines, compared with `bytes.split`, and the excerpt of an output."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.supervise.output import LINE_LIMIT, Excerpt, Lines, LineSplitter

_HEAD, _TAIL = 32 * 1024, 64 * 1024


def split_in_chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    return [line for line, _ in marked_lines(data, cuts)]


def marked_lines(data: bytes, cuts: list[int]) -> list[tuple[bytes, bool]]:
    """Return the lines of `data`, fed in pieces cut at `cuts`, and whether each is continued."""
    splitter = LineSplitter()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    batches = [batch for start, end in pairwise(edges) for batch in splitter.feed(data[start:end])]
    batches += splitter.flush()
    assert all(1 <= len(batch.lines) <= 1000 for batch in batches)
    return [
        (line, batch.continued and index == len(batch.lines) - 1)
        for batch in batches
        for index, line in enumerate(batch.lines)
    ]


@given(
    st.lists(st.sampled_from([b"\n", b"a", b"\r\n", b"\0", b"\xff\xfe", b"word "])).map(b"".join),
    st.lists(st.integers(0, 500)),
)
def test_lines_are_those_of_bytes_split_however_the_bytes_arrive(data: bytes, cuts: list[int]) -> None:
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert split_in_chunks(data, cuts) == expected


@given(
    st.lists(st.sampled_from([b"\n", b"a", b"\r", b"\r\n", b"bc"])).map(b"".join),
    st.lists(st.integers(0, 500)),
)
def test_a_line_is_what_follows_its_last_carriage_return(data: bytes, cuts: list[int]) -> None:
    """A progress bar of minutes came as one line, with all of its states and `\\x0d` between them."""
    expected = [re.sub(rb".*\r(?!\r*$)", b"", line, flags=re.DOTALL) for line in data.split(b"\n")]
    if expected[-1].rstrip(b"\r") == b"":
        expected.pop()
    found = split_in_chunks(data, cuts)
    assert [line.rstrip(b"\r") for line in found] == [line.rstrip(b"\r") for line in expected]


def test_a_state_of_a_progress_bar_is_shown_once() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"10%\r20%\r") == []
    assert (splitter.is_overwritten, splitter.has_partial) == (True, True)
    assert splitter.flush(at_end=False) == [Lines([b"20%"])]
    assert splitter.flush(at_end=False) == []
    assert not splitter.has_partial
    assert splitter.feed(b"30%\r") == []
    assert splitter.flush(at_end=False) == [Lines([b"30%"])]
    assert splitter.feed(b"\nnext\n") == [Lines([b"next"])]
    assert not splitter.is_overwritten
    assert splitter.feed(b"half\r") == []
    assert splitter.flush(at_end=False) == [Lines([b"half"])]
    assert splitter.flush() == []


@given(
    st.lists(st.sampled_from([0, 1, LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, 2 * LINE_LIMIT, 200_000]), max_size=4),
    st.lists(st.integers(0, 10**6), max_size=8),
)
def test_long_lines_are_cut_in_the_same_places_however_the_bytes_arrive(sizes: list[int], cuts: list[int]) -> None:
    data = b"".join(b"x" * size + b"\n" for size in sizes)
    whole = marked_lines(data, [])
    assert marked_lines(data, cuts) == whole
    assert max((len(line) for line, _ in whole), default=0) <= LINE_LIMIT
    assert b"".join(line if goes_on else line + b"\n" for line, goes_on in whole) == data


@given(st.text(alphabet="aä€😀", min_size=1, max_size=9), st.integers(0, 10**6))
@settings(max_examples=30)
def test_no_utf_8_character_is_cut(text: str, cut: int) -> None:
    text *= 200_000 // len(text)
    pieces = split_in_chunks(text.encode(), [cut])
    assert "".join(piece.decode() for piece in pieces) == text


def test_bytes_that_are_not_utf_8_are_cut_at_the_limit() -> None:
    assert [len(piece) for piece in split_in_chunks(b"\x80" * 150_000, [])] == [LINE_LIMIT, LINE_LIMIT, 18_928]


def test_many_short_lines_after_a_long_one_come_in_batches() -> None:
    batches = LineSplitter().feed(b"x" * 70_000 + b"\n" * 5000)
    assert sum(len(batch.lines) for batch in batches) == 5001
    assert max(len(batch.lines) for batch in batches) <= 1000


def test_an_unfinished_line_is_marked_unless_it_is_the_last() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"half") == []
    assert splitter.flush(at_end=False) == [Lines([b"half"], continued=True)]
    assert splitter.feed(b"done") == []
    assert splitter.flush() == [Lines([b"done"], lacks_newline=True)]


def test_an_endless_line_takes_no_more_memory_than_the_limit() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        splitter.feed(b"x" * 65536)
        assert len(splitter._partial) <= LINE_LIMIT


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 70_000)), max_size=12))
def test_an_excerpt_keeps_the_head_the_tail_and_the_exact_size(chunks: list[tuple[int, int]]) -> None:
    excerpt = Excerpt()
    data = b""
    for byte, size in chunks:
        chunk = bytes([byte]) * size
        excerpt.feed(chunk)
        data += chunk
    assert excerpt.size == len(data)
    assert excerpt.head == data[:_HEAD]
    assert excerpt.tail == data[_HEAD:][-_TAIL:]
    assert excerpt.omitted == len(data) - len(excerpt.head) - len(excerpt.tail)


def test_an_excerpt_of_many_single_bytes_has_bounded_size() -> None:
    excerpt = Excerpt()
    for _ in range(600_000):
        excerpt.feed(b"x")
    assert len(excerpt._tail) <= 4 * _TAIL
    assert len(excerpt.tail) == _TAIL

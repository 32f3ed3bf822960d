"""Output as HTML, against a reading of the whole: nothing is lost, nothing gets through, wherever it is cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from gcron.escaping import escape
from gcron.scheduler.history import OutputPart, OutputSpan
from gcron.web.output_html import OutputHtml, newest_html

LOOKS = {"l", "l e", "gap"}
COLOUR = re.compile(r"a-(b|dim|i|u|inv|\d\d)")
# Pieces that mean something to a terminal or a browser, beside any bytes.
words = st.sampled_from(
    [
        b"<script>alert(1)</script>",
        b"</span></pre>",
        b"&lt;",
        b"'\"",
        b"\r\n",
        b"\r",
        b"\n",
        b"\\x0d",
        b"\x1b",
        b"\x1b[",
        b"\x1b[1;31m",
        b"\x1b[38;5;9m",
        b"\x1b[0m",
        b"\x1b[2J",
        b"\x1b[" + b"1;" * 22 + b"m",
        "é漢😀".encode(),
        "\u202e".encode(),
        b"plain",
    ]
)
data = st.lists(st.one_of(words, st.binary(max_size=6)), max_size=12).map(b"".join)
sizes = st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 3)), max_size=8)
cuts = st.lists(st.integers(0, 200), max_size=5)

Character = tuple[str, ...]


class Reader(HTMLParser):
    """What a browser shows: each character, with what the elements around it say."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, ...]] = []
        self.shown: list[Character] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in ("span", "i")
        given = dict(attributes)
        look = given.pop("class") or ""
        assert look in LOOKS or all(COLOUR.fullmatch(name) for name in look.split(" ")), look
        assert given.keys() <= {"data-clock", "title"}
        self.open.append((look, given.get("data-clock") or ""))

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, text: str) -> None:
        around = tuple(part for element in self.open for part in element)
        self.shown += [(character, *around) for character in text]

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment got through")

    handle_decl = handle_pi = unknown_decl = handle_comment


def read(html: str) -> list[Character]:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader.shown


def text_of(shown: Sequence[Character]) -> str:
    return "".join(character for character, *_ in shown)


def reference(output: bytes) -> str:
    """What a person is to see of it."""
    text = output.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    return escape(re.sub(r"\x1b\[[0-9;]{0,40}m", "", text))


def spans_of(output: bytes, asked: Sequence[tuple[int, bool, int]]) -> tuple[OutputSpan, ...]:
    """As an index has them: all of the bytes, or none."""
    spans, left = [], len(output)
    for size, is_stderr, second in asked:
        if left:
            spans.append(OutputSpan(min(size, left), 1e9 + second, "stderr" if is_stderr else "stdout"))
            left -= spans[-1].size
    return (*spans, OutputSpan(left)) if spans and left else tuple(spans)


def cut(part: OutputPart, places: Sequence[int]) -> list[OutputPart]:
    """The same output, in pieces."""
    ends = sorted({place for place in places if place < len(part.data)} | {len(part.data)})
    pieces, begin = [], 0
    for end in ends:
        spans, position = [], 0
        for span in part.spans:
            size = min(end, position + span.size) - max(begin, position)
            if size > 0:
                spans.append(span._replace(size=size))
            position += span.size
        pieces.append(OutputPart(begin, part.data[begin:end], part.size, tuple(spans)))
        begin = end
    return pieces


def join(pieces: Sequence[tuple[str, str]]) -> str:
    """What the page has after these messages of a stream: see gcron.js."""
    html = ""
    for rest, elements in pieces:
        html = (html.removesuffix("</span>") + rest + "</span>" if rest else html) + elements
    return html


def whole(part: OutputPart) -> str:
    converter = OutputHtml()
    return join([converter.convert(part.data, part.spans), converter.finish()])


@given(data, sizes)
@example(b"\xc3", [])
@example(b"echo '\\x0d'", [])
def test_all_is_shown_and_nothing_is_a_tag(output: bytes, asked: Sequence[tuple[int, bool, int]]) -> None:
    """The last byte was lost if it began a character, and a backslash, x, 0 and d were shown as a new line."""
    part = OutputPart(0, output, len(output), spans_of(output, asked))
    assert text_of(read(whole(part))) == reference(output)


@given(data, sizes, cuts)
@example(b"one\r\ntwo", [], [4])
@example(b"a line in two pieces", [], [5])
@example(b"one\n\x1b[31mtwo", [], [6])
def test_pieces_of_a_stream_are_as_the_whole(
    output: bytes, asked: Sequence[tuple[int, bool, int]], places: Sequence[int]
) -> None:
    """The end of a line that two pieces had was two ends. A line in two pieces was without its rest in the page."""
    part = OutputPart(0, output, len(output), spans_of(output, asked))
    pieces = cut(part, places)
    converter = OutputHtml()
    live = join([*(converter.convert(piece.data, piece.spans) for piece in pieces), converter.finish()])
    assert read(live) == read(whole(part))
    assert read(newest_html(pieces, 10**6)[1]) == read(whole(part))


@given(data, sizes, cuts, st.integers(0, 600))
def test_the_newest_of_an_output_is_its_end_and_as_short_as_asked(
    output: bytes, asked: Sequence[tuple[int, bool, int]], places: Sequence[int], most: int
) -> None:
    part = OutputPart(0, output, len(output), spans_of(output, asked))
    start, html = newest_html(cut(part, places), most)
    assert len(html.encode()) <= most
    rest = output[start:]
    # Cut within a sequence of colours, its second half is text.
    assert text_of(read(html)) == (reference(rest) if html else "")


def test_the_newest_of_an_output_begins_with_a_line_where_there_are_several() -> None:
    lines = b"".join(b"line %d\n" % number for number in range(1000))
    parts = [OutputPart(0, lines[:5000], len(lines)), OutputPart(5000, lines[5000:], len(lines))]
    start, html = newest_html(parts, 2000)
    assert lines[start - 1 : start + 5] == b"\nline "
    assert 1000 < len(html) <= 2000


def test_a_gap_ends_a_line_and_what_waited_for_its_other_half_comes_before_it() -> None:
    """What came after it was put into the note of the gap."""
    converter = OutputHtml()
    html = join([converter.convert("half é".encode()[:-1], ()), converter.skip(5), converter.convert(b"new\n", ())])
    assert html == "<span class=l>half \\xc3</span><i class=gap>5 bytes are not kept</i>\n<span class=l>new\n</span>"
    parts = [OutputPart(0, b"head", 20), OutputPart(10, b"tail", 20)]
    assert "<i class=gap>6 bytes are not kept</i>" in newest_html(parts, 1000)[1]

"""The output of a run as HTML: what came together is one element, with its time, and marked if it is from stderr. Pure.

The style sheet shows the time and the word `err` beside the text, so that a search finds only what was written.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from gcron.frozen import replace
from gcron.scheduler.history import OutputPart, OutputSpan
from gcron.web.ansi import Converter

__all__ = ["OutputHtml", "newest_html"]


class OutputHtml:
    """Takes output piece by piece; colours, characters and lines may be cut between two."""

    def __init__(self) -> None:
        self._converter = Converter()
        self._decoder = getincrementaldecoder("utf-8")("surrogateescape")
        self._last = OutputSpan(0)
        """What came last, whose end may wait for its other half."""
        self._stream = ""
        self._is_in_line = False
        """True while the last line has no newline: what follows in it belongs into its element."""

    def convert(self, data: bytes, spans: Sequence[OutputSpan]) -> tuple[str, str]:
        """What belongs into the last element of the pieces before, and the elements after it."""
        return self._join(self._pieces(data, spans))

    def finish(self) -> tuple[str, str]:
        """The same for what still waits for its other half, which does not come."""
        return self._join([(self._last, self._converter.convert(self._decoder.decode(b"", True), is_last=True))])

    def skip(self, count: int) -> tuple[str, str]:
        """The same, and a note that so many bytes are not kept."""
        rest, elements = self.finish()
        self._is_in_line = False
        return rest, f"{elements}<i class=gap>{count:,} bytes are not kept</i>\n"

    def _pieces(self, data: bytes, spans: Sequence[OutputSpan]) -> Iterator[tuple[OutputSpan, str]]:
        position = 0
        for span in spans or (OutputSpan(len(data)),):
            text = self._decoder.decode(data[position : position + span.size])
            position += span.size
            yield span, self._converter.convert(text)
            self._last = span

    def _join(self, pieces: Iterable[tuple[OutputSpan, str]]) -> tuple[str, str]:
        rest, elements = "", list[str]()
        for span, html in pieces:
            if not html:
                continue
            if not (self._is_in_line and span.stream == self._stream):
                elements.append(_tag(span) + html)
            elif elements:
                elements[-1] += html
            else:
                rest += html
            self._stream, self._is_in_line = span.stream, not html.removesuffix("</span>").endswith("\n")
        return rest, "".join(f"{element}</span>" for element in elements)


def newest_html(parts: Sequence[OutputPart], most: int) -> tuple[int, str]:
    """The position from which the output is at most `most` bytes of HTML, of a line if it can be; and that HTML."""
    size = sum(len(part.data) for part in parts)
    while True:
        html = _html_of(parts)
        if not size or len(html.encode("utf-8", "replace")) <= most:
            return parts[0].start if parts else 0, html
        size //= 2
        parts = _newest(parts, size)


def _html_of(parts: Sequence[OutputPart]) -> str:
    """All of these parts. A part that follows in the line of the one before has no element of its own."""
    converter = OutputHtml()
    html = ""
    position = parts[0].start if parts else 0
    for part in parts:
        if part.start > position:
            html = _append(html, *converter.skip(part.start - position))
        html = _append(html, *converter.convert(part.data, part.spans))
        position = part.start + len(part.data)
    return _append(html, *converter.finish())


def _append(html: str, rest: str, elements: str) -> str:
    return (f"{html.removesuffix('</span>')}{rest}</span>" if rest else html) + elements


def _newest(parts: Sequence[OutputPart], size: int) -> list[OutputPart]:
    """The last `size` bytes, without the line that they begin in if others follow it."""
    newest: list[OutputPart] = []
    for part in reversed(parts):
        if size < len(part.data):
            newest.append(_without_first(part, len(part.data) - size))
            break
        newest.append(part)
        size -= len(part.data)
    return [part for part in reversed(newest) if part.data]


def _without_first(part: OutputPart, count: int) -> OutputPart:
    next_line = part.data.find(b"\n", count - 1) + 1
    if count <= next_line < len(part.data):
        count = next_line
    spans = []
    left = count
    for span in part.spans:
        if span.size > left:
            spans.append(span._replace(size=span.size - left))
        left = max(0, left - span.size)
    return replace(part, start=part.start + count, data=part.data[count:], spans=tuple(spans))


def _tag(span: OutputSpan) -> str:
    if span.time is None:
        return "<span class=l>"
    moment = datetime.fromtimestamp(span.time)
    clock = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"
    look = "'l e'" if span.stream == "stderr" else "l"
    return f"<span class={look} data-clock={clock} title='{moment:%Y-%m-%d} {clock} {span.stream}'>"

"""The output of a run as HTML: what came together is one element, with its time, and marked if it is from stderr. Pure.

The style sheet shows the time and the word `err` beside the text, so that a search finds only what was written.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Sequence
from datetime import datetime

from gcron.scheduler.history import OutputSpan
from gcron.web.ansi import Converter

__all__ = ["OutputHtml"]


class OutputHtml:
    """Takes output piece by piece; colours, characters and lines may be cut between two."""

    def __init__(self) -> None:
        self._converter = Converter()
        self._decoder = getincrementaldecoder("utf-8")("surrogateescape")
        self._stream = ""
        self._is_in_line = False
        """True while the last line has no newline: what follows in it belongs into its element."""

    def convert(self, data: bytes, spans: Sequence[OutputSpan], is_last: bool = False) -> tuple[str, str]:
        """What belongs into the last element of the pieces before, and the elements after it."""
        rest, elements = "", list[tuple[str, str]]()
        position = 0
        for span in spans or (OutputSpan(len(data)),):
            text = self._decoder.decode(data[position : position + span.size])
            position += span.size
            html = self._converter.convert(text, is_last and position >= len(data))
            if not html:
                continue
            if not (self._is_in_line and span.stream == self._stream):
                elements.append((_tag(span), html))
            elif elements:
                elements[-1] = elements[-1][0], elements[-1][1] + html
            else:
                rest += html
            self._stream, self._is_in_line = span.stream, not text.endswith("\n")
        return rest, "".join(f"{tag}{html}</span>" for tag, html in elements)


def _tag(span: OutputSpan) -> str:
    if span.time is None:
        return "<span class=l>"
    moment = datetime.fromtimestamp(span.time)
    clock = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"
    look = "'l e'" if span.stream == "stderr" else "l"
    return f"<span class={look} data-clock={clock} title='{moment:%Y-%m-%d} {clock} {span.stream}'>"

"""Output of jobs as HTML: colours become classes, everything else that a terminal would act upon is shown. Pure."""

from __future__ import annotations

import re
from html import escape as escape_html

from gcron.escaping import escape

__all__ = ["Converter"]

# SGR: ECMA-48, section 8.3.117. Other sequences are shown, as all controls are.
_COLOUR = re.compile(r"\x1b\[([0-9;]{0,40})m")
_LONGEST = 48
# What may go on in the next piece. A carriage return before a newline is how terminals end a line.
_PARTIAL = re.compile(rf"(\x1b(\[[0-9;]{{0,{_LONGEST}}})?|\r)\Z")
_FLAGS = {1: "b", 2: "dim", 3: "i", 4: "u", 7: "inv"}
_ENDS = {22: ("b", "dim"), 23: ("i",), 24: ("u",), 27: ("inv",)}


class Converter:
    """Takes text piece by piece. A colour goes on in the next piece, and a sequence may be cut between two."""

    def __init__(self) -> None:
        self._flags: set[str] = set()
        self._front = ""
        self._rest = ""

    def convert(self, text: str, is_last: bool = False) -> str:
        """The HTML of the next piece."""
        text = self._rest + text
        self._rest = ""
        if not is_last and (partial := _PARTIAL.search(text)):
            self._rest, text = partial[0], text[: partial.start()]
        parts = _COLOUR.split(text)
        html = [self._span(parts[0])]
        for codes, following in zip(parts[1::2], parts[2::2], strict=True):
            self._set(codes)
            html.append(self._span(following))
        return "".join(html)

    def _span(self, text: str) -> str:
        if not text:
            return ""
        # Alone, a carriage return would overwrite: progress bars.
        content = escape_html(escape(text.replace("\r\n", "\n").replace("\r", "\n")), quote=False)
        classes = " ".join(sorted({f"a-{name}" for name in self._flags} | ({self._front} if self._front else set())))
        return f"<span class='{classes}'>{content}</span>" if classes else content

    def _set(self, codes: str) -> None:
        numbers = [int(code or 0) for code in codes.split(";")]
        while numbers:
            number = numbers.pop(0)
            if number == 0:
                self._flags.clear()
                self._front = ""
            elif number in _FLAGS:
                self._flags.add(_FLAGS[number])
            elif number in _ENDS:
                self._flags.difference_update(_ENDS[number])
            elif 30 <= number <= 37 or 90 <= number <= 97:
                self._front = f"a-{number}"
            elif number == 39:
                self._front = ""
            elif number in (38, 48):
                self._take_extended(numbers, number == 38)

    def _take_extended(self, numbers: list[int], is_front: bool) -> None:
        """Colours of a palette or of RGB: those of the first 16 are shown, others are left out."""
        kind = numbers.pop(0) if numbers else 0
        if kind == 5 and numbers:
            index = numbers.pop(0)
            if is_front and index < 16:
                self._front = f"a-{30 + index if index < 8 else 82 + index}"
        elif kind == 2:
            del numbers[:3]

"""Regular expressions mean the same in every Python that is supported."""

from __future__ import annotations

import re
from pathlib import Path

import gcron

_POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]*\})\+")
_CHARACTERS = re.compile(r"(?<!\\)\[(?:\\.|[^\]\\])*\]")


def test_no_regular_expression_has_a_possessive_group() -> None:
    """With Debian 12's own Python, 3.11.2, the caret under six fields was a column too long, and a quote that was not
    closed became a part of the word before it: python/cpython#100061, mended in 3.11.5. Atomic groups are sound in all.
    """
    assert _POSSESSIVE_GROUP.search("(?:a|bc)*+")
    found = [
        f"{path}: {line.strip()}"
        for path in Path(gcron.__file__).parent.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if _POSSESSIVE_GROUP.search(_CHARACTERS.sub("x", line))
    ]
    assert found == []

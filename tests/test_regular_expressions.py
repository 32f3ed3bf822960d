"""Regular expressions mean the same in every Python that is supported."""

from __future__ import annotations

import re
from pathlib import Path

import gcron

_POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]*\})\+")
_CHARACTERS = re.compile(r"(?<!\\)\[(?:\\.|[^\]\\])*\]")


def test_no_regular_expression_has_a_possessive_group() -> None:
    """Python 3.11.2, which Debian 12 has, matches them wrongly (python/cpython#100061, fixed in 3.11.5).

    A caret was a column too long, and an open quote became a part of the word before it. Atomic groups work everywhere.
    """
    assert _POSSESSIVE_GROUP.search("(?:a|bc)*+")
    found = [
        f"{path}: {line.strip()}"
        for path in Path(gcron.__file__).parent.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if _POSSESSIVE_GROUP.search(_CHARACTERS.sub("x", line))
    ]
    assert found == []

"""Which known word a misspelt one was probably meant to be. This module knows nothing of gcron."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["closest", "nearest"]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint for an unknown word: the known one that was probably meant, or the list of all known ones."""
    words = sorted(known)
    close = closest(word, words)
    return f"did you mean {close}?" if close else "known are " + ", ".join(words)


def closest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known word that is most like this one, if any is at least so much like it (0 to 1)."""
    if len(word) > 40:
        return None  # difflib takes the square of the length, and nobody misspells a short word into a long one
    import difflib  # only for what is wrong

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=likeness)), None)

"""Cursors: the place in history where a page ended, as a text. Pure."""

from __future__ import annotations

from math import isfinite

__all__ = ["read_cursor", "write_cursor"]


def write_cursor(created: float, number: int) -> str:
    """The place after a run: when it was created, and its number among those of the same time."""
    return f"{created!r}:{number}"


def read_cursor(cursor: str) -> tuple[float, int]:
    """The place that a cursor stands for. Raises ValueError."""
    created, _, number = cursor.partition(":")
    try:
        place = float(created), int(number)
    except ValueError:
        place = float("nan"), 0
    if not isfinite(place[0]) or abs(place[1]) >= 1 << 63:
        raise ValueError(f"{cursor[:80]!r} is no cursor: take that of the page before")
    return place

"""Quiet times of a day: for one more job. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gcron.frozen import frozen

__all__ = ["NEAR", "QuietMinute", "quietest_minutes"]

NEAR = 5
"""Minutes around a time in which other fires count."""
_APART = 120


@frozen
class QuietMinute:
    """A minute in which little is due."""

    place: int
    """Its number in the day that was looked at."""
    others: int
    """How many fires there are from `NEAR` minutes before it until `NEAR` minutes after it."""


def quietest_minutes(fires: Sequence[int], first: int = 0, count: int = 3) -> list[QuietMinute]:
    """The minutes with the fewest fires around them, in their order, each two hours from the others.

    `fires`: how many there are in each minute of a day, which begins at the minute `first` of the clock's hour.
    """
    size = len(fires)
    around = [sum(fires[(place + step) % size] for step in range(-NEAR, NEAR + 1)) for place in range(size)]

    def rank(place: int) -> tuple[int, int, bool]:
        # Of equals none near a full hour or half: that is when other machines pile up.
        return around[place], fires[place], not NEAR < (first + place) % 30 < 30 - NEAR

    chosen: list[int] = []
    for place in sorted(range(size), key=rank):
        if all(min(abs(place - other), size - abs(place - other)) >= _APART for other in chosen):
            chosen.append(place)
        if len(chosen) == count:
            break
    return [QuietMinute(place, around[place]) for place in sorted(chosen)]

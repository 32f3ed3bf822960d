"""The last outcomes of a job as a small picture, whose heights are durations. Pure.

A failure is as high as the picture, whatever it took; a success never is. So colour is not the only sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from gcron.scheduler.history import RECENT
from gcron.web.words import OUTCOMES

__all__ = ["strip"]

# All neighbours of a kind are one area, and all areas of a kind one path: that is short in the page. The style sheet
# cuts the areas into bars (3 wide, 1 between).
_STEP, _HEIGHT = 4, 14
_HEIGHTS = {"bad": _HEIGHT, "warn": 9, "skip": 3}
# Of successes. There are few, so that a job which takes the same each time has a calm picture.
_LEVELS = (4, 6, 8, 10, 11)

Bar = tuple[str, int]


def strip(recent: Sequence[str], durations: Sequence[float | None]) -> Markup:
    """The outcomes, the newest at the right. Empty when there is none."""
    bars = _bars(recent, durations)
    if not bars:
        return Markup("")
    paths: dict[str, str] = {}
    position = (RECENT - len(bars)) * _STEP
    for kind, group in groupby(bars, key=lambda bar: bar[0]):
        heights = [height for _, height in group]
        paths[kind] = paths.get(kind, "") + _area(position, heights)
        position += len(heights) * _STEP
    drawn = "".join(f"<path class={kind} d='{line}'/>" for kind, line in paths.items())
    return Markup(f"<svg class=s role=img aria-label='{_words(bars)}'>{drawn}</svg>")


def _bars(recent: Sequence[str], durations: Sequence[float | None]) -> list[Bar]:
    """The kind and the height of each outcome."""
    known = [(OUTCOMES.get(outcome, ("bad", ""))[0], took) for outcome, took in zip(recent, durations, strict=True)]
    longest = max((took for kind, took in known if kind == "ok" and took is not None), default=None)
    return [(kind, _HEIGHTS.get(kind) or _height(took, longest)) for kind, took in known]


def _height(took: float | None, longest: float | None) -> int:
    return _LEVELS[-1] if took is None or not longest else _LEVELS[round(took / longest * (len(_LEVELS) - 1))]


def _area(position: int, heights: Sequence[int]) -> str:
    """The outline of neighbours, from the foot of the first to that of the last."""
    line, before = f"M{position} {_HEIGHT}", 0
    for height, group in groupby(heights):
        line += f"v{before - height}h{len(list(group)) * _STEP}"
        before = height
    return f"{line}V{_HEIGHT}"


def _words(bars: Sequence[Bar]) -> str:
    kinds = [kind for kind, _ in bars]
    names = {"ok": "ok", "bad": "failed", "warn": "missed", "skip": "skipped"}
    return ", ".join(f"{kinds.count(kind)} {name}" for kind, name in names.items() if kind in kinds)

"""The last outcomes of a job as a small picture: bars that differ by height and place, not by colour alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from gcron.scheduler.history import RECENT
from gcron.web.words import OUTCOMES

__all__ = ["strip"]

# Bars are the dashes of a line: one line for all neighbours of a kind, which is short in the page. The style sheet
# has the dash (3 wide, 2 between) and the width of the line, which is the height of the bars.
_STEP, _BAR = 5, 3
# The middle of the bars of each kind, in a picture that is 14 high. A failure is twice as high as a success.
_MIDDLES = {"ok": 10.5, "bad": 7, "warn": 7, "skip": 12.5}


def strip(recent: Sequence[str]) -> Markup:
    """The outcomes, the newest at the right. Empty when there is none."""
    kinds = [OUTCOMES.get(outcome, ("bad", ""))[0] for outcome in recent[-RECENT:]]
    if not kinds:
        return Markup("")
    position = (RECENT - len(kinds)) * _STEP
    lines: dict[str, str] = {}
    for kind, group in groupby(kinds):
        count = len(list(group))
        lines[kind] = lines.get(kind, "") + f"M{position} {_MIDDLES[kind]}h{count * _STEP - _STEP + _BAR}"
        position += count * _STEP
    paths = "".join(f"<path class={kind} d='{line}'/>" for kind, line in lines.items())
    return Markup(f"<svg class=s role=img aria-label='{_words(kinds)}'>{paths}</svg>")


def _words(kinds: Sequence[str]) -> str:
    names = {"ok": "ok", "bad": "failed", "warn": "missed", "skip": "skipped"}
    return ", ".join(f"{kinds.count(kind)} {name}" for kind, name in names.items() if kind in kinds)

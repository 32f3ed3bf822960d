"""The runs of one job as a picture: how long each took, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from gcron.escaping import escape_line
from gcron.scheduler.records import Record
from gcron.web.words import exact, outcome_word, span

__all__ = ["durations_chart", "percentile"]

_MOST_BARS = 60
_WIDTH, _HEIGHT, _FOOT = 720, 120, 6


def durations_chart(base: str, runs: Sequence[Record]) -> Markup:
    """Bars, the newest at the right, each a link to its run. `runs`: the newest first. Empty when none took time."""
    shown = [run for run in runs if run["duration"] is not None or run["outcome"]][:_MOST_BARS][::-1]
    longest = max((run["duration"] or 0.0 for run in shown), default=0.0)
    if not shown:
        return Markup("")
    step = _WIDTH / _MOST_BARS
    width = step - 3
    bars = []
    for place, run in enumerate(shown):
        look, word = outcome_word(run)
        height = _FOOT + (run["duration"] or 0.0) / (longest or 1.0) * (_HEIGHT - _FOOT - 4)
        x = _WIDTH - (len(shown) - place) * step
        title = f"{exact(run['created'])}: {word}{', ' + span(run['duration']) if run['duration'] is not None else ''}"
        sign = "" if look == "ok" else f"<path class=mark d='M{x:.1f} {_HEIGHT + 5}h{width:.1f}'/>"
        bars.append(
            f"<a href='{base}/runs/{escape(run['run_id'])}' aria-label='{escape(escape_line(title))}'>"
            f"<title>{escape(escape_line(title))}</title>"
            f"<rect class='{look}' x='{x:.1f}' y='{_HEIGHT - height:.1f}' width='{width:.1f}' height='{height:.1f}'/>"
            f"<g class='{look}'>{sign}</g></a>"
        )
    return Markup(
        f"<svg class=chart viewBox='0 0 {_WIDTH} {_HEIGHT + 10}' role=group aria-label='Durations of the last "
        f"{len(shown)} runs, the longest {span(longest)}'><path class=grid d='M0 4h{_WIDTH}M0 "
        f"{_HEIGHT / 2 + 2}h{_WIDTH}M0 {_HEIGHT}h{_WIDTH}'/><text x=0 y=14>{span(longest)}</text>{''.join(bars)}</svg>"
    )


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which so large a share of the values is; None when there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None

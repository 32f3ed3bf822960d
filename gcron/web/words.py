"""Times, durations and outcomes in the words of the pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from types import MappingProxyType
from urllib.parse import quote

from markupsafe import Markup

from gcron.scheduler.records import Record

__all__ = ["OUTCOMES", "ago", "exact", "outcome_word", "quoted", "seconds_of", "short_exact", "span", "until"]

OUTCOMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "succeeded": ("ok", "ok"),
        "failed": ("bad", "failed"),
        "timed-out": ("bad", "timed out"),
        "killed": ("bad", "killed"),
        "start-failed": ("bad", "did not start"),
        "unknown-exit": ("bad", "unknown end"),
        "lost": ("bad", "lost"),
        "skipped": ("skip", "skipped"),
        "missed": ("warn", "missed"),
        "stopped": ("skip", "stopped"),
    }
)
"""Outcomes, with the class of their look, and their word."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def outcome_word(run: Record) -> tuple[str, str]:
    """The class and the word of a run's outcome, or of its state while it has none."""
    if run["outcome"]:
        return OUTCOMES.get(run["outcome"], ("bad", run["outcome"]))
    return ("run", "running") if run["state"] in ("running", "starting") else ("run", run["state"])


def seconds_of(time: str) -> float:
    """A time of a record as seconds of UTC."""
    return datetime.fromisoformat(time).timestamp()


def ago(seconds: float) -> str:
    """`just now`, `12 s ago`, `5 min ago`, `3 h ago`, `2 d ago`."""
    return "just now" if seconds < 1 else f"{_distance(seconds)} ago"


def until(seconds: float) -> str:
    """`now`, `in 12 s`, `in 5 min`, `in 3 h`, `in 2 d`."""
    return "now" if seconds < 1 else f"in {_distance(seconds)}"


def _distance(seconds: float) -> str:
    whole = int(seconds)
    for size, unit in _UNITS:
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def span(seconds: float | None) -> str:
    """`40 ms`, `1.2 s`, `48 s`, `5 min 2 s`, `3 h 10 min`, `2 d 4 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 0.0995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def exact(time: str | None, zone: tzinfo | None = None) -> str:
    """`2026-11-30 19:25:03` in a zone, by default that of the machine; empty for None."""
    return "" if time is None else f"{datetime.fromisoformat(time).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def short_exact(time: str, now: float) -> str:
    """The same in few characters: `19:25` of today, `Mon 19:25` within six days, `12 Dec 19:25`, `2027-12-01`."""
    moment = datetime.fromisoformat(time).astimezone()
    today = datetime.fromtimestamp(now).astimezone()
    days = abs((moment.date() - today.date()).days)
    if not days:
        return f"{moment:%H:%M}"
    if days < 7:
        return f"{moment:%a %H:%M}"
    return f"{moment:%-d %b %H:%M}" if days < 300 else f"{moment:%Y-%m-%d}"


def quoted(text: str) -> Markup:
    """A name as a part of a URL, and as an attribute without quotes."""
    return Markup(quote(text, safe="", errors="surrogateescape"))

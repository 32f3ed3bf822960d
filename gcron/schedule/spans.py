"""Lengths of time in words."""

from __future__ import annotations

__all__ = ["describe_span"]


def describe_span(seconds: float) -> str:
    """Return a time to wait, as people say it: `42 s`, `17 min`, `4 h 10 min`, `3 d 2 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"

"""The limits of a schedule in words that a person would say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from gcron.schedule.schedules import Schedule
from gcron.schedule.wording import join_words
from gcron.schedule.wrapped import LimitedSchedule, WrappedSchedule
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT

__all__ = ["describe_limits"]

# Up to this many ranges of days are listed; more are counted.
_MOST_RANGES = 4
_EPOCH = date(1970, 1, 1)


def describe_limits(schedule: Schedule) -> str:
    """Return the limits of a schedule in words, as the end of a sentence; empty if it has none.

    `, from 2026-01-05 09:00 to 2026-12-31 23:59, except on 2026-12-24 to 2026-12-26; and at the start`
    """
    while isinstance(schedule, WrappedSchedule) and not isinstance(schedule, LimitedSchedule):
        schedule = schedule.schedule
    if not isinstance(schedule, LimitedSchedule):
        return ""
    words = ""
    if schedule.start > FIRST_INSTANT:
        words = f", from {_moment(schedule, schedule.start)}"
    if schedule.end < LAST_INSTANT:
        words += f"{'' if words else ','} to {_moment(schedule, schedule.end)}"
    if ranges := schedule.excluded.ranges:
        words += f", except on {_day_ranges(ranges)}"
    return words + ("; and at the start" if schedule.now else "")


def _moment(schedule: LimitedSchedule, instant: int) -> str:
    moment = datetime.fromtimestamp(instant, schedule.zone.tz)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second % 59 else f"{moment:%Y-%m-%d %H:%M}"


def _day_ranges(ranges: Sequence[tuple[int, int]]) -> str:
    if len(ranges) > _MOST_RANGES:
        return f"{sum(last - first + 1 for first, last in ranges)} days"
    days = [(_EPOCH + timedelta(first), _EPOCH + timedelta(last)) for first, last in ranges]
    return join_words([f"{first}" if first == last else f"{first} to {last}" for first, last in days])

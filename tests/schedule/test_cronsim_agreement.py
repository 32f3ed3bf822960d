"""A second oracle, by other people: cronsim, which follows Debian's cron as gcron does.

Where the two differ, the difference is a case below with its reason, and the random cases leave out just that: not
what happens to disagree.
"""

from __future__ import annotations

import os
import random
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from gcron.schedule import ScheduleError, Shift, find_zone, parse, shifts

EXAMPLES = int(os.environ.get("GCRON_SCHEDULE_EXAMPLES", "100")) * 10
HOUR, DAY = 3600, 86400
FROM = int(datetime(1975, 1, 1, tzinfo=UTC).timestamp())
TO = int(datetime(2060, 1, 1, tzinfo=UTC).timestamp())
ZONES = [
    "UTC", "Europe/London", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns",
    "America/Sao_Paulo", "Africa/Casablanca", "Antarctica/Troll", "Asia/Pyongyang", "America/Caracas", "Asia/Tehran",
    "Pacific/Chatham", "Africa/Cairo", "Asia/Kathmandu",
]  # fmt: skip
SHIFTS = [(name, shift) for name in ZONES for shift in shifts(find_zone(name), FROM, TO)]
FIELDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


def cronsim_fires(expression: str, tz: str, start: int, end: int, most: int = 100) -> list[int]:
    """Its first fires with start <= instant < end."""
    fires = CronSim(expression, datetime.fromtimestamp(start - 1, ZoneInfo(tz)))
    instants = (int(fire.timestamp()) for fire in fires)
    return list(islice(takewhile(lambda instant: instant < end, instants), most))


def gcron_fires(expression: str, tz: str, start: int, end: int, most: int = 100) -> list[int]:
    schedule = parse(expression, tz)
    found: list[int] = []
    fire = schedule.next_after(start - 1)
    while fire is not None and fire < end and len(found) < most:
        found.append(fire)
        fire = schedule.next_after(fire)
    return found


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())


# -- random cases ---------------------------------------------------------------------------------------------


def random_expression(dice: random.Random) -> str:
    return " ".join(random_field(dice, low, high) for low, high in FIELDS)


def random_field(dice: random.Random, low: int, high: int) -> str:
    if dice.random() < (0.25 if high in (59, 23) else 0.55):
        return "*"
    return ",".join(random_item(dice, low, high) for _ in range(dice.choice([1, 1, 1, 2, 3])))


def random_item(dice: random.Random, low: int, high: int) -> str:
    first, last = sorted(dice.choices(range(low, high + 1), k=2))
    step = dice.randint(1, high - low)
    special = {31: ["L", "LW"], 7: [f"{first}L", f"{first}#{dice.randint(1, 5)}", "mon-fri"], 12: ["feb", "jan-mar"]}
    return dice.choice([f"{first}", f"{first}-{last}", f"{first}-{last}/{step}", f"*/{step}", *special.get(high, [])])


def read_differently(expression: str) -> bool:
    """A step after a single value or a range of one: see `test_a_range_of_one_value_with_a_step`."""
    items = [item.partition("/") for field in expression.split() for item in field.split(",")]
    return any(step and len({*span.split("-")}) == 1 and span != "*" for span, _, step in items)


def is_wildcard(expression: str) -> bool:
    minute, hour = expression.split()[:2]
    return minute.startswith("*") or hour.startswith("*")


def plain(shift: Shift) -> bool:
    """Moved by whole hours, on the hour, and inside a day: where cronsim follows wildcard entries."""
    before, after = shift.instant + shift.before, shift.instant + shift.after
    return before % HOUR == after % HOUR == 0 and (before - 1) // DAY == after // DAY == (after - 1) // DAY


def any_shift(tz: str, start: int, end: int) -> bool:
    return any(shifts(find_zone(tz), start, end))


def compare(expression: str, tz: str, start: int, end: int) -> int:
    """Assert that the two agree; return how many fires they agreed on."""
    try:
        found = gcron_fires(expression, tz, start, end)
    except ScheduleError as error:  # cronsim looks for fifty years, and then ends; or sees it as we do
        assert "never fire" in error.message, expression
        with suppress(CronSimError):
            assert cronsim_fires(expression, tz, start, end) == [], expression
        return 0
    assert cronsim_fires(expression, tz, start, end) == found, (expression, tz, start, end)
    return len(found)


def test_random_expressions_at_random_times_fire_as_in_cronsim() -> None:
    dice = random.Random(20260101)
    compared = 0
    for _ in range(EXAMPLES):
        expression, tz, start = random_expression(dice), dice.choice(ZONES), dice.randrange(FROM, TO)
        if read_differently(expression) or any_shift(tz, start - DAY, start + 4 * DAY):
            continue
        compared += compare(expression, tz, start, start + 4 * DAY)
    assert compared > EXAMPLES


def test_random_expressions_around_changes_of_the_clock_fire_as_in_cronsim() -> None:
    dice = random.Random(20260102)
    compared = 0
    for _ in range(EXAMPLES):
        expression, (tz, shift) = random_expression(dice), dice.choice(SHIFTS)
        if read_differently(expression) or (is_wildcard(expression) and not plain(shift)):
            continue
        start = shift.instant - dice.randrange(4 * HOUR, 26 * HOUR)
        compared += compare(expression, tz, start, shift.instant + dice.randrange(30 * HOUR))
    assert compared > EXAMPLES


# -- where cronsim differs: each case with what it says and what the rules say ------------------------------------


def test_a_range_of_one_value_with_a_step() -> None:
    """cronsim reads `5-5/2` as `5/2`, from 5 to the end; a range of one value has one value."""
    start = utc(2026, 3, 1)
    assert cronsim_fires("0 5-5/2 * * *", "UTC", start, start + DAY) == [
        start + hour * HOUR for hour in range(5, 24, 2)
    ]
    assert gcron_fires("0 5-5/2 * * *", "UTC", start, start + DAY) == [start + 5 * HOUR]


def test_a_skipped_day_is_not_made_up() -> None:
    """Apia skipped 2011-12-30: 24 hours, more than is made up; cronsim makes up whatever the size."""
    start, end = utc(2011, 12, 29, 12), utc(2012, 1, 1)
    noons = [utc(2011, 12, 29, 22), utc(2011, 12, 30, 22), utc(2011, 12, 31, 22)]
    assert gcron_fires("0 12 * * *", "Pacific/Apia", start, end) == noons
    assert cronsim_fires("0 12 * * *", "Pacific/Apia", start, end) == [noons[0], utc(2011, 12, 30, 10), *noons[1:]]


def test_asked_in_the_second_pass_of_an_hour() -> None:
    """cronsim drops which pass it is: its "next" fire lies 55 minutes in the past."""
    start = utc(2026, 11, 1, 6, 10)
    assert cronsim_fires("15 1 * * *", "America/New_York", start, start + 2 * DAY, 1) == [utc(2026, 11, 1, 5, 15)]
    assert gcron_fires("15 1 * * *", "America/New_York", start, start + 2 * DAY, 1) == [utc(2026, 11, 2, 6, 15)]


def test_a_wildcard_after_a_shift_of_half_an_hour() -> None:
    """cronsim goes by whole hours from a full hour, and after Lord Howe's shift by 30 minutes comes in the middle."""
    (shift,) = shifts(find_zone("Australia/Lord_Howe"), utc(2026, 4, 1), utc(2026, 4, 8))
    five = shift.instant + 10800 + 1800  # the clock shows 1:30 at the shift, 5:00 three and a half hours later
    start = shift.instant - 12 * HOUR
    found = gcron_fires("*/20 5 * * *", "Australia/Lord_Howe", start, five + DAY)
    assert found[-3:] == [
        five,
        five + 1200,
        five + 2400,
    ]
    assert cronsim_fires("*/20 5 * * *", "Australia/Lord_Howe", start, five + DAY)[-1:] == [five + 2400]


def test_a_wildcard_after_a_shift_at_a_quarter_to_three() -> None:
    """In Chatham 1989-10-08 2:45 became 3:45; cronsim leaves out all of the four o'clock hour, which was there."""
    (shift,) = shifts(find_zone("Pacific/Chatham"), utc(1989, 10, 1), utc(1989, 10, 10))
    four, expression = shift.instant + 900, "*/49 */2 * jan-mar,10-11 *"
    found = gcron_fires(expression, "Pacific/Chatham", shift.instant, four + 3 * HOUR)
    assert found == [four, four + 49 * 60, four + 2 * HOUR, four + 2 * HOUR + 49 * 60]
    assert cronsim_fires(expression, "Pacific/Chatham", shift.instant - DAY, four + 3 * HOUR)[-2:] == found[2:]
    assert four not in cronsim_fires(expression, "Pacific/Chatham", shift.instant - DAY, four + 3 * HOUR)


def test_a_wildcard_at_a_midnight_that_is_skipped() -> None:
    """In Casablanca 2009-06-01 began at 1:00; cronsim takes the midnight that never was for a match."""
    shift = utc(2009, 6, 1)
    start, end = shift - HOUR, shift + 4 * HOUR
    assert cronsim_fires("*/30 0,2 1 * *", "Africa/Casablanca", start, end)[0] == shift
    assert gcron_fires("*/30 0,2 1 * *", "Africa/Casablanca", start, end) == [shift + HOUR, shift + HOUR + 1800]

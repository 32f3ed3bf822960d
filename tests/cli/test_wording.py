"""Schedules in words: a table for people to read, and an oracle that reads the words back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.schedule import CronSchedule, parse
from gcron.schedule.layouts import FIELDS, NICKNAMES
from gcron.schedule.wording import describe, describe_fields, describe_period, join_words

WORDS = {
    # times of day
    "* * * * *": "Every minute",
    "*/1 * * * *": "Every minute",
    "0-59 * * * *": "Every minute",
    "*/15 * * * *": "Every 15 minutes",
    "0,15,30,45 * * * *": "Every 15 minutes",
    "0-59/20 * * * *": "Every 20 minutes",
    "0,30 * * * *": "Every 30 minutes",
    "5-59/15 * * * *": "At minutes 5, 20, 35 and 50 of every hour",
    "*/7 * * * *": "At every 7th minute from 0 to 56 of every hour",
    "0 * * * *": "Every hour, on the hour",
    "7 * * * *": "At minute 7 of every hour",
    "30 2 * * *": "At 02:30 every day",
    "0 0 * * *": "At 00:00 every day",
    "0 8,12,18 * * *": "At 08:00, 12:00 and 18:00 every day",
    "0,30 8,12 * * *": "At 08:00, 08:30, 12:00 and 12:30 every day",
    "0 */6 * * *": "At 00:00, 06:00, 12:00 and 18:00 every day",
    "5 */2 * * *": "Every 2 hours from 00:05 to 22:05, every day",
    "0 9-17 * * *": "Every hour from 09:00 to 17:00, every day",
    "30 8-18/2 * * *": "At 08:30, 10:30, 12:30, 14:30, 16:30 and 18:30 every day",
    "* 2 * * *": "Every minute from 02:00 to 02:59, every day",
    "* 9-17 * * *": "Every minute from 09:00 to 17:59, every day",
    "*/15 9-17 * * *": "Every 15 minutes from 09:00 to 17:45, every day",
    "*/20 1,5,7 * * *": "Every 20 minutes in the hours 01, 05 and 07, every day",
    "*/10 */4 * * *": "Every 10 minutes in every 4th hour from 00 to 20, every day",
    "10-20 3 * * *": "At every minute from 10 to 20 of hour 03, every day",
    "0,10-12,40 8-10 * * *": "At minutes 0, 10 to 12 and 40 of every hour from 08 to 10, every day",
    "0 22-23,0-2 * * *": "At 00:00, 01:00, 02:00, 22:00 and 23:00 every day",
    "1 0-5,9 * * *": "At minute 1 of the hours 00 to 05 and 09, every day",
    # days of the month
    "30 2 1 * *": "At 02:30 on the 1st of every month",
    "0 0 1,15 * *": "At 00:00 on the 1st and the 15th of every month",
    "0 0 2,3,22,23,31 * *": "At 00:00 on the 2nd, the 3rd, the 22nd, the 23rd and the 31st of every month",
    "0 12 1-7 * *": "At 12:00 on every day from the 1st to the 7th of every month",
    "0 12 1-3,20 * *": "At 12:00 on the 1st to the 3rd and the 20th of every month",
    "0 0 */10 * *": "At 00:00 on the 1st, the 11th, the 21st and the 31st of every month",
    "0 0 */2 * *": "At 00:00 on every 2nd day from the 1st to the 31st of every month",
    "0 0 L * *": "At 00:00 on the last day of every month",
    "0 0 15W * *": "At 00:00 on the weekday nearest to the 15th of every month",
    "0 0 L-1 * *": "At 00:00 on the day before the last of every month",
    "0 0 L-3 2 *": "At 00:00 on the 3rd day before the last of February",
    "0 0 LW * *": "At 00:00 on the last weekday of every month",
    "0 0 1,L * *": "At 00:00 on the 1st and the last day of every month",
    "0 0 ? * *": "At 00:00 every day",
    # days of the week
    "0 9 * * 1": "At 09:00 on Mondays",
    "0 9 * * MON": "At 09:00 on Mondays",
    "0 9 * * 0": "At 09:00 on Sundays",
    "0 9 * * 7": "At 09:00 on Sundays",
    "0 9 * * mon-fri": "At 09:00 on Monday to Friday",
    "0 9 * * sat,sun": "At 09:00 on Saturdays and Sundays",
    "0 9 * * 6-7": "At 09:00 on Saturdays and Sundays",
    "0 9 * * mon,wed,fri": "At 09:00 on Mondays, Wednesdays and Fridays",
    "0 9 * * 5-7": "At 09:00 on Friday to Sunday",
    "0 9 * * fri-sun": "At 09:00 on Friday to Sunday",
    "0 18 * * 5L": "At 18:00 on the last Friday of the month",
    "0 9 * * 1#2": "At 09:00 on the second Monday of the month",
    "0 9 * * 1#1,3#3": "At 09:00 on the first Monday of the month and the third Wednesday of the month",
    "0 9 * * 1,5L": "At 09:00 on Mondays and the last Friday of the month",
    "*/15 9-17 * * 1-5": "Every 15 minutes from 09:00 to 17:45, on Monday to Friday",
    # months
    "0 0 1 1 *": "At 00:00 on the 1st of January",
    "0 0 29 2 *": "At 00:00 on the 29th of February",
    "0 0 1 jan,jul *": "At 00:00 on the 1st of January and July",
    "0 0 * 6 *": "At 00:00 every day in June",
    "0 0 * 6-8 *": "At 00:00 every day in June to August",
    "* * * 6 *": "Every minute, every day in June",
    "0 9 * jan,jul 1#2": "At 09:00 on the second Monday of the month in January and July",
    # the day rule
    "30 2 1 * mon": "At 02:30 on the 1st of every month and on Mondays",
    "0 12 13 * fri": "At 12:00 on the 13th of every month and on Fridays",
    "0 0 1-31/2 * 1": "At 00:00 on every 2nd day from the 1st to the 31st of every month and on Mondays",
    "0 0 */2 * 1": "At 00:00 on Mondays, but only on every 2nd day from the 1st to the 31st of the month",
    "0 0 */10 * 1": "At 00:00 on Mondays, but only on the 1st, the 11th, the 21st or the 31st of the month",
    "0 0 13 * */2": "At 00:00 on Tuesdays, Thursdays, Saturdays and Sundays, but only on the 13th of the month",
    "0 0 1-31 * 1": "At 00:00 every day",
    "0 0 1 3 fri": "At 00:00 on the 1st of March and on Fridays in March",
}


@pytest.mark.parametrize(("expression", "words"), WORDS.items())
def test_schedules_are_described_in_plain_words(expression: str, words: str) -> None:
    assert describe(expression) == words


def test_a_drawn_value_is_described_as_drawn() -> None:
    schedule = parse("H H(2-4) * * ~", seed="backup")
    fire = schedule.next_after(0)
    assert fire is not None
    time = f"{fire % 86400 // 3600:02}:{fire % 3600 // 60:02}"
    assert describe("H H(2-4) * * ~", "backup").startswith(f"At {time} on ")
    fields = describe_fields("H H(2-4) * * ~", "backup")
    assert [field.drawn for field in fields] == [True, True, False, False, True]
    assert fields[0].words == f"minute {fire % 3600 // 60}"


@pytest.mark.parametrize("nickname", NICKNAMES)
def test_a_nickname_has_the_same_fires_as_its_fields(nickname: str) -> None:
    meant, said = parse(nickname), parse(NICKNAMES[nickname])
    assert isinstance(meant, CronSchedule)
    assert isinstance(said, CronSchedule)
    assert (meant.pattern, meant.wildcard) == (said.pattern, said.wildcard)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "every second"),
        (90, "every 90 seconds"),
        (60, "every minute"),
        (7200, "every 2 hours"),
        (86400, "every day"),
        (604800, "every week"),
        (5400, "every 90 minutes"),
    ],
)
def test_a_period_is_described_in_its_largest_whole_unit(seconds: int, words: str) -> None:
    assert describe_period(seconds) == words


def test_lists_of_words_are_joined_with_commas_and_and() -> None:
    assert [join_words(list(letters)) for letters in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("expression", "fields", "words"),
    [
        ("0 30 2 * * *", "seconds-first", "At 02:30 every day"),
        ("15 30 2 * * *", "seconds-first", "At 02:30 every day, at second 15"),
        ("* * * * * *", "seconds-first", "Every minute, at every second"),
        ("*/20 * * * * *", "seconds-first", "Every minute, at seconds 0, 20 and 40"),
        ("30 2 * * * 15,45", "seconds-last", "At 02:30 every day, at seconds 15 and 45"),
        ("30 2 1 1 * 2027", "year-last", "At 02:30 on the 1st of January, in 2027"),
        ("0 30 2 1 1 * 2027-2029", None, "At 02:30 on the 1st of January, in 2027 to 2029"),
        ("0 30 2 1 1 * *", "seconds-first+year", "At 02:30 on the 1st of January"),
    ],
)
def test_seconds_and_years_are_described_last(expression: str, fields: str | None, words: str) -> None:
    assert describe(expression, fields=fields) == words
    assert len(describe_fields(expression, fields=fields)) == len(expression.split())


# -- the oracle: the time of day read back from the words ----------------------------------------------------------


def times_in(words: str) -> set[int]:
    """Return the minutes of the day that the words name, by a simple grammar."""
    words = words.removesuffix(" every day").removesuffix(",")
    if match := re.fullmatch(r"Every (?:minute|(\d+) minutes)(.*)", words):
        return _interval(int(match[1] or 1), match[2].strip())
    if words == "Every hour, on the hour":
        return {hour * 60 for hour in range(24)}
    if match := re.fullmatch(r"Every (?:hour|(\d+) hours) from (\d\d):(\d\d) to (\d\d):(\d\d)", words):
        first, last = (int(match[2]) * 60 + int(match[3]), int(match[4]) * 60 + int(match[5]))
        return set(range(first, last + 1, 60 * int(match[1] or 1)))
    if match := re.fullmatch(r"At ((?:\d\d:\d\d(?:, | and |))+)", words):
        return {int(time[:2]) * 60 + int(time[3:]) for time in re.findall(r"\d\d:\d\d", match[1])}
    match = re.fullmatch(r"At (.*?) of (.*)", words)
    assert match is not None, words
    return {hour * 60 + minute for hour in _numbers(match[2], 24) for minute in _numbers(match[1], 60)}


def _interval(step: int, rest: str) -> set[int]:
    if not rest:
        return set(range(0, 1440, step))
    if match := re.fullmatch(r"from (\d\d):00 to (\d\d):(\d\d)", rest):
        return set(range(int(match[1]) * 60, int(match[2]) * 60 + int(match[3]) + 1, step))
    hours = _numbers(rest.removeprefix("in "), 24)
    return {hour * 60 + minute for hour in hours for minute in range(0, 60, step)}


def _numbers(words: str, end: int) -> set[int]:
    if re.fullmatch(r"every (minute|hour)", words):
        return set(range(end))
    if match := re.fullmatch(r"every (?:(\d+)\w\w )?(?:minute|hour) from (\d+) to (\d+)", words):
        return set(range(int(match[2]), int(match[3]) + 1, int(match[1] or 1)))
    numbers: set[int] = set()
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", words):
        numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


def items(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted)
    return st.one_of(
        st.just("*"),
        st.integers(1, high).map(lambda step: f"*/{step}"),
        number.map(str),
        span.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.tuples(span, st.integers(1, 30)).map(lambda parts: f"{parts[0][0]}-{parts[0][1]}/{parts[1]}"),
    )


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    return st.lists(items(low, high), min_size=1, max_size=4).map(",".join)


@given(fields(0, 59), fields(0, 23))
def test_the_words_name_exactly_the_times_of_the_fields(minute: str, hour: str) -> None:
    schedule = parse(f"{minute} {hour} * * *")
    assert isinstance(schedule, CronSchedule)
    day = _fires(schedule)
    assert times_in(describe(schedule.text)) == day


def _fires(schedule: CronSchedule) -> set[int]:
    found, fire = set(), schedule.next_after(-1)
    while fire is not None and fire < 86400:
        found.add(fire // 60)
        fire = schedule.next_after(fire)
    return found


@given(*(fields(kind.low, kind.high) for kind in FIELDS))
def test_each_expression_has_a_description(minute: str, hour: str, day: str, month: str, weekday: str) -> None:
    expression = " ".join((minute, hour, day, month, weekday))
    words = describe(expression)
    assert words[0].isupper()
    assert "  " not in words
    assert not re.search(r"\b(on|of|in|from|to)( (on|of|in|and|,)|$|,)", words), words
    assert len(describe_fields(expression)) == 5

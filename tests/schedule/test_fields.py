"""What a field means: each form of it, by the values it stands for."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from gcron.schedule import CronSchedule, EverySchedule, Schedule, ScheduleError, Unscheduled, check, parse
from gcron.schedule.fields import parse_field
from gcron.schedule.layouts import DAY, FIELDS, HOUR, MINUTE, MONTH, WEEKDAY


def values(kind, text, seed=""):
    bits = parse_field(kind, text, seed).bits
    return [value for value in range(64) if bits >> value & 1]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (MINUTE, "*", range(60)),
        (MINUTE, "*/15", [0, 15, 30, 45]),
        (MINUTE, "*/7", range(0, 60, 7)),
        (MINUTE, "*/90", [0]),
        (MINUTE, "0", [0]),
        (MINUTE, "007", [7]),
        (MINUTE, "5-5", [5]),
        (MINUTE, "5-5/3", [5]),
        (MINUTE, "58-59", [58, 59]),
        (MINUTE, "10-30/10", [10, 20, 30]),
        (MINUTE, "50-51/15", [50]),
        (MINUTE, "1,2,2,1", [1, 2]),
        (MINUTE, "0-10/5,30,40-41", [0, 5, 10, 30, 40, 41]),
        (MINUTE, "0,*", range(60)),
        (MINUTE, "*/30,7", [0, 7, 30]),
        (HOUR, "*", range(24)),
        (HOUR, "22-23,0-2", [0, 1, 2, 22, 23]),
        (HOUR, "0-23/5", [0, 5, 10, 15, 20]),
        (DAY, "*", range(1, 32)),
        (DAY, "*/2", range(1, 32, 2)),
        (DAY, "?", range(1, 32)),
        (DAY, "31", [31]),
        (MONTH, "*", range(1, 13)),
        (MONTH, "jan", [1]),
        (MONTH, "JAN-Mar,dec", [1, 2, 3, 12]),
        (MONTH, "jan-jan", [1]),
        (MONTH, "feb-nov/3", [2, 5, 8, 11]),
        (MONTH, "*/5", [1, 6, 11]),
        (WEEKDAY, "*", range(7)),
        (WEEKDAY, "?", range(7)),
        (WEEKDAY, "0", [0]),
        (WEEKDAY, "7", [0]),
        (WEEKDAY, "7-7", [0]),
        (WEEKDAY, "0-7", range(7)),
        (WEEKDAY, "5-7", [0, 5, 6]),
        (WEEKDAY, "6-7/2", [6]),
        (WEEKDAY, "1-7/2", [0, 1, 3, 5]),
        (WEEKDAY, "1-7/3", [0, 1, 4]),
        (WEEKDAY, "*/2", [0, 2, 4, 6]),
        (WEEKDAY, "mon-FRI", [1, 2, 3, 4, 5]),
        (WEEKDAY, "sun,3", [0, 3]),
        (WEEKDAY, "mon-5", [1, 2, 3, 4, 5]),
        # A week that ends on Sunday, as cronie has it.
        (WEEKDAY, "fri-sun", [0, 5, 6]),
        (WEEKDAY, "sat-sun", [0, 6]),
        (WEEKDAY, "fri-0", [0, 5, 6]),
        (WEEKDAY, "mon-sun/2", [0, 1, 3, 5]),
        (WEEKDAY, "7-0", [0]),
        (WEEKDAY, "sun-sun", [0]),
        (WEEKDAY, "0-sun", [0]),
        (MINUTE, "*/1000000000", [0]),
        (MINUTE, "0000000000007", [7]),
    ],
)
def test_a_field_stands_for_its_values(kind, text, expected):
    assert values(kind, text) == list(expected)


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.name)
def test_every_single_value_and_every_range_is_itself(kind):
    for low in range(kind.low, kind.high + 1):
        assert values(kind, str(low)) == [low]
        for high in range(low, kind.high + 1):
            for step in (1, 2, 5, 40):
                assert values(kind, f"{low}-{high}/{step}") == list(range(low, high + 1, step))


def days_of_2026(expression):
    """The days of 2026 on which an expression fires, as month-day."""
    fires = parse(expression).fires(
        datetime(2025, 12, 31, 23, 59, tzinfo=UTC), datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    )
    return [f"{fire:%m-%d}" for fire in fires]


# 2026 begins on a Thursday; Sundays in February are 1, 8, 15, 22.
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 1 2 0", ["02-01", "02-08", "02-15", "02-22"]),
        ("0 0 2 2 0", ["02-01", "02-02", "02-08", "02-15", "02-22"]),
        ("0 0 */2 2 1", ["02-09", "02-23"]),
        ("0 0 1-7/2 2 */2", ["02-01", "02-03", "02-05", "02-07"]),
        ("0 0 1-31/14 2 1", ["02-01", "02-02", "02-09", "02-15", "02-16", "02-23"]),
        ("0 0 ? 2 1", ["02-02", "02-09", "02-16", "02-23"]),
        ("0 0 3 2 ?", ["02-03"]),
        ("0 0 3 2 1,*", [f"02-{day:02}" for day in range(1, 29)]),
        ("0 0 L 1-4 *", ["01-31", "02-28", "03-31", "04-30"]),
        ("0 0 1,L 2 *", ["02-01", "02-28"]),
        ("0 0 L-1 1-4 *", ["01-30", "02-27", "03-30", "04-29"]),
        ("0 0 l-28 1-4 *", ["01-03", "03-03", "04-02"]),
        ("0 0 LW 1-5 *", ["01-30", "02-27", "03-31", "04-30", "05-29"]),
        ("0 0 1,lW,L-3 2 *", ["02-01", "02-25", "02-27"]),
        ("0 0 15W 2,3,8 *", ["02-16", "03-16", "08-14"]),
        ("0 0 1W 2,8 *", ["02-02", "08-03"]),
        ("0 0 31W 1,2,5 *", ["01-30", "05-29"]),
        ("0 0 * 2 5L", ["02-27"]),
        ("0 0 * 2 friL,7L", ["02-22", "02-27"]),
        ("0 0 * 2 1#2", ["02-09"]),
        ("0 0 * 2-4 sun#5", ["03-29"]),
        ("0 0 3 2 1#2", ["02-03", "02-09"]),
        ("0 0 * 2 1#2,5", ["02-06", "02-09", "02-13", "02-20", "02-27"]),
        ("@monthly", [f"{month:02}-01" for month in range(1, 13)]),
        ("@yearly", ["01-01"]),
        ("@annually", ["01-01"]),
    ],
)
def test_the_day_fields_pick_days(expression, expected):
    assert days_of_2026(expression) == expected


@pytest.mark.parametrize(
    ("nickname", "expression"),
    [("@weekly", "0 0 * * 0"), ("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"), ("@hourly", "0 * * * *")],
)
def test_a_nickname_is_an_expression(nickname, expression):
    named, written = parse(nickname), parse(expression)
    assert isinstance(named, CronSchedule)
    assert isinstance(written, CronSchedule)
    assert (named.text, named.pattern, named.wildcard) == (nickname, written.pattern, written.wildcard)


@pytest.mark.parametrize(
    ("expression", "wildcard"),
    [
        ("* * * * *", True),
        ("*/5 2 * * *", True),
        ("0 */2 * * *", True),
        ("*,5 2 * * *", True),
        ("0 0-23 * * *", False),
        ("0-59 2 * * *", False),
        ("0,* 2 * * *", False),
        ("30 2 * * *", False),
        ("H 2 * * *", False),
    ],
)
def test_a_wildcard_entry_begins_its_minute_or_hour_with_a_star(expression, wildcard):
    schedule = parse(expression)
    assert isinstance(schedule, CronSchedule)
    assert schedule.wildcard is wildcard


@pytest.mark.parametrize(("text", "kind"), [("@reboot", "reboot"), ("@service", "service"), ("@manual", "manual")])
def test_reboot_service_and_manual_never_fire_by_the_clock(text, kind):
    schedule = parse(text)
    assert isinstance(schedule, Unscheduled)
    assert (schedule.kind, schedule.next_after(0), schedule.previous_before(0)) == (kind, None, None)


def test_every_counts_from_the_epoch_and_not_from_now():
    schedule = parse("@every 90s")
    assert isinstance(schedule, EverySchedule)
    assert [schedule.next_after(at) for at in (0, 89, 90, 91)] == [90, 90, 180, 180]
    assert [schedule.previous_before(at) for at in (91, 90, 89, 0)] == [90, 0, 0, -90]


def test_schedules_are_equal_by_text_and_zone():
    assert parse("0 0 * * *", "UTC") == parse("0 0 * * *", "UTC")
    assert parse("0 0 * * *", "UTC") != parse("0 0 * * *", "Europe/Berlin")
    assert len({parse("@every 5m"), parse("@every 5m"), parse("@manual")}) == 2


def test_blanks_between_and_around_fields_do_not_matter():
    def pattern(schedule: Schedule) -> object:
        assert isinstance(schedule, CronSchedule)
        return schedule.pattern

    assert pattern(parse(" \t5  4\t* * 1 ")) == pattern(parse("5 4 * * 1"))


@pytest.mark.parametrize(
    ("kind", "text", "allowed"),
    [
        (MINUTE, "H", range(60)),
        (MINUTE, "~", range(60)),
        (HOUR, "H", range(24)),
        (HOUR, "H(9-17)", range(9, 18)),
        (HOUR, "9~17", range(9, 18)),
        (HOUR, "20~", range(20, 24)),
        (HOUR, "~3", range(4)),
        (DAY, "H", range(1, 29)),
        (DAY, "~", range(1, 32)),
        (MONTH, "H", range(1, 13)),
        (WEEKDAY, "H", range(7)),
        (WEEKDAY, "mon~fri", range(1, 6)),
    ],
)
def test_a_seeded_value_is_spread_evenly_over_its_range(kind, text, allowed):
    drawn = Counter(values(kind, text, f"job-{number}")[0] for number in range(200 * len(allowed)))
    assert set(drawn) == set(allowed)
    # 200 are expected of each; eight standard deviations leave no room for chance.
    assert all(90 < count < 310 for count in drawn.values())


@pytest.mark.parametrize(("kind", "size"), [(MINUTE, 60), (HOUR, 24), (DAY, 28), (MONTH, 12), (WEEKDAY, 7)])
def test_ten_thousand_names_are_spread_evenly(kind, size):
    """Chi-square: with `size - 1` degrees of freedom, five standard deviations above its mean are out of reach."""
    drawn = Counter(values(kind, "H", f"/usr/bin/job-{number}")[0] for number in range(10_000))
    expected = 10_000 / size
    chi_square = sum((drawn[kind.low + n] - expected) ** 2 / expected for n in range(size))
    assert chi_square < size - 1 + 5 * (2 * (size - 1)) ** 0.5


def test_h_h_reaches_every_minute_of_the_day_evenly():
    instants = Counter(parse("H H * * *", seed=f"job-{number}").next_after(-1) for number in range(20_000))
    assert set(instants) == set(range(0, 86400, 60))
    assert max(instants.values()) < 40


def test_a_seeded_step_begins_anywhere_in_its_first_round():
    phases = {tuple(values(MINUTE, "H/15", f"job-{number}")) for number in range(300)}
    assert phases == {tuple(range(first, 60, 15)) for first in range(15)}


def test_a_seeded_step_stays_in_its_range():
    for number in range(50):
        found = values(MINUTE, "H(10-29)/15", f"job-{number}")
        assert found == list(range(found[0], 30, 15))
        assert 10 <= found[0] < 25


def test_seeded_minute_and_hour_are_independent():
    times = {(*values(MINUTE, "H", f"job-{n}"), *values(HOUR, "H", f"job-{n}")) for n in range(20_000)}
    assert len(times) == 1440


def test_seeded_values_never_change():
    # Golden: whoever changes the hash moves everybody's jobs.
    assert [values(MINUTE, "H", name) for name in ("backup", "report", "")] == [[9], [35], [19]]


def test_a_seeded_schedule_depends_on_its_seed_only():
    assert parse("H H * * *", seed="backup") == parse("H H * * *", seed="backup")
    assert parse("H H * * *", seed="backup") != parse("H H * * *", seed="report")
    assert parse("5 4 * * *", seed="backup") == parse("5 4 * * *", seed="report")


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("*/90 * * * *", ["90"]),
        ("*/59 * * * *", []),
        ("*/60 * * * *", ["60"]),
        ("1,10-20/30 5-6/2 * * *", ["30", "2"]),
        ("H/15 * 15W * 1#2", []),
        ("@daily", []),
    ],
)
def test_a_step_larger_than_its_range_is_warned_about(text, warned):
    assert [text[warning.start : warning.end] for warning in check(text)] == warned


@pytest.mark.parametrize(
    ("text", "names"),
    [
        # `0 0 9 ? * 2-6 *` is Monday to Friday for Quartz and AWS, and ran from Tuesday to Saturday without a word.
        ("0 0 9 ? * 2-6 *", "tue-sat or mon-fri"),
        ("0 9 ? * 1", "mon or sun"),
        ("0 9 ? * 7", "sun or sat"),
        ("0 9 ? * 6#3", "sat#3 or fri#3"),
        ("0 9 ? * 2,6L", "tue,satL or mon,friL"),
        ("0 9 ? * 1-7/2", "mon-sun/2 or sun-sat/2"),
        ("0 0 9 * * 1 2099", "mon or sun"),
        ("0 9 * * 2-6", None),
        ("0 9 ? * 0,6", None),
        ("0 9 ? * mon-fri", None),
        ("0 9 ? * fri#3", None),
        ("0 9 ? * */2", None),
        ("0 0 9 1 * ? *", None),
    ],
)
def test_numbers_of_weekdays_are_warned_about_where_quartz_counts_otherwise(text, names):
    hints = [warning.hint for warning in check(text)]
    assert hints == ([] if names is None else [f"names are clear everywhere: write {names}"])


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        # `* 4 * * *` is the most common way to write "once at four", and means sixty times.
        ("* 4 * * *", 60),
        ("* 4,4,16 * * 1", 120),
        ("0 * 4 * * * *", 60),
        ("*/1 4 * * *", 0),
        ("* 9-17 * * *", 0),
        ("* */4 * * *", 0),
        ("* H * * *", 0),
        ("0-59 4 * * *", 0),
    ],
)
def test_every_minute_of_one_hour_is_warned_about(text, fires):
    found = [int(warning.message.split()[-4]) for warning in check(text)]
    assert found == ([fires] if fires else [])


def test_the_cache_does_not_keep_errors():
    for _ in range(2):
        with pytest.raises(ScheduleError):
            parse("61 * * * *")

"""What is refused: the message, its columns, and its hint."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.schedule import CronSchedule, ScheduleError, parse, parse_duration, split_schedule

# Each row: the text, the part of it that is at fault, words of the message, words of the hint.
REFUSED = [
    ("0 22-2 * * *", "22-2", "reversed", "write 22-23,0-2"),
    ("50-10/5 * * * *", "50-10", "reversed", "write 50-59,0-10"),
    ("0 0 * * fri-mon", "fri-mon", "reversed", "write 5-6,0-1"),
    ("0 0 * * sat-wed", "sat-wed", "reversed", "write 6,0-3"),
    ("0 0 * dec-jan *", "dec-jan", "reversed", "write 12,1"),
    ("60 * * * *", "60", "out of range in the minute field", "0 to 59"),
    ("* 24 * * *", "24", "out of range in the hour field", "0 to 23"),
    ("* * 0 * *", "0", "out of range in the day of month field", "1 to 31"),
    ("* * 32 * *", "32", "out of range", "1 to 31"),
    ("* * * 13 *", "13", "out of range", "1 to 12"),
    ("* * * * 8", "8", "out of range", "0 to 7"),
    ("1,2,3-99 * * * *", "99", "out of range", "0 to 59"),
    ("* * * * 9L", "9", "out of range", "0 to 7"),
    ("* * 32W * *", "32", "out of range", "1 to 31"),
    ("H(0-99) * * * *", "99", "out of range", "0 to 59"),
    ("* 30~40 * * *", "30", "out of range", "0 to 23"),
    ("* * * * 1#6", "6", "not a week of the month", "1 to 5"),
    ("*/0 * * * *", "0", "step of 0", "from 1 up"),
    ("1-5/ * * * *", "", "step is missing", "from 1 up"),
    ("*/x * * * *", "x", "not a step", "from 1 up"),
    ("*/-5 * * * *", "-5", "not a step", "from 1 up"),
    ("5/10 * * * *", "5/10", "different things", "write 5-59/10"),
    ("0 0 * * mon/2", "mon/2", "different things", "write mon-6/2"),
    ("0 0 31 2 *", "31 2", "never fire", "choose a day"),
    ("0 0 31 2,4,6,9,11 *", "31 2,4,6,9,11", "never fire", "choose a day"),
    ("0 0 30-31 feb *", "30-31 feb", "never fire", "choose a day"),
    ("0 0 */30 2-12 1#2", "*/30 2-12 1#2", "never fire", "loosen"),
    ("0 mon * * *", "mon", "not a hour but a day of week", "0 to 23"),
    ("0 0 * monday *", "monday", "not a month", "a name from jan to dec"),
    ("0 0 * * january", "january", "not a day of week", "a name from sun to sat"),
    ("0 0 * * L", "L", "not a day of week", "0 to 7"),
    ("L 0 * * *", "L", "not a minute", "0 to 59"),
    ("? 0 * * *", "?", "no meaning in the minute field", "write *"),
    ("0 0 ?/2 * *", "?", "not a day of month", "1 to 31"),
    ("1,,2 * * * *", "", "missing", "remove the comma"),
    (", * * * *", "", "missing", "remove the comma"),
    ("*5 * * * *", "*5", "not a minute", "0 to 59"),
    ("*-5 * * * *", "*", "not a minute", "0 to 59"),
    ("-1 * * * *", "-1", "not a value, range or step", ""),
    ("1-2-3 * * * *", "1-2-3", "not a value, range or step", ""),
    ("1.5 * * * *", "1.5", "not a minute", "0 to 59"),
    ("٣ * * * *", "٣", "not a minute", "0 to 59"),
    ("9999999999999 * * * *", "9999999999999", "out of range in the minute field", "0 to 59"),
    ("H(0-9999999999) * * * *", "9999999999", "out of range in the minute field", "0 to 59"),
    ("* * 9999999999W * *", "9999999999", "out of range in the day of month field", "1 to 31"),
    ("0 0 L-0 * *", "0", "no month has a day that is 0 days before its last", "L-1 to L-30"),
    ("0 0 L-31 * *", "31", "no month has a day that is 31 days before its last", "L-1 to L-30"),
    ("0 0 L-30 2 *", "L-30 2", "never fire", "choose a day"),
    ("0 0 1-L * *", "L", "cannot be part of a range", "write L, LW, L-3"),
    ("0 0 L/2 * *", "L", "cannot be part of a range", "write L, LW, L-3"),
    ("0 0 L-x * *", "L", "cannot be part of a range", "write L, LW, L-3"),
    ("1~5/2 * * * *", "1~5", "not a minute", "0 to 59"),
    ("* * * * *\n", "*\n", "not a day of week", "0 to 7"),
    ("* * *", "* * *", "five fields, here are 3", "minute, hour, day of month"),
    ("", "", "missing", "minute, hour, day of month"),
    ("30 0 2 * * 1", "30 0 2 * * 1", "three different things", "seconds first"),
    ("0 30 2 29 2 ? 2026", "0 30 2 29 2 ? 2026", "can never fire: none of its years", "choose a year"),
    ("60 30 2 * * ? *", "60", "out of range in the second field", "write 0 to 59"),
    ("0 30 2 * * ? 1969", "1969", "out of range in the year field", "write 1970 to 2099"),
    ("0 30 2 * * ? 2030-2026", "2030-2026", "reversed", "2030-2099,1970-2026"),
    ("@Daily", "@Daily", "not a nickname", "lower case: write @daily"),
    ("@EVERY 5m", "@EVERY", "not a nickname", "lower case: write @every"),
    ("@fortnightly", "@fortnightly", "not a nickname", "@weekly"),
    ("@dayly", "@dayly", "not a nickname", "did you mean @daily?"),
    ("@Dayly", "@Dayly", "not a nickname", "did you mean @daily?"),
    ("1=2", "1=2", "five fields, here is 1", "minute, hour"),
    ("@every 999999999999", "999999999999", "can never fire", "90s"),
    ("@daily 5", "5", "nothing may follow @daily", ""),
    ("@every 5m 3", "3", "nothing may follow @every 5m", ""),
    ("@every", "@every", "needs a duration", "90s"),
    ("@every 0", "0", "whole number of seconds", "90s"),
    ("@every 1.5s", "1.5s", "whole number of seconds", "90s"),
    ("@every 500ms", "500ms", "whole number of seconds", "90s"),
    ("@every often", "often", "not a duration", "1h30m"),
]


@pytest.mark.parametrize(("text", "fault", "message", "hint"), REFUSED, ids=[repr(row[0]) for row in REFUSED])
def test_a_bad_schedule_is_refused_where_it_is_bad(text, fault, message, hint):
    with pytest.raises(ScheduleError) as caught:
        parse(text)
    error = caught.value
    assert text[error.start : error.end] == fault
    assert message in error.message
    assert hint in error.hint


def test_six_fields_are_refused_with_all_three_readings():
    with pytest.raises(ScheduleError) as caught:
        parse("30 0 2 * * 1")
    for reading in ("second 30 of `0 2 * * 1`", "second 1 of `30 0 2 * *`", "`30 0 2 * *` in the year 1"):
        assert reading in caught.value.hint


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Europe", "a\0b", "Ünknown"])
def test_an_unknown_zone_is_refused(name):
    with pytest.raises(ScheduleError, match="unknown time zone") as caught:
        parse("* * * * *", name)
    assert (caught.value.start, caught.value.end) == (0, 0)


def test_an_error_reads_as_a_sentence_and_survives_pickling():
    error = ScheduleError("it is wrong", 3, 5, "write it right")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == "it is wrong; write it right"
    assert (copy.start, copy.end) == (3, 5)


def refusal_of(text: str) -> ScheduleError | None:
    try:
        parse(text, seed="job")
    except ScheduleError as error:
        return error
    return None


@given(st.text(alphabet="0123456789*/-,~#?LWHh() \t@abejnmorsuvy\n\0é", max_size=30))
def test_any_text_is_a_schedule_or_an_error_with_columns(text):
    error = refusal_of(text)
    assert error is None or 0 <= error.start <= error.end <= len(text)


FIELD_TEXT = st.lists(
    st.sampled_from(
        ["*", "0", "1", "59", "1-5", "9-3", "*/2", "2/3", "mon", "H", "~3", "L", "15W", "1#2", "5L", "?", "90", ""]
    ),
    min_size=1,
    max_size=3,
).map(",".join)


@given(st.lists(FIELD_TEXT, min_size=5, max_size=5).map(" ".join))
def test_what_passes_the_checks_fires(text):
    if refusal_of(text) is None:
        schedule = parse(text, seed="job")
        assert isinstance(schedule, CronSchedule)
        assert schedule.next_after(0) is not None


@pytest.mark.parametrize(
    ("line", "schedule"),
    [
        ("30 2 * * * backup", "30 2 * * *"),
        ("30  2\t* * *\tbackup  now", "30  2\t* * *"),
        ("30 2 * * *", "30 2 * * *"),
        ("@daily backup", "@daily"),
        ("@every 90s poll", "@every 90s"),
        ("@every  90s", "@every  90s"),
        ("@Daily backup", "@Daily"),
        ("99 x * * * backup", "99 x * * *"),
        ("0 0 * * * 7z a", "0 0 * * *"),
        ("0 0 * * * monit", "0 0 * * *"),
        ("0 30 2 * * ? 2026 backup", "0 30 2 * * ? 2026"),
        ("0 30 2 * * MON-FRI * backup", "0 30 2 * * MON-FRI *"),
        ("0 0 * * * -q backup", "0 0 * * *"),
    ],
)
def test_the_schedule_of_a_line_ends_where_the_command_begins(line, schedule):
    assert line[: split_schedule(line)] == schedule


@pytest.mark.parametrize(
    ("line", "fault", "message"),
    [
        ("", "", "missing"),
        ("* * *", "* * *", "here are 3"),
        ("@every", "@every", "needs a duration"),
        ("0 30 2 * * * backup", "0 30 2 * * *", "six fields"),
        ("0 30 2 * * 1-5 backup", "0 30 2 * * 1-5", "six fields"),
        ("0 30 2 * * mon-fri backup", "0 30 2 * * mon-fri", "six fields"),
        ("0 30 2 * * 5L backup", "0 30 2 * * 5L", "six fields"),
    ],
)
def test_a_line_without_one_clear_schedule_is_refused(line, fault, message):
    with pytest.raises(ScheduleError, match=message) as caught:
        split_schedule(line)
    assert line[caught.value.start : caught.value.end] == fault


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("90", 90), ("1.5", 1.5), ("90s", 90), ("1h30m", 5400), ("2d", 172800), ("1w", 604800),
        ("1d12h", 129600), ("250ms", 0.25), ("1s500ms", 1.5), ("1.5h", 5400),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "1x", "h", "1h 30m", "30m1h", "1m1m", "1e3", "inf", "nan", "1_000", "1H", ".5", "1" * 5000]
)
def test_what_is_no_duration_is_refused_with_examples(text):
    with pytest.raises(ScheduleError) as caught:
        parse_duration(text)
    assert "1h30m" in caught.value.hint

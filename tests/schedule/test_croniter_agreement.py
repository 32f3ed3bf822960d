"""Fields as croniter reads them: gcron expands most fields itself, and must not drift from the library.

Where croniter reads a field in another way, on purpose or not, the case is below with what each of the two says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.schedule import parse
from gcron.schedule.fields import parse_field
from gcron.schedule.layouts import DAY, FIELDS, HOUR, MINUTE, MONTH, SEVEN, WEEKDAY, YEAR, FieldKind

EXAMPLES = int(os.environ.get("GCRON_SCHEDULE_EXAMPLES", "100")) * 10
ROOT = Path(__file__).parents[2]


def gcron_values(kind: FieldKind, text: str) -> list[int]:
    bits = parse_field(kind, text).bits
    return [value for value in range(kind.high + 1) if bits >> value & 1]


def croniter_values(kind: FieldKind, text: str) -> list[int]:
    columns = ["*"] * (7 if kind not in FIELDS else 5)
    columns[kind.position] = text
    values = croniter.expand(" ".join(columns))[0][kind.position]
    return list(range(kind.low, kind.high + 1)) if values == ["*"] else [int(value) for value in values]


@st.composite
def written_alike(draw: st.DrawFn, kind: FieldKind) -> str:
    """A field that both read in the same way: no `5-5`, and no star in a list."""
    return draw(st.just("*") | st.lists(items(kind), min_size=1, max_size=4).map(",".join))


@st.composite
def items(draw: st.DrawFn, kind: FieldKind) -> str:
    low, high = sorted(draw(st.lists(st.integers(kind.low, kind.high), min_size=2, max_size=2, unique=True)))
    step = draw(st.integers(1, kind.high - kind.low))
    spellings = [number(low), f"{number(low)}-{number(high)}", f"{low}-{high}/{step}", f"*/{step}"]
    if kind is WEEKDAY:
        spellings += ["7", "0-7", "0-7/2", f"{max(low, 1)}-7", f"{max(low, 1)}-7/{step}"]
    if kind.names:
        name, last = (draw(cased(kind.names[value - kind.low])) for value in (low, high))
        spellings += [name, f"{name}-{last}", f"{name}-{last}/{step}", f"{low}-{last}"]
    return draw(st.sampled_from(spellings))


def number(value: int) -> str:
    return f"{value:02}" if value % 3 == 0 else str(value)


def cased(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name, name.upper(), name.title()])


@settings(max_examples=EXAMPLES)
@given(st.data(), st.sampled_from(SEVEN))
def test_random_fields_have_the_values_that_croniter_finds(data: st.DataObject, kind: FieldKind) -> None:
    text = data.draw(written_alike(kind))

    assert gcron_values(kind, text) == croniter_values(kind, text)


@settings(max_examples=EXAMPLES // 10, deadline=None)
@given(
    st.sampled_from(["L", "l", "1W", "15W", "15w", "28W", "1,L"]),
    st.sampled_from(["*", "*/2", "feb", "1,8-11"]),
    st.integers(0, 2**31).map(lambda instant: datetime.fromtimestamp(instant, UTC)),
)
def test_days_that_depend_on_the_month_are_those_of_croniter(day: str, month: str, start: datetime) -> None:
    assert_same_days(f"0 0 {day} {month} *", f"0 0 {day} {month} *", start)


@settings(max_examples=EXAMPLES // 10, deadline=None)
@given(
    st.integers(0, 7),
    st.integers(1, 5),
    st.booleans(),
    st.integers(0, 2**31).map(lambda instant: datetime.fromtimestamp(instant, UTC)),
)
def test_weeks_of_the_month_are_those_of_croniter(weekday: int, nth: int, last: bool, start: datetime) -> None:
    if last:
        assert_same_days(f"0 0 * * {weekday}L", f"0 0 * * L{weekday}", start)
    else:
        assert_same_days(f"0 0 * * {weekday}#{nth}", f"0 0 * * {weekday}#{nth}", start)


def assert_same_days(expression: str, for_croniter: str, start: datetime) -> None:
    theirs = croniter(for_croniter, start)
    schedule = parse(expression)
    expected = [int(theirs.get_next(float)) for _ in range(6)]
    instants = [int(start.timestamp()), *expected]
    assert [schedule.next_after(instant) for instant in instants[:-1]] == expected
    assert all(before < after for before, after in pairwise(instants))


@pytest.mark.parametrize(
    ("kind", "text", "ours", "theirs"),
    [
        (MINUTE, "5-5", [5], list(range(60))),
        (MONTH, "jan-jan", [1], list(range(1, 13))),
        (HOUR, "5-5/2", [5], list(range(0, 24, 2))),
        (DAY, "31-31/2", [31], list(range(1, 32, 2))),
    ],
)
def test_where_croniter_reads_a_field_differently(
    kind: FieldKind, text: str, ours: list[int], theirs: list[int]
) -> None:
    """The right column is why croniter does not expand these fields; it changes with croniter's versions."""
    assert gcron_values(kind, text) == ours
    assert croniter_values(kind, text) == theirs


def test_croniter_moves_the_31st_to_the_last_day_of_shorter_months() -> None:
    """In gcron `31W` is in no month without a 31st, as `31` is not."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    theirs = croniter("0 0 31W * *", start)
    ours = parse("0 0 31W * *").fires(start)

    assert [f"{theirs.get_next(datetime):%m-%d}" for _ in range(4)] == ["01-30", "02-27", "03-31", "04-30"]
    assert [f"{next(ours):%m-%d}" for _ in range(3)] == ["01-30", "03-31", "05-29"]


def test_croniter_leaves_a_star_in_a_list() -> None:
    assert gcron_values(YEAR, "1970,*") == list(range(1970, 2100))
    assert croniter.expand("0,* * * * *")[0][0] == ["*", 0]


@pytest.mark.parametrize(
    ("crontab", "is_loaded"),
    [
        ("*/5 8-18 1,15 jan-mar mon-fri a\nH H(1-5) * * * b\n@daily c\n@every 90s d\n0~29 3 ? * sun e\n", False),
        ("0 30 2 * * ? 2026-2099/2 seconds-and-years\n61 * * * * wrong\n0 0 31 2 * never\n", False),
        ((ROOT / "crontab.example").read_text(), False),
        ("0 0 L * * last-day\n", True),
        ("0 0 15W * * mid-month\n", True),
        ("0 0 * * 5L last-friday\n", True),
        ("0 0 * * 1#2 second-monday\n", True),
    ],
    ids=["ordinary", "seconds-years-errors", "crontab.example", "L", "W", "weekday-L", "nth"],
)
def test_croniter_is_loaded_only_for_days_that_depend_on_the_month(crontab: str, is_loaded: bool) -> None:
    """Importing it takes a tenth of gcron's start; few crontabs have such days."""
    program = (
        "import sys\nfrom gcron.crontab import parse\n"
        "entries = parse(sys.stdin.read()).entries\n"
        "assert entries and [entry.schedule.next_after(0) for entry in entries]\n"
        "print('croniter' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], input=crontab, capture_output=True, text=True, check=False)

    assert (result.stdout, result.stderr) == (f"{is_loaded}\n", "")

"""On a terminal of 40 columns no line is wider, except for words that gcron did not choose."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

_COLUMNS = 40


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "30 2 * * *", "--tz", "Europe/Berlin"),
        ("explain", "*/5 8-17 1,15 * mon-fri", "--tz", "America/Argentina/ComodRivadavia"),
        ("explain", "@every 90s", "--from", "2027-03-28"),
        ("timeline", "crontab", "--from", "2027-03-28"),
        ("timeline", "crontab", "--from", "2027-03-28", "--to", "2027-06-28", "--tz", "Asia/Ho_Chi_Minh"),
    ],
)
def test_no_line_is_wider_than_the_terminal(
    terminal: Callable[..., bytes], write: Callable[..., str], arguments: tuple[str, ...]
) -> None:
    """Fires in `explain` were five columns too wide, notes of `timeline` twenty, and its last hour one."""
    write("# gcron: name=short tz=Europe/Berlin\n30 2 * * * x\n# gcron: name=a-longer-name\n*/20 * * * * x\n")

    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal(*arguments, COLUMNS=str(_COLUMNS)).decode()).splitlines()

    assert len(lines) > 4
    assert [line for line in lines if len(line) > _COLUMNS] == []


def test_times_and_spans_are_not_broken_across_lines(terminal: Callable[..., bytes]) -> None:
    lines = terminal("explain", "30 2 * * *", "--from", "2027-01-01T00:00", COLUMNS="38").decode().splitlines()

    at = lines.index("  Fri 2027-01-01 02:30 +00:00")
    assert lines[at + 1 : at + 4] == ["      +2 h 30 min", "  Sat 2027-01-02 02:30", "      +1 d 2 h"]


def test_a_long_name_leaves_columns_for_the_timeline(terminal: Callable[..., bytes], write: Callable[..., str]) -> None:
    """Names took 28 of 40 columns, and nine were left for the day, three hours each."""
    write(f"# gcron: name={'long' * 10}\n*/20 * * * * x\n")

    lines = terminal("timeline", "crontab", "--from", "2027-03-28", COLUMNS="40").decode().splitlines()

    assert lines[0] == "times of UTC, 1 hour a column"
    assert lines[2] == f"{('long' * 10)[:12]}…  {'▂' * 24}"


def test_a_long_field_is_on_the_same_line_as_its_meaning(terminal: Callable[..., bytes]) -> None:
    minutes = ",".join(map(str, range(0, 60, 7)))
    lines = terminal("explain", f"{minutes} 2 * * *", COLUMNS="40").decode().splitlines()

    at = next(index for index, line in enumerate(lines) if line.startswith("  minute"))
    assert lines[at].startswith(f"  minute        {minutes[:10]}")
    assert max(map(len, lines)) <= 40

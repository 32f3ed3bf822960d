"""`gcron timeline`: each fire in its column, local hours above, and notes about what does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.cli.main import main
from gcron.crontab import parse

DAY = ("--from", "2027-01-11", "--to", "2027-01-12")


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Return the lines of `gcron timeline` for a crontab, on a day without a clock change."""
    monkeypatch.setenv("TZ", "UTC")

    def draw(text: str, *options: str) -> list[str]:
        (tmp_path / "crontab").write_text(text)
        assert main(["timeline", str(tmp_path / "crontab"), *(options or DAY)]) == 0
        return capsys.readouterr().out.splitlines()

    return draw


def test_a_wrong_crontab_is_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "crontab").write_text("61 * * * * x\n")
    assert main(["timeline", str(tmp_path / "crontab")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "crontab:1:1: error" in printed.err


def test_fires_are_drawn_below_their_hours(draw: Callable[..., list[str]]) -> None:
    lines = draw("# gcron: name=a\n30 2 * * * x\n# gcron: name=b\n0,1,2,3 14 * * * x\n")

    axis, a, b, both = lines[1:5]
    assert lines[0] == "times of UTC, 15 minutes a column"
    assert a.index("▁") == axis.index("02") + 2
    assert b.index("▃") == axis.index("14")
    assert both[a.index("▁")] == "▁"
    assert both[b.index("▃")] == "▃"
    assert "most in one minute" not in "\n".join(lines)


def test_the_minute_with_most_fires_is_named(draw: Callable[..., list[str]]) -> None:
    lines = draw("0 3 * * * a\n0 3 * * * b\n0 3 * * mon c\n0 3 * * sun d\n")

    assert "most in one minute: 3 fires, first on Mon 2027-01-11 at 03:00" in lines
    assert "1 job without a fire in that time" in lines


def test_a_repeated_hour_is_drawn_twice_and_a_skipped_hour_is_not_drawn(draw: Callable[..., list[str]]) -> None:
    crontab = "# gcron: name=a\n0 * * * * x\n"
    autumn = draw(crontab, "--tz", "Europe/Berlin", "--from", "2027-10-31", "--to", "2027-11-01")
    spring = draw(crontab, "--tz", "Europe/Berlin", "--from", "2027-03-28", "--to", "2027-03-29")

    hours = [f"{hour:02}" for hour in range(24)]
    assert autumn[1].split() == [*hours[:2], "02", *hours[2:]]
    assert spring[1].split() == [*hours[:2], *hours[3:]]
    assert [autumn[2].count("▁"), spring[2].count("▁")] == [25, 23]


def test_jobs_beyond_the_last_row_are_counted(draw: Callable[..., list[str]]) -> None:
    lines = draw("".join(f"0 {hour} * * * job{hour}\n" for hour in range(6)), *DAY, "--rows", "2")

    assert [line.split()[0] for line in lines[2:5]] == ["job0", "job1", "all"]
    assert "4 more jobs in the last row; --rows shows more" in lines
    assert lines[4].count("▁") == 6


def test_a_day_without_fires_is_said_to_be_empty(draw: Callable[..., list[str]]) -> None:
    assert draw("0 0 29 2 * x\n# gcron: enabled=no\n@hourly y\n") == ["nothing is due in that time"]


@given(
    minutes=st.lists(st.integers(0, 1439), min_size=1, max_size=5, unique=True),
    start=st.integers(0, 10**9),
    length=st.integers(60, 40 * 86400),
)
def test_each_fire_is_counted_once(minutes: list[int], start: int, length: int, tmp_path_factory: Any) -> None:
    """Compare with a simple count: the columns have all fires, and no others."""
    crontab = tmp_path_factory.mktemp("timeline") / "crontab"
    crontab.write_text("".join(f"{minute % 60} {minute // 60} * * * job-{minute}\n" for minute in minutes))
    record = _json(crontab, start, length)

    begin, end = (int(datetime.fromisoformat(record[key]).timestamp()) for key in ("from", "to"))
    assert begin <= start
    assert end >= start + length
    for minute, job in zip(minutes, record["jobs"], strict=True):
        fires = range(begin - begin % 86400 + minute * 60 - 86400, end, 86400)
        expected = [0] * len(job["fires"])
        for fire in fires:
            if fire >= begin:
                expected[(fire - begin) // record["slot_seconds"]] += 1
        assert job["fires"] == expected


def _json(crontab: Path, start: int, length: int) -> Any:
    import contextlib
    import io

    bounds = [f"{datetime.fromtimestamp(moment).astimezone().isoformat()}" for moment in (start, start + length)]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = main(["timeline", "--json", "--tz", "UTC", "--from", bounds[0], "--to", bounds[1], str(crontab)])
    assert status == 0
    return json.loads(output.getvalue())


def test_the_timeline_fits_the_width_of_the_terminal(terminal: Callable[..., bytes], write: Callable[..., str]) -> None:
    name = write("* * * * * x\n0 4 * * * y\n")
    lines = terminal("timeline", name, COLUMNS="40", LINES="20").decode().splitlines()

    assert lines[0].endswith("hours a column") or lines[0].endswith("hour a column")
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in lines[1:5]) <= 40


def test_without_unicode_the_timeline_is_drawn_in_ascii(gcron: Callable[..., Any], write: Callable[..., str]) -> None:
    result = gcron("timeline", write("0 4 * * * y\n"), *DAY, PYTHONIOENCODING="ascii")

    assert result.returncode == 0
    assert ". one fire, : two" in result.stdout


@pytest.mark.parametrize("bounds", [("--from", "soon"), ("--from", "2027-01-02", "--to", "2027-01-01")])
def test_bad_bounds_are_reported(gcron: Callable[..., Any], write: Callable[..., str], bounds: tuple[str, ...]) -> None:
    result = gcron("timeline", write("0 4 * * * y\n"), *bounds)

    assert result.returncode == 1
    assert result.stderr.startswith("gcron: ")
    assert len(result.stderr.splitlines()) == 1


def test_the_timeline_has_the_zone_that_all_jobs_share(draw: Callable[..., list[str]]) -> None:
    """A file with one CRON_TZ was drawn in the zone of the machine: a job of 09:00 was below 14."""
    lines = draw("CRON_TZ=America/New_York\n# gcron: name=a\n0 9 * * * x\n# gcron: name=b\n30 2 * * * x\n")

    assert lines[0] == "times of America/New_York, 15 minutes a column"
    assert lines[1] == "(--from and --to were read as times of UTC)"
    axis, a = lines[2:4]
    assert a.index("▁") == axis.index("09")


def test_jobs_with_different_zones_are_drawn_in_the_zone_of_the_command(draw: Callable[..., list[str]]) -> None:
    lines = draw("# gcron: tz=America/New_York\n0 9 * * * x\n0 9 * * * y\n")

    assert lines[0] == "times of UTC, 15 minutes a column"
    assert "read as" not in "\n".join(lines)


# -- long pictures ------------------------------------------------------------------------------------------------


def test_a_picture_of_centuries_is_drawn_in_time(gcron: Callable[..., Any], write: Callable[..., str]) -> None:
    """`--to 2200` counted each fire of `@every 1s`: minutes, and gigabytes, without a sign of life."""
    write(
        "# gcron: name=beat\n@every 1s true\n# gcron: name=new-year\n@yearly true\n"
        "# gcron: name=off enabled=no\n@every 1s x\n"
    )
    result = gcron("timeline", "--from", "2027", "--to", "2200", "--json", "crontab")
    picture = json.loads(result.stdout)
    counts = {job["job"]: sum(job["fires"]) for job in picture["jobs"]}
    seconds = datetime.fromisoformat(picture["to"]) - datetime.fromisoformat(picture["from"])

    assert result.returncode == 0
    assert counts == {"beat": seconds.total_seconds(), "new-year": counts["new-year"], "off": 0}
    assert 173 <= counts["new-year"] <= 183  # the last column goes beyond --to
    axis = gcron("timeline", "--from", "2027", "--to", "2200", "crontab").stdout.splitlines()[1]
    assert re.search(r"\b20\d\d +.*\b21\d\d\b", axis)


@pytest.mark.parametrize("schedule", ["@every 45001s x", "# gcron: every=3h start=2027-01-03T10:11\n* * * * * x"])
def test_a_long_picture_counts_each_fire_of_a_period(gcron: Callable[..., Any], tmp_path: Path, schedule: str) -> None:
    (tmp_path / "crontab").write_text(schedule + "\n")
    picture = json.loads(gcron("timeline", "--from", "2027", "--to", "2031", "--json", "crontab").stdout)
    start, end = (int(datetime.fromisoformat(picture[key]).timestamp()) for key in ("from", "to"))
    counts = [0] * len(picture["jobs"][0]["fires"])
    (entry,) = parse(schedule + "\n").entries
    fire = entry.schedule.next_after(start - 1)
    while fire is not None and fire < end:
        counts[(fire - start) // picture["slot_seconds"]] += 1
        fire = entry.schedule.next_after(fire)

    assert picture["jobs"][0]["fires"] == counts


def test_the_picture_shows_file_and_user_where_there_are_several(
    gcron: Callable[..., Any], write: Callable[..., str]
) -> None:
    write("@daily root a\n", "one")
    write("@daily nobody b\n", "two")
    lines = gcron("timeline", "--system", "one", "two").stdout.splitlines()
    alone = gcron("timeline", "--system", "one").stdout

    assert [line.split()[-2:] for line in lines[2:4]] == [["root", "one:1"], ["nobody", "two:1"]]
    assert "one:1" not in alone

"""`explain` and `next`: clock changes, bounds, names and formats. Most tests run them in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.cli.clock_changes import Gaps, change_words, coming_changes
from gcron.cli.files import with_progress
from gcron.cli.main import main
from gcron.cli.times import TimeError, read_moment
from gcron.crontab import parse as crontab_parse
from gcron.schedule import Schedule, find_zone, parse
from tests.measuring import unmeasured
from tests.waiting import PATIENCE

Write = Callable[..., str]
BERLIN = find_zone("Europe/Berlin").tz
NIGHT = """\
CRON_TZ=Europe/Berlin
# gcron: name=backup
30 2 * * * pg_dump
# gcron: name=poll
*/20 2 * * * poll
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run `gcron ARGUMENTS` in this process; return the status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    for name in [name for name in os.environ if name.startswith("GCRON_")]:
        monkeypatch.delenv(name)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        return status, *capsys.readouterr()

    return call


# -- explain ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "zone", "start", "spring", "autumn"),
    [
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2027-03-01",
            "2027-03-28 02:00 → 03:00  02:30 does not exist; runs at 03:00 instead",
            "2027-10-31 03:00 → 02:00  02:30 comes twice; runs the first time only, at +02:00",
        ),
        (
            "*/20 2 * * *",
            "Europe/Berlin",
            "2027-03-01",
            "02:00, 02:20 and 02:40 do not exist; does not run that day",
            "02:00, 02:20 and 02:40 come twice; runs both times",
        ),
        (
            "0,30 2 * * *",
            "Europe/Berlin",
            "2027-03-01",
            "02:00 and 02:30 do not exist; runs once at 03:00 instead",
            "02:00 and 02:30 come twice; runs the first time only, at +02:00",
        ),
        (
            "0 2,3 * * *",
            "Europe/Berlin",
            "2027-03-01",
            "02:00 does not exist; runs once at 03:00, when it is due anyway",
            "02:00 comes twice; runs the first time only, at +02:00",
        ),
        (
            "30 4 * * *",
            "Europe/Berlin",
            "2027-03-01",
            "no difference: nothing is due from 02:00 to 03:00",
            "no difference: nothing is due from 02:00 to 03:00",
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2027-09-01",
            "2027-10-03 02:00 → 02:30  02:15 does not exist; runs at 02:30 instead",
            "2028-04-02 02:00 → 01:30  no difference: nothing is due from 01:30 to 02:00",
        ),
        (
            "* * * * *",
            "America/New_York",
            "2027-01-01",
            "2027-03-14 02:00 → 03:00  02:00, 02:01 … 02:59 (60 times) do not exist; continues at 03:00",
            "2027-11-07 02:00 → 01:00  01:00, 01:01 … 01:59 (60 times) come twice; runs both times",
        ),
    ],
)
def test_explain_shows_what_the_next_two_clock_changes_do(
    call: Callable[..., Any], expression: str, zone: str, start: str, spring: str, autumn: str
) -> None:
    status, out, err = call("explain", expression, "--tz", zone, "--from", start)
    assert (status, err) == (0, "")
    changes = out.partition("clock changes:\n")[2].splitlines()
    assert len(changes) == 2
    assert spring in changes[0]
    assert autumn in changes[1]


@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "0 0 * * *", "* 2 * * *", "0,30 2 * * *", "*/7 * * * *", "59 2 28 3 *"]
)
def test_a_day_that_a_zone_skips_is_not_made_up_and_explain_does_not_promise_it(
    call: Callable[..., Any], expression: str
) -> None:
    """Samoa skipped 30 December 2011. No fire of that day runs, for any kind of entry."""
    _, out, _ = call("explain", expression, "--tz", "Pacific/Apia", "--from", "2011-12-01")
    first = out.partition("clock changes:\n")[2].splitlines()[0]
    assert first.startswith("  2011-12-30 00:00 → 2011-12-31 00:00  ")
    assert "instead" not in first


# The words about a change have few forms. These zones differ in the size and sign of their changes.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Europe/Dublin", "Africa/Casablanca")
MINUTES = st.sampled_from(["*", "*/20", "0", "15", "30", "0,30", "10-50/10"])
HOURS = st.sampled_from(["*", "*/2", "1", "2", "3", "1,2", "2,3", "0-4"])


@given(st.sampled_from(ZONES), MINUTES, HOURS, st.integers(0, 20))
def test_the_words_about_a_clock_change_agree_with_the_fires(zone: str, minute: str, hour: str, years: int) -> None:
    schedule = parse(f"{minute} {hour} * * *", zone)
    for shift in coming_changes(schedule, 1_262_304_000 + years * 31_557_600, 2):
        words = change_words(schedule, shift)
        size = abs(shift.after - shift.before)
        asked = [
            wall
            for wall in range(
                shift.instant + min(shift.before, shift.after), shift.instant + max(shift.before, shift.after), 60
            )
            if parse(f"{minute} {hour} * * *").next_after(wall - 1) == wall
        ]
        assert words.startswith("no difference") == (not asked)
        if not asked:
            continue
        after = _fires_between(schedule, shift.instant, shift.instant + size)
        if shift.after > shift.before:
            assert ("not run" in words) == (shift.instant not in after)
        else:
            assert ("both times" in words) == (after == [wall - shift.after for wall in asked])
            assert ("first time only" in words) == (after == [])
            assert _fires_between(schedule, shift.instant - size, shift.instant) == [w - shift.before for w in asked]


def _fires_between(schedule: Schedule, start: int, end: int) -> list[int]:
    found, fire = [], schedule.next_after(start - 1)
    while fire is not None and fire < end:
        found.append(fire)
        fire = schedule.next_after(fire)
    return found


def test_explain_counts_each_skipped_second(call: Callable[..., Any]) -> None:
    night = ("--tz", "Europe/Berlin", "--from", "2027-03-28")
    _, out, _ = call("explain", "*/10 * * * * *", "--fields", "seconds-first", *night)
    assert "02:00, 02:00:10 … 02:59:50 (360 times) do not exist; continues at 03:00" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("@daily",), "@daily = 0 0 * * *\nAt 00:00 every day."),
        (("@every 90s",), "Every 90 seconds."),
        (("@after-end 5m",), "5 minutes after the end of the last run."),
        (("@after Extract,load",), "Runs after Extract and load have each succeeded."),
        (("@after", "extract"), "kind: chained job: it runs when each of them has succeeded"),
        (("@reboot",), "Once, when gcron starts"),
        (("@manual",), "only when it is triggered"),
        (("@service",), "Kept running"),
        (("30", "2", "*", "*", "*"), "At 02:30 every day."),
        (("0 0 1 * mon",), "either day field is enough"),
        (("0 0 */2 * mon",), "both day fields must match, since */2 begins with *"),
        (("H 3 * * *",), "the job's name decides the minute: give it with --job"),
        (("H 3 * * *", "--job", "backup"), "drawn for the job 'backup'"),
        (("*/15 * * * *",), "wildcard entry"),
        (("15 * * * *",), "wildcard entry"),
        (("15 3 * * *",), "fixed-time entry"),
        (("0 0 1 1 *", "--tz", "UTC"), "UTC has no clock change in the next three years."),
        (("*/90 * * * *",), "warning: the step 90 is larger than its range"),
        (("15 30 2 * * *", "--fields", "seconds-first"), "At 02:30 every day, at second 15."),
    ],
)
def test_explain_describes_each_kind_of_schedule(
    call: Callable[..., Any], arguments: tuple[str, ...], words: str
) -> None:
    status, out, err = call("explain", *arguments)
    assert (status, err) == (0, "")
    assert words in out


def test_a_wrong_schedule_is_shown_with_the_place_of_the_error(call: Callable[..., Any]) -> None:
    status, out, err = call("explain", "0 22-2 * * *")
    assert (status, out) == (1, "")
    assert err == ("gcron: the range 22-2 is reversed\n  0 22-2 * * *\n    ^^^^\n  hint: write 22-23,0-2\n")


def test_file_names_in_place_of_stars_get_a_hint_about_quoting(call: Callable[..., Any]) -> None:
    """In `gcron explain 30 2 * * *` without quotes, the shell replaces the stars by file names."""
    status, _, err = call("explain", "30", "2", *("docs", "gcron", "README.md") * 3)
    assert status == 1
    assert "hint: put the schedule in quotes, or the shell replaces each * by the names of files" in err


@pytest.mark.parametrize("arguments", [("",), ("1",), ("@never",), ("\x1b[2J",), ("* * * * *", "--tz", "Mars/Crater")])
def test_wrong_arguments_of_explain_give_a_clear_error(call: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    status, out, err = call("explain", *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("gcron: ")
    assert "\x1b" not in err


def test_explain_json_has_the_same_content(call: Callable[..., Any]) -> None:
    _, out, _ = call("explain", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2027-03-27", "-n", "2", "--json")
    record = json.loads(out)
    keys = "schedule expression timezone words kind fields notes warnings fires changes job limits"
    assert set(record) == set(keys.split())
    assert (record["words"], record["kind"]) == ("At 02:30 every day", "fixed-time")
    assert record["fields"][0] == {"name": "minute", "text": "30", "words": "minute 30", "drawn": False}
    assert record["fires"][1] == {
        "at": "2027-03-28T01:00:00Z",
        "local": "2027-03-28T03:00:00+02:00",
        "mark": "made up",
    }
    assert record["changes"][0]["words"] == "02:30 does not exist; runs at 03:00 instead"


# -- next ---------------------------------------------------------------------------------------------------------


def test_next_marks_fires_that_are_made_up_and_times_that_do_not_exist(call: Callable[..., Any], write: Write) -> None:
    write(NIGHT)
    night = ("--tz", "Europe/Berlin", "--from", "2027-03-28", "--to", "2027-03-28T12:00")
    _, out, _ = call("next", *night, "crontab")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "times of Europe/Berlin"
    assert lines[2] == "Sun 2027-03-28 02:00 → 03:00 poll */20 2 * * * skipped: 02:00 … 02:40, 3 times"
    assert lines[3] == "Sun 2027-03-28 03:00 +02:00 +2 h 0 min backup 30 2 * * * made up: 02:30 is skipped"
    assert len(lines) == 4


def test_next_shows_a_missing_time_after_the_last_fire(call: Callable[..., Any], write: Write) -> None:
    write("CRON_TZ=Europe/Berlin\n*/20 2 * * * poll\n")
    two_days = ("--tz", "Europe/Berlin", "--from", "2027-03-27", "--to", "2027-03-28T12:00")
    assert "skipped: 02:00" in call("next", *two_days, "crontab")[1].splitlines()[-1]
    assert "not there" not in call("next", *two_days, "-n", "2", "crontab")[1]


def test_next_has_a_column_for_the_zone_when_zones_differ(call: Callable[..., Any], write: Write) -> None:
    write("CRON_TZ=Asia/Tokyo\n0 5 * * * a\nCRON_TZ=Europe/Berlin\n0 6 * * * b\n")
    _, out, _ = call("next", "--from", "2027-01-01", "-n", "2", "crontab")
    assert [line.split()[4] for line in out.splitlines()[2:]] == ["Europe/Berlin", "Asia/Tokyo"]
    _, out, _ = call("next", "--from", "2027-01-01", "-n", "1", "crontab")
    assert out.splitlines()[0] == "times of Europe/Berlin"


def test_next_distinguishes_the_passes_of_a_repeated_hour(call: Callable[..., Any], write: Write) -> None:
    write(NIGHT)
    night = ("--tz", "Europe/Berlin", "--from", "2027-10-31", "--to", "2027-10-31T12:00")
    _, out, _ = call("next", *night, "crontab")
    backup = [line for line in out.splitlines() if "backup" in line]
    assert len(backup) == 1
    assert "+02:00" in backup[0]
    assert backup[0].endswith("first pass of 02:30, the only one to run")
    poll = [line for line in out.splitlines() if "poll" in line]
    assert [line.partition("2 * * *")[2].strip() for line in poll] == [
        f"{which} pass of 02:{minute:02}" for which in ("first", "second") for minute in (0, 20, 40)
    ]
    assert ["+02:00" in line for line in poll] == [True] * 3 + [False] * 3
    assert all("+01:00" in line for line in poll[3:])


def test_bounds_are_inclusive_and_their_zone_is_printed_when_it_was_not_given(
    call: Callable[..., Any], write: Write
) -> None:
    write(NIGHT)
    _, out, _ = call("next", "--from", "2027-01-01T01:00", "--to", "2027-01-01T01:20", "crontab")
    assert "(--from and --to were read as times of UTC)" in out
    assert [line.split()[2] for line in out.splitlines()[3:]] == ["02:00", "02:20"]
    _, out, _ = call("next", "--from", "2027-01-01T02:00+01:00", "--to", "2027-01-01T01:20Z", "crontab")
    assert "were read" not in out
    assert len(out.splitlines()) == 4


def test_to_lists_all_fires_up_to_a_limit_and_says_so(call: Callable[..., Any], write: Write) -> None:
    write("* * * * * true\n")
    bounds = ("--from", "2027-01-01", "--to")
    assert len(call("next", "--json", *bounds, "2027-01-01T02:00", "crontab")[1].splitlines()) == 121
    _, out, err = call("next", "--json", *bounds, "2028-01-01", "crontab")
    assert len(out.splitlines()) == 1000
    assert err == "gcron: only the first 1000 are shown; -n shows more\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "tomorrow"), "'tomorrow' is not a date or time: write now, a date (2027-03-28)"),
        (("--from", "2027-02-30"), "'2027-02-30' is not a date or time (day"),
        (("--to", "+2x"), "'+2x' is not a time"),
        (("--from", "+2d", "--to", "+1d"), "--to is before --from"),
        (("--job", "bakcup"), "there is no job 'bakcup'; did you mean backup (crontab:3)?"),
        (("--job", "zzz"), "there is no job 'zzz'; the jobs are backup (crontab:3), poll (crontab:5)"),
    ],
)
def test_wrong_arguments_of_next_give_a_clear_error(
    call: Callable[..., Any], write: Write, arguments: tuple[str, ...], message: str
) -> None:
    write(NIGHT)
    status, out, err = call("next", *arguments, "crontab")
    assert (status, out) == (1, "")
    assert message in err


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_lines_of_next_fit_the_terminal_and_are_not_cut(
    call: Callable[..., Any], write: Write, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    write(NIGHT)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    day = ("--tz", "Europe/Berlin", "--from", "2027-03-28")
    tables = call("next", *day, "crontab")[1], call("explain", "30 2 1 * mon", *day)[1]
    for line in "".join(tables).splitlines():
        # Only a sentence before the table may wrap.
        assert len(line) <= columns or line.startswith("(--from")
    assert "made up: 02:30 is skipped" in tables[0]
    assert "…" not in tables[0].replace("02:00 … 02:40", "")


def test_next_shows_how_long_a_random_delay_is(call: Callable[..., Any], write: Write) -> None:
    write("RANDOM_DELAY=30\n# gcron: name=a\n0 3 * * * x\n")
    _, out, _ = call("next", "-n", "1", "--json", "--from", "2027-01-01", "crontab")
    minutes = json.loads(out)["at"][14:16].lstrip("0")
    _, out, _ = call("next", "-n", "1", "--from", "2027-01-01", "crontab")
    assert out.endswith(f"  RANDOM_DELAY +{minutes} min\n")


def test_next_marks_the_passes_of_a_fixed_grid(call: Callable[..., Any], write: Write) -> None:
    write("CRON_TZ=Europe/Berlin\n# gcron: name=grid\n@every 30m x\n")
    night = ("--from", "2027-10-31T02:00+02:00", "--to", "2027-10-31T02:59+01:00")
    _, out, _ = call("next", *night, "crontab")
    marks = [line.split("@every 30m")[1].strip() for line in out.splitlines() if "@every" in line]
    assert marks == ["first pass"] * 2 + ["second pass"] * 2


def test_next_ends_where_a_schedule_does(call: Callable[..., Any], write: Write) -> None:
    write("# gcron: name=once\n0 0 3 1 1 * 2027 x\n# gcron: name=yearly\n0 4 1 1 * x\n")
    _, out, _ = call("next", "-n", "3", "--json", "--from", "2027-01-01", "crontab")
    fires = [json.loads(line) for line in out.splitlines()]
    assert [(fire["job"], fire["at"][:4]) for fire in fires] == [
        ("once", "2027"),
        ("yearly", "2027"),
        ("yearly", "2028"),
    ]


def test_next_says_that_a_window_is_empty(call: Callable[..., Any], write: Write) -> None:
    write("0 3 1 1 * x\n")
    window = ("--from", "2027-02-01", "--to", "2027-02-02")
    assert call("next", *window, "crontab")[1] == "nothing is due in that time\n"


def test_next_gives_a_reason_for_ten_jobs_that_are_never_due(call: Callable[..., Any], write: Write) -> None:
    write("@manual x\n" * 12)
    lines = call("next", "crontab")[1].splitlines()
    assert lines[0] == "nothing is ever due"
    assert len(lines) == 1 + 10 + 1
    assert lines[-1] == "  and 2 more"


def test_next_shows_a_single_time_that_is_not_there(call: Callable[..., Any], write: Write) -> None:
    write("CRON_TZ=Europe/Berlin\n# gcron: name=poll\n*/60 2 * * * x\n")
    _, out, _ = call("next", "--from", "2027-03-28", "--to", "2027-03-29", "crontab")
    assert "  skipped: 02:00\n" in out


def test_explain_says_that_no_fire_is_left(call: Callable[..., Any]) -> None:
    status, out, _ = call("explain", "0 0 3 1 1 * 2027", "--from", "2028-01-01")
    assert status == 0
    assert "next fires, UTC:\n  none\n" in out


@pytest.mark.parametrize(
    ("schedule", "kind"), [("@every 5m", "every"), ("@manual", "manual"), ("*/5 * * * *", "wildcard")]
)
def test_explain_in_json_names_the_kind_of_a_schedule(call: Callable[..., Any], schedule: str, kind: str) -> None:
    assert json.loads(call("explain", "--json", schedule)[1])["kind"] == kind


# -- moments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "instant", "is_local"),
    [
        ("now", 1000, False),
        ("+2d", 1000 + 2 * 86400, False),
        ("-90s", 910, False),
        ("1970-01-02", 86400 - 3600, True),
        ("1970-01-02T01:00", 86400, True),
        ("1970-01-02 01:00:05", 86405, True),
        ("1970-01-02T00:00Z", 86400, False),
        ("1970-01-02T02:00+02:00", 86400, False),
    ],
)
def test_a_moment_is_read(text: str, instant: int, is_local: bool) -> None:
    assert read_moment(text, 1000, BERLIN) == (instant, is_local)


@pytest.mark.parametrize("text", ["", "noon", "2027-13-01", "+", "--1", "+1y", "99999-01-01", "1970-01-01T25:00"])
def test_a_text_that_is_not_a_moment_is_refused(text: str) -> None:
    with pytest.raises(TimeError):
        read_moment(text, 1000, BERLIN)


# -- check, and processes -----------------------------------------------------------------------------------------


def test_strict_fails_on_warnings(call: Callable[..., Any], write: Write) -> None:
    write("@daily date +%s\n")
    assert call("check", "crontab")[0] == 0
    assert call("check", "--strict", "crontab")[0] == 1
    assert call("check", "--strict", "--json", "crontab")[0] == 1
    write("@daily true\n")
    assert call("check", "--strict", "crontab")[0] == 0


def test_explain_reads_options_from_the_environment(gcron: Callable[..., Any]) -> None:
    result = gcron("explain", "@daily", GCRON_TZ="Asia/Tokyo", GCRON_FROM="2027-01-01", GCRON_COUNT="1")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Fri 2027-01-01 00:00 +09:00" in result.stdout
    assert "exit status:" in gcron("explain", "-h").stdout


@pytest.mark.parametrize("arguments", [["-h"], ["next", "-h"], ["explain", "* * * * *"], ["check", "crontab"]])
def test_a_closed_pipe_is_not_an_error(write: Write, tmp_path: Path, arguments: list[str]) -> None:
    """`gcron -h | head -0` ended with Python's message about a broken pipe, and status 120."""
    write("@daily true\n")
    read, out = os.pipe()
    os.close(read)
    with os.fdopen(out, "wb") as closed:
        result = subprocess.run(
            [sys.executable, "-m", "gcron", *arguments],
            cwd=tmp_path,
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that Linux has")
@pytest.mark.parametrize("arguments", [["check", "crontab"], ["next", "crontab"], ["explain", "* * * * *"]])
def test_a_full_disk_is_reported_in_one_line(write: Write, tmp_path: Path, arguments: list[str]) -> None:
    """It ended with a traceback of OSError, and status 120."""
    write("@daily true\n")
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "gcron", *arguments],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )
    assert result.returncode == 1
    assert result.stderr == b"gcron: cannot write the output: No space left on device\n"


def test_progress_is_shown_only_on_a_terminal_and_only_for_long_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("gcron.cli.files.time.monotonic", lambda: next(clock))
    assert list(with_progress("abc", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(with_progress("abc", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr().err == "".join(f"\r\x1b[Kgcron: reading {done}/3" for done in range(3)) + "\r\x1b[K"
    monkeypatch.setattr("gcron.cli.files.time.monotonic", lambda: 0)
    assert list(with_progress("abc", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_next_system_reads_the_user_column(call: Callable[..., Any], write: Write) -> None:
    write("30 2 * * * root true\n")
    status, out, err = call("next", "--system", "--json", "-n", "1", "--from", "2027-01-01", "crontab")
    assert (status, err) == (0, "")
    assert json.loads(out)["local"] == "2027-01-01T02:30:00+00:00"


def test_next_json_lists_times_that_do_not_exist(call: Callable[..., Any], write: Write) -> None:
    """The table showed them, the JSON did not."""
    write("CRON_TZ=Europe/Berlin\n*/20 2 * * *  poll\n30 12 * * *  fixed\n")
    options = ("next", "--json", "--from", "2027-03-28T00:00Z")
    _, out, _ = call(*options, "--to", "2027-03-28T09:00Z", "crontab")
    (gap,) = map(json.loads, out.splitlines())
    assert (gap["job"], gap["at"], gap["mark"]) == ("poll", "2027-03-28T01:00:00Z", "skipped")
    assert gap["skipped"] == [f"2027-03-28T02:{minute}:00" for minute in ("00", "20", "40")]
    # In the order of time. They do not count as fires, and none follows the last fire before the end.
    _, out, _ = call(*options, "-n", "2", "crontab")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["mark"] for record in records] == ["skipped", "", ""]
    _, out, _ = call("next", "--json", "--from", "2027-03-27T00:00Z", "--to", "2027-03-30", "-n", "1", "crontab")
    assert [json.loads(line)["mark"] for line in out.splitlines()] == [""]


@given(start=st.integers(1_750_000_000, 1_900_000_000), steps=st.lists(st.integers(0, 400 * 86400), max_size=8))
def test_gaps_of_short_windows_are_those_of_the_long_one(start: int, steps: list[int]) -> None:
    entries = crontab_parse("CRON_TZ=Europe/Berlin\n*/20 2 * * *  a\nCRON_TZ=Asia/Beirut\n*/7 0 * * *  b\n").entries
    end = start + sum(steps)
    pieces = Gaps(entries, start, None)
    found = [gap for instant in accumulate(steps, initial=start) for gap in pieces.until(instant)]
    assert found == list(Gaps(entries, start, end).until(end))
    assert all(start <= gap.shift.instant <= end for gap in found)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("# gcron: name=job enabled=no\n@daily true\n", "is switched off (enabled=no)"),
        ("# gcron: name=job\n@reboot true\n", "runs once when gcron starts, not by the clock"),
        ("# gcron: name=job\n@manual true\n", "runs only when it is triggered"),
        ("# gcron: name=job\n0 0 0 1 1 * 1999 true\n", "never fires again: its schedule names no day to come"),
        ("# gcron: name=job after-end=5m\n@daily true\n", "runs 5 minutes after the end of the last run"),
        ("# gcron: name=job\n@after other true\n", "runs after other has succeeded"),
    ],
)
def test_next_says_why_a_job_is_never_due(call: Callable[..., Any], write: Write, line: str, reason: str) -> None:
    """`nothing is ever due` gave no reason."""
    write(f"{line}# gcron: name=other\n@daily true\n")
    assert call("next", "--job", "job", "crontab") == (0, f"nothing is ever due\n  job {reason}\n", "")


def test_explain_takes_six_fields_with_their_order(call: Callable[..., Any]) -> None:
    status, _, err = call("explain", "0 5 4 * * *")
    assert status == 1
    assert "hint: --fields=seconds-first (seconds-last, year-last) explains one of them" in err
    assert call("explain", "--fields=seconds-first", "0 5 4 * * *")[0] == 0


def test_ctrl_c_exits_with_130_and_no_traceback(write: Write, tmp_path: Path) -> None:
    write("* * * * * true\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "gcron", "next", "--json", "-n", "100000000", "crontab"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**unmeasured(), "TZ": "UTC"},  # in the code of coverage, KeyboardInterrupt would be lost
    )
    assert process.stdout is not None
    process.stdout.readline()  # it works, and is far from its end
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, b"")

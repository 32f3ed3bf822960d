"""Options of schedules in directives: `start`, `end`, `except-on`, `now`, `after-end`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from gcron.crontab import Crontab, Entry, LoadSettings, load, load_all, parse
from gcron.crontab import source as source_module
from gcron.schedule import LimitedSchedule, core_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CALENDAR = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20260303\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)


def read(text: str) -> Crontab:
    return parse(text, "crontab", timezone="Europe/Berlin", now=NOW.timestamp())


def entries(text: str) -> tuple[Entry, ...]:
    crontab = read(text)
    assert crontab.problems == ()
    return crontab.entries


def fires(entry: Entry, count: int) -> list[str]:
    return [f"{fire:%m-%d %H:%M}" for fire in islice(entry.schedule.fires(NOW), count)]


def test_the_options_limit_the_schedule_of_their_entry() -> None:
    text = "# gcron: start=2026-03-03 end=2026-03-05 except-on=2026-03-04\n0 9 * * * a\n0 9 * * * b\n"
    limited, free = entries(text)

    assert fires(limited, 5) == ["03-03 09:00", "03-05 09:00"]
    assert fires(free, 2) == ["03-01 09:00", "03-02 09:00"]


def test_every_other_week_is_counted_from_its_start() -> None:
    (entry,) = entries("# gcron: every=2w start=2026-01-05T09:00\n0 9 * * mon a\n")

    assert entry.schedule_text == "@every 2w"
    assert fires(entry, 3) == ["03-02 09:00", "03-16 09:00", "03-30 09:00"]


def test_days_of_all_entries_below_are_set_by_defaults_and_taken_back_by_none() -> None:
    text = (
        "# gcron-defaults: except-on=2026-03-02\n0 9 * * * a\n# gcron: except-on=none\n0 9 * * * b\n"
        "# gcron: except-on=2026-03-03\n0 9 * * * c\n# gcron: start=2026-03-02\n0 9 * * * d\n"
    )

    assert [fires(entry, 3)[1] for entry in entries(text)] == [
        "03-03 09:00",
        "03-02 09:00",
        "03-02 09:00",
        "03-04 09:00",
    ]


def test_after_the_end_replaces_the_fields_that_other_crons_read() -> None:
    (entry,) = entries("# gcron: after-end=5m now=yes\n*/5 * * * * a\n")

    assert entry.schedule_text == "@after-end 5m"
    assert entry.schedule.at_start
    assert core_of(entry.schedule).next_after_end(1000) == 1300
    assert entries("@after-end 90s a\n")[0].command == "a"


def test_random_delay_and_limits_go_together() -> None:
    (entry,) = entries("RANDOM_DELAY=59\n# gcron: except-on=2026-03-02\n# gcron: name=x\n0 12 * * * a\n")

    (first, second) = fires(entry, 2)
    assert (first[:5], second[:5]) == ("03-01", "03-03")
    assert first[6:] == second[6:]


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("start=soon", "start cannot be 'soon': 'soon' is no moment"),
        ("except-on=2026-13-01", "except-on cannot be '2026-13-01': there is no day 2026-13-01"),
        ("now=maybe", "now cannot be 'maybe'"),
        ("after-end=0", "after-end cannot be '0': @after-end needs a whole number of seconds, at least 1"),
        ("every=5m after-end=5m", "every and after-end exclude each other"),
        ("start=2026-03-05 end=2026-03-04", "this schedule can never fire: its end is before its start"),
    ],
)
def test_a_wrong_option_is_an_error(directive: str, message: str) -> None:
    assert [problem.message for problem in read(f"# gcron: {directive}\n0 9 * * * a\n").errors] == [message]


@pytest.mark.parametrize("key", ["every=5m", "after-end=5m", "after-jobs=x", "now=yes", "name=x"])
def test_what_belongs_to_one_entry_is_no_default(key: str) -> None:
    (problem,) = read(f"# gcron-defaults: {key}\n").errors

    assert "belongs to one entry" in problem.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# gcron: end=2026-02-28\n0 9 * * * a\n", "this schedule is over: it never fires again"),
        ("# gcron: now=yes\n@service a\n", "start, end, except-on and now mean nothing to @service"),
    ],
)
def test_what_was_probably_not_meant_is_warned_about(text: str, message: str) -> None:
    assert [(problem.severity, problem.message) for problem in read(text).problems] == [("warning", message)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "holidays.ics": CALENDAR,
        "crontab": (
            "# gcron: except-on=holidays.ics\n0 9 * * * a\n# gcron: except-on=holidays.ics,2026-03-05\n@daily b\n"
        ),
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    return tmp_path


def test_a_calendar_is_looked_for_beside_its_crontab_and_read_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    original = source_module.os.open

    def note(path: str, *arguments: int, **options: Any) -> int:
        opened.append(os.path.basename(path))
        return original(path, *arguments, **options)

    monkeypatch.setattr(source_module.os, "open", note)
    crontab = load(folder / "crontab")

    assert crontab.errors == ()
    assert crontab.calendars == (str(folder / "holidays.ics"),)
    assert [name for name in opened if name in ("crontab", "holidays.ics")] == ["crontab", "holidays.ics"]
    assert [isinstance(entry.schedule, LimitedSchedule) for entry in crontab.entries] == [True, True]
    assert fires(crontab.entries[0], 3) == ["03-01 09:00", "03-02 09:00", "03-04 09:00"]
    assert load_all([str(folder / "crontab")], LoadSettings()).calendars == (str(folder / "holidays.ics"),)


def test_a_calendar_whose_days_are_over_is_warned_about(folder: Path) -> None:
    """A calendar of 2025 excludes nothing in 2026, and nobody notices until a job runs on a holiday."""
    text = (folder / "crontab").read_text()
    crontab = parse(text, str(folder / "crontab"), now=datetime(2026, 3, 4, tzinfo=UTC).timestamp())

    assert [problem.message for problem in crontab.problems] == [
        f"{folder}/holidays.ics has no day after 2026-03-03"
    ] * 2
    assert [problem.severity for problem in crontab.problems] == ["warning"] * 2


def test_a_calendar_that_cannot_be_read_is_an_error(folder: Path) -> None:
    """Without its days, the jobs would run on holidays."""
    (folder / "holidays.ics").unlink()
    errors = load(folder / "crontab").errors

    assert [problem.line for problem in errors] == [2, 4]
    assert errors[0].message == f"except-on: {folder}/holidays.ics cannot be read: no such file or directory"


def test_a_changed_calendar_changes_the_jobs(folder: Path) -> None:
    before = load(folder / "crontab").entries
    (folder / "holidays.ics").write_text(CALENDAR.replace("20260303", "20260304"))
    after = load(folder / "crontab").entries

    assert before[0].schedule != after[0].schedule

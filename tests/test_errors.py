"""The errors of what is no scheduler, too, are in one tree, with the built-in bases that fit them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import gcron
from gcron.crontab import load, parse
from gcron.schedule import parse as parse_schedule
from gcron.schedule.clock import local_timezone
from gcron.testing import VirtualClock, simulate
from gcron.wsgi import Limits, WSGIServer

DAY = datetime(2027, 1, 1, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)
NAIVE = datetime(2027, 1, 1)


def application(environ: Any, start_response: Any) -> Any: ...


@pytest.mark.parametrize(
    ("call", "error", "base"),
    [
        (lambda: VirtualClock(NAIVE), "ArgumentError", ValueError),
        (lambda: simulate("@daily x\n", NAIVE, NEXT), "ArgumentError", ValueError),
        (lambda: simulate("@daily x\n", DAY, NEXT, takes={"y": 1}), "ArgumentError", ValueError),
        (lambda: simulate("# gcron: name=x\n@daily x\n", DAY, NEXT, takes={"x": -1}), "ArgumentError", ValueError),
        (lambda: WSGIServer("nowhere", application), "ArgumentError", ValueError),
        (lambda: WSGIServer(("127.0.0.1", 70_000), application), "ArgumentError", ValueError),
        (lambda: WSGIServer(("127.0.0.1", 0), application, spawn=0), "ArgumentError", ValueError),
        (lambda: Limits(connections=0), "ArgumentError", ValueError),
        (lambda: next(parse_schedule("@daily").fires(NAIVE)), "ScheduleError", ValueError),
        (lambda: parse("", timezone="Mars/Olympus"), "ScheduleError", ValueError),
        (lambda: load("/dev/null/no", timezone="UTC"), "CrontabError", Exception),
        (gcron.current_run, "StateError", RuntimeError),
    ],
)
def test_each_error_is_in_the_tree(call: Callable[[], object], error: str, base: type[Exception]) -> None:
    """These were plain ValueErrors and RuntimeErrors: `except GcronError` missed them."""
    with pytest.raises(gcron.GcronError) as raised:
        call()
    assert type(raised.value) is getattr(gcron, error)
    assert isinstance(raised.value, base)


def test_a_wrong_zone_of_the_environment_is_in_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Mars/Olympus")
    with pytest.raises(gcron.ScheduleError, match="unknown time zone 'Mars/Olympus', want one such as Europe/Berlin"):
        local_timezone()


def test_a_crontab_without_a_line_end_is_not_taken_for_a_missing_file_without_a_word(tmp_path: Path) -> None:
    """`simulate("@daily x", …)` said that there is no file of that name, and not how to give a text."""
    with pytest.raises(gcron.CrontabError, match=r"@daily x: error: cannot be read: .*\n  hint: .* ends with \\n"):
        simulate("@daily x", DAY, NEXT)
    with pytest.raises(gcron.CrontabError) as missing:
        simulate(tmp_path / "missing", DAY, NEXT)
    assert "hint" not in str(missing.value), "a Path is no text"
    (tmp_path / "binary").write_bytes(bytes(range(1, 99)))
    with pytest.raises(gcron.CrontabError) as binary:
        simulate(str(tmp_path / "binary"), DAY, NEXT)
    assert "line end" not in str(binary.value), "the file is there"


@pytest.mark.parametrize(
    ("moment", "hint"),
    [
        ("10:30", r"cron\('30 10 \* \* \*'\) is each day at 10:30"),
        ("2030-01-01 10:00", r"at\(datetime.fromisoformat\('2030-01-01 10:00'\).replace\(tzinfo=UTC\)\) is once"),
        ("2030-01-01T10:00:00+02:00", r"at\(datetime.fromisoformat\('2030-01-01T10:00:00\+02:00'\)\) is once"),
        ("tomorrow", r"at\(datetime\("),
        (DAY.date(), "give its time of the day, too"),
    ],
)
def test_what_is_no_moment_gets_the_hint_that_fits_it(moment: Any, hint: str) -> None:
    """`at("2030-01-01 10:00")`, which is meant once, was told that cron() runs each day."""
    with pytest.raises(TypeError, match=hint):
        gcron.at(moment)

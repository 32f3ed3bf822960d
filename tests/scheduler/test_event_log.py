"""What the library says through `logging`."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE, until


def records(caplog: pytest.LogCaptureFixture, name: str = "gcron") -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == name]


def test_a_function_that_raises_is_an_error_with_its_traceback(
    make_scheduler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that raised was silent unless the program observed its events, also with `logging.basicConfig`."""

    def fail() -> None:
        raise ValueError("no such table")

    scheduler, _ = make_scheduler()
    scheduler.job("@manual")(fail)
    scheduler.trigger("fail").result.get(timeout=PATIENCE)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("gcron", logging.ERROR)
    assert record.getMessage() == "job fail failed: ValueError: no such table"
    assert "in fail" in caplog.text
    assert record.job == "fail"  # type: ignore[attr-defined]


def test_a_command_that_fails_is_an_error_with_the_end_of_its_output(
    make_scheduler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, _ = make_scheduler()
    scheduler.command("seq 100; echo no space left >&2; exit 3", "@manual", name="backup")
    scheduler.trigger("backup").result.get(timeout=PATIENCE)
    ((level, text),) = records(caplog)
    lines = text.splitlines()
    assert (level, lines[0]) == (logging.ERROR, "job backup failed: exit status 3")
    assert len(lines) == 11
    assert "    no space left" in lines


def test_what_is_missed_or_overdue_is_a_warning(
    clock: VirtualClock, make_scheduler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from gcron.greenlet import sleep

    scheduler, _ = make_scheduler(clock=clock)
    scheduler.job("@hourly", name="job", expect_within="30m", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(1900)
    clock.set(clock.now() + 100 * 3600)
    sleep(3600)
    found = records(caplog)
    assert (logging.WARNING, "job job had no success within 1800 s") in found
    assert any(level == logging.WARNING and "missed" in text for level, text in found)
    assert all(level >= logging.WARNING for level, _ in found)


def test_starts_and_successes_are_for_those_who_ask(make_scheduler: Any, caplog: pytest.LogCaptureFixture) -> None:
    scheduler, _ = make_scheduler()
    scheduler.job("@manual", name="job")(lambda: None)
    scheduler.trigger("job").result.get(timeout=PATIENCE)
    assert records(caplog) == []
    with caplog.at_level(logging.DEBUG, "gcron"):
        scheduler.trigger("job").result.get(timeout=PATIENCE)
    assert records(caplog) == [(logging.DEBUG, "job job started"), (logging.DEBUG, "job job succeeded")]


def test_an_observer_that_raises_is_an_error(make_scheduler: Any, caplog: pytest.LogCaptureFixture) -> None:
    scheduler, _ = make_scheduler()
    scheduler.on("run-started", lambda event: 1 / 0)
    scheduler.command("true", "@manual", name="job")
    assert scheduler.trigger("job").result.get(timeout=PATIENCE).succeeded
    ((level, text),) = records(caplog)
    assert level == logging.ERROR
    assert "ZeroDivisionError" in text
    assert "in <lambda>" in caplog.text


@pytest.mark.parametrize("logger", [None, "mine", logging.getLogger("mine")])
def test_the_logger_can_be_another_or_none(make_scheduler: Any, caplog: pytest.LogCaptureFixture, logger: Any) -> None:
    scheduler, _ = make_scheduler(logger=logger)
    scheduler.command("exit 1", "@manual", name="job")
    scheduler.trigger("job").result.get(timeout=PATIENCE)
    assert records(caplog) == []
    assert len(records(caplog, "mine")) == (0 if logger is None else 1)


def test_a_program_without_a_configuration_shows_failures_and_loads_logging_only_then() -> None:
    """`logging` shows warnings and errors on stderr by default. It takes 5 ms of a start that most programs do not
    need.
    """
    program = """
import sys
from gcron import Scheduler
scheduler = Scheduler()
scheduler.command("true", "@manual", name="good")
scheduler.command("exit 7", "@manual", name="bad")
scheduler.start()
assert scheduler.trigger("good").result.get(timeout=60).succeeded
assert "logging" not in sys.modules
scheduler.trigger("bad").result.get(timeout=60)
scheduler.stop()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stderr == "job bad failed: exit status 7\n"


def test_all_levels_of_a_service(make_scheduler: Any, caplog: pytest.LogCaptureFixture) -> None:
    scheduler, recorder = make_scheduler()
    scheduler.service("exit 1", name="web", restart_limit=1, restart_delay=0.01)
    scheduler.start()
    until(lambda: [event for event in recorder.of("service-state-changed") if event.state == "failed"])
    assert any(level == logging.ERROR and text.startswith("service web failed") for level, text in records(caplog))
    assert isinstance(scheduler, Scheduler)

"""Clock steps and suspends during a real `gcron run`: `tests/shifted_clock.py` shifts the clocks of its process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.shifted_clock import SettableClock, why_no_clock_can_be_set
from tests.waiting import until

HOUR = 3600

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(why_no_clock_can_be_set() != "", reason=why_no_clock_can_be_set()),
]


def pause(daemon: Any) -> None:
    """Stop the process, and wait until it is stopped."""
    daemon.send(signal.SIGSTOP)
    until(lambda: psutil.Process(daemon.process.pid).status() == psutil.STATUS_STOPPED)


def suspend(clock: SettableClock, instant: float, daemon: Any) -> None:
    """Suspend the machine until then, as the daemon sees it."""
    pause(daemon)
    clock.pass_asleep(instant)
    daemon.send(signal.SIGCONT)


@pytest.fixture(params=[True, False], ids=["timers", "naps"])
def clock(library_of_clocks: Path, tmp_path: Path, request: pytest.FixtureRequest) -> SettableClock:
    """Clocks of a kernel with timers on the wall clock, and of one without."""
    return SettableClock(library_of_clocks, tmp_path / "offset", request.param)


def at(hour: int, minute: int = 0, second: int = 0) -> float:
    return datetime(2030, 6, 5, hour, minute, second, tzinfo=UTC).timestamp()


# Early enough for a busy machine to notice the step before 12:30.
SHORTLY_BEFORE = at(12, 29, 57)
CRONTAB = """\
CRON_TZ=UTC
# gcron: name=fixed
30 12 * * *  true
# gcron: name=wildcard
30 * * * *  true
# gcron: name=every
@every 1s  true
"""


def starts(daemon: Any, job: str) -> int:
    return len(re.findall(rf"  {job} +started", daemon.log))


def wait_for_more(daemon: Any, job: str, more: int) -> None:
    daemon.wait_for(rf"  {job} +started", starts(daemon, job) + more)


def test_the_preloaded_library_shifts_the_clocks_of_python(clock: SettableClock) -> None:
    clock.set_to(at(12))
    code = "import time, datetime; print(time.time(), time.time_ns() / 1e9, datetime.datetime.now().timestamp())"
    told = subprocess.run([sys.executable, "-c", code], env=clock.environment, capture_output=True, check=True).stdout
    assert all(abs(float(word) - clock.now()) < 60 for word in told.split())


def test_a_small_step_makes_up_a_fixed_time_once_and_never_repeats_it(
    clock: SettableClock, gcron_run: Callable[..., Any]
) -> None:
    clock.set_to(at(12, 10))
    daemon = gcron_run(CRONTAB, env=clock.environment)
    wait_for_more(daemon, "every", 1)
    assert starts(daemon, "fixed") == starts(daemon, "wildcard") == 0
    clock.set_to(at(12, 50))  # forward by 40 minutes: the fixed time is made up, once
    daemon.wait_for(r"  fixed +started")
    daemon.wait_for(r"  wildcard +missed: 2030-06-05 12:30:00Z")
    wait_for_more(daemon, "every", 1)
    clock.set_to(SHORTLY_BEFORE)  # back to before 12:30: the wildcard fires again, the fixed time does not
    daemon.wait_for(r"  wildcard +started")
    wait_for_more(daemon, "every", 1)
    assert starts(daemon, "fixed") == starts(daemon, "wildcard") == 1
    assert starts(daemon, "every") < 100  # no burst: hundreds came due
    assert daemon.stop() == 0


def test_a_step_forward_by_more_than_three_hours_makes_nothing_up(
    clock: SettableClock, gcron_run: Callable[..., Any]
) -> None:
    clock.set_to(at(12, 10))
    daemon = gcron_run(CRONTAB, env=clock.environment)
    wait_for_more(daemon, "every", 1)
    clock.set_to(at(18, 10))
    daemon.wait_for(r"  fixed +missed: 2030-06-05 12:30:00Z: the clock was set forward by 2\d{4} s")
    wait_for_more(daemon, "every", 1)
    assert starts(daemon, "fixed") == starts(daemon, "wildcard") == 0
    assert daemon.stop() == 0


def test_after_a_step_back_by_more_than_three_hours_fixed_times_fire_again(
    clock: SettableClock, gcron_run: Callable[..., Any]
) -> None:
    clock.set_to(at(12, 10))
    daemon = gcron_run(CRONTAB, env=clock.environment)
    wait_for_more(daemon, "every", 1)
    clock.set_to(at(12, 50))
    daemon.wait_for(r"  fixed +started")
    clock.set_to(at(7))
    wait_for_more(daemon, "every", 1)
    clock.set_to(SHORTLY_BEFORE)
    daemon.wait_for(r"  fixed +started", 2)
    daemon.wait_for(r"  wildcard +started")
    assert daemon.stop() == 0


def test_after_a_suspend_a_recent_fixed_time_is_made_up(clock: SettableClock, gcron_run: Callable[..., Any]) -> None:
    """The clock was not set. Of 12:30 and 17:30 the later fire is only 40 minutes late."""
    clock.set_to(at(12, 10))
    daemon = gcron_run(CRONTAB.replace("30 12 ", "30 12,17 "), env=clock.environment)
    wait_for_more(daemon, "every", 1)
    suspend(clock, at(18, 10), daemon)
    daemon.wait_for(r"  fixed +started")
    daemon.wait_for(r"  fixed +missed: 2030-06-05 12:30:00Z: gcron could not act")
    daemon.wait_for(r"  wildcard +missed: 2030-06-05 12:30:00Z to 2030-06-05 17:30:00Z: gcron could not act")
    wait_for_more(daemon, "every", 1)
    assert starts(daemon, "fixed") == 1
    assert starts(daemon, "wildcard") == 0
    assert starts(daemon, "every") < 100  # no burst: hundreds came due
    assert "the clock was set" not in daemon.log
    assert daemon.stop() == 0


def test_after_a_suspend_each_job_catches_up_as_its_option_says(
    clock: SettableClock, gcron_run: Callable[..., Any]
) -> None:
    """A suspend from 12:10 to 18:10, with a deadline of four hours: four fires of each job are recent enough."""
    names = {"nothing": "none", "last": "last", "all": "all"}
    jobs = [f"# gcron: name={name} catchup={catchup}\n40 0-23 * * *  true\n" for name, catchup in names.items()]
    text = f"CRON_TZ=UTC\n# gcron-defaults: start-deadline=4h\n{''.join(jobs)}# gcron: name=every\n@every 1s  true\n"
    clock.set_to(at(12, 10))
    daemon = gcron_run(text, "--log-format", "json", env=clock.environment)
    daemon.wait_for('"event":"process-started"')
    suspend(clock, at(18, 10), daemon)
    daemon.wait_for('"event":"run-finished","job":"all"', 4)
    daemon.wait_for('"event":"run-finished","job":"last"')
    daemon.wait_for('"event":"run-finished","job":"nothing"')
    daemon.wait_for('"event":"fires-missed"', 4)  # one of them for `every`
    assert daemon.stop() == 0

    records = records_of(daemon)

    def hours(job: str, kind: str, field: str) -> list[str]:
        return [record[field][11:16] for record in records if (record.get("job"), record["event"]) == (job, kind)]

    assert hours("all", "run-finished", "fire_at") == ["14:40", "15:40", "16:40", "17:40"], "one after the other"
    assert hours("last", "run-finished", "fire_at") == ["17:40"]
    assert hours("nothing", "run-finished", "fire_at") == ["17:40"], "a fixed time of the last three hours"
    spans = {job: hours(job, "fires-missed", "first") + hours(job, "fires-missed", "last") for job in ("all", "last")}
    assert spans == {"all": ["12:40", "13:40"], "last": ["12:40", "16:40"]}


def test_after_a_suspend_of_days_nothing_is_made_up(clock: SettableClock, gcron_run: Callable[..., Any]) -> None:
    clock.set_to(at(12, 10))
    daemon = gcron_run(CRONTAB, env=clock.environment)
    wait_for_more(daemon, "every", 1)
    suspend(clock, at(18, 10) + 48 * HOUR, daemon)
    daemon.wait_for(r"  fixed +missed: .*: gcron could not act")
    wait_for_more(daemon, "every", 1)
    assert starts(daemon, "fixed") == starts(daemon, "wildcard") == 0
    assert daemon.stop() == 0


def test_a_step_is_noticed_while_no_job_is_due_soon(
    gcron_run: Callable[..., Any], library_of_clocks: Path, tmp_path: Path
) -> None:
    """The kernel's timer is set to 12:30, in twenty minutes of the monotonic clock."""
    clock = SettableClock(library_of_clocks, tmp_path / "offset")
    clock.set_to(at(12, 10))
    daemon = gcron_run(CRONTAB.partition("# gcron: name=every")[0], env=clock.environment)
    daemon.wait_for("2 jobs from")
    clock.set_to(at(12, 50))
    daemon.wait_for(r"  fixed +started")
    clock.set_to(SHORTLY_BEFORE)  # the timer was set to 13:30
    daemon.wait_for(r"  wildcard +started")
    assert starts(daemon, "fixed") == 1
    assert daemon.stop() == 0


def records_of(daemon: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in daemon.log.splitlines()]


def second_of(record: dict[str, Any], field: str = "fire_at") -> int:
    return int(datetime.fromisoformat(record[field]).timestamp())


def pause_for(daemon: Any, seconds: float) -> range:
    """Pause gcron for some time; return the seconds that began meanwhile."""
    pause(daemon)
    first = int(time.time()) + 1
    time.sleep(seconds)
    end = int(time.time()) + 1
    daemon.send(signal.SIGCONT)
    return range(first, end)


def test_a_paused_gcron_starts_no_burst_when_it_continues(gcron_run: Callable[..., Any]) -> None:
    daemon = gcron_run("# gcron: name=every\n@every 1s true\n", "--log-format", "json")
    daemon.wait_for('"event":"run-finished"')
    paused = pause_for(daemon, 3.2)
    daemon.wait_for('"event":"fires-missed"')
    daemon.wait_for('"event":"run-finished"', 2)
    assert daemon.stop() == 0
    records = records_of(daemon)
    started = {second_of(record) for record in records if record["event"] == "run-started"} & {*paused}
    (missed,) = [record for record in records if record["event"] == "fires-missed"][:1]
    assert missed["reason"] == "gcron could not act when they were due"
    assert started <= {paused[-1]}, "the last one is made up, the others are missed"
    assert (second_of(missed, "first"), second_of(missed, "last")) == (paused[0], paused[-1] - len(started))


def test_a_paused_gcron_catches_up_with_one_run_at_a_time(gcron_run: Callable[..., Any]) -> None:
    daemon = gcron_run("# gcron: name=every catchup=all\n@every 1s  sleep 0.2\n", "--log-format", "json")
    daemon.wait_for('"event":"run-finished"', 2)
    paused = pause_for(daemon, 3.2)
    daemon.wait_for('"event":"run-finished"', 2 + len(paused) + 1)
    assert daemon.stop() == 0
    records = records_of(daemon)
    runs = [record for record in records if record["event"] in ("process-started", "run-finished")]
    # One run at a time, none missing, none twice. Fires that came due during the catch-up were skipped.
    events = [run["event"] for run in runs if run.get("outcome") != "skipped"]
    assert events == ["process-started", "run-finished"] * (len(events) // 2)
    missed = [record["reason"] for record in records if record["event"] == "fires-missed"]
    assert "gcron could not act when they were due" not in missed
    seconds = sorted(second_of(run) for run in runs if run["event"] == "run-finished")
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
    assert {*paused} <= {*seconds}

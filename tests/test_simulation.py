"""Simulations of crontabs, as tests of users run them: days in milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.crontab import CrontabError
from gcron.greenlet import sleep, spawn
from gcron.schedule import parse
from gcron.scheduler import Outcome, Scheduler
from gcron.testing import simulate
from tests.waiting import takes

BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime(2027, 1, 11, tzinfo=UTC)
pytest_plugins = ["gcron.testing.pytest_plugin"]


def test_a_simulation_follows_a_clock_change() -> None:
    spring = simulate(
        "CRON_TZ=Europe/Berlin\n# gcron: name=backup\n30 2 * * * x\n# gcron: name=poll\n*/20 2 * * * x\n",
        datetime(2027, 3, 28, tzinfo=BERLIN),
        datetime(2027, 3, 30, tzinfo=BERLIN),
    )

    assert spring.fires("backup") == ["2027-03-28 03:00", "2027-03-29 02:30"]
    assert spring.fires("poll") == ["2027-03-29 02:00", "2027-03-29 02:20", "2027-03-29 02:40"]
    assert {run.outcome for run in spring.runs} == {Outcome.SUCCEEDED}


def test_simulated_jobs_can_take_time_and_fail() -> None:
    day = simulate(
        "# gcron: name=slow timeout=90m\n0 * * * * x\n# gcron: name=bad retries=2 retry-delay=1m\n0 6 * * * x\n",
        DAY,
        DAY + timedelta(hours=8),
        takes={"slow": 7200},
        fails={"bad"},
    )

    outcomes = [
        (run.due.hour, run.outcome) for run in sorted(day.of("slow"), key=lambda run: run.due or DAY) if run.due
    ]
    assert outcomes[:4] == [
        (0, Outcome.TIMED_OUT),
        (1, Outcome.SKIPPED),
        (2, Outcome.TIMED_OUT),
        (3, Outcome.SKIPPED),
    ]
    (bad,) = day.of("bad")
    assert (bad.outcome, bad.attempts, bad.ended) == (Outcome.FAILED, 3, DAY + timedelta(hours=6, minutes=3))


def test_a_fire_at_the_start_counts_and_one_at_the_end_does_not() -> None:
    simulation = simulate("# gcron: name=a\n0 * * * * x\n", DAY, DAY + timedelta(hours=2))

    assert simulation.fires("a") == ["2027-01-11 00:00", "2027-01-11 01:00"]


def test_a_run_at_the_end_has_the_outcome_killed() -> None:
    (run,) = simulate("# gcron: name=a\n0 1 * * * x\n", DAY, DAY + timedelta(hours=2), takes={"a": 86400}).runs

    assert run.outcome is Outcome.KILLED


def test_services_run_until_the_end_and_jobs_wait_for_them() -> None:
    simulation = simulate(
        "# gcron: name=cache\n@service x\n# gcron: name=warm after=cache\n0 1 * * * x\n", DAY, DAY + timedelta(hours=2)
    )

    assert [(run.job, run.outcome) for run in simulation.runs] == [
        ("warm", Outcome.SUCCEEDED),
        ("cache", Outcome.STOPPED),
    ]


def test_jobs_of_a_program_are_simulated_like_those_of_a_crontab() -> None:
    scheduler = Scheduler("UTC")
    scheduler.command("x", "0 1 * * *", name="a")

    assert simulate(scheduler.jobs, DAY, DAY + timedelta(hours=2)).fires("a") == ["2027-01-11 01:00"]


def test_jobs_that_a_scheduler_refuses_are_refused() -> None:
    scheduler = Scheduler("UTC")
    scheduler.command("x", "0 1 * * *", name="a", after="nobody")

    with pytest.raises(ValueError, match="after= names 'nobody'"):
        simulate(scheduler.jobs, DAY, DAY + timedelta(hours=2))


def test_simulated_groups_limit_their_runs() -> None:
    simulation = simulate(
        "# gcron-group: db limit=1\n# gcron-defaults: group=db\n0 1 * * * a\n0 1 * * * b\n",
        DAY,
        DAY + timedelta(hours=4),
        takes={"a": 3000, "b": 3000},
    )

    assert [(run.job, run.ended - DAY) for run in simulation.runs] == [
        ("a", timedelta(seconds=3600 + 3000)),
        ("b", timedelta(seconds=3600 + 6000)),
    ]
    with pytest.raises(CrontabError, match="there is no group dc"):
        simulate("# gcron: group=dc\n0 1 * * * a\n", DAY, DAY + timedelta(hours=4))


@pytest.mark.realtime
def test_a_year_takes_no_real_time_and_other_greenlets_do_not_wake(tmp_path: Path) -> None:
    (tmp_path / "crontab").write_text("# gcron: name=a\n0 */6 * * * x\n")
    sleeper = spawn(sleep, 3600)

    with takes(at_most=10):
        simulation = simulate(tmp_path / "crontab", DAY, DAY + timedelta(days=365))

    assert len(simulation.fires("a")) == 4 * 365
    assert not sleeper.ready()
    sleeper.kill()


@given(
    minute=st.integers(0, 59), hour=st.integers(0, 23), start=st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1))
)
def test_a_simulation_has_exactly_the_fires_of_the_schedule(minute: int, hour: int, start: datetime) -> None:
    begin = start.replace(microsecond=0, tzinfo=UTC)
    end = begin + timedelta(days=3)
    simulation = simulate(f"# gcron: name=a\n{minute} {hour} * * * x\n", begin, end, timezone=BERLIN)

    schedule = parse(f"{minute} {hour} * * *", BERLIN)
    instants = []
    instant = schedule.next_after(int(begin.timestamp()) - 1)
    while instant is not None and instant < end.timestamp():
        instants.append(instant)
        instant = schedule.next_after(instant)
    assert [int(run.due.timestamp()) for run in simulation.of("a") if run.due] == instants


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(CrontabError, match="crontab>:1:1"):
        simulate("61 * * * * x\n", DAY, DAY + timedelta(days=1))
    with pytest.raises(ValueError, match="aware start"):
        simulate("@daily x\n", datetime(2027, 1, 1), DAY)
    with pytest.raises(ValueError, match="no job named 'b'; known are a"):
        simulate("# gcron: name=a\n@daily x\n", DAY, DAY + timedelta(days=1), takes={"b": 1})


@pytest.mark.parametrize(("seconds", "error"), [("5m", TypeError), (timedelta(5), TypeError), (-1, ValueError)])
def test_the_time_of_a_job_must_be_a_number_of_seconds(seconds: Any, error: type[Exception]) -> None:
    """With a text the runs failed with a TypeError in gcron's own code."""
    with pytest.raises(error, match="what 'a' takes is a number of seconds"):
        simulate("# gcron: name=a\n@daily x\n", DAY, DAY + timedelta(days=1), takes={"a": seconds})


def test_a_single_name_is_refused_as_the_set_of_failing_jobs() -> None:
    """`fails="backup"` was refused with "there is no job named 'b'", and `fails="a"` was accepted."""
    with pytest.raises(TypeError, match=r"such as \{'a'\}"):
        simulate("# gcron: name=a\n@daily x\n", DAY, DAY + timedelta(days=1), fails="a")


def test_two_simulations_with_the_same_arguments_are_equal() -> None:
    """Reasons contained random identifiers of runs, so no two simulations were equal."""
    crontab = "# gcron: name=a\n*/5 * * * * x\n# gcron: name=b overlap=queue\n*/5 * * * * y\n"
    first, second = (simulate(crontab, DAY, DAY + timedelta(hours=1), takes={"a": 400, "b": 1000}) for _ in range(2))
    assert first == second
    assert next(run.reason.text for run in first.of("a") if run.reason.text) == "the run number 1 is still under way"


def test_the_fixture_is_the_function(simulate_crontab: object) -> None:
    assert simulate_crontab is simulate


def test_a_simulated_chain() -> None:
    night = simulate(
        "# gcron: name=extract\n0 2 * * * x\n# gcron: name=load\n15 2 * * * x\n"
        "# gcron: name=transform\n@after extract,load x\n# gcron: name=never\n@after bad x\n"
        "# gcron: name=bad\n0 3 * * * x\n",
        DAY,
        DAY + timedelta(days=2),
        takes={"extract": 1800, "load": 300},
        fails={"bad"},
    )

    assert night.fires("transform") == ["2027-01-11 02:30", "2027-01-12 02:30"]
    assert night.of("never") == ()

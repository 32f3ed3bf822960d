"""Wrong arguments of a scheduler: a clear error at the call."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import gcron
from gcron import at, cron, every
from gcron.greenlet import sleep
from gcron.policy import Policy, PolicyError
from gcron.schedule import ScheduleError, parse
from gcron.scheduler import Job, Scheduler
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE

Watched = tuple[Scheduler, Any]


def nothing() -> None: ...


def needs(first: int, *, second: str) -> None: ...


async def coroutine() -> None: ...


async def async_generator() -> Any:
    yield 1


def generator() -> Any:
    yield 1


class Service:
    def method(self) -> None: ...

    def __call__(self) -> None: ...


def with_argument(function: Callable[[int], object]) -> Callable[[], object]:
    @functools.wraps(function)
    def call(*args: Any) -> object:
        return function(5)

    return call


@with_argument
def brought(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("when", "hint"),
    [
        (None, "a text such as"),
        (5, "a text such as"),
        (timedelta(minutes=5), r"every\(period\)"),
        (datetime(2030, 1, 1, tzinfo=UTC), r"at\(moment\)"),
        (nothing, r"@scheduler.job\('@hourly'\)"),
    ],
)
def test_an_argument_that_is_not_a_schedule_is_refused_at_once(scheduler: Watched, when: Any, hint: str) -> None:
    """`@scheduler.job` without brackets returned a function and added no job. None was added, and the start raised an
    AttributeError that named neither the job nor the mistake.
    """
    with pytest.raises(TypeError, match=hint):
        scheduler[0].job(when, greenlet=True)
    with pytest.raises(TypeError, match=hint):
        scheduler[0].command("true", when)
    scheduler[0].command("true", "@daily", name="there")
    with pytest.raises(TypeError, match=hint):
        scheduler[0].reschedule("there", when)
    assert [job.name for job in scheduler[0].jobs] == ["there"]


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (5, "a job is a function"),
        ("true", "added by command"),
        (needs, "missing a required argument: 'first'; args= and kwargs="),
        (functools.partial(needs, 1), "missing a required .*'second'"),
        (async_generator, "async"),
        (generator, "generator"),
    ],
)
@pytest.mark.parametrize("greenlet", [False, True])
def test_an_argument_that_cannot_be_called_is_refused(
    scheduler: Watched, function: Any, hint: str, greenlet: bool
) -> None:
    """A generator function was a job that did nothing and succeeded. Others failed at their fire."""
    with pytest.raises(TypeError, match=hint):
        scheduler[0].job("@daily", name="job", greenlet=greenlet)(function)
    assert scheduler[0].jobs == ()


@pytest.mark.parametrize(
    "function",
    [
        nothing,
        lambda x=1: x,
        functools.partial(needs, 1, second=""),
        Service().method,
        Service(),
        dict,
        Mock(),
        brought,
    ],
)
def test_anything_that_can_be_called_without_arguments_is_a_job(scheduler: Watched, function: Any) -> None:
    """Also a decorated function whose decorator passes the arguments. The wrapped function does not count."""
    scheduler[0].job("@manual", name="job", greenlet=True)(function)
    assert scheduler[0].trigger("job").result.get(timeout=PATIENCE).succeeded


def test_a_mock_is_a_job_with_the_name_of_its_class(scheduler: Watched) -> None:
    """It has each attribute except a name, so the search for the wrapped function never ended."""
    mock = Mock()
    scheduler[0].job("@manual", greenlet=True)(mock)
    assert scheduler[0].trigger("Mock").result.get(timeout=PATIENCE).succeeded
    mock.assert_called_once_with()


@pytest.mark.parametrize("command", [["ls", "-l"], b"ls", None, nothing, Path("/bin/ls")])
def test_a_command_must_be_a_text(scheduler: Watched, command: Any) -> None:
    """A list raised "unhashable type". All others were added with a name that is not a text, and failed when due."""
    with pytest.raises(TypeError, match="a command is a text for the shell"):
        scheduler[0].command(command, "@daily")
    with pytest.raises(TypeError, match="a command is a text for the shell"):
        scheduler[0].service(command)
    assert scheduler[0].jobs == ()


@pytest.mark.parametrize("command", ["", "  ", "a\0b"])
def test_an_empty_command_is_refused(scheduler: Watched, command: str) -> None:
    """An empty command, perhaps from a missing setting, succeeded each night."""
    with pytest.raises(ValueError, match="no command that a shell could run"):
        scheduler[0].command(command, "@daily")


def test_a_name_must_be_a_text(scheduler: Watched) -> None:
    """The number 5 was a name that `trigger("5")` did not find. An empty name was ignored."""
    wrong: Any = 5
    with pytest.raises(TypeError, match="the name of a job is a text, not 5"):
        scheduler[0].job("@daily", name=wrong, greenlet=True)(nothing)
    with pytest.raises(ValueError, match="cannot be empty"):
        scheduler[0].command("true", "@daily", name="")


def test_add_accepts_only_jobs(scheduler: Watched) -> None:
    """Others raised AttributeError: 'function' object has no attribute 'name'."""
    wrong: Any = nothing
    with pytest.raises(TypeError, match="is no Job: command"):
        scheduler[0].add(wrong)
    with pytest.raises(TypeError, match="is no Job: command"):
        scheduler[0].replace([scheduler[0].command("true", "@daily"), wrong])
    assert [job.name for job in scheduler[0].jobs] == ["true"]


def test_a_job_of_a_bare_function_is_refused(scheduler: Watched) -> None:
    """It was added, and failed at its fire."""
    wrong: Any = nothing
    with pytest.raises(TypeError, match=r"give PythonCall\(function\)"):
        scheduler[0].add(Job("job", parse("@manual"), wrong, Policy()))


@pytest.mark.parametrize("name", [nothing, None, 5])
def test_a_job_is_found_only_by_its_name(scheduler: Watched, name: Any) -> None:
    """`trigger(function)` raised a TypeError about len()."""
    scheduler[0].job("@daily", greenlet=True)(nothing)
    with pytest.raises(KeyError, match="known are nothing"):
        scheduler[0].trigger(name)


@pytest.mark.parametrize(("limit", "error"), [("2", TypeError), (1.5, TypeError), (True, TypeError), (0, ValueError)])
def test_the_limit_of_a_group_must_be_a_whole_number(scheduler: Watched, limit: Any, error: type[Exception]) -> None:
    """A text raised an error about `<`, and 1.5 was accepted."""
    with pytest.raises(error, match="the limit of group 'db'"):
        scheduler[0].group("db", limit=limit)


@pytest.mark.parametrize("name", [None, "", "a b"])
def test_a_group_name_that_no_job_can_give_is_refused(scheduler: Watched, name: Any) -> None:
    """The group was accepted, and no job could be in it."""
    with pytest.raises(ValueError, match="no name of a group"):
        scheduler[0].group(name, limit=1)


@pytest.mark.parametrize(
    ("grace", "error"),
    [("soon", ScheduleError), (None, TypeError), (True, TypeError), (-1, ValueError), (math.nan, ValueError)],
)
def test_a_wrong_grace_is_refused_before_anything_stops(scheduler: Watched, grace: Any, error: type[Exception]) -> None:
    """With a text the stop failed half-way: no job was due any more, and running jobs were not stopped."""
    running, _ = scheduler
    running.job("@manual", name="job", greenlet=True)(lambda: sleep(0.01))
    run = running.trigger("job")
    for method in (
        running.stop,
        lambda grace: running.start_thread(grace=grace),
        lambda grace: running.run(grace=grace),
    ):
        with pytest.raises(error, match=r"grace is a number of seconds|not a duration"):
            method(grace)
    assert run.result.get(timeout=PATIENCE).succeeded
    assert running.trigger("job").result.get(timeout=PATIENCE).succeeded


def test_an_unknown_time_zone_is_refused_at_once() -> None:
    """A misspelt zone was reported at the first job, perhaps far from the mistake."""
    with pytest.raises(ScheduleError, match="unknown time zone 'Europe/Berlun'"):
        Scheduler("Europe/Berlun")
    wrong: Any = 5
    with pytest.raises(TypeError, match="a time zone is a name"):
        Scheduler(wrong)


# -- names and values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("thread", "run in threads"),
        ("id", "name="),
        ("max_instances", "overlap="),
        ("misfire_grace_time", "start_deadline="),
        ("coalesce", "catchup="),
        ("replace_existing", "remove"),
        ("jobstore", "keeps no jobs"),
        ("executor", "threads"),
        ("next_run_time", "now=True"),
        ("trigger", "first argument"),
        ("seconds", "every"),
        ("day_of_week", "cron"),
    ],
)
def test_a_word_of_another_scheduler_is_answered_with_ours(scheduler: Watched, word: str, hint: str) -> None:
    """It met a list of 40 names."""
    options: Any = {word: 1}
    with pytest.raises(PolicyError, match=f"unknown option '{word}' .*{hint}"):
        scheduler[0].job("@daily", **options)
    with pytest.raises(PolicyError, match=hint):
        scheduler[0].command("true", "@daily", **options)


@pytest.mark.parametrize("name", ["add_job", "shutdown", "get_jobs", "add_listener", "run_pending"])
def test_a_method_of_another_scheduler_is_answered_with_ours(scheduler: Watched, name: str) -> None:
    with pytest.raises(AttributeError, match=f"a Scheduler has no '{name}': use "):
        getattr(scheduler[0], name)
    assert not hasattr(scheduler[0], "no_such_thing")


@pytest.mark.parametrize("option", ["success_codes", "output", "stop_signal"])
def test_an_option_without_meaning_for_a_function_is_refused(scheduler: Watched, option: str) -> None:
    """It was accepted, and changed nothing."""
    options: Any = {option: {"success_codes": 3, "output": "raw", "stop_signal": "INT"}[option]}
    with pytest.raises(ValueError, match=f"{option} means nothing to a function"):
        scheduler[0].job("@daily", **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tz": "Asia/Tokyo"}, "2026-01-02 00:00"),
        ({"tz": "Asia/Tokyo", "start": "2026-02-01"}, "2026-02-01 00:00"),
        ({"except_on": "2026-01-01..2026-01-09"}, "2026-01-10 09:00"),
    ],
)
def test_options_of_schedules_are_those_of_directives(
    clock: VirtualClock, make_scheduler: Any, options: Any, text: str
) -> None:
    """`tz=` was refused, although "options are those of directives"."""
    scheduler, _ = make_scheduler(clock=clock, timezone="UTC")
    scheduler.command("true", "0 9 * * *", name="command", **options)
    scheduler.job(cron("0 9 * * *"), name="job", **options)(nothing)
    scheduler.service("true", name="service", tz="Asia/Tokyo", enabled=False)
    scheduler.start()
    sleep(0.5)
    assert [f"{due:%Y-%m-%d %H:%M}" for due, _ in scheduler.upcoming()] == [text] * 2


def test_what_is_given_twice_or_means_nothing_to_a_schedule_is_refused(scheduler: Watched) -> None:
    with pytest.raises(TypeError, match="tz is given twice"):
        scheduler[0].job(cron("0 9 * * *", "UTC"), tz="Asia/Tokyo")
    with pytest.raises(TypeError, match="start means nothing to"):
        scheduler[0].job(at(datetime(2060, 1, 1, tzinfo=UTC)), start="2026-01-01")


def test_now_runs_a_job_at_the_start(clock: VirtualClock, make_scheduler: Any) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job(every("1h"), name="job", now=True, greenlet=True)(nothing)
    scheduler.start()
    sleep(1)
    assert recorder.outcomes() == ["succeeded"]


def test_a_command_gets_its_variables_and_its_input(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.command('echo "$WHO"; cat', "@manual", name="job", env={"WHO": "me"}, stdin="input\n")
    assert running.trigger("job").result.get(timeout=PATIENCE).succeeded
    assert recorder.lines("job") == [b"me", b"input"]
    wrong: Any = {"N": 5}
    with pytest.raises(TypeError, match="env= is texts by name, not 'N': 5"):
        running.command("true", "@daily", env=wrong)
    with pytest.raises(ValueError, match="env= cannot have 'A=B'"):
        running.command("true", "@daily", env={"A=B": "x"})


def test_durations_may_be_a_timedelta(scheduler: Watched) -> None:
    """`every(timedelta)` worked, `timeout=timedelta` did not."""
    job = scheduler[0].command("true", "@daily", timeout=timedelta(minutes=5))
    assert job.policy.timeout == 300


@pytest.mark.parametrize(
    ("call", "error", "hint"),
    [
        (lambda: at("10:30"), TypeError, "cron"),  # type: ignore[arg-type]
        (lambda: cron("0 9 * * *", fields="x"), ValueError, "x"),
        (lambda: every(True), TypeError, "a period is a number of seconds"),
        (lambda: every(None), TypeError, "a period is a number of seconds"),  # type: ignore[arg-type]
    ],
)
def test_wrong_schedules_have_errors_for_people(call: Any, error: type[Exception], hint: str) -> None:
    """An AttributeError, a KeyError, a period of one second."""
    with pytest.raises(error, match=hint):
        call()


def test_a_duration_is_no_schedule_and_the_hint_names_every(scheduler: Watched) -> None:
    with pytest.raises(ScheduleError, match=r"every\('5m'\)"):
        scheduler[0].command("true", "5m")


def test_a_second_lambda_is_told_to_have_a_name(scheduler: Watched) -> None:
    scheduler[0].job("@daily")(lambda: None)
    with pytest.raises(ValueError, match="give each lambda a name="):
        scheduler[0].job("@daily")(lambda: None)


# -- errors and help -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "base"),
    [
        (lambda it: it.command("true", "61 * * * *"), "ScheduleError", ValueError),
        (lambda it: it.command("true", "@daily", timeot=5), "PolicyError", ValueError),
        (lambda it: it.command("true", "@daily", restart="never"), "JobError", ValueError),
        (lambda it: it.command("true", "@daily", group="nobody"), "JobError", ValueError),
        (lambda it: [it.command("true", "@daily", name="a") for _ in range(2)], "JobExistsError", ValueError),
        (lambda it: it.trigger("nobody"), "NoSuchJobError", KeyError),
        (lambda it: [it.start() for _ in range(2)], "StateError", RuntimeError),
        (lambda it: it.load_crontab("/dev/null/nothing"), "CrontabError", Exception),
    ],
)
def test_errors_have_one_tree_and_their_usual_bases(
    scheduler: Watched, call: Any, error: str, base: type[Exception]
) -> None:
    """There was no common base, and most could not be imported from `gcron`."""
    with pytest.raises(gcron.GcronError) as raised:
        call(scheduler[0])
    assert isinstance(raised.value, getattr(gcron, error))
    assert isinstance(raised.value, base)
    assert not str(raised.value).startswith('"')


@pytest.mark.parametrize("method", ["job", "command", "service"])
def test_the_help_of_a_method_lists_its_options(method: str) -> None:
    """`help(Scheduler.job)` showed `**options`."""
    text = getattr(Scheduler, method).__doc__
    assert "kill_after (10s): the time from" in text
    assert ("timeout (none): " in text) == (method != "service")
    assert ("user (none): " in text) == (method != "job")


def test_errors_of_calls_name_the_class_that_programs_know(scheduler: Watched) -> None:
    """`Scheduler(sate=…)` was an error of `Lifecycle.__init__`, and `history("job", 5)` one of `Queries.history`."""
    wrong: Any = Scheduler
    with pytest.raises(TypeError, match=r"^Scheduler\.__init__\(\) got an unexpected keyword argument 'sate'"):
        wrong(sate="directory")
    with pytest.raises(TypeError, match=r"^Scheduler\(\) has no argument 'max_workers'"):
        wrong(max_workers=5)
    history: Any = scheduler[0].history
    with pytest.raises(TypeError, match=r"^Scheduler\.history\(\) takes from 1 to 2 positional arguments"):
        history("job", 5)

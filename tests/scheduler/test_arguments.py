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

from gcron.greenlet import sleep
from gcron.schedule import ScheduleError
from gcron.scheduler import Scheduler
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

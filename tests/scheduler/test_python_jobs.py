"""Python jobs: in threads and greenlets, with arguments, as coroutines; what a job knows of its run."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import gcron
from gcron.scheduler import Run, Scheduler
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE, until

Watched = tuple[Scheduler, Any]


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


class Callable42:
    async def __call__(self) -> int:
        return await answer()


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def result_of(scheduler: Scheduler, function: Callable[..., Any], **options: Any) -> Any:
    scheduler.job("@manual", name="job", **options)(function)
    return scheduler.trigger("job").result.get(timeout=PATIENCE)


# -- threads ----------------------------------------------------------------------------------------------------


def test_a_job_that_blocks_delays_no_other_job(scheduler: Watched) -> None:
    """Python jobs shared the scheduler's thread. One with `time.sleep(3)` each second held back all other jobs, eight
    fires were missed, and nothing said why.
    """
    running, _ = scheduler
    may_end = threading.Event()
    running.job("@manual", name="blocks")(lambda: may_end.wait(PATIENCE))
    running.job("@manual", name="other")(threading.get_ident)
    blocked = running.trigger("blocks")
    assert running.trigger("other").result.get(timeout=PATIENCE).value != threading.get_ident()
    assert not blocked.ready()
    may_end.set()
    assert blocked.result.get(timeout=PATIENCE).succeeded


def test_a_job_with_greenlet_runs_in_the_thread_of_the_scheduler(scheduler: Watched) -> None:
    assert result_of(scheduler[0], threading.get_ident, greenlet=True).value == threading.get_ident()


@pytest.mark.parametrize("greenlet", [False, True])
def test_a_job_gets_its_arguments(scheduler: Watched, greenlet: bool) -> None:
    """`args=` met a list of 40 names of options. `functools.partial` was the only way."""

    def work(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    result = result_of(scheduler[0], work, args=[1, "two"], kwargs={"three": 3}, greenlet=greenlet)
    assert result.value == ((1, "two"), {"three": 3})


def test_arguments_that_the_function_does_not_take_are_refused_at_once(scheduler: Watched) -> None:
    with pytest.raises(TypeError, match="too many positional arguments; args= and kwargs="):
        scheduler[0].job("@daily", args=[1])(lambda: None)
    assert scheduler[0].jobs == ()


def test_services_take_no_threads_from_jobs(make_scheduler: Any) -> None:
    """With eight Python services in threads, no Python job could start."""
    scheduler, _ = make_scheduler(threads=1)
    begun = threading.Barrier(3, timeout=PATIENCE)

    def serve() -> None:
        begun.wait()
        while not gcron.current_run().is_stopping:
            time.sleep(0.005)

    for name in ("one", "two"):
        scheduler.job("@service", name=name)(serve)
    scheduler.job("@manual", name="job")(begun.wait)
    scheduler.start()
    assert scheduler.trigger("job").result.get(timeout=PATIENCE).succeeded
    report = scheduler.stop(grace=0)
    assert report.left_behind == (), "a service in a thread that looks at its run ends when it is asked to"


# -- coroutines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [answer, Callable42(), lambda: answer(), traced(answer), functools.partial(answer)],
    ids=["async def", "async __call__", "lambda", "wraps", "partial"],
)
def test_a_function_that_returns_a_coroutine_is_run(scheduler: Watched, function: Callable[..., Any]) -> None:
    """Some of these were refused. The others had succeeded, with a coroutine as value, and nothing had run."""
    assert result_of(scheduler[0], function).value == 42


def test_what_a_coroutine_raises_is_a_failure_that_shows_only_its_own_lines(scheduler: Watched) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    result = result_of(scheduler[0], fail)
    assert (result.outcome, result.reason.text) == ("failed", "ValueError: no")
    assert "asyncio/" not in result.traceback
    assert "python_call.py" not in result.traceback


def test_a_coroutine_that_is_stopped_before_it_begins_ends_as_well(
    scheduler: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the run was given up while asyncio was loaded, and its thread was said to go on."""
    is_loading, go_on = threading.Event(), threading.Event()

    class SlowRunner(asyncio.Runner):
        def __init__(self) -> None:
            is_loading.set()
            go_on.wait(PATIENCE)
            super().__init__()

    monkeypatch.setattr(asyncio, "Runner", SlowRunner)

    async def work() -> None:
        await asyncio.sleep(PATIENCE)

    running, _ = scheduler
    running.job("@manual", name="job", kill_after=PATIENCE)(work)
    run = running.trigger("job")
    until(is_loading.is_set)
    run.stop(reason="not needed")
    assert not run.result.wait(0.05)
    go_on.set()
    assert run.result.get(timeout=PATIENCE).left_behind == ""


@pytest.mark.parametrize("way", ["timeout", "stop"])
def test_a_coroutine_that_must_end_is_cancelled_and_cleans_up(scheduler: Watched, way: str) -> None:
    """A thread cannot be ended. A coroutine can: it gets a CancelledError, and `kill_after` for its clean-up."""
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("clean")

    running, _ = scheduler
    running.job("@manual", name="job", timeout=0.05 if way == "timeout" else None, kill_after=PATIENCE)(work)
    run = running.trigger("job")
    if way == "stop":
        until(lambda: run.state == "running")
        run.stop(reason="not needed")
    result = run.result.get(timeout=PATIENCE)
    assert str(result.outcome) == {"timeout": "timed-out", "stop": "killed"}[way]
    assert cleaned == ["clean"] or way == "stop"  # a stop may come before the coroutine begins
    assert result.left_behind == ""


def test_a_coroutine_that_ignores_its_cancellation_is_abandoned(scheduler: Watched) -> None:
    may_end = threading.Event()

    async def work() -> None:
        while not may_end.is_set():
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                continue

    result = result_of(scheduler[0], work, timeout=0.05, kill_after=0.05)
    assert result.outcome == "timed-out"
    assert "its thread goes on" in result.reason.text
    may_end.set()


class Promise:
    def __await__(self) -> Iterator[Any]:
        return iter(())


async def asynchronous() -> AsyncIterator[int]:
    yield 1


def generate() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("greenlet", [False, True])
@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (Promise, "await it in an async function"),
        (lambda: asynchronous(), "nobody iterates"),
        (lambda: generate(), "list"),
    ],
    ids=["awaitable", "async generator", "generator"],
)
def test_what_nobody_awaits_is_a_failure(
    scheduler: Watched, function: Callable[..., Any], hint: str, greenlet: bool
) -> None:
    """A function that only returned something to be awaited had succeeded, and nothing had been done."""
    result = result_of(scheduler[0], function, greenlet=greenlet)
    assert result.outcome == "failed"
    assert hint in result.reason.text


def test_a_greenlet_job_that_returns_a_coroutine_fails_with_a_hint(scheduler: Watched) -> None:
    """No warning of Python follows: the coroutine is closed."""
    result = result_of(scheduler[0], lambda: answer(), greenlet=True)
    assert result.outcome == "failed"
    assert "leave greenlet=True out" in result.reason.text
    with pytest.raises(TypeError, match="greenlet=True is for functions that are not"):
        scheduler[0].job("@daily", greenlet=True)(answer)


def test_a_job_may_return_a_run(scheduler: Watched) -> None:
    """A `Run` can be awaited, but goes on without that."""
    running, _ = scheduler
    running.job("@manual", name="other")(lambda: 5)
    assert (
        result_of(running, lambda: running.trigger("other"), greenlet=True).value.result.get(timeout=PATIENCE).value
        == 5
    )


# -- the current run --------------------------------------------------------------------------------------------


def about_run() -> tuple[str, Run]:
    return gcron.current_run().run_id, gcron.current_run()


async def about_run_later() -> tuple[str, Run]:
    await asyncio.sleep(0)
    return await asyncio.to_thread(about_run)


@pytest.mark.parametrize(
    ("function", "greenlet"),
    [
        (about_run, False),
        (about_run, True),
        (about_run_later, False),
        (lambda: gcron.spawn(about_run).get(), True),
    ],
    ids=["thread", "greenlet", "coroutine", "spawned"],
)
def test_a_job_knows_its_run(scheduler: Watched, function: Callable[..., Any], greenlet: bool) -> None:
    """The fire time and the id of its run were known to commands only."""
    running, _ = scheduler
    running.job("@manual", name="job", greenlet=greenlet)(function)
    run = running.trigger("job")
    assert run.result.get(timeout=PATIENCE).value == (run.run_id, run)


def test_there_is_no_current_run_outside_of_jobs(scheduler: Watched) -> None:
    """Also not in observers, nor in a job that a job triggers."""
    running, _ = scheduler
    seen: list[str] = []

    @running.on("run-started")
    def look(event: Any) -> None:
        with pytest.raises(RuntimeError, match="current_run"):
            gcron.current_run()
        seen.append(event.job)

    running.job("@manual", name="second")(about_run)
    running.job("@manual", name="first", greenlet=True)(lambda: running.trigger("second"))
    second = running.trigger("first").result.get(timeout=PATIENCE).value
    assert second.result.get(timeout=PATIENCE).value == (second.run_id, second)
    assert seen == ["first", "second"]
    with pytest.raises(RuntimeError, match="for the function of a job"):
        gcron.current_run()


def test_a_run_knows_when_it_was_due(clock: VirtualClock, make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    dues: list[datetime | None] = []
    scheduler.job("@hourly")(lambda: dues.append(gcron.current_run().due))
    scheduler.start()
    gcron.sleep(3601)
    scheduler.trigger("<lambda>").result.get(timeout=PATIENCE)
    assert dues == [datetime(2026, 1, 1, 1, tzinfo=UTC), None]

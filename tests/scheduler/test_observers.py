"""Observers: they get all events, and cannot harm other jobs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import pytest

from gcron.greenlet import GreenletExit, sleep
from gcron.policy import Policy
from gcron.schedule import Schedule, parse
from gcron.scheduler import Job, Scheduler
from gcron.supervise.python_call import PythonCall
from gcron.testing import VirtualClock
from gcron.timeout import Timeout
from tests.waiting import PATIENCE

Make = Callable[..., tuple[Scheduler, Any]]


def test_the_events_of_a_command_come_in_order(scheduler: tuple[Scheduler, Any]) -> None:
    running, recorder = scheduler
    running.command("echo out; exit 3", "@manual", name="job")
    run = running.trigger("job")
    run.result.get(timeout=PATIENCE)
    running.stop()
    assert [event.kind for event in recorder.events] == ["run-started", "process-started", "output", "run-finished"]
    assert {event.run_id for event in recorder.events} == {run.run_id}
    started, process, output, finished = recorder.events
    assert process.pid > 0
    assert (output.stream, output.lines, output.late) == ("stdout", [b"out"], False)
    assert (finished.result.exit_code, finished.result.output_head) == (3, b"out\n")
    assert started.time <= process.time <= output.time <= finished.time


@pytest.mark.parametrize(
    "error", [ValueError("no"), Timeout(1), RecursionError(), SystemExit(3), GeneratorExit(), BaseException("no")]
)
def test_an_observer_that_raises_affects_no_run_and_no_other_observer(
    clock: VirtualClock, make_scheduler: Make, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    """An observer that called `sys.exit()`, or raised a BaseException, ended its run as killed, and in a thread also
    the scheduler. The observers after it were not called.
    """

    def fail(event: object) -> None:
        raise error

    scheduler = Scheduler(clock=clock, logger=None)
    scheduler.on("*", fail)
    heard: list[Any] = []
    scheduler.on("*", heard.append)
    scheduler.job("* * * * *", name="job", greenlet=True)(lambda: sleep(100))
    scheduler.start()
    sleep(299)
    scheduler.stop()
    outcomes = {
        event.fire_at - clock.now(): str(event.result.outcome) for event in heard if event.kind == "run-finished"
    }
    assert list(outcomes.values()).count("skipped") == 2
    assert list(outcomes.values()).count("succeeded") == 2
    told = capsys.readouterr().err
    assert "it exits with 3" in told if isinstance(error, SystemExit) else type(error).__name__ in told


@pytest.mark.parametrize("kind", ["run-started", "run-finished", "output", "service-state-changed"])
@pytest.mark.parametrize("grace", [0, 60])
def test_an_observer_that_waits_for_the_stop_is_ended_after_the_grace(
    clock: VirtualClock, make_scheduler: Make, capsys: pytest.CaptureFixture[str], kind: str, grace: float
) -> None:
    """An observer that calls `stop()` waits for all runs, and its own run waits for the observer. The stop took 25 s
    after the grace, and reported a run that nothing could end.
    """
    scheduler, recorder = make_scheduler(clock=clock, logger=None)
    scheduler.on(kind, lambda event: scheduler.stop(grace))

    @scheduler.job("@manual", name="job", greenlet=True)
    def fail() -> None:
        raise ValueError

    scheduler.job("@service", name="service", greenlet=True)(lambda: sleep(math.inf))
    scheduler.start()
    begin = clock.monotonic()
    scheduler.trigger("job")
    sleep(0.1)
    report = scheduler.stop(grace)
    assert clock.monotonic() - begin <= grace + 10
    assert report.left_behind == ()
    assert scheduler.running() == []
    assert len(recorder.outcomes("job")) == 1
    assert "the scheduler is to stop" in capsys.readouterr().err


def test_an_observer_must_be_a_plain_function(scheduler: tuple[Scheduler, Any]) -> None:
    """A coroutine function was accepted and never awaited. A list of kinds raised AttributeError."""

    async def later(event: object) -> None: ...

    with pytest.raises(TypeError, match="would not be awaited"):
        scheduler[0].on("*", later)
    with pytest.raises(TypeError, match="a function that takes an event, not 5"):
        scheduler[0].on("*", cast("Any", 5))
    for kind in (None, int, ["run-finished"]):
        with pytest.raises(TypeError, match="is no kind of event"):
            scheduler[0].on(cast("Any", kind), print)


def test_a_slow_observer_delays_no_other_fire(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.on("*", lambda event: sleep(10_000) if event.job == "watched" else None)
    scheduler.job("* * * * *", name="watched", greenlet=True)(lambda: None)
    scheduler.job("* * * * *", name="other", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(601)
    others = recorder.of("run-started", "other")
    assert [event.time - event.fire_at for event in others] == [0.0] * 10
    assert recorder.outcomes("other") == ["succeeded"] * 10
    assert recorder.outcomes("watched").count("skipped") == 9


def test_an_observer_can_change_the_job_table(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.on("run-finished", lambda event: scheduler.remove("job") if event.result.outcome == "skipped" else None)
    scheduler.job("* * * * *", name="job", greenlet=True)(lambda: sleep(90))
    scheduler.job("* * * * *", name="other", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(601)
    assert sorted(recorder.outcomes("job")) == ["skipped", "succeeded"]
    assert len(recorder.outcomes("other")) == 10


def test_an_unknown_kind_of_event_is_refused(scheduler: tuple[Scheduler, Any]) -> None:
    with pytest.raises(ValueError, match=r"no events of kind 'run-finish' \(did you mean run-finished\?\)"):
        scheduler[0].on("run-finish", print)


class Broken(Schedule):
    """A schedule class of a user, with a mistake."""

    text = "broken"
    zone = parse("@daily", "UTC").zone

    def next_after(self, instant: int) -> int | None:
        if instant > 1767226000:
            raise ZeroDivisionError
        return instant + 60

    def previous_before(self, instant: int) -> int | None:
        return None


def test_a_schedule_that_raises_ends_no_other_job(
    clock: VirtualClock, make_scheduler: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.add(Job("broken", Broken(), PythonCall(lambda: None), Policy()))
    scheduler.job("* * * * *", name="sound", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(3601)
    assert len(recorder.of("run-started", "sound")) == 60
    assert 0 < len(recorder.of("run-started", "broken")) < 30
    assert "the schedule of job broken, which fires no more" in capsys.readouterr().err


class _Strange(Exception):
    """Whoever asks what it is ends the program."""

    @property
    def __class__(self) -> Any:
        raise SystemExit(3)


@pytest.mark.parametrize("error", [GreenletExit, _Strange])
def test_what_an_observer_of_the_start_raises_is_reported_and_changes_no_run(
    clock: VirtualClock, make_scheduler: Make, capsys: pytest.CaptureFixture[str], error: type[BaseException]
) -> None:
    """A GreenletExit that an observer of run-started raised ended every run as killed. An exception whose `__class__`
    raises SystemExit ended the program.
    """

    def fail(event: object) -> None:
        raise error

    scheduler, outcomes = Scheduler(clock=clock, logger=None), []
    scheduler.on("run-started", fail)
    scheduler.on("run-finished", lambda event: outcomes.append(str(event.result.outcome)))
    scheduler.job("* * * * *", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(179)
    scheduler.stop()
    assert outcomes == ["succeeded"] * len(outcomes)
    assert len(outcomes) >= 2
    assert error.__name__ in capsys.readouterr().err


@pytest.mark.parametrize("greenlet", [True, False], ids=["greenlet", "thread"])
def test_a_job_may_raise_an_exception_that_cannot_be_inspected(
    clock: VirtualClock, make_scheduler: Make, greenlet: bool
) -> None:
    """Its `__class__` raised SystemExit, and that stopped the scheduler after the first run."""

    def fail() -> None:
        raise _Strange

    scheduler, results = Scheduler(clock=clock, logger=None), []
    scheduler.on("run-finished", lambda event: results.append(event.result))
    scheduler.job("* * * * *", name="job", greenlet=greenlet)(fail)
    scheduler.start()
    sleep(179)
    scheduler.stop()
    assert len(results) >= 2
    assert {str(result.outcome) for result in results} == {"failed"}
    assert "_Strange" in str(results[0].reason)

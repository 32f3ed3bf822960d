"""The watchdog: what blocks the scheduler's thread is named."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from gcron.hub import get_hub
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE, until

LIMIT = 0.05


class Listener(logging.Handler):
    """Sets `heard` for each record that says that something has blocked all jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "blocked all jobs" in record.getMessage():
            self.texts.append(record.getMessage())
            self.heard.set()

    def block(self) -> None:
        """Block the calling thread until that was heard."""
        assert self.heard.wait(PATIENCE)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    logging.getLogger("gcron").addHandler(listener)
    yield listener
    logging.getLogger("gcron").removeHandler(listener)


def test_a_job_that_blocks_the_loop_is_named_while_it_does(make_scheduler: Any, listener: Listener) -> None:
    """A greenlet job with `time.sleep(3)` each second held back all others. Eight fires were missed, and nothing said
    which job did it.
    """
    scheduler, recorder = make_scheduler(watchdog=LIMIT)
    scheduler.job("@manual", name="greedy", greenlet=True)(listener.block)
    scheduler.start()
    assert scheduler.trigger("greedy").result.get(timeout=PATIENCE).succeeded
    (event,) = until(lambda: recorder.of("loop-blocked"))
    assert (event.job, event.what) == ("greedy", "job greedy")
    assert event.where.endswith("in wait")  # of threading.Event
    assert event.seconds >= LIMIT
    assert "leave greenlet=True out" in listener.texts[0]
    assert "in block" in listener.texts[0], "the whole stack"
    assert until(lambda: len(listener.texts) == 2), "once while it blocks, and once at its end"
    assert (scheduler.counts.of("greedy").blocked, scheduler.counts.total.blocked) == (1, 1)


def test_an_observer_that_blocks_the_loop_is_named(make_scheduler: Any, listener: Listener) -> None:
    scheduler, recorder = make_scheduler(watchdog=LIMIT)
    scheduler.on("run-started", lambda event: listener.block())
    scheduler.command("true", "@manual", name="job")
    scheduler.start()
    scheduler.trigger("job")
    (event,) = until(lambda: recorder.of("loop-blocked"))
    assert (event.job, event.what) == ("job", "an observer of run-started")


def test_a_program_that_never_waits_is_told_what_to_call(make_scheduler: Any, listener: Listener) -> None:
    """After `start()` and `time.sleep(60)`, as with the background scheduler of APScheduler, no job ever ran, and
    nothing was said.
    """
    scheduler, recorder = make_scheduler(watchdog=LIMIT)
    scheduler.start()
    listener.block()
    assert "the program has blocked all jobs" in listener.texts[0]
    assert "call run(), or use start_thread()" in listener.texts[0]
    (event,) = until(lambda: recorder.of("loop-blocked"))
    assert event.job == ""
    assert scheduler.counts.total.blocked == 1
    assert dict(scheduler.counts.jobs) == {}


def test_the_watchdog_of_an_idle_scheduler_does_not_run(make_scheduler: Any, listener: Listener) -> None:
    """It waits as long as the loop waits: an idle scheduler costs nothing."""
    scheduler, _ = make_scheduler(watchdog=0.01)
    scheduler.start_thread(grace=0)
    watchdog = next(thread for thread in threading.enumerate() if thread.name == "gcron-watchdog")
    hub = until(lambda: scheduler._owner._hub)
    until(lambda: hub.on_wake)
    assert not listener.texts
    scheduler.stop()
    watchdog.join(PATIENCE)
    assert not watchdog.is_alive()


@pytest.mark.parametrize("is_virtual", [False, True])
def test_without_a_watchdog_there_is_no_thread(make_scheduler: Any, is_virtual: bool) -> None:
    """On virtual time there is none either: no time passes."""
    with VirtualClock(0).installed() if is_virtual else nullcontext() as clock:
        scheduler, _ = make_scheduler(clock=clock, watchdog=0.01 if is_virtual else None)
        before = set(threading.enumerate())
        scheduler.start()
        assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "gcron-watchdog"]


@pytest.mark.parametrize(("seconds", "error"), [("1", TypeError), (True, TypeError), (0, ValueError)])
def test_a_wrong_limit_is_refused(seconds: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="watchdog is a number of seconds"):
        Scheduler(watchdog=seconds)


def test_a_call_on_wake_comes_when_the_loop_has_waited() -> None:
    called: list[bool] = []
    hub = get_hub()

    def ask() -> None:
        while not hub.is_waiting:
            time.sleep(0.0005)
        hub.call_on_wake(lambda: called.append(hub.is_waiting))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: called)
    thread.join(PATIENCE)
    assert called == [False]

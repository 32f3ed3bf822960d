"""Greenlets and waiting for them: further cases of the contract."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import gcron
from gcron.event import Event


@pytest.fixture(autouse=True)
def quiet(capsys: Any) -> None:
    """Greenlets of these tests fail on purpose: take their errors from the output."""


def fail_with(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, SystemError])
@pytest.mark.parametrize("where", ["greenlet", "link", "rawlink", "timer"])
def test_fatal_errors_reach_the_main_greenlet(kind: type[BaseException], where: str) -> None:
    error = kind("the end")
    if where == "timer":
        gcron.get_hub().call_later(0, fail_with, error)
    else:
        source = gcron.spawn(fail_with if where == "greenlet" else id, error)
        if where != "greenlet":
            getattr(source, where)(lambda _: fail_with(error))
    with pytest.raises(kind) as caught:
        gcron.sleep(1)
    assert caught.value is error


def test_greenlet_exit_is_no_exception() -> None:
    assert issubclass(gcron.GreenletExit, BaseException)
    assert not issubclass(gcron.GreenletExit, Exception)
    assert not issubclass(gcron.Timeout, Exception)
    assert issubclass(gcron.LoopExit, Exception)


@pytest.mark.parametrize("kind", [list, tuple, set, iter, dict.fromkeys])
def test_killall_takes_any_iterable(kind: Callable[[Iterable[Any]], Any]) -> None:
    waiting = [gcron.Greenlet(int), gcron.spawn(int), gcron.spawn_later(9, int), gcron.spawn(Event().wait)]
    gcron.killall(kind(waiting))
    assert all(greenlet.dead for greenlet in waiting)
    gcron.killall(kind([]))


def test_killall_raises_in_each_and_does_not_switch_without_block() -> None:
    waiting = [gcron.spawn(Event().wait) for _ in range(3)]
    gcron.sleep(0)
    gcron.killall(waiting, ValueError("enough"), block=False)
    assert not any(greenlet.dead for greenlet in waiting)
    gcron.joinall(waiting)
    assert [str(greenlet.exception) for greenlet in waiting] == ["enough"] * 3


def test_killall_of_the_caller_and_others_kills_all() -> None:
    others = [gcron.spawn(Event().wait)]

    def kill_all() -> None:
        gcron.killall([gcron.getcurrent(), *others])

    killer = gcron.spawn(kill_all)
    gcron.joinall([killer, *others])
    assert isinstance(killer.value, gcron.GreenletExit)
    assert others[0].dead


def test_link_value_counts_a_kill_as_success_and_link_exception_does_not() -> None:
    told: list[str] = []
    for start in (Event().wait, gcron.sleep):
        greenlet = gcron.spawn(start)
        greenlet.link_value(lambda _: told.append("value"))
        greenlet.link_exception(lambda _: told.append("error"))
        gcron.sleep(0)
        greenlet.kill()
    for _ in range(3):
        gcron.sleep(0)
    assert told == ["value", "value"]


def test_the_same_link_twice_is_called_twice_and_unlinked_once_each() -> None:
    told: list[Any] = []
    greenlet = gcron.Greenlet(int)
    for _ in range(3):
        greenlet.link(told.append)
    greenlet.unlink(told.append)
    greenlet.start()
    for _ in range(4):
        gcron.sleep(0)
    assert told == [greenlet, greenlet]


def test_wait_without_objects_gives_up_in_time_and_ignores_signal_handlers() -> None:
    handler = gcron.get_hub().signals.handle(signal.SIGUSR1, lambda: None)
    try:
        sleeper = gcron.spawn(gcron.sleep, 100)
        assert gcron.wait(timeout=0.001) is False
        sleeper.kill()
        assert gcron.wait(timeout=1) is True
    finally:
        handler.cancel()


def test_a_timeout_of_zero_fires_in_a_busy_loop() -> None:
    turns = 0
    with pytest.raises(gcron.Timeout), gcron.Timeout(0):
        while turns < 1000:
            gcron.sleep(0)
            turns += 1
    assert turns < 10


def test_joinall_with_a_count_raises_only_errors_among_these() -> None:
    failing = gcron.spawn(fail_with, ValueError("seen"))
    with pytest.raises(ValueError, match="seen"):
        gcron.joinall([gcron.spawn(Event().wait), failing], raise_error=True, count=1)
    killed = gcron.spawn(Event().wait)
    gcron.sleep(0)
    killed.kill(block=False)
    assert gcron.joinall([killed], raise_error=True) == [killed]


def test_exc_info_without_an_error_is_none() -> None:
    """It was three Nones, which is true: `if greenlet.exc_info` took every success for a failure."""
    greenlet = gcron.spawn(int)
    assert greenlet.exc_info is None, "as in gevent"
    greenlet.join()
    assert greenlet.exc_info is None, "as in gevent"


@pytest.mark.parametrize("wait", [gcron.wait, gcron.joinall])
def test_a_zero_timeout_returns_what_is_ready(wait: Callable[..., list[Any]]) -> None:
    """Links of ready objects were called one turn after the time-out of 0: nothing was ever ready."""
    done, event, sleeper = gcron.spawn(int), Event(), gcron.spawn(gcron.sleep, 60)
    done.join()
    event.set()
    assert wait([sleeper, done, event], timeout=0) == [done, event]
    sleeper.kill()


def test_a_timeout_may_carry_a_message() -> None:
    """A text was raised as if it were an exception: a TypeError in the waiting greenlet."""
    with pytest.raises(gcron.Timeout, match="seconds: too slow"), gcron.Timeout(0.001, "too slow"):
        gcron.sleep(60)


def test_the_timeout_of_iwait_is_not_raised_in_the_callers_code() -> None:
    """The time-out of `iwait` was a `Timeout`: it was raised in the caller's work on the first object."""
    done, sleeper = gcron.spawn(int), gcron.spawn(gcron.sleep, 60)
    seen = []
    for item in gcron.iwait([done, sleeper], timeout=0.001):
        gcron.sleep(0.01)
        seen.append(item)
    assert seen == [done]
    sleeper.kill()


def test_nan_as_a_delay_is_refused() -> None:
    """One NaN in the heap broke its order, and every other timer."""
    with pytest.raises(ValueError, match="nan"):
        gcron.sleep(float("nan"))


class Unspeakable:
    """An object whose `repr` fails."""

    def __call__(self) -> None:
        raise ValueError("the job failed")

    def __repr__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_report_survives_a_repr_that_fails(capsys: Any) -> None:
    """The error of the report ended the loop's turn, and was raised in the main greenlet."""
    gcron.get_hub().call_soon(Unspeakable())
    gcron.spawn(Unspeakable())
    gcron.sleep(0.001)
    assert capsys.readouterr().err.count("failed with ValueError") == 2

"""Greenlets and waiting for them, where the contract's lines have several cases."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import gcron
from gcron.event import Event


@pytest.fixture(autouse=True)
def quiet(capsys: Any) -> None:
    """Errors that nobody asks for go to stderr."""


def fail_with(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, SystemError])
@pytest.mark.parametrize("where", ["greenlet", "link", "rawlink", "timer"])
def test_what_ends_programs_reaches_the_main_greenlet(kind: type[BaseException], where: str) -> None:
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


def test_killall_gives_an_error_to_each_and_without_block_does_not_switch() -> None:
    waiting = [gcron.spawn(Event().wait) for _ in range(3)]
    gcron.sleep(0)
    gcron.killall(waiting, ValueError("enough"), block=False)
    assert not any(greenlet.dead for greenlet in waiting)
    gcron.joinall(waiting)
    assert [str(greenlet.exception) for greenlet in waiting] == ["enough"] * 3


def test_one_that_kills_itself_among_others_kills_all() -> None:
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


def test_a_timeout_of_zero_gets_into_a_busy_loop() -> None:
    turns = 0
    with pytest.raises(gcron.Timeout), gcron.Timeout(0):
        while turns < 1000:
            gcron.sleep(0)
            turns += 1
    assert turns < 10


def test_joinall_with_a_count_raises_only_what_it_has_seen() -> None:
    failing = gcron.spawn(fail_with, ValueError("seen"))
    with pytest.raises(ValueError, match="seen"):
        gcron.joinall([gcron.spawn(Event().wait), failing], raise_error=True, count=1)
    killed = gcron.spawn(Event().wait)
    gcron.sleep(0)
    killed.kill(block=False)
    assert gcron.joinall([killed], raise_error=True) == [killed]


def test_no_error_is_a_false_exc_info() -> None:
    """It was three Nones, a true value: `if greenlet.exc_info` took every success for a failure."""
    greenlet = gcron.spawn(int)
    assert greenlet.exc_info is None, "as in gevent"
    greenlet.join()
    assert greenlet.exc_info is None, "as in gevent"


@pytest.mark.parametrize("wait", [gcron.wait, gcron.joinall])
def test_what_is_ready_counts_when_there_is_no_time_to_wait(wait: Callable[..., list[Any]]) -> None:
    """Links of ready objects were called a turn later than the time-out of 0: nothing was ever ready."""
    done, event, sleeper = gcron.spawn(int), Event(), gcron.spawn(gcron.sleep, 60)
    done.join()
    event.set()
    assert wait([sleeper, done, event], timeout=0) == [done, event]
    sleeper.kill()


def test_a_timeout_may_carry_a_message() -> None:
    """A text where an exception is expected was raised as it was, a TypeError in the waiting greenlet."""
    with pytest.raises(gcron.Timeout, match="seconds: too slow"), gcron.Timeout(0.001, "too slow"):
        gcron.sleep(60)


def test_a_callers_own_time_passes_between_two_objects_of_iwait() -> None:
    """The time-out of `iwait` was a Timeout of its own: it struck in what the caller did with the first object."""
    done, sleeper = gcron.spawn(int), gcron.spawn(gcron.sleep, 60)
    seen = []
    for item in gcron.iwait([done, sleeper], timeout=0.001):
        gcron.sleep(0.01)
        seen.append(item)
    assert seen == [done]
    sleeper.kill()


def test_a_deadline_that_is_no_number_is_refused() -> None:
    """One NaN in the heap spoiled its order, and with it every other timer."""
    with pytest.raises(ValueError, match="nan"):
        gcron.sleep(float("nan"))


class Unspeakable:
    """Its `repr` fails."""

    def __call__(self) -> None:
        raise ValueError("the job failed")

    def __repr__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_report_survives_a_repr_that_fails(capsys: Any) -> None:
    """The report's own error ended the hub's turn and reached the main greenlet instead of stderr."""
    gcron.get_hub().call_soon(Unspeakable())
    gcron.spawn(Unspeakable())
    gcron.sleep(0.001)
    assert capsys.readouterr().err.count("failed with ValueError") == 2

"""Event and AsyncResult beyond the contract's lines, and against models."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gcron
from gcron.event import AsyncResult, Event
from gcron.lock import Semaphore


@pytest.fixture(autouse=True)
def quiet(capsys: Any) -> None:
    """Greenlets of these tests fail on purpose: take their errors from the output."""


def test_it_answers_as_a_future_does() -> None:
    result: AsyncResult[int] = AsyncResult()
    assert (result.done(), result.cancel(), result.cancelled()) == (False, False, False)
    with pytest.raises(gcron.Timeout):
        result.result(timeout=0.001)
    result.set_result(3)
    assert (result.done(), result.result(), result.result(0.001)) == (True, 3, 3)


def test_get_without_a_value_raises_timeout() -> None:
    result: AsyncResult[int] = AsyncResult()
    limit = gcron.Timeout(0.001)
    for arguments in ({"block": False}, {"timeout": 0}, {"timeout": 0.001}):
        with pytest.raises(gcron.Timeout):
            result.get(**arguments)
    with pytest.raises(gcron.Timeout):
        result.get_nowait()
    with pytest.raises(gcron.Timeout) as caught:
        result.get(timeout=limit)
    assert caught.value is limit


def test_set_exception_takes_a_traceback() -> None:
    result: AsyncResult[int] = AsyncResult()
    try:
        raise KeyError("k")
    except KeyError as error:
        result.set_exception(error, exc_info=sys.exc_info())  # type: ignore[arg-type]
    kind, error_again, trace = result.exc_info or (None, None, None)
    assert (kind, repr(error_again)) == (KeyError, "KeyError('k')")
    assert trace is not None
    assert (result.ready(), result.successful(), result.value, result.wait()) == (True, False, None, None)


@pytest.mark.parametrize("wrong", ["oops", None, ValueError])
def test_what_is_no_exception_is_refused(wrong: Any) -> None:
    result: AsyncResult[int] = AsyncResult()
    with pytest.raises(TypeError, match="is an exception"):
        result.set_exception(wrong)
    assert not result.ready()


def test_a_link_is_called_in_the_hub_and_not_at_once() -> None:
    result: AsyncResult[int] = AsyncResult()
    told: list[Any] = []
    result.rawlink(told.append)
    result.set(1)
    assert told == []
    gcron.sleep(0)
    gcron.sleep(0)
    assert told == [result]


@pytest.mark.parametrize("how", ["value", "error", "kill", "kill-unstarted", "finished"])
def test_as_a_link_it_takes_over_a_greenlets_result_or_error(how: str) -> None:
    result: AsyncResult[Any] = AsyncResult()
    call = {"value": lambda: 5, "error": lambda: 1 // 0, "finished": lambda: 6}.get(how, Event().wait)
    source = gcron.spawn(call)
    if how == "finished":
        source.join()
    source.link(result)
    if how == "kill":
        gcron.sleep(0)
    if how.startswith("kill"):
        source.kill()
    if how == "error":
        with pytest.raises(ZeroDivisionError) as caught:
            result.get(timeout=1)
        assert caught.value is source.exception
    else:
        assert result.get(timeout=1) is source.value


def test_it_passes_its_value_to_a_linked_result_until_unlinked() -> None:
    first, second, third = AsyncResult[int](), AsyncResult[int](), AsyncResult[int]()
    first.rawlink(second)
    first.rawlink(third)
    first.unlink(third)
    first.set(7)
    assert second.get(timeout=1) == 7
    assert not third.ready()


def test_link_value_and_link_exception_select_what_a_result_gets() -> None:
    values, errors = AsyncResult[int](), AsyncResult[int]()
    failing = gcron.spawn(lambda: 1 // 0)
    failing.link_value(values)
    failing.link_exception(errors)
    with pytest.raises(ZeroDivisionError):
        errors.get(timeout=1)
    assert not values.ready()


def test_an_event_link_is_called_once() -> None:
    event = Event()
    told: list[Event] = []
    event.rawlink(told.append)
    for _ in range(3):
        event.set()
        gcron.sleep(0)
        gcron.sleep(0)
        event.clear()
    assert told == [event]


def test_wait_takes_everything_with_rawlink_and_returns_it_in_order() -> None:
    event, result, semaphore = Event(), AsyncResult[int](), Semaphore(0)
    greenlet = gcron.spawn(gcron.sleep, 0)
    gcron.spawn_later(0.001, event.set)
    gcron.spawn_later(0.002, result.set_exception, LookupError("counts as ready"))
    gcron.spawn_later(0.003, semaphore.release)
    things = [semaphore, result, event, greenlet]

    assert gcron.wait(things) == [greenlet, event, result, semaphore]
    assert semaphore.counter == 1
    assert len(gcron.wait(things, count=2)) == 2
    assert len(gcron.joinall(things)) == 4
    assert list(gcron.iwait(things, count=0)) == gcron.wait([]) == gcron.wait([], count=3) == []


def test_a_wait_that_ends_early_leaves_no_link() -> None:
    event, result = Event(), AsyncResult[int]()
    for _ in range(3):
        assert gcron.wait([event, result], timeout=0.001) == []
    waiting = gcron.spawn(gcron.wait, [event, result])
    gcron.sleep(0)
    waiting.kill()
    watched = gcron.iwait([event, result])
    event.set()
    assert next(watched) is event
    watched.close()
    assert not event._links
    assert not result._links


STEPS = st.lists(
    st.tuples(st.sampled_from(["wait", "limited", "set", "clear", "kill", "turn"]), st.integers(0, 4)), max_size=40
)


@settings(max_examples=200)
@given(STEPS)
def test_an_event_wakes_only_those_who_wait_when_it_is_set(steps: list[tuple[str, int]]) -> None:
    """The model is a flag, and the set of those who have begun to wait and were not woken yet."""
    event = Event()
    flag = False
    waiters: list[gcron.Greenlet] = []
    begun: set[int] = set()
    due: set[int] = set()

    def wait(number: int, limit: float | None) -> bool:
        begun.add(number)
        if flag:
            due.add(number)
        return event.wait(limit)

    for step, index in steps:
        if step in ("wait", "limited"):
            waiters.append(gcron.spawn(wait, len(waiters), 0 if step == "limited" else None))
        elif step == "set":
            event.set()
            flag = True
            due |= {number for number in begun if not waiters[number].dead}
        elif step == "clear":
            event.clear()
            flag = False
        elif step == "kill" and index < len(waiters):
            waiters[index].kill(block=False)
        else:
            gcron.sleep(0)
        assert event.is_set() == flag
    for _ in range(3):
        gcron.sleep(0)
    for number, waiter in enumerate(waiters):
        if waiter.value is True:
            assert number in due
        elif number in due:
            assert isinstance(waiter.value, gcron.GreenletExit)
    gcron.killall(waiters)


OUTCOMES = st.lists(st.tuples(st.sampled_from(["set", "fail", "get", "turn"]), st.integers(0, 3)), max_size=30)


@settings(max_examples=200)
@given(OUTCOMES)
def test_getters_get_what_was_set_last_before_they_run(steps: list[tuple[str, int]]) -> None:
    result: AsyncResult[int] = AsyncResult()
    last: Any = None
    getters: list[gcron.Greenlet] = []

    def get() -> None:
        try:
            got: Any = result.get()
        except LookupError as error:
            got = error
        assert got is last

    for step, number in steps:
        if step == "set":
            last = number
            result.set(number)
        elif step == "fail":
            last = LookupError(number)
            result.set_exception(last)
        elif step == "get":
            getters.append(gcron.spawn(get))
        else:
            gcron.sleep(0)
        assert result.ready() == (last is not None)
    for _ in range(2):
        gcron.sleep(0)
    assert all(getter.dead == (last is not None) for getter in getters)
    gcron.killall(getters)
    assert all(getter.successful() for getter in getters)


def test_unlink_all_removes_callbacks_but_no_waiters() -> None:
    greenlet, event = gcron.spawn(gcron.sleep, 0.001), Event()
    told: list[Any] = []
    assert not greenlet.has_links()
    waiting = [gcron.spawn(greenlet.join), gcron.spawn(greenlet.get)]
    gcron.sleep(0)
    assert greenlet.has_links()
    greenlet.link(told.append)
    greenlet.rawlink(told.append)
    greenlet.unlink_all()
    assert len(gcron.joinall(waiting, timeout=1)) == 2

    event.rawlink(told.append)
    event.set()
    assert event.has_links()  # still to be called
    event.unlink_all()
    gcron.sleep(0.001)
    assert told == []
    assert not event.has_links()


def test_iwait_as_a_context_manager_removes_its_links() -> None:
    event, never = Event(), Event()
    with gcron.iwait([event, never]) as ready:
        event.set()
        assert next(ready) is event
        assert never.has_links()
    assert not never.has_links()
    assert list(ready) == []

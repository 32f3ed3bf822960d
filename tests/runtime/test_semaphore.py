"""Semaphores and RLock beyond the contract, and compared with a model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gcron
from gcron.lock import BoundedSemaphore, DummySemaphore, RLock, Semaphore


def test_a_negative_number_of_permits_is_refused() -> None:
    for kind in (Semaphore, BoundedSemaphore):
        with pytest.raises(ValueError, match="-1"):
            kind(-1)


def test_acquire_returns_exactly_true_or_false() -> None:
    semaphore = Semaphore(2)
    assert [semaphore.acquire(), semaphore.acquire(True), semaphore.acquire(False)] == [True, True, False]
    assert semaphore.acquire(timeout=0) is False
    assert semaphore.acquire(timeout=0.001) is False
    assert semaphore.acquire(True, gcron.Timeout(0.001)) is False
    assert (semaphore.locked(), semaphore.ready(), semaphore.counter, semaphore.release()) == (True, False, 0, 1)


def test_permits_go_to_waiters_in_their_order() -> None:
    semaphore = Semaphore(0)
    order: list[int] = []
    for number in range(4):
        gcron.spawn(lambda number=number: (semaphore.acquire(), order.append(number)))
    gcron.sleep(0)
    for _ in range(4):
        semaphore.release()
    gcron.sleep(0)
    assert order == [0, 1, 2, 3]
    assert semaphore.counter == 0


def test_wait_takes_no_permit_and_returns_the_number() -> None:
    semaphore = Semaphore(0)
    waiting = gcron.spawn(semaphore.wait)
    gcron.sleep(0)
    semaphore.release()
    assert waiting.get(timeout=1) == 1
    assert (semaphore.wait(), semaphore.counter) == (1, 1)
    semaphore.acquire()
    assert semaphore.wait(timeout=0.001) == 0


def test_a_link_is_called_once_when_a_permit_is_free() -> None:
    semaphore = Semaphore(0)
    told: list[int] = []
    semaphore.rawlink(lambda source: told.append(source.counter))
    unwanted = told.append
    semaphore.rawlink(unwanted)
    semaphore.unlink(unwanted)
    gcron.sleep(0)
    assert told == []
    semaphore.release()
    semaphore.release()
    gcron.sleep(0)
    gcron.sleep(0)
    assert told == [2]
    semaphore.rawlink(lambda source: told.append(-source.counter))
    gcron.sleep(0)
    gcron.sleep(0)
    assert told == [2, -2]


def test_a_permit_given_to_a_waiter_calls_no_link() -> None:
    semaphore = Semaphore(0)
    told: list[Any] = []
    semaphore.rawlink(told.append)
    acquiring = gcron.spawn(semaphore.acquire)
    gcron.sleep(0)
    semaphore.release()
    assert acquiring.get(timeout=1) is True
    gcron.sleep(0)
    assert told == []


def test_with_releases_also_on_an_error() -> None:
    semaphore = BoundedSemaphore()
    with pytest.raises(LookupError), semaphore:
        assert semaphore.locked()
        raise LookupError
    assert semaphore.counter == 1


def test_an_rlock_is_free_after_as_many_releases_as_acquires() -> None:
    lock = RLock()
    assert [lock.acquire(), lock.acquire(), lock.acquire(blocking=False)] == [True] * 3
    for _ in range(3):
        assert gcron.spawn(lock.acquire, timeout=0.001).get() is False
        lock.release()
    assert lock.locked() is False
    with pytest.raises(RuntimeError, match="only the greenlet"):
        lock.release()


def test_an_rlock_goes_to_the_next_when_a_waiter_is_killed() -> None:
    lock = RLock()
    lock.acquire()
    first, second = gcron.spawn(lock.acquire), gcron.spawn(lock.acquire)
    gcron.sleep(0)
    lock.release()
    first.kill()
    assert second.get(timeout=1) is True


STEPS = st.lists(
    st.tuples(st.sampled_from(["acquire", "limited", "release", "kill", "try", "turn"]), st.integers(0, 4)),
    max_size=50,
)


@settings(max_examples=200)
@given(st.integers(0, 2), STEPS)
def test_permits_always_add_up(value: int, steps: list[tuple[str, int]]) -> None:
    """Every permit is free or held. Waiters that were killed or timed out, at any moment, hold none."""
    semaphore = Semaphore(value)
    held = 0
    released = 0
    waiting: list[gcron.Greenlet] = []

    def acquire(limit: float | None) -> None:
        nonlocal held
        granted = semaphore.acquire(timeout=limit)
        held += granted

    for step, index in steps:
        if step in ("acquire", "limited"):
            waiting.append(gcron.spawn(acquire, 0 if step == "limited" else None))
        elif step == "release":
            semaphore.release()
            released += 1
        elif step == "kill" and index < len(waiting):
            waiting[index].kill(block=False)
        elif step == "try":
            held += semaphore.acquire(blocking=False)
        else:
            gcron.sleep(0)
    gcron.sleep(0)
    gcron.sleep(0)
    assert not (semaphore.counter and any(not greenlet.dead for greenlet in waiting))
    gcron.killall(waiting)

    assert held + semaphore.counter == value + released


def test_a_dummy_semaphore_never_waits() -> None:
    """As in gevent: a stand-in for a semaphore where there is no limit."""
    dummy = DummySemaphore(0)
    with dummy, dummy:
        assert dummy.acquire(blocking=False) is True
        assert dummy.acquire(timeout=0) is True
        assert dummy.wait() == 1
        assert (dummy.locked(), dummy.ready()) == (False, True)
    dummy.release()
    told: list[object] = []
    dummy.rawlink(told.append)
    assert gcron.wait([dummy], timeout=1) == [dummy]
    gcron.sleep(0)
    assert told == [dummy]

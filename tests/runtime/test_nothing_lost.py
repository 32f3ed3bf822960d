"""However waits, time-outs and kills are mixed, no item and no permit is lost, and nobody waits in vain.

Hypothesis makes the mixture: waits without a limit, with one that passes at the next turn, or within an outer one, and
kills that arrive before, with or after the wake-up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gcron
from gcron.event import AsyncResult, Event
from gcron.lock import BoundedSemaphore, Semaphore
from gcron.queue import Empty, Full, Queue, SimpleQueue

LIMITS = st.sampled_from(["none", "none", "own", "outer"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), LIMITS),
        st.tuples(st.just("give"), LIMITS),
        st.tuples(st.just("kill"), st.integers(0, 1)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=40,
)
GAVE_UP = (Empty, Full, gcron.Timeout)


def limited(limit: str, wait: Callable[..., Any]) -> Any:
    """Call `wait` without a time limit, with its own, or within an outer one."""
    if limit == "outer":
        with gcron.Timeout(0):
            return wait()
    return wait(timeout=0 if limit == "own" else None)


def settle() -> None:
    """Let everybody who can go on do so."""
    for _ in range(30):
        gcron.sleep(0)


def perform(steps: list[tuple[str, Any]], begin: dict[str, Callable[[str], gcron.Greenlet]]) -> list[gcron.Greenlet]:
    """Perform the steps. Return the greenlets that still wait at the end."""
    begun: list[gcron.Greenlet] = []
    for step, detail in steps:
        if step == "turn":
            gcron.sleep(0)
        elif step == "kill":
            living = [greenlet for greenlet in begun if greenlet.started and not greenlet.dead]
            if detail < len(living):  # the longest waiting first: they are those who are woken
                living[detail].kill(block=False)
        else:
            begun.append(begin[step](detail))
    settle()
    return [greenlet for greenlet in begun if not greenlet.dead]


@pytest.mark.parametrize("kind", [SimpleQueue, Queue])
@given(steps=STEPS, bound=st.sampled_from([None, 1, 2]))
def test_a_queue_gives_each_item_exactly_once(kind: Any, steps: list[tuple[str, Any]], bound: int | None) -> None:
    queue = kind(bound)
    stored: list[int] = []
    taken: list[int] = []
    waiting: dict[str, list[gcron.Greenlet]] = {"take": [], "give": []}
    numbers = iter(range(1000))

    def take(limit: str) -> None:
        try:
            taken.append(limited(limit, queue.get))
        except GAVE_UP:
            return

    def give(limit: str) -> None:
        item = next(numbers)
        try:
            limited(limit, lambda timeout=None: queue.put(item, timeout=timeout))
        except GAVE_UP:
            return
        stored.append(item)

    def begin(side: str, function: Callable[[str], None]) -> Callable[[str], gcron.Greenlet]:
        def start(limit: str) -> gcron.Greenlet:
            waiting[side].append(gcron.spawn(function, limit))
            return waiting[side][-1]

        return start

    left = perform(steps, {"take": begin("take", take), "give": begin("give", give)})
    getters = [greenlet for greenlet in left if greenlet in waiting["take"]]
    putters = [greenlet for greenlet in left if greenlet in waiting["give"]]
    try:
        assert not (getters and queue.qsize()), "a getter waits beside an item"
        assert not (putters and not queue.full()), "a putter waits beside a free place"
    finally:
        gcron.killall(left)
    assert sorted(taken + list(queue.queue)) == sorted(stored)


@pytest.mark.parametrize("kind", [Semaphore, BoundedSemaphore])
@given(steps=STEPS, permits=st.integers(1, 2))
def test_a_semaphore_keeps_its_permits(kind: Any, steps: list[tuple[str, Any]], permits: int) -> None:
    semaphore = kind(permits)
    held: list[int] = []

    def take(limit: str) -> None:
        try:
            if limited(limit, semaphore.acquire):
                held.append(1)
        except gcron.Timeout:
            return

    def give(limit: str) -> None:
        if held:
            held.pop()
            semaphore.release()

    left = perform(steps, {"take": lambda x: gcron.spawn(take, x), "give": lambda x: gcron.spawn(give, x)})
    try:
        assert semaphore.counter + len(held) == permits
        assert not (left and semaphore.counter), "somebody waits beside a free permit"
    finally:
        gcron.killall(left)


@pytest.mark.parametrize("kind", [Event, AsyncResult])
@given(steps=STEPS)
def test_nobody_waits_for_an_event_that_is_set(kind: Any, steps: list[tuple[str, Any]]) -> None:
    happening = kind()

    def take(limit: str) -> None:
        try:
            limited(limit, happening.wait)
        except gcron.Timeout:
            return

    left = perform(steps, {"take": lambda x: gcron.spawn(take, x), "give": lambda x: gcron.spawn(happening.set)})
    try:
        assert not (left and happening.ready())
    finally:
        gcron.killall(left)
    assert not happening.has_links()

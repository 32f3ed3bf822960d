"""Waiting for room to start another process, on virtual time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from gcron.greenlet import sleep, spawn
from gcron.runtime.event import Event
from gcron.runtime.hub import get_hub
from gcron.runtime.waiting import joinall
from gcron.supervise.capacity import Capacity


def test_after_a_long_shortage_room_is_used_within_half_a_second(clock: Any) -> None:
    """The pause between two tries grew to 5 s: after a shortage, a job of each second ran 4.4 s late."""
    capacity, tries = Capacity(), []
    while not tries or tries[-1] < tries[0] + 30:
        capacity.wait((0, 0.0), Event(), 60)
        tries.append(get_hub().monotonic())
    assert max(later - earlier for earlier, later in pairwise(tries)) <= 0.51


def test_an_end_of_a_process_lets_the_next_one_try_at_once(clock: Any) -> None:
    capacity = Capacity()
    for _ in range(10):
        capacity.wait((0, 0.0), Event(), 60)
    began = get_hub().monotonic()
    waiting = spawn(capacity.wait, (0, 0.0), Event(), 60)
    sleep(0)
    capacity.note_room()
    waiting.join()
    assert get_hub().monotonic() - began < 0.01


def test_the_smallest_order_tries_first_and_then_who_began_first(clock: Any) -> None:
    """Of fires that may be skipped, the newest is of most use: its order is the smallest."""
    capacity, done = Capacity(), []

    def try_once(name: str, order: tuple[int, float]) -> None:
        capacity.wait(order, Event(), 60)
        done.append(name)

    orders = {"old": (1, -100.0), "new": (1, -200.0), "first": (0, 0.0), "second": (0, 0.0)}
    joinall([spawn(try_once, name, order) for name, order in orders.items()])
    assert done == ["first", "second", "new", "old"]


def test_a_run_that_was_given_up_waits_no_longer(clock: Any) -> None:
    given_up = Event()
    waiting = spawn(Capacity().wait, (0, 0.0), given_up, 60)
    given_up.set()
    waiting.join(0.01)
    assert waiting.ready()

"""Turns to start a process: one at a time, by user, with the loop in between. On virtual time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import sleep, spawn
from gcron.policy import Policy
from gcron.runtime.event import Event
from gcron.runtime.waiting import joinall
from gcron.schedule.clock import SystemClock
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Identity, command_of
from gcron.supervise.outcome import Outcome
from gcron.supervise.start_turns import StartTurns, start_turns
from tests.waiting import PATIENCE

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


class Starting:
    """Starts that take a second each."""

    def __init__(self) -> None:
        self.turns = StartTurns()
        self.given_up = Event()
        self.started: list[str] = []

    def start(self, name: str, user: int | None, seconds: float = 3600.0) -> None:
        with self.turns.turn(user, self.given_up, seconds) as has_come:
            if has_come:
                self.started.append(name)
                sleep(1)


def test_the_starts_of_one_user_do_not_keep_those_of_another_waiting(clock: Any) -> None:
    """1,500 jobs of a user kept root's job of each second from 22 of its fires."""
    starting = Starting()
    burst = [spawn(starting.start, f"b{number}", 1000) for number in range(100)]
    sleep(2.5)
    other = spawn(starting.start, "root", None)
    other.join()
    assert starting.started[-1] == "root"
    assert len(starting.started) <= 5
    joinall(burst)
    assert [name for name in starting.started if name != "root"] == [f"b{number}" for number in range(100)]


def test_a_start_that_is_given_up_or_killed_leaves_the_turn_to_the_next(clock: Any) -> None:
    starting = Starting()
    _, second, third = (spawn(starting.start, name, None) for name in ("first", "second", "third"))
    sleep(0.5)
    second.kill()
    third.join()
    assert starting.started == ["first", "third"]
    last, never = spawn(starting.start, "last", None), spawn(starting.start, "never", None)
    sleep(0.5)
    starting.given_up.set()
    never.join(0.1)
    assert never.ready()
    assert not last.ready()
    last.join()
    assert starting.started == ["first", "third", "last"]


def test_a_start_waits_no_longer_than_its_deadline(clock: Any) -> None:
    starting = Starting()
    first = spawn(starting.start, "first", None)
    sleep(0.1)
    with pytest.raises(OSError, match="took too long"):
        starting.start("second", None, seconds=0.5)
    first.join()
    starting.start("third", None)
    assert starting.started == ["first", "third"]


def test_what_follows_a_start_waits_for_the_other_starts_but_not_for_ever(clock: Any) -> None:
    """The last of 1,000 jobs due at one second started in twice the time: each process was attended to in between."""
    starting, waited = Starting(), []

    def follow(seconds: float) -> None:
        began = clock.monotonic()
        starting.turns.wait_while_busy(seconds)
        waited.append(clock.monotonic() - began)

    follow(10)
    burst = [spawn(starting.start, f"b{number}", None) for number in range(4)]
    sleep(0.5)
    joinall([*burst, spawn(follow, 10), spawn(follow, 1)])
    others = [spawn(starting.start, f"o{number}", 1000) for number in range(4)]
    sleep(0.5)
    joinall([*others, spawn(follow, 10)])  # the starts of another user delay nothing
    assert waited == pytest.approx([0, 1, 3.5, 0])


@pytest.mark.realtime
def test_a_process_that_ends_while_others_start_took_no_longer_than_it_did() -> None:
    policy, never, seconds = Policy(), Event(), 0.9
    attempt = Attempt(command_of("true", policy), policy, Identity("j", "j"), lambda event: None, SystemClock())

    def start() -> None:
        with start_turns().turn(None, never, PATIENCE):
            sleep(seconds)

    performing = spawn(attempt.perform)
    starts = [spawn(start), spawn(start)]
    result = performing.get(timeout=PATIENCE)
    assert not starts[0].ready() or not starts[1].ready()
    assert result.outcome is Outcome.SUCCEEDED
    assert result.duration is not None
    assert result.duration < seconds
    joinall(starts)


@pytest.mark.realtime
def test_the_loop_turns_during_a_burst_of_starts() -> None:
    """1,500 starts in one go blocked the loop for two seconds: no timer fired, and no other job was seen to be due."""
    turns, never, beats = StartTurns(), Event(), []

    def start() -> None:
        with turns.turn(None, never, PATIENCE):
            time.sleep(0.005)  # as a start does, it keeps the loop from everything else

    burst = [spawn(start) for _ in range(40)]
    beating = spawn(_beat, lambda: beats.append(sum(not each.ready() for each in burst)))
    joinall(burst)
    beating.kill()
    assert len([left for left in beats if left]) >= 3


@as_root
@pytest.mark.realtime
def test_a_burst_of_starts_for_another_user_has_few_threads() -> None:
    """1,500 starts made as many threads at once, one to look up the user and one to start. They froze the loop."""
    policy, before, most = Policy.from_options({"user": "daemon", "cwd": "/"}), threading.active_count(), [0]
    attempts = [
        Attempt(command_of("true", policy), policy, Identity(f"b{n}", f"b{n}"), lambda event: None, SystemClock())
        for n in range(60)
    ]
    performing = [spawn(attempt.perform) for attempt in attempts]
    watching = spawn(_beat, lambda: most.append(threading.active_count()))
    joinall(performing, timeout=PATIENCE)
    watching.kill()
    assert {each.get(block=False).outcome for each in performing} == {Outcome.SUCCEEDED}
    assert max(most) - before <= 8


def _beat(call: Callable[[], object]) -> None:
    while True:
        call()
        sleep(0.001)

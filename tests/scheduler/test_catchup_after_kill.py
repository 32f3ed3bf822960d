"""Fires that were claimed on disk and had not begun at the end of gcron: each has an outcome after the restart."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcron import sleep
from gcron.scheduler.history import Fire, RunQuery, StoredRun
from gcron.state.sqlite import SqliteStore
from gcron.testing import VirtualClock
from tests.waiting import until

Make = Callable[..., Any]
HOUR = 3600


class Machine:
    """Programs that follow one another. A kill is a copy of the directory, with which the next one goes on."""

    def __init__(self, clock: VirtualClock, make: Make, directory: Path) -> None:
        self.clock = clock
        self.directory = directory / "0"
        self.midnight = int(clock.now())
        self._make = make
        self.began: list[int] = []
        self.takes = 600.0

    def start(self, catchup: Any = "all", deadline: str = "1d", **options: Any) -> Any:
        scheduler, recorder = self._make(clock=self.clock, state=self.directory)
        options = {"greenlet": True, "catchup": catchup, "start_deadline": deadline, **options}
        scheduler.job("@hourly", name="job", **options)(self._work)
        scheduler.start()
        return scheduler, recorder

    def _work(self) -> None:
        sleep(self.takes)

    def kill(self, scheduler: Any) -> None:
        scheduler.store.settle()
        copy = self.directory.with_name(str(int(self.directory.name) + 1))
        shutil.copytree(self.directory, copy)
        self.directory = copy
        scheduler.kill()
        scheduler.stop()

    def outcomes(self, scheduler: Any) -> dict[int, str]:
        """Of each fire, by its hour. No fire may have two."""
        found: dict[int, str] = {}
        for run in scheduler.history(limit=1000):
            first = int(run.due.timestamp()) - self.midnight
            last = first if run.last_due is None else int(run.last_due.timestamp()) - self.midnight
            for fire in range(first, last + 1, HOUR):
                assert fire // HOUR not in found, f"{fire // HOUR} has two outcomes"
                found[fire // HOUR] = str(run.outcome)
        return found


@pytest.fixture
def machine(clock: VirtualClock, make_scheduler: Make, tmp_path: Path) -> Machine:
    return Machine(clock, make_scheduler, tmp_path)


def stopped_while_it_catches_up(machine: Machine) -> Any:
    """Fires of 1 to 6 o'clock are made up at 6:06. It is told to stop in the second run."""
    first, _ = machine.start()
    first.stop()
    machine.clock.jump(6.1 * HOUR)
    second, recorder = machine.start()
    sleep(900)
    second.stop(grace=1000)
    return recorder


def test_a_stop_leaves_fires_that_waited_to_the_next_start(machine: Machine) -> None:
    """A kill lost none of them, and a stop all: two deployments in a row had them missed."""
    recorder = stopped_while_it_catches_up(machine)
    assert recorder.of("fires-missed") == []
    assert [event.text for event in recorder.of("notice")] == ["4 fires wait for the next start, to be made up"]
    third, _ = machine.start()
    sleep(60)
    third.stop(grace=1000)
    machine.takes = 60
    fourth, _ = machine.start()
    sleep(HOUR // 2)
    assert machine.outcomes(fourth) == dict.fromkeys(range(1, 8), "succeeded")


def killed_while_it_catches_up(machine: Machine) -> None:
    """Fires of 1 to 6 o'clock are made up at 6:06. It is killed in the second run."""
    first, _ = machine.start()
    first.stop()
    machine.clock.jump(6.1 * HOUR)
    second, recorder = machine.start()
    sleep(900)
    assert len(recorder.of("run-started")) == 2
    machine.kill(second)


def test_fires_that_waited_are_made_up(machine: Machine) -> None:
    """They were lost: all of them were claimed together, and the claim said that they were handled."""
    killed_while_it_catches_up(machine)
    machine.takes = 60
    third, recorder = machine.start()
    sleep(3 * HOUR)
    assert machine.outcomes(third) == {
        1: "succeeded",
        2: "lost",
        **dict.fromkeys((3, 4, 5, 6, 7, 8, 9), "succeeded"),
    }
    assert [(event.fire_at - machine.midnight) // HOUR for event in recorder.of("run-started")][:4] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"deadline": "3h"}, {3: "missed", 4: "succeeded", 5: "succeeded", 6: "succeeded"}),
        ({"catchup": "last"}, {3: "missed", 4: "missed", 5: "missed", 6: "succeeded"}),
        ({"catchup": "none"}, dict.fromkeys((3, 4, 5, 6), "missed")),
        ({"enabled": False}, dict.fromkeys((3, 4, 5, 6), "missed")),
    ],
)
def test_the_same_rules_decide_on_fires_that_waited(machine: Machine, options: Any, expected: dict[int, str]) -> None:
    killed_while_it_catches_up(machine)
    third, _ = machine.start(**options)
    sleep(HOUR // 2)
    assert machine.outcomes(third) == {1: "succeeded", 2: "lost", **expected}
    assert third.history(outcome="missed")[0].reason.code == "not-running"


def test_a_later_fire_takes_the_place_of_those_that_waited_with_catchup_last(machine: Machine) -> None:
    killed_while_it_catches_up(machine)
    machine.clock.jump(HOUR)
    third, _ = machine.start("last")
    sleep(HOUR // 2)
    assert machine.outcomes(third) == {
        1: "succeeded",
        2: "lost",
        **dict.fromkeys((3, 4, 5, 6), "missed"),
        7: "succeeded",
    }


def test_fires_that_waited_are_made_up_before_those_that_came_later(machine: Machine) -> None:
    killed_while_it_catches_up(machine)
    machine.clock.jump(2 * HOUR)
    _, recorder = machine.start()
    sleep(1.4 * HOUR)
    assert [(event.fire_at - machine.midnight) // HOUR for event in recorder.of("run-started")][:6] == [
        3,
        4,
        5,
        6,
        7,
        8,
    ]


def test_fires_that_waited_when_it_was_killed_twice(machine: Machine) -> None:
    killed_while_it_catches_up(machine)
    third, _ = machine.start()
    sleep(60)
    machine.kill(third)
    fourth, _ = machine.start()
    sleep(HOUR // 2)
    assert machine.outcomes(fourth) == {1: "succeeded", 2: "lost", 3: "lost", **dict.fromkeys((4, 5, 6), "succeeded")}


def test_fires_that_waited_of_a_job_that_is_gone_are_missed(machine: Machine, make_scheduler: Make) -> None:
    killed_while_it_catches_up(machine)
    other, recorder = make_scheduler(clock=machine.clock, state=machine.directory)
    other.start()
    sleep(1)
    assert {str(event.reason.code) for event in recorder.of("fires-missed")} == {"job-removed"}
    assert machine.outcomes(other) == {1: "succeeded", 2: "lost", **dict.fromkeys((3, 4, 5, 6), "missed")}


def test_a_skipped_fire_among_those_that_waited_has_one_outcome(machine: Machine) -> None:
    """The fire of 7 o'clock came while others were made up, and was skipped."""
    killed_while_it_catches_up(machine)
    machine.takes = 2 * HOUR
    third, _ = machine.start()
    sleep(HOUR)
    assert machine.outcomes(third)[7] == "skipped"
    machine.takes = 1
    machine.kill(third)
    fourth, _ = machine.start()
    sleep(60)
    expected = {1: "succeeded", 2: "lost", 3: "lost", **dict.fromkeys((4, 5, 6), "succeeded"), 7: "skipped"}
    assert machine.outcomes(fourth) == expected


def test_a_fire_that_was_claimed_and_has_no_run_is_lost(machine: Machine, tmp_path: Path) -> None:
    """Nobody knows whether its process ran: it is not made up, but it has an outcome."""
    first, _ = machine.start()
    sleep(HOUR + 1200)
    first.stop()
    store = SqliteStore(str(machine.directory), now=machine.clock.now)
    assert store.claim([Fire("job", machine.midnight + 2 * HOUR)]) == [True]
    store.close()
    machine.clock.jump(HOUR)
    second, _ = machine.start()
    sleep(60)
    assert machine.outcomes(second) == {1: "succeeded", 2: "lost"}
    assert "nobody knows whether it has" in str(second.last_run("job").reason)


def test_a_claim_that_came_after_its_run_is_none(machine: Machine) -> None:
    """The store had not answered in time, and the job ran all the same."""
    first, _ = machine.start()
    sleep(HOUR + 1200)
    first.stop()
    store = SqliteStore(str(machine.directory), now=machine.clock.now)
    store.forget(["job"])
    assert store.claim([Fire("job", machine.midnight + HOUR)]) == [True]
    store.close()
    second, _ = machine.start()
    sleep(60)
    assert machine.outcomes(second) == {1: "succeeded"}


# -- real processes -----------------------------------------------------------------------------------------------


def records(directory: Path) -> list[StoredRun]:
    store = SqliteStore(str(directory))
    try:
        return list(store.runs(RunQuery(limit=10_000)).runs)
    finally:
        store.close()


@pytest.mark.realtime
def test_each_second_has_one_outcome_over_kills(gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    """Three kills: two of them while fires of before are made up one after the other."""
    state, begun = tmp_path / "state", tmp_path / "begun"
    begun.touch()
    text = f"# gcron: name=job catchup=all start-deadline=1h overlap=skip\n@every 1s echo >> {begun}; sleep 0.7\n"
    for _ in range(3):
        before = len(begun.read_text().splitlines())
        daemon = gcron_run(text, "--state", str(state))
        until(lambda before=before: len(begun.read_text().splitlines()) >= before + 2)
        daemon.send(signal.SIGKILL)
        daemon.wait()
        time.sleep(2.5)  # fires that are due meanwhile
    last = gcron_run(text.replace("sleep 0.7", "true"), "--state", str(state))
    last.wait_for("job +succeeded")
    time.sleep(2)
    assert last.stop() == 0
    count: Counter[int] = Counter()
    for run in records(state):
        assert run.outcome
        assert run.fire_at is not None
        count.update(range(run.fire_at, (run.last_fire_at or run.fire_at) + 1))
    assert set(count.values()) == {1}
    assert sorted(count) == list(range(min(count), max(count) + 1))

"""Random clock steps and random pauses of the process, compared with the promises of rule 6.

(docs/crontab.md, "When an entry fires": the clock is set, or gcron could not run.)
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock

HOUR = 3600
LIMIT = 3 * HOUR
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
DEADLINE = 2 * HOUR
FIXED, WILDCARD, EVERY = "30 1,5,9,13,17,21 * * *", "*/10 * * * *", "@every 7m"

small = st.integers(-LIMIT + 60, LIMIT - 60).filter(lambda step: abs(step) >= 2)
large = st.integers(LIMIT + 60, 9 * HOUR).flatmap(lambda size: st.sampled_from([size, -size]))
catchups = st.sampled_from(["none", "last", "all"])
waits = st.integers(30, 2 * HOUR)


class Night:
    """A scheduler on a virtual clock with disturbances, and its events."""

    def __init__(self, catchup: str = "none", seconds: float = 0) -> None:
        self.options = {"catchup": catchup, "start_deadline": DEADLINE, "overlap": "queue", "queue_limit": 100}
        self.seconds = seconds
        self.at_once: dict[str, int] = {FIXED: 0, WILDCARD: 0, EVERY: 0}
        self.most_at_once = 0
        self.clock = VirtualClock(MIDNIGHT, longest_nap=20.0)
        self.events: list[Any] = []
        self.looks: dict[str, list[float]] = {FIXED: [], WILDCARD: [], EVERY: []}

    def run(self, disturbances: list[tuple[int, str, int]]) -> None:
        """For each disturbance: wait, then set the clock ("set") or pause the process ("stop") for some seconds."""
        with self.clock.installed():
            scheduler = Scheduler(clock=self.clock)
            scheduler.on("*", self.events.append)
            # Monotonic time: after a step back the wall clock shows the same times again.
            scheduler.on("run-started", lambda event: self.looks[event.job].append(self.clock.monotonic()))
            for schedule in (FIXED, WILDCARD, EVERY):
                scheduler.job(schedule, name=schedule, **self.options, greenlet=True)(partial(self.work, schedule))
            scheduler.start()
            for wait, kind, seconds in disturbances:
                sleep(wait)
                if kind == "set":
                    self.clock.set(self.clock.now() + seconds)
                else:
                    self.clock.jump(seconds)
            sleep(60)
            scheduler.stop(grace=0)

    def work(self, job: str) -> None:
        self.at_once[job] += 1
        self.most_at_once = max(self.most_at_once, self.at_once[job])
        sleep(self.seconds)
        self.at_once[job] -= 1

    def fires(self, job: str) -> list[tuple[int, float]]:
        """Return the due instant and the start of each fire."""
        return [(e.fire_at, e.time) for e in self.events if e.kind == "run-started" and e.job == job]

    def missed(self, job: str) -> list[tuple[int, int]]:
        return [(e.first, e.last) for e in self.events if e.kind == "fires-missed" and e.job == job]


@settings(max_examples=25)
@given(st.lists(st.tuples(waits, st.just("set"), small | large) | st.tuples(waits, st.just("stop"), waits), max_size=4))
def test_no_fire_is_early_and_there_is_no_burst(disturbances: list[tuple[int, str, int]]) -> None:
    night = Night()
    night.run(disturbances)
    for job in (FIXED, WILDCARD, EVERY):
        fires = night.fires(job)
        assert all(started >= due for due, started in fires)
        # No two fires at the same moment, and none is too late.
        assert len(set(night.looks[job])) == len(fires)
        assert all(started - due < (LIMIT if job == FIXED else 60) for due, started in fires)


@settings(max_examples=200)
@given(
    catchups,
    st.lists(st.tuples(waits, st.just("set"), small | large) | st.tuples(waits, st.just("stop"), waits), max_size=4),
)
def test_a_catch_up_is_not_early_and_never_repeats_or_overlaps(
    catchup: str, disturbances: list[tuple[int, str, int]]
) -> None:
    night = Night(catchup, seconds=100)
    night.run(disturbances)
    # Without a step back, no time comes twice.
    step_backs = [step for _, kind, step in disturbances if kind == "set" and step < 0]
    for job in (FIXED, WILDCARD, EVERY):
        fires = night.fires(job)
        # A missed fixed time is made up even when the clock was set back before it.
        if job != FIXED or not step_backs:
            assert all(started >= due for due, started in fires)
        assert max(Counter(due for due, _ in fires).values(), default=0) <= 1 + len(step_backs)
        if job == FIXED and all(abs(step) < LIMIT for step in step_backs):
            assert all(earlier < later for (earlier, _), (later, _) in pairwise(fires))
        shown_once = {due for due, _ in fires} if not step_backs else set()
        assert not any(first <= due <= last for due in shown_once for first, last in night.missed(job))
    assert night.most_at_once <= 1


@settings(max_examples=25)
@given(st.lists(st.tuples(waits, st.just("set"), small), min_size=1, max_size=1), waits)
def test_a_small_step_neither_loses_nor_repeats_a_fixed_time(
    disturbances: list[tuple[int, str, int]], more: int
) -> None:
    night = Night()
    night.run([*disturbances, (more, "set", 0)])
    dues = [due for due, _ in night.fires(FIXED)]
    assert all(earlier < later for earlier, later in pairwise(dues))
    wall, latest = MIDNIGHT, MIDNIGHT
    for wait, _, step in [*disturbances, (more, "", 0), (60, "", 0)]:
        wall += wait
        latest = max(latest, wall)
        wall += step
        latest = max(latest, wall)
    passed = [MIDNIGHT + (hour + 0.5) * HOUR for hour in range(1, 24, 4)]
    assert dues == [due for due in passed if due <= latest]
    assert night.missed(FIXED) == []


@settings(max_examples=25)
@given(catchups, st.lists(st.tuples(waits, st.sampled_from(["set", "stop"]), st.integers(60, LIMIT - 60)), max_size=4))
def test_each_instant_is_fired_or_reported_as_missed(catchup: str, disturbances: list[tuple[int, str, int]]) -> None:
    night = Night(catchup)
    night.run(disturbances)
    end = night.clock.now()
    grid = {instant for instant in range(int(MIDNIGHT) + 600, int(end) + 1, 600) if instant < end}
    fired = {due for due, _ in night.fires(WILDCARD) if due < end}
    missed = {instant for first, last in night.missed(WILDCARD) for instant in range(first, last + 1, 600)}
    assert fired | missed == grid
    assert not fired & missed

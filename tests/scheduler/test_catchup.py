"""`catchup` and `start-deadline`: what happens to missed fires (docs/running.md, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gcron.greenlet import GreenletExit, sleep
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job, Scheduler
from gcron.supervise.python_call import PythonCall
from gcron.testing import VirtualClock

Make = Callable[..., tuple[Scheduler, Any]]
HOUR = 3600
DAILY, OFTEN, EVERY = "30 1 * * *", "*/10 * * * *", "@every 20m"


class Sleeper:
    """A scheduler on a virtual clock whose machine is suspended at times. Times are hours since midnight."""

    def __init__(self, scheduler: Scheduler, recorder: Any, clock: VirtualClock) -> None:
        self.scheduler = scheduler
        self.recorder = recorder
        self.clock = clock
        self.midnight = clock.now()
        self.most_at_once = 0
        self._running: dict[str, int] = {}

    def add(self, schedule: str, name: str = "job", seconds: float = 0, **options: Any) -> None:
        def work() -> None:
            self._running[name] = self._running.get(name, 0) + 1
            self.most_at_once = max(self.most_at_once, self._running[name])
            try:
                sleep(seconds)
            finally:
                self._running[name] -= 1

        self.scheduler.job(schedule, name=name, **options, greenlet=True)(work)

    def pass_until(self, hours: float) -> None:
        sleep(self.midnight + hours * HOUR - self.clock.now())

    def suspend_until(self, hours: float) -> None:
        """Let time pass while the scheduler cannot run, as in a suspend or after SIGSTOP."""
        self.clock.jump(self.midnight + hours * HOUR - self.clock.now())

    def set_to(self, hours: float) -> None:
        self.clock.set(self.midnight + hours * HOUR)

    def fired(self, name: str = "job") -> list[float]:
        """Return the due instants of its runs, in the order of their starts."""
        return [self._hours(event.fire_at) for event in self.recorder.of("run-started", name)]

    def missed(self, name: str = "job") -> list[tuple[float, float]]:
        spans = self.recorder.of("fires-missed", name)
        return [(self._hours(event.first), self._hours(event.last)) for event in spans]

    def _hours(self, instant: float) -> float:
        return round((instant - self.midnight) / HOUR, 3)


@pytest.fixture
def sleeper(steady_clock: VirtualClock, make_scheduler: Make) -> Sleeper:
    return Sleeper(*make_scheduler(clock=steady_clock), steady_clock)


TENTHS = [round(number / 6, 3) for number in range(60)]


@pytest.mark.parametrize(
    ("catchup", "fired", "missed"),
    [
        ("none", [], [(1, 3.833)]),
        ("last", [3.833], [(1, 3.667)]),
        ("all", [2.917 + 0.083, 3.167, 3.333, 3.5, 3.667, 3.833], [(1, 2.833)]),
    ],
)
def test_wildcard_fires_of_a_suspend_follow_catchup(
    catchup: str, fired: list[float], missed: list[tuple[float, float]], sleeper: Sleeper
) -> None:
    """A suspend from 0:54 to 3:54. The deadline of an hour goes back to 2:54."""
    sleeper.add(OFTEN, catchup=catchup)
    sleeper.scheduler.start()
    sleeper.pass_until(0.9)
    sleeper.suspend_until(3.9)
    sleeper.pass_until(4.1)
    assert sleeper.fired() == [*TENTHS[1:6], *fired, 4]
    assert sleeper.missed() == missed
    assert sleeper.recorder.outcomes() == ["succeeded"] * (6 + len(fired))


@pytest.mark.parametrize("catchup", ["none", "last", "all"])
def test_a_fixed_time_of_the_last_three_hours_is_made_up_once_with_any_catchup(catchup: str, sleeper: Sleeper) -> None:
    sleeper.add(DAILY, catchup=catchup, start_deadline="1m")
    sleeper.scheduler.start()
    sleeper.pass_until(1)
    sleeper.suspend_until(3.5)
    sleeper.pass_until(4)
    assert sleeper.fired() == [1.5], "two hours late: more than its deadline, less than the three hours of fixed times"
    assert sleeper.missed() == []


@pytest.mark.parametrize(("catchup", "fired"), [("none", []), ("last", [1.5]), ("all", [1.5])])
def test_a_nightly_job_after_a_night_of_suspend_follows_catchup(
    catchup: str, fired: list[float], sleeper: Sleeper
) -> None:
    sleeper.add(DAILY, catchup=catchup, start_deadline="12h")
    sleeper.scheduler.start()
    sleeper.pass_until(1)
    sleeper.suspend_until(9)
    sleeper.pass_until(24)
    assert sleeper.fired() == fired
    assert sleeper.missed() == ([] if fired else [(1.5, 1.5)])


def test_fires_older_than_the_start_deadline_are_missed(sleeper: Sleeper) -> None:
    sleeper.add("30 1 * * *", "last", catchup="last", start_deadline="7h")
    sleeper.add("30 1 * * *", "all", catchup="all", start_deadline="7h")
    sleeper.scheduler.start()
    sleeper.pass_until(1)
    sleeper.suspend_until(8.5)
    sleeper.pass_until(9)
    assert sleeper.fired("last") == sleeper.fired("all") == []
    assert sleeper.missed("last") == sleeper.missed("all") == [(1.5, 1.5)], "exactly the deadline is too old"


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace", "allow"])
def test_catchup_all_runs_one_at_a_time_with_any_overlap(overlap: str, sleeper: Sleeper) -> None:
    sleeper.add("@every 20m", seconds=30, catchup="all", start_deadline="10h", overlap=overlap)
    sleeper.scheduler.start()
    sleeper.pass_until(1.1)
    sleeper.suspend_until(6.05)
    sleeper.pass_until(7.05)
    assert sleeper.most_at_once == 1
    assert sleeper.fired() == [round(number / 3, 3) for number in range(1, 22)]
    assert sleeper.missed() == []
    assert set(sleeper.recorder.outcomes()) == {"succeeded"}


def test_a_made_up_fire_follows_overlap_when_the_job_still_runs(sleeper: Sleeper) -> None:
    for overlap in ("skip", "queue"):
        sleeper.add(EVERY, overlap, seconds=3000, catchup="last", overlap=overlap)
    sleeper.scheduler.start()
    sleeper.pass_until(0.4)
    sleeper.suspend_until(0.99)
    sleeper.pass_until(1.2)
    assert sleeper.recorder.outcomes("skip") == ["skipped", "skipped", "succeeded"]
    assert sleeper.fired("queue") == [0.333, 0.667]
    assert sleeper.recorder.outcomes("queue") == ["skipped", "succeeded"], "one waits already as the next is due"
    (late,) = sleeper.recorder.of("run-late", "queue")
    assert late.reason.text == "it waited for gcron, which could not act on it earlier, for earlier runs of the job"
    assert late.delay == pytest.approx(0.5 * HOUR)


def test_fires_that_are_due_during_a_catch_up_follow_overlap(sleeper: Sleeper) -> None:
    sleeper.add("@every 10m", seconds=400, catchup="all", start_deadline="2h", overlap="skip")
    sleeper.scheduler.start()
    sleeper.pass_until(0.9)
    sleeper.suspend_until(1.55)
    sleeper.pass_until(2.6)
    # Four fires are made up, 400 s each, from 1:33 to 2:00. Those of 1:40 and 1:50 come due meanwhile.
    assert sleeper.fired() == [0.167, 0.333, 0.5, 0.667, 0.833, 1, 1.167, 1.333, 1.5, 2, 2.167, 2.333, 2.5]
    skipped = [event for event in sleeper.recorder.of("run-finished") if str(event.result.outcome) == "skipped"]
    assert [round((event.fire_at - sleeper.midnight) / HOUR, 3) for event in skipped] == [1.667, 1.833]


def test_retries_come_before_the_next_made_up_fire(sleeper: Sleeper) -> None:
    begun: list[float] = []

    def work() -> None:
        begun.append(round((sleeper.clock.now() - sleeper.midnight) / HOUR, 3))
        if len(begun) in (1, 2, 4):
            raise ValueError("not yet")

    sleeper.scheduler.job(
        "@hourly", name="job", catchup="all", start_deadline="1d", retries=1, retry_delay="6m", greenlet=True
    )(work)
    sleeper.scheduler.start()
    sleeper.pass_until(1.05)  # the attempt of 1:00 has failed, and the next waits
    sleeper.suspend_until(3.5)
    sleeper.pass_until(3.8)
    assert sleeper.fired() == [1, 2, 3]
    reason = sleeper.recorder.of("run-finished")[0].result.reason.text
    assert reason in ("ValueError: not yet", "ValueError: not yet; no further attempt: the job is due again")
    assert sleeper.scheduler.counts.total.retried >= 1
    assert begun[-1] == pytest.approx(3.6, abs=0.11)


def test_at_most_a_thousand_fires_are_made_up(sleeper: Sleeper) -> None:
    sleeper.add("@every 1s", catchup="all", start_deadline="1d")
    sleeper.scheduler.start()
    sleeper.pass_until(0.1 + 0.5 / HOUR)
    sleeper.suspend_until(2 + 0.5 / HOUR)
    sleep(0.2)
    assert sleeper.most_at_once == 1
    due = [event.fire_at - sleeper.midnight for event in sleeper.recorder.of("run-started")]
    assert due == [*range(1, 361), *range(7200 - 999, 7201)]
    (missed,) = sleeper.recorder.of("fires-missed")
    assert (missed.first - sleeper.midnight, missed.last - sleeper.midnight) == (361, 6200)
    assert missed.count >= 100


def test_two_suspends_make_up_at_most_a_thousand_fires_together(sleeper: Sleeper) -> None:
    sleeper.add("@every 1s", seconds=10, catchup="all", start_deadline="1d", overlap="skip")
    sleeper.scheduler.start()
    sleeper.pass_until(0.1 + 0.5 / HOUR)
    for hours in (1, 2):
        sleeper.suspend_until(hours + 0.5 / HOUR)
        sleep(0.2)
    sleeper.scheduler.stop(grace=100)
    dues = set(range(1, 7201))
    ended = [int(event.fire_at - sleeper.midnight) for event in sleeper.recorder.of("run-finished")]
    spans = sleeper.recorder.of("fires-missed")
    missed = [instant for event in spans for instant in range(event.first, event.last + 1)]
    missed = [int(instant - sleeper.midnight) for instant in missed]
    assert sorted(ended + missed) == sorted(dues), "each has one end, and none has two"


def test_a_stop_ends_the_catch_up(sleeper: Sleeper) -> None:
    sleeper.add("@every 10m", seconds=100, catchup="all", start_deadline="1d")
    sleeper.scheduler.start()
    sleeper.pass_until(0.1)
    sleeper.suspend_until(2.05)
    sleep(150)
    sleeper.scheduler.stop(grace=1000)
    assert sleeper.fired() == TENTHS[1:3]
    assert sleeper.missed() == [(0.5, 2)]
    assert sleeper.recorder.of("fires-missed")[0].reason.text == "not made up: gcron is told to stop"
    assert sleeper.recorder.of("fires-missed")[0].count == 10
    assert sleeper.recorder.outcomes() == ["succeeded"] * 2


def test_a_removed_job_ends_its_catch_up_and_a_changed_one_continues_it(sleeper: Sleeper) -> None:
    calls: list[str] = []

    def job(name: str, text: str) -> Job:
        def work() -> None:
            calls.append(text)
            sleep(100)

        policy = Policy(catchup="all", start_deadline=86400.0)
        return Job(name, parse("@every 10m", "UTC"), PythonCall(work, greenlet=True), policy)

    sleeper.scheduler.replace([job("kept", "old"), job("gone", "gone")])
    sleeper.scheduler.start()
    sleeper.pass_until(0.1)
    sleeper.suspend_until(1.05)
    sleep(50)
    sleeper.scheduler.replace([job("kept", "new")])
    sleep(560)
    assert calls == ["old", "gone", "new", "new", "new", "new", "new"]
    assert sleeper.missed("gone") == [(0.333, 1)]
    assert sleeper.missed("kept") == []


def test_a_catch_up_respects_the_limit_of_its_group(sleeper: Sleeper) -> None:
    sleeper.scheduler.group("db", limit=1)
    at_once: list[int] = []
    inside = [0]

    def work() -> None:
        inside[0] += 1
        at_once.append(inside[0])
        try:
            sleep(60)
        finally:
            inside[0] -= 1

    for name in "abc":
        sleeper.scheduler.job("@every 10m", name=name, catchup="all", group="db", overlap="allow", greenlet=True)(work)
    sleeper.scheduler.start()
    sleeper.pass_until(0.1)
    sleeper.suspend_until(0.9)
    sleeper.pass_until(1.9)
    assert set(at_once) == {1}
    assert [[due for due in sleeper.fired(name) if due < 1] for name in "abc"] == [TENTHS[1:6]] * 3


@pytest.mark.parametrize(("catchup", "fired"), [("none", []), ("last", [2]), ("all", [1.333, 1.667, 2])])
def test_a_small_step_forward_is_made_up_like_a_suspend(catchup: str, fired: list[float], sleeper: Sleeper) -> None:
    sleeper.add(EVERY, catchup=catchup)
    sleeper.scheduler.start()
    sleeper.pass_until(1.1)
    sleeper.set_to(2.1)
    sleeper.pass_until(2.4)
    assert sleeper.fired() == pytest.approx([1 / 3, 2 / 3, 1, *fired, 2 + 1 / 3], abs=0.001)


@pytest.mark.parametrize("catchup", ["none", "last", "all"])
def test_a_large_step_makes_up_nothing(catchup: str, sleeper: Sleeper) -> None:
    sleeper.add(OFTEN, "often", catchup=catchup, start_deadline="1d")
    sleeper.add(DAILY, "daily", catchup=catchup, start_deadline="1d")
    sleeper.scheduler.start()
    sleeper.pass_until(0.15)
    sleeper.set_to(4.9)
    sleeper.pass_until(5.1)
    assert sleeper.fired("often") == [5]
    assert sleeper.fired("daily") == []
    assert sleeper.missed("often") == [(0.167, 4.833)]
    assert sleeper.missed("daily") == [(1.5, 1.5)]


def test_a_made_up_run_that_is_replaced_has_an_outcome(sleeper: Sleeper) -> None:
    ends: list[str] = []

    def work() -> None:
        try:
            sleep(700)
            ends.append("done")
        except GreenletExit:
            ends.append("killed")
            raise

    sleeper.scheduler.job("@every 10m", name="job", catchup="all", overlap="replace", greenlet=True)(work)
    sleeper.scheduler.start()
    sleeper.pass_until(0.1)
    sleeper.suspend_until(0.55)
    sleeper.pass_until(1.2)
    started = [event.run_id for event in sleeper.recorder.of("run-started")]
    finished = [event.run_id for event in sleeper.recorder.of("run-finished")]
    assert set(finished) <= set(started)
    assert set(started) - set(finished) == {run.run_id for run in sleeper.scheduler.running()}
    assert "killed" in ends


def test_a_job_changed_during_a_suspend_keeps_its_missed_fires(sleeper: Sleeper) -> None:
    """A reload of another option must not drop missed fires, and the new schedule has its own fires."""
    job = Job("job", parse("@every 10m", "UTC"), PythonCall(lambda: sleep(100), greenlet=True), Policy(catchup="all"))
    sleeper.scheduler.add(job)
    sleeper.scheduler.start()
    sleeper.pass_until(0.1)
    sleeper.suspend_until(0.9)
    sleep(1)
    sleeper.scheduler.replace([replace(job, schedule=parse("@every 1h", "UTC"))])
    sleeper.pass_until(2.2)
    assert sleeper.fired() == [*TENTHS[1:6], 2]
    assert sleeper.recorder.outcomes().count("skipped") == 1, "that of 1:00: it was still making up"


def test_fires_that_are_not_made_up_are_counted_by_the_schedule_they_were_due_by(sleeper: Sleeper) -> None:
    """By the new schedule, 1:00 follows 0:30, and one report covered two fires that had been skipped between them."""
    job = Job("job", parse("@every 10m", "UTC"), PythonCall(lambda: sleep(2000), greenlet=True), Policy(catchup="all"))
    sleeper.scheduler.add(job)
    sleeper.scheduler.start()
    sleeper.pass_until(0.1)
    sleeper.suspend_until(0.55)
    sleeper.pass_until(0.9)
    sleeper.suspend_until(1.05)
    sleep(1)
    sleeper.scheduler.replace([replace(job, schedule=parse("@every 30m", "UTC"))])
    sleeper.scheduler.remove("job")
    sleep(1)
    assert sleeper.recorder.outcomes().count("skipped") == 2
    assert sleeper.missed() == [(0.333, 0.5), (1, 1)]


def test_a_step_back_during_a_catch_up_drops_the_instants_that_come_again(sleeper: Sleeper) -> None:
    """A fire of the catch-up started before its time by the new clock, and again at its time."""
    sleeper.add(OFTEN, "often", seconds=100, catchup="all")
    sleeper.scheduler.start()
    sleeper.pass_until(0.1)
    sleeper.suspend_until(0.7)
    sleep(50)
    sleeper.set_to(0.3)
    sleeper.pass_until(0.9)
    assert sleeper.fired("often") == [0.167, *TENTHS[2:6]]
    assert sleeper.missed("often") == [(0.333, 0.667)]
    assert all(event.time >= event.fire_at for event in sleeper.recorder.of("run-started"))

"""Each due fire ends in exactly one outcome (docs/running.md, section 1).

Random jobs with all options that affect fires, random suspends, steps forward and reloads, compared with all due
instants of each job. test_clock_model.py has steps back, after which the same times come again.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.greenlet import sleep
from gcron.policy import Policy
from gcron.schedule import Schedule, parse
from gcron.scheduler import Job, Scheduler
from gcron.supervise.python_call import PythonCall
from gcron.testing import VirtualClock

HOUR = 3600
MIDNIGHT = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
SCHEDULES = ("*/10 * * * *", "30 1,2,5,9,13 * * *", "@every 7m", "5,6,7,40 * * * *", "0 * * * *")
NAMES = ("a", "b", "c")


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """Return random options of a job."""
    return {
        "schedule": draw(st.sampled_from(SCHEDULES)),
        "seconds": draw(st.sampled_from([0, 50, 400, 1000, 5000])),
        "failures": draw(st.sampled_from([0, 1, 3, 10**6])),
        "overlap": draw(st.sampled_from(["skip", "queue", "replace", "allow"])),
        "queue_limit": draw(st.integers(1, 3)),
        "catchup": draw(st.sampled_from(["none", "last", "all"])),
        "start_deadline": draw(st.sampled_from(["1m", "1h", "5h"])),
        "group": draw(st.sampled_from([None, "narrow", "wide"])),
        "jitter": draw(st.sampled_from([0, 30, 900])),
        "retries": draw(st.sampled_from([0, 0, 2])),
        "retry_delay": draw(st.sampled_from([1, 500])),
        "timeout": draw(st.sampled_from([None, 300])),
        "enabled": draw(st.sampled_from([True, True, True, False])),
    }


tables = st.dictionaries(st.sampled_from(NAMES), definitions(), min_size=1)
disturbances = st.one_of(
    st.tuples(st.just("wait"), st.integers(1, HOUR)),
    st.tuples(st.just("suspend"), st.integers(1, 6 * HOUR)),
    st.tuples(st.just("set forward"), st.integers(2, 6 * HOUR)),
    st.tuples(st.just("reload"), tables),
)


class Day:
    """A scheduler on a virtual clock, its events, and all due instants."""

    def __init__(self) -> None:
        self.clock = VirtualClock(MIDNIGHT + 0.25, longest_nap=20.0)
        self.events: list[Any] = []
        self.due: dict[str, set[int]] = {name: set() for name in NAMES}
        self._since: dict[str, tuple[Schedule, float]] = {}
        self._actions: dict[str, Any] = {}

    def run(self, table: dict[str, Any], happenings: list[tuple[str, Any]]) -> Scheduler:
        with self.clock.installed():
            scheduler = Scheduler(clock=self.clock)
            scheduler.on("*", self.events.append)
            scheduler.group("narrow", limit=1)
            scheduler.group("wide", limit=2)
            self._reload(scheduler, table)
            scheduler.start()
            for kind, what in happenings:
                if kind == "suspend":
                    self.clock.jump(what)
                elif kind == "set forward":
                    self.clock.set(self.clock.now() + what)
                elif kind == "reload":
                    self._reload(scheduler, what)
                if kind in ("wait", "set forward"):  # else the next event comes before the scheduler has read the clock
                    sleep(what if kind == "wait" else 25)
            sleep(100)
            self._account({})
            scheduler.stop(grace=20_000)
            sleep(1)
            return scheduler

    def _reload(self, scheduler: Scheduler, table: dict[str, Any]) -> None:
        jobs = {name: self._job(name, dict(definition)) for name, definition in table.items()}
        self._account({name: job.schedule for name, job in jobs.items() if job.policy.enabled})
        scheduler.replace(jobs.values())

    def _job(self, name: str, options: dict[str, Any]) -> Job:
        schedule = parse(options.pop("schedule"), "UTC")
        seconds, failures = options.pop("seconds"), [options.pop("failures")]

        def work() -> None:
            sleep(seconds)
            if failures[0] > 0:
                failures[0] -= 1
                raise ValueError("not yet")

        return Job(name, schedule, PythonCall(work, greenlet=True), Policy.from_options(options))

    def _account(self, schedules: dict[str, Schedule]) -> None:
        """Note what was due until now, before the job table changes."""
        now = self.clock.now()
        for name, (schedule, since) in self._since.items():
            instant = schedule.next_after(int(since))
            while instant is not None and instant <= now:
                self.due[name].add(instant)
                instant = schedule.next_after(instant)
        self._since = {name: (schedule, now) for name, schedule in schedules.items()}

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.kind == kind]

    def ends(self, name: str) -> list[int]:
        """Return the instants with an outcome, once for each outcome."""
        finished = [event.fire_at for event in self.of("run-finished") if event.job == name]
        spans = [(event.first, event.last) for event in self.of("fires-missed") if event.job == name]
        missed = [due for due in self.due[name] for first, last in spans if first <= due <= last]
        return sorted(finished + missed)


@settings(max_examples=400)
@given(tables, st.lists(disturbances, min_size=2, max_size=12))
def test_each_due_fire_ends_in_exactly_one_outcome(table: dict[str, Any], happenings: list[tuple[str, Any]]) -> None:
    day = Day()
    scheduler = day.run(table, happenings)

    for name in NAMES:
        assert day.ends(name) == sorted(day.due[name])

    started, finished = day.of("run-started"), day.of("run-finished")
    assert len({(event.job, event.fire_at) for event in started}) == len(started), "none twice"
    assert all(event.time >= event.fire_at for event in started), "none early"
    assert all(event.time >= event.fire_at for event in day.of("run-late"))
    begun = Counter(event.run_id for event in started)
    ended = Counter(event.run_id for event in finished)
    assert set(begun.values()) | set(ended.values()) <= {1}
    assert begun.keys() <= ended.keys()
    never_begun = [event.result.outcome for event in finished if event.run_id not in begun]
    assert set(never_begun) <= {"skipped"}
    assert all(event.result.reason.text for event in finished if not event.result.succeeded), "and each says why"
    assert scheduler.running() == []

    total = scheduler.counts.total.as_dict()
    outcomes = Counter(event.result.outcome.replace("-", "_") for event in finished)
    assert {name: total[name] for name in outcomes} == outcomes
    assert total["missed"] == sum(event.count for event in day.of("fires-missed"))
    assert total["late"] == len(day.of("run-late"))
    assert total["retried"] == sum(event.result.attempts - 1 for event in finished)


@settings(max_examples=150)
@given(tables, st.lists(disturbances, max_size=6))
def test_the_count_of_missed_fires_is_right(table: dict[str, Any], happenings: list[tuple[str, Any]]) -> None:
    day = Day()
    day.run(table, happenings)
    for event in day.of("fires-missed"):
        inside = [due for due in day.due[event.job] if event.first <= due <= event.last]
        assert {event.first, event.last} <= set(inside)
        assert event.count == len(inside) or 100 <= event.count <= len(inside)

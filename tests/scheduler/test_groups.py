"""Groups: a limit on the runs of several jobs, in the order of their fires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.crontab import CrontabError
from gcron.greenlet import sleep
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job, Scheduler
from gcron.supervise.python_call import PythonCall
from gcron.testing import VirtualClock

Make = Callable[..., tuple[Scheduler, Any]]


class Work:
    """Jobs that take some time. Records their starts and how many ran at once."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.midnight = clock.now()
        self.begun: list[tuple[str, float]] = []
        self.inside: list[str] = []
        self.most = 0

    def __call__(self, name: str, seconds: float, fails: int = 0) -> Callable[[], None]:
        left = [fails]

        def work() -> None:
            self.begun.append((name, self.clock.now() - self.midnight))
            self.inside.append(name)
            self.most = max(self.most, len(self.inside))
            try:
                sleep(seconds)
            finally:
                self.inside.remove(name)
            if left[0]:
                left[0] -= 1
                raise ValueError("not yet")

        return work


@pytest.fixture
def work(clock: VirtualClock) -> Work:
    return Work(clock)


def notices(recorder: Any, job: str) -> list[str]:
    return [event.text for event in recorder.of("notice", job)]


def reasons(recorder: Any, job: str) -> list[str]:
    return [event.result.reason.text for event in recorder.of("run-finished", job)]


def test_a_group_limits_runs_and_starts_them_in_order(clock: VirtualClock, make_scheduler: Make, work: Work) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.group("db", limit=2)
    for second, name in enumerate("abcde"):
        scheduler.job(f"{second} 1 * * * * *", name=name, group="db", greenlet=True)(work(name, 10))
    scheduler.job("0 1 * * * * *", name="alone", greenlet=True)(work("alone", 1))
    scheduler.start()
    sleep(60 + 45)

    begun = [(name, at - 60) for name, at in work.begun if name != "alone"]
    assert begun == [("a", 0), ("b", 1), ("c", 10), ("d", 11), ("e", 20)]
    assert ("alone", 60) in work.begun, "who is in no group waits for none"
    assert notices(recorder, "e") == ["waits for its turn in the group db: 2 of 2 running (a, b), 2 waiting"]
    assert recorder.outcomes() == ["succeeded"] * 6
    late = [(event.job, event.delay, event.reason.text) for event in recorder.of("run-late")]
    assert late == [(name, delay, "it waited for the group db") for name, delay in (("c", 8), ("d", 8), ("e", 16))]


def test_a_notice_names_at_most_five_runs_of_a_full_group(
    clock: VirtualClock, make_scheduler: Make, work: Work
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.group("db", limit=7)
    for name in "abcdefgh":
        scheduler.job("@hourly", name=name, group="db", greenlet=True)(work(name, 10))
    scheduler.start()
    sleep(3600 + 20)
    assert notices(recorder, "h") == ["waits for its turn in the group db: 7 of 7 running (a, b, c, d, e and 2 more)"]


def test_a_run_that_waits_past_its_start_deadline_does_not_start(
    clock: VirtualClock, make_scheduler: Make, work: Work
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.group("db", limit=1)
    scheduler.job("@hourly", name="long", group="db", greenlet=True)(work("long", 900))
    scheduler.job("@hourly", name="late", group="db", start_deadline="10m", greenlet=True)(work("late", 1))
    scheduler.job("@hourly", name="patient", group="db", greenlet=True)(work("patient", 1))
    scheduler.start()
    sleep(3600 + 1000)

    assert recorder.outcomes("late") == ["skipped"]
    assert reasons(recorder, "late") == [
        "not begun: the group db had no room for 600 s: 1 of 1 running (long), 1 waiting"
    ]
    assert work.begun == [("long", 3600), ("patient", 4500)]


def test_a_stop_ends_the_wait_for_a_group(clock: VirtualClock, make_scheduler: Make, work: Work) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.group("db", limit=1)
    scheduler.job("@hourly", name="first", group="db", greenlet=True)(work("first", 100))
    scheduler.job("@hourly", name="second", group="db", greenlet=True)(work("second", 100))
    scheduler.start()
    sleep(3601)
    before = clock.now()
    scheduler.stop(grace=500)

    assert clock.now() - before < 100
    assert recorder.outcomes("first") == ["succeeded"]
    assert reasons(recorder, "second") == ["not begun: gcron is told to stop"]


def test_a_run_leaves_its_group_while_it_waits_for_a_retry(
    clock: VirtualClock, make_scheduler: Make, work: Work
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.group("db", limit=1)
    scheduler.job("@hourly", name="flaky", group="db", retries=1, retry_delay=60, greenlet=True)(
        work("flaky", 10, fails=1)
    )
    scheduler.job("1 0 1 * * * *", name="other", group="db", greenlet=True)(work("other", 100))
    scheduler.start()
    sleep(3600 + 300)

    assert work.begun == [("flaky", 3600), ("other", 3610), ("flaky", 3710)]
    assert work.most == 1
    assert recorder.outcomes() == ["succeeded", "succeeded"]


def test_a_new_fire_ends_a_retry_that_waits_for_its_group(
    clock: VirtualClock, make_scheduler: Make, work: Work
) -> None:
    """A retry that waits for its group is still a waiting retry, so a new fire replaces it."""
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.group("db", limit=1)
    scheduler.job("* * * * *", name="flaky", group="db", retries=1, retry_delay=5, greenlet=True)(
        work("flaky", 1, fails=1)
    )
    scheduler.job("1 0 1 * * * *", name="other", group="db", greenlet=True)(work("other", 100))
    scheduler.start()
    sleep(3600 - 30)
    assert reasons(recorder, "flaky")[0] == "", "nobody is in its way: it succeeds with its second attempt"
    scheduler.remove("flaky")
    scheduler.job("* * * * *", name="again", group="db", retries=1, retry_delay=5, greenlet=True)(
        work("again", 1, fails=1)
    )
    sleep(300)

    assert reasons(recorder, "again")[0] == "ValueError: not yet; no further attempt: the job is due again"
    assert [name for name, at in work.begun if at >= 3600][:3] == ["again", "other", "again"]


@pytest.mark.parametrize("overlap", ["queue", "replace", "skip", "allow"])
def test_overlap_and_a_group_cause_no_deadlock(
    overlap: str, clock: VirtualClock, make_scheduler: Make, work: Work
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.group("db", limit=1)
    for name in "ab":
        scheduler.job("* * * * *", name=name, group="db", overlap=overlap, jitter=20, greenlet=True)(work(name, 45))
    scheduler.start()
    sleep(20 * 60)
    scheduler.stop(grace=300)

    assert work.most == 1
    started = {event.run_id for event in recorder.of("run-started")}
    finished = [event.run_id for event in recorder.of("run-finished")]
    assert len(finished) == len(set(finished))
    assert started <= set(finished)
    assert recorder.outcomes().count("succeeded") >= 10


def test_triggered_runs_wait_for_their_group(clock: VirtualClock, make_scheduler: Make, work: Work) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.group("db", limit=1)
    for name in "ab":
        scheduler.job("@manual", name=name, group="db", greenlet=True)(work(name, 5))
    runs = [scheduler.trigger(name) for name in "ab"]
    assert all(run.result.get(timeout=60).succeeded for run in runs)
    assert work.begun == [("a", 0), ("b", 5)]


# -- limits that change -----------------------------------------------------------------------------------------


def member(work: Work, name: str, limit: int | None, seconds: float = 100) -> Job:
    action = work(name, seconds)
    return Job(name, parse("@hourly", "UTC"), PythonCall(action, greenlet=True), Policy(group="db"), group_limit=limit)


def test_a_reload_changes_the_limit_and_leaves_runs_alone(
    clock: VirtualClock, make_scheduler: Make, work: Work
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    table = [member(work, name, 1) for name in "abcd"]
    scheduler.replace(table)
    scheduler.start()
    sleep(3600 + 10)
    assert work.inside == ["a"]

    table = [replace(job, group_limit=3) for job in table]
    assert tuple(map(len, scheduler.replace(table))) == (0, 4, 0)
    sleep(1)
    assert work.inside == ["a", "b", "c"]

    table = [replace(job, group_limit=2) for job in table]
    scheduler.replace(table)
    sleep(1)
    assert work.inside == ["a", "b", "c"], "who has begun goes on"
    sleep(90)
    assert work.inside == ["b", "c"], "and no other comes in its place"
    sleep(20)
    assert work.inside == ["d"]
    sleep(200)
    assert recorder.outcomes() == ["succeeded"] * 4


def test_a_program_can_raise_the_limit(clock: VirtualClock, make_scheduler: Make, work: Work) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.group("db", limit=1)
    for name in "ab":
        scheduler.job("@manual", name=name, group="db", greenlet=True)(work(name, 50))
        scheduler.trigger(name)
    sleep(1)
    scheduler.group("db", limit=2)
    sleep(1)
    assert work.inside == ["a", "b"]


def test_wrong_groups_are_refused_and_change_nothing(make_scheduler: Make, work: Work, tmp_path: Path) -> None:
    scheduler, _ = make_scheduler()
    with pytest.raises(ValueError, match="there is no group 'db' "):
        scheduler.job("@daily", name="early", group="db", greenlet=True)(work("early", 1))
    scheduler.group("database", limit=1)
    with pytest.raises(ValueError, match="did you mean database"):
        scheduler.job("@daily", name="a", group="databse", greenlet=True)(work("a", 1))
    with pytest.raises(ValueError, match="cannot be 0"):
        scheduler.group("database", limit=0)
    kept = member(work, "kept", 3)
    scheduler.add(kept)
    with pytest.raises(ValueError, match="the limit of group 'db' is 3, and not 4"):
        scheduler.add(member(work, "b", 4))
    with pytest.raises(ValueError, match="the limit of group 'db' is 1, and not 2"):
        scheduler.replace([member(work, "b", 1), member(work, "c", 2)])
    with pytest.raises(ValueError, match="there is no group 'db'"):
        scheduler.replace([member(work, "b", None)])
    assert scheduler.jobs == (kept,)

    crontab = tmp_path / "crontab"
    crontab.write_text("# gcron: group=db\n@daily a\n# gcron: group=other\n@daily b\n")
    with pytest.raises(CrontabError, match=f"{crontab}:4:1: error: there is no group other"):
        scheduler.load_crontab(str(crontab))
    assert scheduler.jobs == (kept,)


def test_a_crontab_can_use_a_group_of_the_program(make_scheduler: Make, tmp_path: Path) -> None:
    scheduler, _ = make_scheduler()
    scheduler.group("db", limit=2)
    crontab = tmp_path / "crontab"
    crontab.write_text("# gcron: group=db\n@daily a\n# gcron-group: own limit=3\n# gcron: group=own\n@daily b\n")
    assert [(job.policy.group, job.group_limit) for job in scheduler.load_crontab(str(crontab))] == [
        ("db", None),
        ("own", 3),
    ]


# -- whatever comes ---------------------------------------------------------------------------------------------

seconds = st.integers(1, 200)
plans = st.lists(st.tuples(seconds, seconds, st.sampled_from("xy")), min_size=1, max_size=12)
changes = st.lists(st.tuples(seconds, st.sampled_from("xy"), st.integers(1, 4)), max_size=4)


@settings(max_examples=60)
@given(plans, changes)
def test_random_loads_all_run_and_never_exceed_the_limits(
    plan: list[tuple[int, int, str]], limits: list[tuple[int, str, int]]
) -> None:
    clock = VirtualClock(0)
    with clock.installed():
        scheduler = Scheduler(clock=clock)
        may = {"x": 1, "y": 2}
        inside: dict[str, list[int]] = {"x": [], "y": []}
        order: dict[str, list[int]] = {"x": [], "y": []}
        wrong: list[str] = []

        def make(number: int, group: str, takes: int) -> Callable[[], None]:
            def work() -> None:
                if len(inside[group]) >= may[group]:
                    wrong.append(f"{len(inside[group]) + 1} in {group}, which has room for {may[group]}")
                inside[group].append(number)
                order[group].append(number)
                sleep(takes)
                inside[group].remove(number)

            return work

        for group, limit in may.items():
            scheduler.group(group, limit=limit)
        steps: list[tuple[int, Callable[[], Any]]] = []
        for number, (at, takes, group) in enumerate(plan):
            scheduler.job("@manual", name=str(number), group=group, greenlet=True)(make(number, group, takes))
            steps.append((at, lambda number=number: scheduler.trigger(str(number))))  # type: ignore[misc]
        for at, group, limit in limits:

            def change(group: str = group, limit: int = limit) -> None:
                may[group] = limit
                scheduler.group(group, limit=limit)

            steps.append((at, change))
        runs = []
        for at, step in sorted(steps, key=lambda step: step[0]):
            sleep(max(0.0, at - clock.now()))
            runs.append(step())
            sleep(0.01)  # runs that may start have started before the limit changes
        results = [run.result.get(timeout=10_000) for run in runs if run is not None]
        assert wrong == []
        assert all(result.succeeded for result in results)
        for group in "xy":
            came = sorted((at, number) for number, (at, _, in_group) in enumerate(plan) if in_group == group)
            assert order[group] == [number for _, number in came], "first come, first served"
        scheduler.stop(grace=0)

"""Claims, triggers, @reboot, disabled jobs, and changes of the job table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gcron.event import AsyncResult
from gcron.greenlet import GreenletExit, sleep, spawn
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job, Scheduler
from gcron.scheduler.groups import Groups
from gcron.scheduler.overlap import Overlap
from gcron.scheduler.store import Fire
from gcron.state.memory import MemoryStore
from gcron.supervise.python_call import PythonCall
from gcron.testing import VirtualClock

Make = Callable[..., tuple[Scheduler, Any]]


def test_a_fire_during_a_run_is_skipped_and_later_fires_are_not(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("* * * * *", name="slow", greenlet=True)(lambda: sleep(90))
    scheduler.start()
    sleep(5 * 60 + 30)
    first = recorder.of("run-started", "slow")[0]
    assert [(event.fire_at - clock.now()) // 60 for event in recorder.of("run-started")] == [-5, -3, -1]
    assert [str(e.result.outcome) for e in sorted(recorder.of("run-finished"), key=lambda e: e.fire_at)] == [
        "succeeded",
        "skipped",
        "succeeded",
        "skipped",
    ]
    skipped = next(event for event in recorder.of("run-finished") if event.result.outcome == "skipped")
    assert skipped.result.reason.text == f"the run {first.run_id} is still under way"
    assert skipped.fire_at == first.fire_at + 60


def test_with_overlap_allow_runs_run_at_the_same_time(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("* * * * *", name="slow", overlap="allow", greenlet=True)(lambda: sleep(150))
    scheduler.start()
    sleep(3 * 60 + 1)
    assert len(recorder.of("run-started")) == 3
    assert len(scheduler.running()) == 3


class Claiming(MemoryStore):
    """A store that several schedulers share."""

    def must_claim(self, job: Job) -> bool:
        return True


def test_schedulers_with_one_store_start_each_fire_once(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Claiming()
    recorders = []
    for _ in range(3):
        scheduler, recorder = make_scheduler(clock=clock, state=store)
        scheduler.job("* * * * *", name="job", greenlet=True)(lambda: None)
        scheduler.start()
        recorders.append(recorder)
    sleep(3601)
    fires = [event.fire_at for recorder in recorders for event in recorder.of("run-started")]
    assert len(fires) == len(set(fires)) == 60


def test_a_claim_is_granted_only_for_a_later_instant_unless_forgotten() -> None:
    store = Claiming()
    assert store.claim([Fire("a", 10), Fire("a", 10), Fire("a", 9), Fire("b", 10)]) == [True, False, False, True]
    assert store.claim([Fire("a", 11)]) == [True]
    store.forget(["a", "never seen"])
    assert store.claim([Fire("a", 9)]) == [True]


def test_a_trigger_runs_a_job_now_and_returns_its_run(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@manual", name="answer", greenlet=True)(lambda: 42)
    scheduler.start()
    run = scheduler.trigger("answer")
    assert isinstance(run.result, AsyncResult)
    assert run in scheduler.running()
    assert "waiting" in repr(run)
    assert run.result.get(timeout=5).value == 42
    assert "succeeded" in repr(run)
    assert recorder.of("run-finished")[0].fire_at is None
    with pytest.raises(KeyError):
        scheduler.trigger("no such job")


def test_a_run_can_be_stopped(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.job("@manual", name="long", greenlet=True)(lambda: sleep(10**6))
    run = scheduler.trigger("long")
    run.stop()
    result = run.result.get(timeout=5)
    assert (result.outcome, result.reason.text) == ("killed", "stopped on request")


def test_reboot_jobs_run_once_at_the_start(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@reboot", name="once", greenlet=True)(lambda: None)
    scheduler.job("@reboot", name="off", enabled=False, greenlet=True)(lambda: None)
    sleep(1)
    assert recorder.events == []
    scheduler.start()
    sleep(10 * 86400)
    assert [event.job for event in recorder.of("run-started")] == ["once"]


def test_a_disabled_job_does_not_fire_but_can_be_triggered(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("* * * * *", name="off", enabled=False, greenlet=True)(lambda: None)
    scheduler.start()
    sleep(601)
    assert [job.name for job in scheduler.jobs] == ["off"]
    assert recorder.events == []
    assert scheduler.trigger("off").result.get(timeout=5).outcome == "succeeded"


def test_jobs_can_be_added_and_removed_while_the_scheduler_runs(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.start()
    sleep(90)
    scheduler.job("* * * * *", name="guest", greenlet=True)(lambda: sleep(45))
    sleep(60)
    assert [event.fire_at for event in recorder.of("run-started")] == [clock.now() - 30]
    scheduler.remove("guest")
    sleep(601)
    assert len(recorder.of("run-started")) == 1
    assert recorder.outcomes() == ["succeeded"]
    with pytest.raises(KeyError):
        scheduler.remove("guest")
    scheduler.job("* * * * *", name="guest", greenlet=True)(lambda: None)
    sleep(60)
    assert len(recorder.of("run-started")) == 2


def test_a_job_added_in_the_second_of_its_fire_waits_for_the_next_one(
    clock: VirtualClock, make_scheduler: Make
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.start()
    sleep(60.5)
    scheduler.job("* * * * *", name="late", greenlet=True)(lambda: None)
    sleep(59)
    assert recorder.events == []
    sleep(1)
    assert len(recorder.of("run-started")) == 1


def test_two_schedulers_do_not_affect_each_other(clock: VirtualClock, make_scheduler: Make) -> None:
    (one, first), (two, second) = make_scheduler(clock=clock), make_scheduler("Asia/Tokyo", clock=clock)
    one.job("0 9 * * *", name="nine", greenlet=True)(lambda: None)
    two.job("0 9 * * *", name="nine", greenlet=True)(lambda: None)
    one.start()
    two.start()
    midnight = clock.now()
    sleep(12 * 3600 + 1)
    one.stop()
    sleep(12 * 3600 + 1)
    assert [event.fire_at - midnight for event in first.of("run-started")] == [9 * 3600]
    assert [event.fire_at - midnight for event in second.of("run-started")] == [24 * 3600]
    assert two.trigger("nine").result.get(timeout=5).succeeded


def test_a_stop_waits_for_runs_within_the_grace_and_kills_the_others(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@manual", name="short", greenlet=True)(lambda: sleep(5))
    scheduler.job("@manual", name="long", greenlet=True)(lambda: sleep(500))
    scheduler.job("* * * * *", name="often", greenlet=True)(lambda: None)
    scheduler.start()
    scheduler.trigger("short")
    scheduler.trigger("long")
    sleep(1)
    before = clock.now()
    report = scheduler.stop(grace=100)
    assert (report.killed, report.left_behind) == (("long",), ())
    assert clock.now() - before == 100
    assert recorder.outcomes("short") == ["succeeded"]
    assert recorder.outcomes("long") == ["killed"]
    assert (
        recorder.of("run-finished", "long")[0].result.reason.text == "still running 100 s after gcron was told to stop"
    )
    assert recorder.of("run-started", "often") == []
    with pytest.raises(RuntimeError):
        scheduler.trigger("short")


def test_a_fire_that_was_due_before_the_stop_and_did_not_start_is_missed(
    clock: VirtualClock, make_scheduler: Make
) -> None:
    """After a suspend, the stop comes before the scheduler has read the clock."""
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("0 * * * *", name="hourly", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(1)
    clock.jump(2 * 3600)
    scheduler.stop()
    (missed,) = recorder.of("fires-missed")
    assert (missed.count, missed.reason.code, missed.reason.text) == (2, "shutdown", "gcron is told to stop")
    assert recorder.of("run-started") == []


def test_an_internal_error_fails_its_run_and_no_other(
    clock: VirtualClock, make_scheduler: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(groups: Groups, job: Job, *args: object) -> None:
        raise KeyError("a mistake in gcron")

    monkeypatch.setattr(Groups, "enter", fail)
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.group("db", limit=1)
    scheduler.job("* * * * *", name="hurt", group="db", greenlet=True)(lambda: None)
    scheduler.job("* * * * *", name="other", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(121)
    assert recorder.outcomes("other") == ["succeeded"] * 2
    assert recorder.outcomes("hurt") == ["failed"] * 2
    reason = recorder.of("run-finished", "hurt")[0].result.reason
    assert (reason.code, reason.text) == ("internal-error", "gcron itself failed: KeyError: 'a mistake in gcron'")
    assert "a mistake in gcron" in capsys.readouterr().err


def test_an_error_at_the_start_of_a_job_does_not_stop_other_starts(
    clock: VirtualClock, make_scheduler: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    admit = Overlap.admit

    def fail(overlap: Overlap, due: Any) -> None:
        if due.job.name == "hurt":
            raise KeyError("a mistake in gcron")
        admit(overlap, due)

    monkeypatch.setattr(Overlap, "admit", fail)
    scheduler, recorder = make_scheduler(clock=clock)
    for name in ("hurt", "other"):
        scheduler.job("* * * * *", name=name, greenlet=True)(lambda: None)
    scheduler.start()
    sleep(121)
    assert recorder.outcomes() == ["succeeded"] * 2
    assert "the start of job hurt" in capsys.readouterr().err


def test_a_stop_ends_in_time_although_a_function_does_not(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    give_up: list[bool] = []

    def stubborn() -> None:
        while not give_up:
            try:
                sleep(1)
            except GreenletExit:
                continue

    scheduler.job("@manual", name="stubborn", kill_after=5, greenlet=True)(stubborn)
    scheduler.trigger("stubborn")
    sleep(1)
    before = clock.now()
    report = scheduler.stop(grace=10)
    assert clock.now() - before == 10 + 5 + 15
    assert report.killed == ("stubborn",)
    assert report.left_behind == ("job stubborn, which does not end",)
    give_up.append(True)
    sleep(2)


def test_a_stop_uses_the_kill_after_of_a_removed_job(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)

    def slow_to_stop() -> None:
        try:
            sleep(10**6)
        except GreenletExit:
            sleep(50)

    scheduler.job("@manual", name="gone", kill_after=60, greenlet=True)(slow_to_stop)
    scheduler.trigger("gone")
    sleep(1)
    scheduler.remove("gone")
    report = scheduler.stop(grace=0)
    assert (report.killed, report.left_behind) == (("gone",), ())


def test_a_job_can_stop_its_scheduler(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("* * * * *", name="last", greenlet=True)(lambda: scheduler.stop(grace=5))
    scheduler.run()
    assert recorder.outcomes() == ["killed"]


def test_a_second_stop_waits_for_the_first(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.job("@manual", name="job", greenlet=True)(lambda: sleep(10))
    scheduler.start()
    scheduler.trigger("job")
    first = spawn(scheduler.stop, 30)
    sleep(1)
    assert scheduler.stop(grace=0) == first.get(timeout=1)


# -- a whole new table ------------------------------------------------------------------------------------------


def test_replace_keeps_runs_and_due_instants_of_unchanged_jobs(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    kept = scheduler.add(job_named("kept", "* * * * *"))
    scheduler.add(job_named("removed", "* * * * *"))
    scheduler.add(job_named("changed", "* * * * *"))
    scheduler.start()
    sleep(70)
    long = scheduler.trigger("removed")
    clock.jump(50)  # the instant of a fire, before the scheduler read the clock
    moved = replace(kept, source="crontab:99")
    replaced = scheduler.replace([moved, job_named("changed", "0 0 * * *"), job_named("added", "@hourly")])
    assert replaced == (("added",), ("changed",), ("removed",))
    sleep(3601)
    assert long.result.get(timeout=5).succeeded
    starts = {name: len(recorder.of("run-started", name)) for name in ("kept", "removed", "changed", "added")}
    assert starts == {"kept": 62, "removed": 2, "changed": 2, "added": 1}, "what was due was so by the old table"
    assert recorder.outcomes("removed").count("skipped") == 1
    assert [job.name for job in scheduler.jobs] == ["kept", "changed", "added"]


def test_replace_refuses_two_jobs_with_one_name(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.add(job_named("old", "@daily"))
    with pytest.raises(ValueError, match="two jobs named 'new'"):
        scheduler.replace([job_named("new", "@daily"), job_named("new", "@hourly")])
    assert [job.name for job in scheduler.jobs] == ["old"]


def nothing() -> None:
    return


def job_named(name: str, schedule: str) -> Job:
    return Job(name, parse(schedule, "UTC"), PythonCall(nothing, greenlet=True), Policy())

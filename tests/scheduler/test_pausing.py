"""`pause`, `resume`, `reschedule`, `status`: changing when a job is due while the scheduler runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gcron import at, cron, every
from gcron.greenlet import sleep
from gcron.schedule import ScheduleError
from gcron.scheduler import Job, Scheduler
from gcron.testing import VirtualClock

Make = Callable[..., tuple[Scheduler, Any]]
MINUTE = 60
HOUR = 3600


def dues(recorder: Any, job: str = "job") -> list[int]:
    """Return the due times of its runs in minutes since midnight."""
    return [event.fire_at % 86400 // MINUTE for event in recorder.of("run-finished", job) if event.fire_at]


def start(scheduler: Scheduler) -> None:
    """Start, and let a second pass, so that later sleeps do not end in the second of a fire."""
    scheduler.start()
    sleep(1)


@pytest.fixture
def hourly(clock: VirtualClock, make_scheduler: Make) -> tuple[Scheduler, Any]:
    """A scheduler, started at midnight, with a job that is due each hour."""
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("0 * * * *", name="job", catchup="all", start_deadline="10h", greenlet=True)(lambda: None)
    start(scheduler)
    return scheduler, recorder


def test_there_are_no_fires_during_a_pause(hourly: tuple[Scheduler, Any]) -> None:
    """Such fires do not run later with any `catchup`, and are not missed."""
    scheduler, recorder = hourly
    sleep(1.5 * HOUR)
    scheduler.pause("job")
    sleep(3 * HOUR)
    scheduler.resume("job")
    sleep(HOUR)
    assert dues(recorder) == [60, 300]
    assert recorder.of("fires-missed") == []
    assert scheduler.status("job").counts.as_dict() == scheduler.counts.total.as_dict()
    assert scheduler.counts.total.succeeded == 2


def test_a_fire_that_was_due_before_the_pause_runs(clock: VirtualClock, hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    clock.jump(2 * HOUR + 5)  # a suspend
    scheduler.pause("job")
    sleep(5 * HOUR)
    assert dues(recorder) == [60, 120]


def test_during_a_pause_runs_continue_and_triggers_work(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("0 1 * * *", name="job", greenlet=True)(lambda: sleep(HOUR))
    start(scheduler)
    sleep(1.5 * HOUR)
    scheduler.pause("job")
    assert [run.job for run in scheduler.status("job").running] == ["job"]
    sleep(HOUR)
    assert scheduler.trigger("job").result.get().succeeded
    assert recorder.outcomes() == ["succeeded"] * 2


def test_pausing_or_resuming_twice_is_the_same_as_once(hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    scheduler.resume("job")
    scheduler.pause("job")
    scheduler.pause("job")
    sleep(2 * HOUR)
    scheduler.resume("job")
    scheduler.resume("job")
    sleep(2 * HOUR)
    assert dues(recorder) == [180, 240]


def test_a_pause_before_the_start_is_kept(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@hourly", name="job", greenlet=True)(lambda: None)
    scheduler.job("@reboot", name="boot", greenlet=True)(lambda: None)
    scheduler.pause("job")
    scheduler.pause("boot")
    start(scheduler)
    sleep(2 * HOUR)
    assert [(event.kind, event.job) for event in recorder.events] == [("job-paused", "job"), ("job-paused", "boot")]
    assert scheduler.next_due() is None
    scheduler.resume("job")
    scheduler.resume("boot")
    sleep(HOUR)
    assert recorder.outcomes("job") == ["succeeded"]
    assert recorder.outcomes("boot") == []


def test_a_pause_outlasts_reloads_of_the_job(hourly: tuple[Scheduler, Any]) -> None:
    """A pause of a job must not end because its file was edited."""
    scheduler, recorder = hourly
    scheduler.pause("job")
    scheduler.replace(scheduler.jobs)
    sleep(HOUR)
    other = Scheduler()
    other.job("*/10 * * * *", name="job", greenlet=True)(lambda: None)
    assert tuple(map(len, scheduler.replace(other.jobs))) == (0, 1, 0)
    sleep(HOUR)
    assert (dues(recorder), scheduler.status("job").is_paused) == ([], True)
    scheduler.resume("job")
    sleep(HOUR)
    assert dues(recorder) == [130, 140, 150, 160, 170, 180]


def test_a_removed_job_that_is_added_again_is_not_paused(hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    job = scheduler.jobs[0]
    scheduler.pause("job")
    scheduler.remove("job")
    scheduler.add(job)
    sleep(HOUR)
    scheduler.pause("job")
    scheduler.replace([])
    scheduler.replace([job])
    sleep(HOUR)
    assert dues(recorder) == [60, 120]


def test_resuming_a_disabled_job_does_not_make_it_fire(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@hourly", name="job", enabled=False, greenlet=True)(lambda: None)
    start(scheduler)
    scheduler.pause("job")
    scheduler.resume("job")
    sleep(2 * HOUR)
    assert [event.kind for event in recorder.events] == ["job-paused", "job-resumed"]
    assert scheduler.status("job").next_fire is None


def test_a_step_back_during_a_pause_loses_no_later_fire(steady_clock: VirtualClock, make_scheduler: Make) -> None:
    """After a resume nothing ran for hours: the claims were only dropped for jobs with a due instant."""
    scheduler, recorder = make_scheduler(clock=steady_clock)
    scheduler.job("@every 10m", name="job", greenlet=True)(lambda: None)
    start(scheduler)
    sleep(HOUR)
    scheduler.pause("job")
    steady_clock.set(steady_clock.now() - HOUR)
    sleep(5)
    scheduler.resume("job")
    sleep(HOUR)
    assert dues(recorder) == [10, 20, 30, 40, 50, 60] * 2


def test_a_paused_job_reports_no_missing_success(clock: VirtualClock, make_scheduler: Make) -> None:
    """The time of `expect-within` restarts at the resume. A reload during the pause does not restart it."""
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@hourly", name="job", expect_within="90m", greenlet=True)(lambda: None)
    start(scheduler)
    sleep(HOUR + 1)
    scheduler.pause("job")
    scheduler.replace(scheduler.jobs)
    sleep(5 * HOUR)
    scheduler.resume("job")
    sleep(HOUR)
    assert recorder.of("success-overdue") == []
    scheduler.reschedule("job", "@yearly")
    sleep(2 * HOUR)
    assert len(recorder.of("success-overdue")) == 1


def test_a_service_cannot_be_paused(scheduler: tuple[Scheduler, Any]) -> None:
    running, _ = scheduler
    running.service("sleep 60", name="cache")
    with pytest.raises(ValueError, match="'cache' is a service, which cannot be paused"):
        running.pause("cache")
    with pytest.raises(ValueError, match="'cache' is a service, which has no schedule"):
        running.reschedule("cache", "@daily")
    running.command("true", "@daily", name="job")
    with pytest.raises(ValueError, match="'job' cannot become a service"):
        running.reschedule("job", "@service")


@pytest.mark.parametrize("method", ["pause", "resume", "remove", "trigger", "status"])
def test_an_unknown_name_gets_a_suggestion(method: str, scheduler: tuple[Scheduler, Any]) -> None:
    running, _ = scheduler
    with pytest.raises(KeyError, match=r"no job named 'backup' .there are none"):
        getattr(running, method)("backup")
    running.command("true", "@daily", name="backups")
    with pytest.raises(KeyError, match=r"no job named 'backup' .did you mean backups"):
        getattr(running, method)("backup")
    with pytest.raises(KeyError):
        running.reschedule("backup", "@daily")


# -- another schedule ------------------------------------------------------------------------------------------


def test_reschedule_changes_the_due_instants(clock: VirtualClock, hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    sleep(HOUR + 30 * MINUTE)
    job = scheduler.reschedule("job", cron("*/20 * * * *"))
    assert (job, scheduler.jobs) == (scheduler.status("job").job, (job,))
    assert job.policy.catchup == "all"
    sleep(31 * MINUTE)
    scheduler.reschedule("job", every("15m"))
    sleep(15 * MINUTE)
    scheduler.reschedule("job", at(clock.datetime + timedelta(minutes=14)))
    sleep(5 * HOUR)
    assert dues(recorder) == [60, 100, 120, 135, 150]


def test_a_fire_of_the_old_schedule_that_was_due_runs(clock: VirtualClock, hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    clock.jump(HOUR + 5)
    scheduler.reschedule("job", "30 * * * *")
    sleep(HOUR)
    assert dues(recorder) == [60, 90]


def test_a_reload_restores_the_schedule_of_the_file(hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    jobs = scheduler.jobs
    scheduler.reschedule("job", "30 * * * *")
    sleep(HOUR)
    scheduler.replace(jobs)
    sleep(HOUR)
    assert dues(recorder) == [30, 120]


def test_a_wrong_schedule_changes_nothing(hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    with pytest.raises(ScheduleError):
        scheduler.reschedule("job", "61 * * * *")
    sleep(HOUR)
    assert dues(recorder) == [60]


def test_reschedule_during_a_pause_takes_effect_at_the_resume(hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    scheduler.pause("job")
    scheduler.reschedule("job", "*/30 * * * *")
    sleep(HOUR)
    assert scheduler.status("job").next_fire is None
    scheduler.resume("job")
    sleep(HOUR)
    assert dues(recorder) == [90, 120]


# -- the model -------------------------------------------------------------------------------------------------

SCHEDULES = ("*/20 * * * *", "@every 7m", "15,50 * * * *", "@manual")
steps = st.lists(
    st.tuples(
        st.integers(1, 3000),
        st.sampled_from(["pause", "resume", "readd", "reload", "trigger"])
        | st.tuples(st.just("reschedule"), st.sampled_from(SCHEDULES)),
    ),
    max_size=8,
)


class Model:
    """Second by second: the job fires when it is not paused and its present schedule has that second."""

    def __init__(self) -> None:
        self.schedule = SCHEDULES[0]
        self.paused = False
        self.fires: list[int | None] = []

    def pass_time(self, start: int, end: int) -> None:
        for second in range(start + 1, end + 1):
            if not self.paused and self._is_due(second):
                self.fires.append(second)

    def _is_due(self, second: int) -> bool:
        minute, rest = divmod(second, 60)
        if self.schedule == "@every 7m":
            return second % (7 * 60) == 0
        minutes = {"*/20 * * * *": (0, 20, 40), "15,50 * * * *": (15, 50), "@manual": ()}[self.schedule]
        return rest == 0 and minute % 60 in minutes


@settings(max_examples=200)
@given(steps)
@example([(1, "resume"), (1199, "trigger")])
def test_pauses_and_reschedules_agree_with_a_simple_model(steps: list[tuple[int, Any]]) -> None:
    """All actions are half a second after a fire: at its very moment either may be the first."""
    model = Model()
    fires: list[int | None] = []
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    with clock.installed():
        scheduler = Scheduler(clock=clock)
        scheduler.job(SCHEDULES[0], name="job", greenlet=True)(lambda: None)
        scheduler.on("run-finished", lambda event: fires.append(event.fire_at))
        scheduler.start()
        sleep(0.5)
        for seconds, action in [*steps, (3600, "resume")]:
            now = int(clock.now())
            model.pass_time(now, now + seconds)
            sleep(seconds)
            act(scheduler, model, action)
            sleep(0)
            status = scheduler.status("job")
            assert status.is_paused is model.paused
            assert status.next_fire is None or not model.paused
        scheduler.stop()
    assert fires == model.fires


def act(scheduler: Scheduler, model: Model, action: Any) -> None:
    """Do the same with the scheduler and with the model."""
    job: Job = scheduler.status("job").job
    match action:
        case "pause":
            scheduler.pause("job")
            model.paused = True
        case "resume":
            scheduler.resume("job")
            model.paused = False
        case "readd":
            scheduler.remove("job")
            scheduler.add(job)
            model.paused = False
        case "reload":
            scheduler.replace([job])
        case "trigger":
            scheduler.trigger("job").result.get()
            model.fires.append(None)
        case (_, schedule):
            scheduler.reschedule("job", schedule)
            model.schedule = schedule


# -- looking ---------------------------------------------------------------------------------------------------


def test_a_status_is_a_snapshot_of_the_job(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.job("0 1 * * *", name="long", overlap="allow", greenlet=True)(lambda: sleep(2 * HOUR))
    scheduler.job("@hourly", name="off", enabled=False, greenlet=True)(lambda: None)
    scheduler.job("@service", name="kept", greenlet=True)(lambda: sleep(10 * HOUR))
    assert [status.next_fire for status in scheduler.overview()] == [None] * 3
    scheduler.start()
    assert scheduler.status("long").next_fire == datetime(2026, 1, 1, 1, tzinfo=UTC)
    sleep(HOUR + 5)
    run = scheduler.trigger("long")
    before = scheduler.overview()
    assert [status.name for status in before] == ["long", "off", "kept"]
    assert (before[0].running[1], len(before[0].running)) == (run, 2)
    assert before[0].next_fire == datetime(2026, 1, 2, 1, tzinfo=UTC)
    assert (before[1].next_fire, before[1].running, before[1].service) == (None, (), None)
    assert before[2].service is not None
    assert (before[2].service.state, before[2].running) == ("ready", (before[2].service.run,))
    run.result.get()
    assert before[0].counts.succeeded == 0
    assert scheduler.status("long").counts.succeeded == 2


def test_a_pause_may_end_by_itself(clock: VirtualClock, hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    midnight = datetime.fromtimestamp(clock.now() // 86400 * 86400, UTC)
    scheduler.pause("job", until=midnight + timedelta(hours=2.5), who="ann", why="a deploy")
    pause = scheduler.status("job").pause
    assert pause is not None
    assert (pause.who, pause.why) == ("ann", "a deploy")
    scheduler.pause("job", until=midnight + timedelta(hours=3.5), who="ann", why="a long deploy")
    scheduler.pause("job", until=midnight + timedelta(hours=3.5), who="ann", why="a long deploy")
    sleep(4.5 * HOUR)
    assert dues(recorder) == [240]
    assert [event.why for event in recorder.of("job-paused")] == ["a deploy", "a long deploy"]
    assert [round(event.time - midnight.timestamp()) for event in recorder.of("job-resumed")] == [3.5 * HOUR]
    assert scheduler.status("job").pause is None


def test_who_resumed_a_job_is_known(hourly: tuple[Scheduler, Any]) -> None:
    """Only a pause had a `who`: nobody could see whether it had ended by itself."""
    scheduler, recorder = hourly
    scheduler.pause("job")
    scheduler.resume("job", who="ben")
    sleep(1)
    assert [event.who for event in recorder.of("job-resumed")] == ["ben"]


def test_a_pause_ends_when_the_clock_jumps_over_its_end(clock: VirtualClock, hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    scheduler.job("* * * * *", name="other", greenlet=True)(lambda: None)  # for which the watch looks at the clock
    scheduler.pause("job", until=datetime.fromtimestamp(clock.now() + HOUR, UTC))
    clock.set(clock.now() + 2 * HOUR)
    sleep(60)
    assert len(recorder.of("job-resumed")) == 1


def test_a_pause_of_a_removed_job_ends_nothing(clock: VirtualClock, hourly: tuple[Scheduler, Any]) -> None:
    scheduler, recorder = hourly
    scheduler.pause("job", until=datetime.fromtimestamp(clock.now() + HOUR, UTC))
    scheduler.replace([])
    sleep(2 * HOUR)
    assert recorder.of("job-resumed") == []
    with pytest.raises(ValueError, match="tzinfo"):
        scheduler.pause("job", until=datetime(2026, 1, 1))

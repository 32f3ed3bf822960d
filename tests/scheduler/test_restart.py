"""What a start takes over from the gcron before: fires, pauses, silences, runs without an end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gcron.greenlet import sleep
from gcron.scheduler.history import JobMemory, OpenRun, Recall, StoredRun
from gcron.scheduler.records import event_record
from gcron.state.memory import MemoryStore
from gcron.testing import VirtualClock

Make = Callable[..., Any]
HOUR = 3600


class Machine:
    """Gcrons that follow one another, with one store. Each has the job `job`."""

    def __init__(self, clock: VirtualClock, make: Make) -> None:
        self.clock = clock
        self.store = MemoryStore(now=clock.now)
        self._make = make
        self.midnight = clock.now()
        self.ran: list[float] = []

    def start(self, schedule: str, **options: Any) -> Any:
        scheduler, recorder = self._make(clock=self.clock, state=self.store)
        options = {"name": "job", "greenlet": True, **options}
        scheduler.job(schedule, **options)(lambda: None)
        scheduler.start()
        return scheduler, recorder

    def hours(self, instant: float) -> float:
        return round((instant - self.midnight) / HOUR, 3)

    def fired(self, recorder: Any) -> list[float]:
        return [self.hours(event.fire_at) for event in recorder.of("run-started")]

    def missed(self, recorder: Any) -> list[tuple[float, float, int]]:
        return [(self.hours(event.first), self.hours(event.last), event.count) for event in recorder.of("fires-missed")]


@pytest.fixture
def machine(clock: VirtualClock, make_scheduler: Make) -> Machine:
    return Machine(clock, make_scheduler)


TEN = [round(1 + number / 6, 3) for number in range(10)]


@pytest.mark.parametrize(
    ("options", "fired", "missed"),
    [
        ({}, [], [(TEN[0], TEN[9], 10)]),
        ({"catchup": "last"}, [TEN[9]], [(TEN[0], TEN[8], 9)]),
        ({"catchup": "all", "start_deadline": "1d"}, TEN, []),
        ({"catchup": "all", "start_deadline": "20m"}, TEN[8:], [(TEN[0], TEN[7], 8)]),
    ],
)
def test_fires_that_were_due_while_gcron_did_not_run(
    machine: Machine, options: Any, fired: list[float], missed: list[Any]
) -> None:
    """Ten fires, from 01:00 to 02:30; it starts again at 02:35."""
    first, _ = machine.start("*/10 * * * *", **options)
    sleep(55 * 60)
    first.stop()
    machine.clock.jump(100 * 60)
    second, recorder = machine.start("*/10 * * * *", **options)
    sleep(1)
    assert (machine.fired(recorder), machine.missed(recorder)) == (fired, missed)
    assert {str(event.reason.code) for event in recorder.of("fires-missed")} <= {"not-running"}
    sleep(6 * 60)
    assert machine.fired(recorder) == [*fired, 2.667], "then it goes on as ever"
    second.stop()
    machine.clock.jump(60)
    _, recorder = machine.start("*/10 * * * *", **options)
    sleep(1)
    assert (machine.fired(recorder), machine.missed(recorder)) == ([], []), "nothing is made up or missed twice"


def test_a_new_job_and_a_changed_schedule_count_from_the_start(machine: Machine) -> None:
    first, _ = machine.start("*/10 * * * *", catchup="all")
    sleep(60)
    first.stop()
    machine.clock.jump(HOUR)
    _, recorder = machine.start("*/5 * * * *", catchup="all")
    sleep(1)
    assert (machine.fired(recorder), machine.missed(recorder)) == ([], [])


@pytest.mark.parametrize(
    ("schedule", "hours_back", "fired"),
    [
        ("*/30 * * * *", 1, [2.5, 3.0, 3.5]),  # as after a step while gcron runs
        ("0,30 0-23 * * *", 1, [3.5]),  # no time of the day comes twice
        ("0,30 0-23 * * *", 4, [-0.5, 0.0, 0.5]),  # the clock was wrong before
    ],
)
def test_a_clock_that_was_set_back_meanwhile(
    machine: Machine, schedule: str, hours_back: int, fired: list[float]
) -> None:
    first, _ = machine.start(schedule, catchup="last")
    sleep(3 * HOUR + 60)
    first.stop()
    machine.clock.set(machine.clock.now() + 9 * 60 - hours_back * HOUR)
    _, recorder = machine.start(schedule, catchup="last")
    sleep(90 * 60)
    assert (machine.fired(recorder), machine.missed(recorder)) == (fired, [])


def test_a_night_in_which_the_clocks_change_is_made_up_by_local_time(
    machine: Machine,
) -> None:
    """02:30 does not exist in Berlin on 2026-03-29; it runs at 03:00. The two other nights have one fire each."""
    machine.clock.set(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp())
    options = {"tz": "Europe/Berlin", "catchup": "all", "start_deadline": "7d"}
    first, _ = machine.start("30 2 * * *", **options)
    sleep(60)
    first.stop()
    machine.clock.jump(2 * 24 * HOUR)
    _, recorder = machine.start("30 2 * * *", **options)
    sleep(1)
    fired = [datetime.fromtimestamp(event.fire_at, UTC) for event in recorder.of("run-started")]
    assert fired == [datetime(2026, 3, 29, 1, 0, tzinfo=UTC), datetime(2026, 3, 30, 0, 30, tzinfo=UTC)]


def test_a_pause_outlives_a_restart_with_its_end_its_asker_and_its_reason(machine: Machine) -> None:
    first, _ = machine.start("*/10 * * * *", catchup="all")
    until = datetime.fromtimestamp(machine.clock.now() + 2 * HOUR, UTC)
    first.pause("job", until=until, who="ann", why="disk")
    sleep(1)
    first.stop()
    machine.clock.jump(HOUR)
    second, recorder = machine.start("*/10 * * * *", catchup="all")
    pause = second.status("job").pause
    assert pause is not None
    assert (second.is_paused("job"), pause.until, pause.who, pause.why) == (True, until.timestamp(), "ann", "disk")
    sleep(HOUR + 600)
    assert (second.is_paused("job"), machine.fired(recorder)) == (False, [2.167])


def test_a_pause_that_was_over_before_the_start_is_over(machine: Machine) -> None:
    first, _ = machine.start("*/10 * * * *", catchup="all")
    first.pause("job", until=datetime.fromtimestamp(machine.clock.now(), UTC) + timedelta(minutes=45))
    sleep(1)
    first.stop()
    machine.clock.jump(65 * 60)
    second, recorder = machine.start("*/10 * * * *", catchup="all")
    sleep(1)
    assert not second.is_paused("job")
    assert len(recorder.of("job-resumed")) == 1
    assert machine.fired(recorder) == [0.833, 1.0], "what was due after its end, and not what was due in it"
    second.stop()
    third, recorder = machine.start("*/10 * * * *", catchup="all")
    sleep(1)
    assert (third.is_paused("job"), machine.fired(recorder)) == (False, [])


def test_expect_within_goes_on_from_the_last_success(machine: Machine) -> None:
    first, _ = machine.start("0 1 * * *", expect_within="25h")
    sleep(2 * HOUR)
    first.stop()
    machine.clock.jump(20 * HOUR)
    _, recorder = machine.start("0 1 1 1 *", expect_within="25h")
    sleep(3 * HOUR)
    assert recorder.of("success-overdue") == []
    sleep(2 * HOUR)
    (overdue,) = recorder.of("success-overdue")
    assert machine.hours(overdue.last_success) == 1.0


class Past(MemoryStore):
    """A store with runs of an earlier gcron that have no end."""

    def __init__(self, clock: VirtualClock, *open_runs: OpenRun, same_boot: bool = False) -> None:
        super().__init__(now=clock.now)
        self.open_runs = open_runs
        self.same_boot = same_boot

    def recall(self, jobs: Any) -> Recall:
        super().recall(jobs)
        memories = {job.name: JobMemory(self._now(), last_success=self._now() - 1) for job in jobs}
        return Recall(memories, self.open_runs, "a-boot", self.same_boot)


def test_a_run_whose_processes_are_gone_is_lost(clock: VirtualClock, make_scheduler: Make) -> None:
    began = clock.now() - 60
    runs = [
        OpenRun(StoredRun("1", "job", began), "a-boot"),
        OpenRun(StoredRun("2", "job", began, started=began, attempts=1), "another-boot"),
        OpenRun(StoredRun("3", "job", began, started=began, attempts=1, reason="exit status 1"), "a-boot"),
        OpenRun(StoredRun("4", "removed", began, started=began, attempts=1), "a-boot"),
    ]
    store = Past(clock, *runs)
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    scheduler.job("@manual", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(1)
    ends = recorder.of("run-finished")
    assert [(event.run_id, event.result.outcome, event.result.reason.code) for event in ends] == [
        (number, "lost", "gcron-ended") for number in "1234"
    ]
    texts = [event.result.reason.text for event in ends]
    assert texts == [
        "the program ended before the function did",
        "the machine ended before the run did, and nobody knows how it ended",
        "gcron ended while another attempt was to follow; the last one: exit status 1",
        "gcron ended before the run did, and nobody knows how it ended",
    ]
    found = store.run("2")
    assert found is not None
    assert (found.outcome, found.created, found.started, found.finished) == ("lost", began, began, clock.now() - 1)
    records = [event_record(event)["duration"] for event in ends]
    assert (found.duration, records) == (None, [None] * 4), "it was 0.0 s: nobody knows when it ended"


def test_of_a_lost_run_whose_start_is_not_on_record_nobody_knows_whether_it_has_begun(
    clock: VirtualClock, make_scheduler: Make
) -> None:
    """It was said not to have begun. But a kill just after a start may come before the record, and the command ran."""
    store = Past(clock, OpenRun(StoredRun("1", "job", clock.now() - 60), "a-boot"))
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    scheduler.command("true", "@manual", name="job")
    scheduler.start()
    sleep(1)
    (end,) = recorder.of("run-finished")
    reason = "gcron ended just when the run was to begin, and nobody knows whether it has"
    assert (str(end.result.outcome), end.result.reason.text) == ("lost", reason)


def test_with_retry_lost_the_retries_of_a_lost_run_apply(clock: VirtualClock, make_scheduler: Make) -> None:
    began = clock.now() - 60
    run = OpenRun(StoredRun("1", "job", began, started=began, attempts=1), "a-boot")
    last = OpenRun(StoredRun("2", "last", began, started=began, attempts=2), "a-boot")
    scheduler, recorder = make_scheduler(clock=clock, state=Past(clock, run, last))
    for name in ("job", "last"):
        scheduler.job("@manual", name=name, greenlet=True, retries=1, retry_lost=True)(lambda: None)
    scheduler.start()
    sleep(60)
    ends = {event.job: event for event in recorder.of("run-finished")}
    assert (ends["job"].run_id, str(ends["job"].result.outcome), ends["job"].result.attempts) == ("1", "succeeded", 2)
    assert (ends["last"].run_id, str(ends["last"].result.outcome)) == ("2", "lost"), "it has had its two attempts"


@pytest.mark.parametrize(("same_boot", "runs"), [(False, 1), (True, 0)])
def test_reboot_machine_runs_once_after_each_boot(
    clock: VirtualClock, make_scheduler: Make, same_boot: bool, runs: int
) -> None:
    scheduler, recorder = make_scheduler(clock=clock, state=Past(clock, same_boot=same_boot))
    scheduler.job("@reboot", name="machine", greenlet=True, reboot="machine")(lambda: None)
    scheduler.job("@reboot", name="gcron", greenlet=True)(lambda: None)
    scheduler.job("@manual", name="after", greenlet=True, after="machine")(lambda: None)
    scheduler.start()
    assert scheduler.trigger("after").result.get(timeout=1).succeeded, "it has succeeded in this boot"
    assert len(recorder.of("run-finished", "machine")) == runs
    assert len(recorder.of("run-finished", "gcron")) == 1


def test_a_store_that_does_not_answer_keeps_no_job_from_starting(clock: VirtualClock, make_scheduler: Make) -> None:
    class Silent(MemoryStore):
        def recall(self, jobs: Any) -> Recall:
            raise OSError(5, "Input/output error")

    scheduler, recorder = make_scheduler(clock=clock, state=Silent(now=clock.now))
    scheduler.job("* * * * *", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(61)
    assert recorder.outcomes() == ["succeeded"]
    (failed,) = recorder.of("store-failed")
    assert "what was before this start: OSError" in failed.reason.text
    assert "a job may run twice" in failed.reason.text

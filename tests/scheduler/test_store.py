"""Stores that raise, stall, are slow or answer wrongly. Jobs start all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from gcron.greenlet import sleep, spawn
from gcron.hub import get_hub
from gcron.schedule.clock import SystemClock
from gcron.scheduler import door as door_module
from gcron.scheduler import journal as journal_module
from gcron.scheduler import recorder as recorder_module
from gcron.scheduler.door import StoreDoor, StoreUnavailable
from gcron.scheduler.history import RunQuery, StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch, Journal
from gcron.scheduler.recorder import Recorder
from gcron.scheduler.store import Fire, NoStore, RecordsRefused
from gcron.state.memory import MemoryStore
from gcron.supervise.outcome import Reason, ReasonCode
from gcron.supervise.timing import Timing
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE, takes, until

Make = Callable[..., Any]


class Fake(NoStore):
    """A store whose answers a test decides. It blocks, so it is called in threads."""

    blocks = True

    def __init__(self, claim: Callable[[Sequence[Fire]], Any] | None = None, **fields: Any) -> None:
        self.claims: list[list[Fire]] = []
        self.written: list[Batch] = []
        self.forgotten: list[str] = []
        self.closed = 0
        self.only: set[str] | None = None
        self.answer = claim or (lambda fires: [True] * len(fires))
        for name, value in fields.items():
            setattr(self, name, value)

    def must_claim(self, job: Job) -> bool:
        return self.only is None or job.name in self.only

    def claim(self, fires: Sequence[Fire]) -> Any:
        self.claims.append(list(fires))
        return self.answer(fires)

    def forget(self, jobs: Sequence[str]) -> None:
        self.forgotten += jobs

    def write(self, batch: Batch) -> None:
        self.written.append(batch)

    def close(self) -> None:
        self.closed += 1

    def runs_written(self) -> list[StoredRun]:
        return [run for batch in self.written for run in batch.runs]


def fail(argument: object) -> Any:
    raise OSError(28, "No space left on device")


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """An event for stores that stall. It is set after the test."""
    event = threading.Event()
    yield event
    event.set()


def due_each_minute(scheduler: Any, *names: str) -> None:
    for name in names:
        scheduler.job("* * * * *", name=name, greenlet=True)(lambda: None)


def test_fires_of_one_instant_are_claimed_in_one_batch(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Fake()
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    due_each_minute(scheduler, "a", "b", "c")
    scheduler.start()
    sleep(121)
    assert [[fire.job for fire in batch] for batch in store.claims] == [["a", "b", "c"]] * 2
    assert recorder.outcomes() == ["succeeded"] * 6


def test_a_fire_that_another_scheduler_has_claimed_does_not_start_here(
    clock: VirtualClock, make_scheduler: Make
) -> None:
    store = Fake(lambda fires: [fire.job == "ours" for fire in fires])
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    due_each_minute(scheduler, "ours", "theirs")
    scheduler.start()
    sleep(61)
    assert [event.job for event in recorder.of("run-started")] == ["ours"]
    assert recorder.of("fires-missed") == []


def test_a_store_that_raises_ends_no_job(
    clock: VirtualClock, make_scheduler: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """After one exception of the store the job never ran again, and the message blamed its schedule."""
    store = Fake(fail)
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    due_each_minute(scheduler, "a", "b")
    scheduler.start()
    sleep(181)
    assert recorder.outcomes() == ["succeeded"] * 6
    (failed,) = recorder.of("store-failed")
    assert failed.reason.code == "store-failed"
    assert failed.reason.text == "the store does not work: OSError: [Errno 28] No space left on device"
    assert "schedule" not in capsys.readouterr().err
    store.answer = lambda fires: [True] * len(fires)
    sleep(60)
    assert [event.lost for event in recorder.of("store-recovered")] == [0]


def test_a_store_can_have_fires_missed_when_it_does_not_answer(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Fake(fail, when_down="skip")
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    due_each_minute(scheduler, "a")
    scheduler.start()
    sleep(121)
    assert recorder.of("run-started") == []
    missed = recorder.of("fires-missed")
    assert [event.count for event in missed] == [1, 1]
    assert {(event.reason.code, event.reason.text) for event in missed} == {
        ("store-failed", "the store did not say whether it may start")
    }


class FailsOnce:
    """Claims as stores do, but raises at the first call with several fires."""

    def __init__(self) -> None:
        self.model = MemoryStore()
        self.has_failed = False

    def __call__(self, fires: Sequence[Fire]) -> Any:
        if len(fires) > 1 and not self.has_failed:
            self.has_failed = True
            fail(fires)
        return self.model.claim(fires)


@pytest.mark.parametrize("overlap", ["skip", "queue", "allow"])
def test_fires_to_be_made_up_whose_claim_failed_are_made_up(
    steady_clock: VirtualClock, make_scheduler: Make, overlap: str
) -> None:
    """The claim of five fires failed, and they waited to be made up. Meanwhile a newer fire was claimed.

    Then the store refused the older ones. They had no run and were not missed, and no line of the log named them.
    """
    scheduler, recorder = make_scheduler(clock=steady_clock, state=Fake(FailsOnce()))
    began = steady_clock.now()
    scheduler.job("* * * * *", name="job", catchup="all", overlap=overlap, greenlet=True)(lambda: sleep(150))
    scheduler.start()
    sleep(1)
    steady_clock.jump(300)
    sleep(1800)
    ended = {event.fire_at - began for event in recorder.of("run-finished")}
    assert {60, 120, 180, 240, 300} <= ended
    assert recorder.of("fires-missed") == []


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (lambda fires: [False], "not made up: the store says that it or a later fire was claimed meanwhile"),
        (fail, "the store did not say whether it may start"),
    ],
)
def test_a_fire_that_waited_and_may_not_start_is_missed(
    steady_clock: VirtualClock, make_scheduler: Make, refusal: Callable[[Sequence[Fire]], Any], reason: str
) -> None:
    """It left the list of those that waited, and had no outcome."""

    def claim(fires: Sequence[Fire]) -> Any:
        return [True] * len(fires) if fires[0].waits or fires[0].fire_at > began + 300 else refusal(fires)

    scheduler, recorder = make_scheduler(clock=steady_clock, state=Fake(claim, when_down="skip"))
    began = steady_clock.now()
    scheduler.job("* * * * *", name="job", catchup="all", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(1)
    steady_clock.jump(300)
    sleep(60)
    missed = recorder.of("fires-missed")
    assert [(event.first - began, event.count) for event in missed] == [(60, 1), (120, 1), (180, 1), (240, 1), (300, 1)]
    assert {event.reason for event in missed} == {Reason(ReasonCode.STORE_FAILED, reason)}


def test_a_step_back_during_a_catch_up_loses_no_fire(steady_clock: VirtualClock, make_scheduler: Make) -> None:
    """The step dropped the claims of the job. The store claimed its next fire, and refused those that waited."""
    model = MemoryStore()
    scheduler, recorder = make_scheduler(clock=steady_clock, state=Fake(model.claim, forget=model.forget))
    began = steady_clock.now()
    scheduler.job("* * * * *", name="job", catchup="all", greenlet=True)(lambda: sleep(150))
    scheduler.start()
    sleep(1)
    steady_clock.jump(300)
    sleep(30)
    steady_clock.set(steady_clock.now() - 45)  # before the fire at 300 s
    sleep(1800)
    ended = [event.fire_at - began for event in recorder.of("run-finished")]
    missed = [event.first - began for event in recorder.of("fires-missed")]
    assert {60, 120, 180, 240} <= set(ended)
    assert 300 in ended or 300 in missed


def test_a_stop_has_fires_missed_that_the_store_does_not_know(steady_clock: VirtualClock, make_scheduler: Make) -> None:
    """It was to claim them, and failed: no next start would find them."""
    scheduler, recorder = make_scheduler(clock=steady_clock, state=Fake(FailsOnce(), is_durable=True))
    scheduler.job("* * * * *", name="job", catchup="all", greenlet=True)(lambda: sleep(150))
    scheduler.start()
    sleep(1)
    steady_clock.jump(300)
    sleep(10)
    scheduler.stop(grace=1000)
    assert [(event.count, str(event.reason)) for event in recorder.of("fires-missed")] == [
        (4, "not made up: gcron is told to stop")
    ]
    assert recorder.of("notice") == []


@pytest.mark.parametrize(("all_of_them", "left", "missed"), [(True, "5 fires wait", []), (False, "4 fires wait", [1])])
def test_fires_to_be_made_up_that_are_being_claimed_at_the_stop(
    steady_clock: VirtualClock, make_scheduler: Make, all_of_them: bool, left: str, missed: list[int]
) -> None:
    """All wait for the next start, but one that may have been claimed as begun."""
    hub = get_hub()

    def claim(fires: Sequence[Fire]) -> list[bool]:
        if fires[0].waits is all_of_them:
            hub.call_soon_threadsafe(lambda: scheduler.stop(grace=0, wait=False))
            time.sleep(0.05)
        return [True] * len(fires)

    scheduler, recorder = make_scheduler(clock=steady_clock, state=Fake(claim, is_durable=True))
    scheduler.job("* * * * *", name="job", catchup="all", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(1)
    steady_clock.jump(300)
    sleep(30)
    assert [event.text for event in recorder.of("notice")] == [f"{left} for the next start, to be made up"]
    assert [event.count for event in recorder.of("fires-missed")] == missed
    assert recorder.of("run-started") == []


@pytest.mark.parametrize("answer", [[], [True], [True] * 3])
def test_a_store_that_answers_a_wrong_number_of_claims_is_reported(
    clock: VirtualClock, make_scheduler: Make, answer: list[bool]
) -> None:
    scheduler, recorder = make_scheduler(clock=clock, state=Fake(lambda fires: answer))
    due_each_minute(scheduler, "a", "b")
    scheduler.start()
    sleep(61)
    assert recorder.outcomes() == ["succeeded"] * 2
    assert len(recorder.of("store-failed")) == 1


def test_a_store_that_claims_no_job_is_not_asked(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Fake(only=set())
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    due_each_minute(scheduler, "a", "b")
    scheduler.start()
    sleep(61)
    assert recorder.outcomes() == ["succeeded"] * 2
    assert store.claims == []


@pytest.mark.realtime
def test_a_store_that_stalls_delays_only_the_fires_it_claims(make_scheduler: Make, release: threading.Event) -> None:
    """Claims ran one by one in the watch, so a store that stalled stopped all jobs."""
    store = Fake(lambda fires: release.wait(PATIENCE) and [True] * len(fires), only={"claimed"})
    scheduler, recorder = make_scheduler(state=store, timing=Timing(claim=1.5))
    scheduler.job("@every 2s", name="claimed", greenlet=True)(lambda: None)
    scheduler.job("@every 2s", name="free", greenlet=True)(lambda: None)
    scheduler.start()
    until(lambda: len(recorder.of("run-finished", "claimed")) >= 2)
    assert all(event.time - event.fire_at < 1.4 for event in recorder.of("run-started", "free"))
    claimed = [event.fire_at for event in recorder.of("run-started", "claimed")]
    assert claimed == list(range(claimed[0], claimed[0] + 2 * len(claimed), 2)), "none is missed, none comes twice"
    assert len(recorder.of("store-failed")) == 1
    assert len(store.claims) == 1, "while a call is stuck, no other waits behind it"
    release.set()
    until(lambda: recorder.of("store-recovered"))


@pytest.mark.realtime
def test_a_thousand_jobs_wait_for_one_answer_of_a_slow_store(make_scheduler: Make) -> None:
    """Claims one by one, of 5 ms each, made the last of a thousand jobs start five seconds late."""

    def slow(fires: Sequence[Fire]) -> list[bool]:
        time.sleep(0.005)
        return [True] * len(fires)

    store = Fake(slow)
    scheduler, recorder = make_scheduler(state=store)
    for number in range(1000):
        scheduler.job("@every 2s", name=f"job-{number}", greenlet=True)(lambda: None)
    scheduler.start()
    until(lambda: len(recorder.of("run-finished")) == 1000)
    assert len(store.claims[0]) == 1000
    first = recorder.of("run-started")[:1000]
    assert max(event.time for event in first) - min(event.time for event in first) < 4.0


def test_chained_jobs_that_are_due_together_wait_for_one_answer(clock: VirtualClock, make_scheduler: Make) -> None:
    """Each was claimed by itself. With a thousand, the last claim was made after more than a second, and all others
    in that second went without: the log said that the store did not work."""
    store = Fake()
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    scheduler.job("@manual", name="first", greenlet=True)(lambda: None)
    for number in range(300):
        scheduler.job("@after first", name=f"job-{number}", greenlet=True)(lambda: None)
    scheduler.start()
    scheduler.trigger("first").result.get()
    sleep(1)
    assert recorder.outcomes() == ["succeeded"] * 301
    assert [len(batch) for batch in store.claims] == [300]


@pytest.mark.realtime
def test_a_claim_is_given_its_time_from_its_turn_on() -> None:
    """A claim that waited for others had less: a store that was only slow "did not answer"."""

    def slow(fires: Sequence[Fire]) -> list[bool]:
        time.sleep(1.2)
        return [fire.fire_at != 2 for fire in fires]

    store = Fake(slow)
    told: list[object] = []
    door = StoreDoor(store, SystemClock(), told.append, Timing(claim=2.0))
    first = spawn(door.claim, [Fire("first", 1)])
    until(lambda: store.claims)
    others = [spawn(door.claim, [Fire("second", 2), Fire("second", 3)]), spawn(door.claim, [Fire("third", 4)])]
    assert [each.get() for each in (first, *others)] == [[True], [False, True], [True]]
    assert [[fire.fire_at for fire in batch] for batch in store.claims] == [[1], [2, 3, 4]]
    assert told == []


@pytest.mark.realtime
def test_a_fire_whose_claim_is_pending_at_the_stop_is_missed(make_scheduler: Make, release: threading.Event) -> None:
    store = Fake(lambda fires: release.wait(PATIENCE) and [True] * len(fires))
    scheduler, recorder = make_scheduler(state=store)
    scheduler.job("@every 2s", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    until(lambda: store.claims)
    with takes(at_most=5):
        scheduler.stop(grace=0)
    (missed,) = recorder.of("fires-missed")
    assert (missed.job, missed.first, missed.count) == ("job", store.claims[0][0].fire_at, 1)
    assert (missed.reason.code, missed.reason.text) == ("shutdown", "gcron is told to stop")
    release.set()
    sleep(0.05)
    assert recorder.of("run-started") == []


def test_the_claims_of_removed_jobs_are_forgotten(clock: VirtualClock, make_scheduler: Make) -> None:
    """The claims of removed jobs stayed in memory forever."""
    store = Fake()
    scheduler, _ = make_scheduler(clock=clock, state=store)
    scheduler.start()
    due_each_minute(scheduler, "kept", "removed", "not in the new table")
    sleep(61)
    scheduler.remove("removed")
    scheduler.replace([job for job in scheduler.jobs if job.name == "kept"])
    sleep(61)
    assert store.forgotten == ["removed", "not in the new table"]


def test_a_job_that_was_removed_and_added_again_fires_at_the_same_instant(
    steady_clock: VirtualClock, make_scheduler: Make
) -> None:
    scheduler, recorder = make_scheduler(clock=steady_clock)
    due_each_minute(scheduler, "job")
    scheduler.start()
    sleep(61)
    scheduler.remove("job")
    due_each_minute(scheduler, "job")
    steady_clock.set(steady_clock.now() - 60)
    sleep(61)
    assert len(recorder.of("run-started")) == 2


def test_a_job_removed_during_its_claim_still_runs(clock: VirtualClock, make_scheduler: Make) -> None:
    ran: list[str] = []
    hub = get_hub()

    def change(fires: Sequence[Fire]) -> list[bool]:
        hub.call_soon_threadsafe(scheduler.remove, "job")
        time.sleep(0.05)
        return [True] * len(fires)

    scheduler, recorder = make_scheduler(clock=clock, state=Fake(change))
    scheduler.job("* * * * *", name="job", greenlet=True)(lambda: ran.append("before"))
    scheduler.start()
    sleep(61)
    assert ran == ["before"]
    assert recorder.outcomes() == ["succeeded"]
    assert scheduler.jobs == ()


# -- history ----------------------------------------------------------------------------------------------------


def test_the_store_learns_what_happens_in_order(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Fake(keeps_history=True)
    scheduler, _ = make_scheduler(clock=clock, state=store)
    due_each_minute(scheduler, "a")
    scheduler.start()
    due = clock.now() + 60
    sleep(61)
    scheduler.pause("a")
    scheduler.stop()
    assert [job.name for batch in store.written for job in batch.jobs] == ["a"]
    (run,) = {run.run_id: run for run in store.runs_written()}.values()
    assert (run.job, run.outcome, run.fire_at) == ("a", "succeeded", due)
    assert [batch.handled for batch in store.written if batch.handled] == [{"a": due}]
    assert [pause for batch in store.written for pause in batch.pauses] == ["a"]
    assert store.closed == 1


def test_records_that_the_store_refuses_do_not_come_again(clock: VirtualClock, make_scheduler: Make) -> None:
    """A record that the store cannot hold came again each second, and with it all that had waited since."""
    store = Fake(keeps_history=True)
    refused: list[Batch] = []

    def write(batch: Batch) -> None:
        if any(run.outcome for run in batch.runs) and not refused:
            refused.append(batch)
            raise RecordsRefused(1, "1 refused")
        store.written.append(batch)

    store.write = write  # type: ignore[method-assign]
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    due_each_minute(scheduler, "a")
    scheduler.start()
    sleep(61)
    until(lambda: recorder.of("store-recovered"))
    (failed,) = recorder.of("store-failed")
    assert failed.reason.text == "the store does not work: RecordsRefused: 1 refused"
    assert [event.lost for event in recorder.of("store-recovered")] == [1]
    assert store.runs_written() == [run for run in store.runs_written() if run.run_id != refused[0].runs[0].run_id]


def test_a_write_that_fails_is_made_again_and_nothing_is_lost(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Fake(keeps_history=True)
    scheduler, recorder = make_scheduler(clock=clock, state=store)
    due_each_minute(scheduler, "a")
    scheduler.start()
    store.write = fail  # type: ignore[method-assign]
    sleep(181)
    until(lambda: recorder.of("store-failed"))
    del store.write  # type: ignore[method-assign]
    until(lambda: recorder.of("store-recovered"))
    assert [event.lost for event in recorder.of("store-recovered")] == [0]
    scheduler.stop()
    assert {run.run_id for run in store.runs_written()} == {event.run_id for event in recorder.of("run-finished")}


def test_upkeep_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After one failure it was never called again, and the thread that writes woke each second."""
    monkeypatch.setattr(recorder_module, "_UPKEEP_AFTER", 0.01)
    errors: list[Exception] = [OSError(28, "No space left on device")]

    def tend() -> float:
        if errors:
            raise errors.pop()
        return 3600.0

    heard: list[tuple[str, ...]] = []
    store = Fake(keeps_history=True, tend=tend)
    recorder = Recorder(store, Journal(), lambda *failure: heard.append(failure), lambda what: heard.append((what,)))
    recorder.wake()
    until(lambda: ("upkeep",) in heard, "upkeep to work again")
    assert heard == [("upkeep", "OSError: [Errno 28] No space left on device"), ("upkeep",)]
    recorder.close(PATIENCE)


def test_history_that_waits_for_a_store_is_bounded_and_the_rest_is_counted(
    make_scheduler: Make, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    monkeypatch.setattr(journal_module, "MOST_WAITING", 10)
    store = Fake(keeps_history=True)
    entered = threading.Event()

    def stall(batch: Batch) -> None:
        store.written.append(batch)
        if batch.runs:
            entered.set()
            release.wait(PATIENCE)

    store.write = stall  # type: ignore[method-assign]
    scheduler, recorder = make_scheduler(state=store)
    scheduler.job("@manual", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    scheduler.trigger("job").result.get(timeout=PATIENCE)
    until(entered.is_set)
    for _ in range(15):
        scheduler.trigger("job").result.get(timeout=PATIENCE)
    until(lambda: recorder.of("store-failed"))
    assert scheduler.store.health.lost == 5, "ten wait"
    release.set()
    until(lambda: recorder.of("store-recovered"))
    assert recorder.of("store-recovered")[0].lost == 5
    until(lambda: len({run.run_id for run in store.runs_written() if run.outcome}) == 11)


def test_a_query_of_a_store_that_stalls_is_refused_in_time(
    make_scheduler: Make, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    monkeypatch.setattr(door_module, "_QUERY_TIMEOUT", 0.1)
    store = Fake(runs=lambda query: release.wait(PATIENCE))
    scheduler, _ = make_scheduler(state=store)
    with pytest.raises(StoreUnavailable, match="did not answer within"):
        scheduler.store.runs(RunQuery("job"))
    release.set()


def test_a_query_that_fails_after_its_time_shows_no_traceback(
    make_scheduler: Make,
    monkeypatch: pytest.MonkeyPatch,
    release: threading.Event,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Who asked was told that there is no answer. The error that came later was printed as nobody's."""
    monkeypatch.setattr(door_module, "_QUERY_TIMEOUT", 0.1)
    failed = threading.Event()

    def fail_late(query: object) -> Any:
        release.wait(PATIENCE)
        failed.set()
        raise OSError("far too late")

    scheduler, _ = make_scheduler(state=Fake(runs=fail_late))
    with pytest.raises(StoreUnavailable, match="did not answer within"):
        scheduler.store.runs(RunQuery("job"))
    release.set()
    until(failed.is_set)
    sleep(0.05)
    assert "far too late" not in capfd.readouterr().err


def test_a_query_that_the_store_cannot_answer_says_why(make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(state=Fake(runs=fail))
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        scheduler.store.runs(RunQuery("job"))

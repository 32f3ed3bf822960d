"""Stores that raise, stall, are slow or answer wrongly. Jobs start all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import pytest

from gcron.greenlet import sleep
from gcron.hub import get_hub
from gcron.scheduler import MemoryStore, Scheduler
from gcron.scheduler import store as store_module
from gcron.scheduler.job import Job
from gcron.scheduler.store import Fire
from gcron.supervise.timing import Timing
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE, takes, until

Make = Callable[..., Any]


class Fake:
    """A store whose answers a test decides. It blocks, so it is called in threads."""

    blocks = True
    when_down: Literal["run", "skip"] = "run"
    kinds: Sequence[str] = ()

    def __init__(self, claim: Callable[[Sequence[Fire]], Any] | None = None, **fields: Any) -> None:
        self.claims: list[list[Fire]] = []
        self.written: list[Any] = []
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

    def forget(self, job: str) -> None:
        self.forgotten.append(job)

    def write(self, events: Sequence[Any]) -> None:
        self.written.append(list(events))

    def close(self) -> None:
        self.closed += 1


def fail(argument: object) -> Any:
    raise OSError(28, "No space left on device")


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """An event for stores that stall. It is set after the test."""
    event = threading.Event()
    yield event
    event.set()


def due_each_minute(scheduler: Scheduler, *names: str) -> None:
    for name in names:
        scheduler.job("* * * * *", name=name, greenlet=True)(lambda: None)


def test_fires_of_one_instant_are_claimed_in_one_batch(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Fake()
    scheduler, recorder = make_scheduler(clock=clock, store=store)
    due_each_minute(scheduler, "a", "b", "c")
    scheduler.start()
    sleep(121)
    assert [[fire.job for fire in batch] for batch in store.claims] == [["a", "b", "c"]] * 2
    assert recorder.outcomes() == ["succeeded"] * 6


def test_a_fire_that_another_scheduler_has_claimed_does_not_start_here(
    clock: VirtualClock, make_scheduler: Make
) -> None:
    store = Fake(lambda fires: [fire.job == "ours" for fire in fires])
    scheduler, recorder = make_scheduler(clock=clock, store=store)
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
    scheduler, recorder = make_scheduler(clock=clock, store=store)
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
    scheduler, recorder = make_scheduler(clock=clock, store=store)
    due_each_minute(scheduler, "a")
    scheduler.start()
    sleep(121)
    assert recorder.of("run-started") == []
    missed = recorder.of("fires-missed")
    assert [event.count for event in missed] == [1, 1]
    assert {(event.reason.code, event.reason.text) for event in missed} == {
        ("store-failed", "the store did not say whether it may start")
    }


@pytest.mark.parametrize("answer", [[], [True], [True] * 3])
def test_a_store_that_answers_a_wrong_number_of_claims_is_reported(
    clock: VirtualClock, make_scheduler: Make, answer: list[bool]
) -> None:
    scheduler, recorder = make_scheduler(clock=clock, store=Fake(lambda fires: answer))
    due_each_minute(scheduler, "a", "b")
    scheduler.start()
    sleep(61)
    assert recorder.outcomes() == ["succeeded"] * 2
    assert len(recorder.of("store-failed")) == 1


def test_a_store_that_claims_no_job_is_not_asked(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Fake(only=set())
    scheduler, recorder = make_scheduler(clock=clock, store=store)
    due_each_minute(scheduler, "a", "b")
    scheduler.start()
    sleep(61)
    assert recorder.outcomes() == ["succeeded"] * 2
    assert store.claims == []


@pytest.mark.realtime
def test_a_store_that_stalls_delays_only_the_fires_it_claims(make_scheduler: Make, release: threading.Event) -> None:
    """Claims ran one by one in the watch, so a store that stalled stopped all jobs."""
    store = Fake(lambda fires: release.wait(PATIENCE) and [True] * len(fires), only={"claimed"})
    scheduler, recorder = make_scheduler(store=store, timing=Timing(claim=1.5))
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
    scheduler, recorder = make_scheduler(store=store)
    for number in range(1000):
        scheduler.job("@every 2s", name=f"job-{number}", greenlet=True)(lambda: None)
    scheduler.start()
    until(lambda: len(recorder.of("run-finished")) == 1000)
    assert len(store.claims[0]) == 1000
    first = recorder.of("run-started")[:1000]
    assert max(event.time for event in first) - min(event.time for event in first) < 4.0


@pytest.mark.realtime
def test_a_fire_whose_claim_is_pending_at_the_stop_is_missed(make_scheduler: Make, release: threading.Event) -> None:
    store = Fake(lambda fires: release.wait(PATIENCE) and [True] * len(fires))
    scheduler, recorder = make_scheduler(store=store)
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


def test_a_removed_job_leaves_no_claims_in_memory(clock: VirtualClock, make_scheduler: Make) -> None:
    """The claims of removed jobs stayed in memory forever."""
    store = MemoryStore()
    scheduler, _ = make_scheduler(clock=clock, store=store)
    scheduler.start()
    for number in range(3):
        due_each_minute(scheduler, f"job-{number}")
        sleep(61)
        scheduler.remove(f"job-{number}")
    due_each_minute(scheduler, "kept", "gone")
    sleep(61)
    scheduler.replace([job for job in scheduler.jobs if job.name == "kept"])
    assert list(store._latest) == ["kept"]


def test_a_job_removed_during_its_claim_still_runs(clock: VirtualClock, make_scheduler: Make) -> None:
    ran: list[str] = []
    hub = get_hub()

    def change(fires: Sequence[Fire]) -> list[bool]:
        hub.call_soon_threadsafe(scheduler.remove, "job")
        time.sleep(0.05)
        return [True] * len(fires)

    scheduler, recorder = make_scheduler(clock=clock, store=Fake(change))
    scheduler.job("* * * * *", name="job", greenlet=True)(lambda: ran.append("before"))
    scheduler.start()
    sleep(61)
    assert ran == ["before"]
    assert recorder.outcomes() == ["succeeded"]
    assert scheduler.jobs == ()


# -- history ----------------------------------------------------------------------------------------------------


def test_the_store_gets_the_kinds_of_events_it_wants_in_order(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Fake(kinds=("run-started", "run-finished", "job-paused"))
    scheduler, _ = make_scheduler(clock=clock, store=store)
    due_each_minute(scheduler, "a")
    scheduler.start()
    sleep(61)
    scheduler.pause("a")
    scheduler.stop()
    assert [event.kind for batch in store.written for event in batch] == ["run-started", "run-finished", "job-paused"]
    assert store.closed == 1


def test_history_that_the_store_refuses_is_counted(clock: VirtualClock, make_scheduler: Make) -> None:
    store = Fake(kinds=("run-finished",))
    scheduler, recorder = make_scheduler(clock=clock, store=store)
    due_each_minute(scheduler, "a")
    scheduler.start()
    store.write = fail  # type: ignore[method-assign]
    sleep(181)
    assert len(recorder.of("store-failed")) == 1
    del store.write  # type: ignore[attr-defined]
    sleep(60)
    assert [event.lost for event in recorder.of("store-recovered")] == [3]
    assert recorder.outcomes() == ["succeeded"] * 4


def test_history_that_waits_for_a_store_is_bounded(
    clock: VirtualClock, make_scheduler: Make, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    monkeypatch.setattr(store_module, "_MOST_WAITING", 10)
    store = Fake(kinds=("run-finished",))
    store.write = lambda events: release.wait(PATIENCE)  # type: ignore[method-assign, assignment, return-value]
    scheduler, recorder = make_scheduler(store=store)
    scheduler.job("@manual", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    for _ in range(15):
        scheduler.trigger("job").result.get(timeout=PATIENCE)
    assert len(recorder.of("store-failed")) == 1
    assert len(scheduler._door._waiting) == 10
    release.set()
    until(lambda: recorder.of("store-recovered"))
    assert recorder.of("store-recovered")[0].lost == 4, "one is in the store's hands, ten wait, four are lost"

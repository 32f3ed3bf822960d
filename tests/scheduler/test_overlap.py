"""Fires that are due while the job still runs: queued, or replacing the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import GreenletExit, sleep
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock
from tests.waiting import until

Make = Callable[..., tuple[Scheduler, Any]]


class Worker:
    """A job that takes some time. Records the starts and ends of its runs, and how many ran at once."""

    def __init__(self, clock: VirtualClock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.spans: list[tuple[float, float, str]] = []
        self.together = 0
        self.most_together = 0

    def __call__(self) -> None:
        begun = self.clock.now()
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        end = "killed"
        try:
            sleep(self.seconds)
            end = "done"
        except GreenletExit:
            sleep(3)  # takes its time
            raise
        finally:
            self.together -= 1
            self.spans.append((begun, self.clock.now(), end))


def outcomes(recorder: Any) -> list[str]:
    finished = sorted(recorder.of("run-finished"), key=lambda event: event.fire_at)
    return [str(event.result.outcome) for event in finished]


def test_a_queued_fire_starts_when_the_run_before_it_ends(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    worker = Worker(clock, 90)
    scheduler.job("* * * * *", name="job", overlap="queue", queue_limit=100, greenlet=True)(worker)
    scheduler.start()
    sleep(10 * 60 + 1)

    assert worker.most_together == 1
    assert len(worker.spans) == 6
    ends = [end for _, end, _ in worker.spans]
    begins = [begin for begin, _, _ in worker.spans]
    assert [round(begin - end, 3) for begin, end in zip(begins[1:], ends, strict=False)] == [0] * 5
    fires = [event.fire_at for event in recorder.of("run-finished")]
    assert fires == sorted(fires), "in the order in which they were due"


def test_a_fire_is_skipped_when_the_queue_is_full(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("* * * * *", name="job", overlap="queue", greenlet=True)(Worker(clock, 200))
    scheduler.start()
    sleep(4 * 60 + 1)  # the first runs, the second waits, the third and fourth are skipped

    skipped = [event.result.reason.text for event in recorder.of("run-finished")]
    first = recorder.of("run-started")[0].run_id
    assert skipped == [f"a fire waits already for run {first}"] * 2


def test_a_stop_does_not_start_queued_fires(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    worker = Worker(clock, 100)
    scheduler.job("* * * * *", name="job", overlap="queue", queue_limit=5, greenlet=True)(worker)
    scheduler.start()
    sleep(2 * 60 + 1)

    scheduler.stop(grace=3600)

    assert [end for *_, end in worker.spans] == ["done"]
    assert outcomes(recorder) == ["succeeded", "skipped"]
    assert recorder.of("run-finished")[0].result.reason.text == "not begun: gcron is told to stop"


def test_a_replaced_run_ends_before_the_next_starts(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    worker = Worker(clock, 1000)
    scheduler.job("* * * * *", name="job", overlap="replace", greenlet=True)(worker)
    scheduler.start()
    sleep(3 * 60 + 30)

    assert worker.most_together == 1
    assert [(end, round(until - begin)) for begin, until, end in worker.spans] == [("killed", 63), ("killed", 60)]
    assert outcomes(recorder) == ["killed", "killed"]
    assert recorder.of("run-finished")[0].result.reason.text == "replaced: the job is due again"


def test_a_run_that_is_replaced_before_its_start_never_starts(clock: VirtualClock, make_scheduler: Make) -> None:
    """A job that takes longer to end than its period: only the newest fire starts, those between do not."""
    scheduler, recorder = make_scheduler(clock=clock)

    def stubborn() -> None:
        try:
            sleep(1000)
        except GreenletExit:
            sleep(150)
            raise

    scheduler.job("* * * * *", name="job", overlap="replace", greenlet=True)(stubborn)
    scheduler.start()
    sleep(5 * 60)

    assert outcomes(recorder)[:3] == ["killed", "skipped", "skipped"]
    reasons = {event.result.reason.text for event in recorder.of("run-finished") if event.result.outcome == "skipped"}
    assert reasons == {"not begun: replaced: the job is due again"}


@pytest.mark.realtime
def test_a_replaced_process_is_ended_with_its_tree(make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler()
    scheduler.command("sleep 60", "@every 1s", name="job", overlap="replace")
    scheduler.start()
    until(lambda: len(recorder.of("process-started")) >= 3)

    assert len(scheduler.running()) <= 2
    # On a busy machine a run may be replaced before it starts.
    ended = [event.result for event in recorder.of("run-finished") if str(event.result.outcome) != "skipped"]
    assert (str(ended[0].outcome), ended[0].exit_code) == ("killed", -15)


# -- triggers ----------------------------------------------------------------------------------------------------


def test_a_trigger_obeys_overlap(clock: VirtualClock, make_scheduler: Make) -> None:
    """It started a second run beside the first one, whatever the job said."""
    scheduler, recorder = make_scheduler(clock=clock)
    for overlap in ("skip", "allow", "queue", "replace"):
        scheduler.job("@manual", name=overlap, overlap=overlap, greenlet=True)(lambda: sleep(100))
    firsts = {name: scheduler.trigger(name) for name in ("skip", "allow", "queue", "replace")}
    sleep(1)
    seconds = {name: scheduler.trigger(name) for name in firsts}
    sleep(1)
    third = scheduler.trigger("queue")
    assert [str(run.state) for run in seconds.values()] == ["ended", "running", "waiting", "running"]

    results = {name: run.result.get(timeout=500) for name, run in seconds.items()}
    assert {name: str(result.outcome) for name, result in results.items()} == {
        "skip": "skipped",
        "allow": "succeeded",
        "queue": "succeeded",
        "replace": "succeeded",
    }
    assert results["skip"].reason.code == "overlap"
    assert third.result.get(timeout=5).reason.code == "queue-full"
    assert firsts["replace"].result.get(timeout=5).reason.code == "replaced"
    ends = [event for event in recorder.of("run-finished") if event.job == "skip"]
    assert [str(event.result.outcome) for event in ends] == ["skipped", "succeeded"]


def test_two_triggers_at_once_are_a_run_and_a_skip(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@manual", name="job", greenlet=True)(lambda: sleep(10))
    runs = [scheduler.trigger("job", who="ann", why="a test") for _ in range(2)]
    assert sorted(str(run.result.get(timeout=60).outcome) for run in runs) == ["skipped", "succeeded"]
    sleep(1)
    assert {event.text for event in recorder.of("notice")} == {"triggered by ann: a test"}
    assert len(recorder.of("run-finished")) == 2


def test_a_skipped_trigger_is_announced_before_it_is_skipped(clock: VirtualClock, make_scheduler: Make) -> None:
    """The log said "skipped", and after that "triggered by ann"."""
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@manual", name="job", overlap="skip", greenlet=True)(lambda: sleep(60))
    scheduler.start()
    scheduler.trigger("job")
    skipped = scheduler.trigger("job", who="ann")
    sleep(1)
    kinds = [event.kind for event in recorder.events if getattr(event, "run_id", "") == skipped.run_id]
    assert kinds == ["notice", "run-finished"]
    assert [event.text for event in recorder.of("notice")] == ["triggered by ann"]

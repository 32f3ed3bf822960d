"""Jobs that run after others: when they are due, what counts, and what a restart knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gcron import JobError, ScheduleError, after_jobs, at
from gcron.control.chain_words import waits_words
from gcron.crontab import parse
from gcron.frozen import replace
from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.scheduler.job import job_of
from gcron.state.memory import MemoryStore
from gcron.testing import VirtualClock

Make = Callable[..., Any]
HOUR = 3600.0


class Chain:
    """A scheduler with `extract`, `load` and `transform`; how long they take and whether they fail can be changed."""

    def __init__(self, clock: VirtualClock, make: Make, store: MemoryStore | None = None, **options: Any) -> None:
        self.clock = clock
        self.begin = clock.now()
        self.takes = {"extract": 0.0, "load": 0.0, "transform": 0.0}
        self.fails: set[str] = set()
        self.scheduler, self.recorder = make(clock=clock, state=store)
        for name in ("extract", "load"):
            self.add(name, "@manual")
        self.add("transform", "@after extract,load", **options)

    def add(self, name: str, schedule: Any, **options: Any) -> None:
        def act() -> None:
            sleep(self.takes.get(name, 0.0))
            if name in self.fails:
                raise ValueError("it is to fail")

        self.scheduler.job(schedule, name=name, greenlet=True, **options)(act)

    def start(self) -> Chain:
        self.scheduler.start()
        return self

    def run(self, *names: str) -> None:
        """Run these jobs one after the other, and let what follows from that happen."""
        for name in names:
            self.scheduler.trigger(name).result.get()
        sleep(0.01)

    def starts(self, name: str = "transform") -> list[float]:
        """When it was started because others had succeeded: seconds since the begin."""
        return [event.time - self.begin for event in self.recorder.of("run-started", name) if event.fire_at is not None]

    @property
    def waits_for(self) -> tuple[str, ...]:
        return self.scheduler.status("transform").waits_for


@pytest.fixture
def make_chain(clock: VirtualClock, make_scheduler: Make) -> Callable[..., Chain]:
    return lambda **options: Chain(clock, make_scheduler, **options)


MakeChain = Callable[..., Chain]


# -- what counts ------------------------------------------------------------------------------------------------------


def test_a_job_runs_once_all_before_it_have_succeeded(make_chain: MakeChain) -> None:
    chain = make_chain().start()
    assert chain.waits_for == ("extract", "load")
    chain.run("extract")
    assert (chain.starts(), chain.waits_for) == ([], ("load",))
    chain.run("load")
    assert len(chain.starts()) == 1
    assert chain.waits_for == ("extract", "load"), "its start begins the next round"
    assert chain.recorder.outcomes("transform") == ["succeeded"]


def test_two_successes_of_one_are_one(make_chain: MakeChain) -> None:
    chain = make_chain().start()
    chain.run("extract", "extract", "extract", "load")
    assert len(chain.starts()) == 1
    chain.run("load")
    assert len(chain.starts()) == 1
    chain.run("extract")
    assert len(chain.starts()) == 2


def test_jobs_run_after_fires_of_the_clock_too(clock: VirtualClock, make_chain: MakeChain) -> None:
    chain = make_chain()
    chain.add("poll", "*/10 * * * *")
    chain.add("report", after_jobs("poll"))
    chain.takes["poll"] = 60.0
    chain.start()
    sleep(HOUR - 60)
    assert chain.starts("report") == pytest.approx([660.0, 1260.0, 1860.0, 2460.0, 3060.0], abs=0.1)
    assert [event.fire_at - chain.begin for event in chain.recorder.of("run-started", "report")] == [
        660.0,
        1260.0,
        1860.0,
        2460.0,
        3060.0,
    ]


@pytest.mark.parametrize("how", ["fails", "times-out", "is-stopped", "is-skipped", "is-missed"])
def test_what_does_not_succeed_starts_nothing_and_is_explained(
    steady_clock: VirtualClock, make_scheduler: Make, how: str
) -> None:
    chain = Chain(steady_clock, make_scheduler)
    chain.scheduler.remove("load")
    chain.add("load", "0 1 * * *" if how == "is-missed" else "@manual", timeout=60)
    chain.start()
    chain.run("extract")
    if how == "fails":
        chain.fails.add("load")
        chain.run("load")
    elif how == "is-missed":
        steady_clock.jump(23 * HOUR)
        sleep(5)
    else:
        chain.takes["load"] = 1e4
        run = chain.scheduler.trigger("load")
        sleep(0.01)
        if how == "is-skipped":
            chain.scheduler.trigger("load")
            sleep(0.01)
        elif how == "is-stopped":
            run.stop()
            sleep(0.01)
        else:
            sleep(100)
    (found,) = [each for each in chain.scheduler.status("transform").upstream if each.job == "load"]
    outcomes = {
        "fails": "failed",
        "times-out": "timed-out",
        "is-stopped": "killed",
        "is-skipped": "skipped",
        "is-missed": "missed",
    }
    assert (found.outcome, found.has_succeeded, bool(found.reason)) == (outcomes[how], False, True)
    assert (chain.starts(), chain.waits_for) == ([], ("load",))


def test_a_failure_does_not_undo_a_success(make_chain: MakeChain) -> None:
    chain = make_chain().start()
    chain.run("extract")
    chain.fails.add("extract")
    chain.run("extract")
    assert chain.waits_for == ("load",)
    chain.run("load")
    assert len(chain.starts()) == 1


def test_a_retry_that_succeeds_counts(make_chain: MakeChain) -> None:
    chain = make_chain()
    chain.scheduler.remove("load")
    chain.add("load", "@manual", retries=1, retry_delay=60)
    chain.fails.add("load")
    chain.start()
    chain.run("extract")
    run = chain.scheduler.trigger("load")
    sleep(30)
    chain.fails.clear()
    assert run.result.get().succeeded
    sleep(0.01)
    assert len(chain.starts()) == 1


def test_a_run_that_was_under_way_at_the_last_start_does_not_count(make_chain: MakeChain) -> None:
    """What it had written by then, and what it wrote later, are two halves of different rounds."""
    chain = make_chain().start()
    chain.takes["extract"] = 600.0
    under_way = chain.scheduler.trigger("extract")
    sleep(60)
    chain.run("transform", "load")
    under_way.result.get()
    sleep(0.01)
    assert (chain.starts(), chain.waits_for) == ([], ("extract",))
    (found,) = [each for each in chain.scheduler.status("transform").upstream if each.job == "extract"]
    assert (found.outcome, found.counts) == ("succeeded", False)
    chain.run("extract")
    assert len(chain.starts()) == 1


def test_a_run_that_waited_at_the_last_start_counts(make_chain: MakeChain) -> None:
    """Its process begins later, so it belongs to the next round."""
    chain = make_chain()
    chain.scheduler.remove("extract")
    chain.add("extract", "@manual", overlap="queue")
    chain.start()
    chain.takes["extract"] = 600.0
    chain.scheduler.trigger("extract")
    sleep(1)
    waiting = chain.scheduler.trigger("extract")
    sleep(60)
    chain.run("transform", "load")
    waiting.result.get()
    sleep(0.01)
    assert len(chain.starts()) == 1


def test_a_start_by_hand_uses_up_what_has_succeeded(make_chain: MakeChain) -> None:
    chain = make_chain().start()
    chain.run("extract", "transform", "load")
    assert (chain.starts(), chain.waits_for) == ([], ("extract",))


def test_a_trigger_of_the_first_runs_the_whole_chain(make_chain: MakeChain) -> None:
    chain = make_chain()
    chain.add("second", "@after extract")
    chain.add("third", "@after second")
    chain.add("fourth", "@after second,third")
    chain.start()
    chain.run("extract")
    assert [len(chain.starts(name)) for name in ("second", "third", "fourth")] == [1, 1, 1]


def test_a_job_may_run_after_one_that_runs_once(clock: VirtualClock, make_chain: MakeChain) -> None:
    chain = make_chain()
    chain.add("once", at(datetime.fromtimestamp(chain.begin + 60, UTC)))
    chain.add("then", "@after once")
    chain.start()
    sleep(120)
    assert len(chain.starts("then")) == 1
    chain.add("late", "@after extract")  # `once` is over, and that is no error


def test_the_same_jobs_are_accepted_after_one_that_runs_once_is_over(
    clock: VirtualClock, make_chain: MakeChain
) -> None:
    """`replace(scheduler.jobs)` raised JobError: the job that is over is not among them, and another job names it."""
    chain = make_chain()
    chain.add("once", at(datetime.fromtimestamp(chain.begin + 60, UTC)))
    chain.add("then", "@after once")
    chain.start()
    sleep(120)
    assert chain.scheduler.replace(chain.scheduler.jobs) == ((), (), ())
    (once,) = chain.scheduler.status("then").upstream
    assert (once.job, once.reason) == ("once", "")


def test_a_job_that_waits_for_one_that_will_not_run_says_so(make_chain: MakeChain) -> None:
    """It said `waits for load`, and the reader waited, too."""
    chain = make_chain().start()
    chain.run("extract")
    chain.scheduler.pause("load")
    assert _waits(chain) == "waits for load; extract succeeded at 00:00; load is paused"
    chain.scheduler.resume("load")
    assert _waits(chain) == "waits for load; extract succeeded at 00:00"
    disabled = [
        replace(job, policy=replace(job.policy, enabled=False)) if job.name == "load" else job
        for job in chain.scheduler.jobs
    ]
    chain.scheduler.replace(disabled)
    assert _waits(chain) == "waits for load; extract succeeded at 00:00; load is not enabled (enabled=no)"


def _waits(chain: Any) -> str:
    return waits_words(chain.scheduler.status("transform"), chain.clock.now())


def test_a_job_that_is_removed_is_waited_for_until_it_is_there_again(make_chain: MakeChain) -> None:
    """It could be removed. Then each other chained job, and the next start, was refused, with a message about this."""
    chain = make_chain().start()
    chain.run("extract")
    chain.scheduler.remove("extract")
    chain.scheduler.remove("load")
    chain.add("other", "@manual")
    chain.add("next", "@after other")
    assert chain.scheduler.replace(chain.scheduler.jobs) == ((), (), ())
    assert waits_words(chain.scheduler.status("transform"), chain.clock.now()) == (
        "waits for load; extract succeeded at 00:00; there is no job load"
    )
    chain.scheduler.stop()
    chain.scheduler.start()
    assert chain.waits_for == ("extract", "load"), "without a history, a start knows no successes"
    chain.add("load", "@manual")
    chain.add("extract", "@manual")
    assert waits_words(chain.scheduler.status("transform"), chain.clock.now()) == "waits for extract and load"
    chain.run("extract", "load")
    assert len(chain.starts()) == 1
    with pytest.raises(JobError, match="'nothing', which does not exist"):
        chain.add("wrong", "@after nothing")


# -- all that applies to other fires applies --------------------------------------------------------------------------


def test_a_fire_that_is_skipped_is_used_up(make_chain: MakeChain) -> None:
    chain = make_chain().start()
    chain.takes["transform"] = 600.0
    chain.run("extract", "load", "extract", "load")
    assert chain.recorder.outcomes("transform") == ["skipped"]
    assert chain.waits_for == ("extract", "load")
    sleep(700)
    assert chain.recorder.outcomes("transform") == ["skipped", "succeeded"]
    chain.run("load")
    assert len(chain.starts()) == 1


@pytest.mark.parametrize(("overlap", "starts"), [("queue", 2), ("allow", 2), ("replace", 2)])
def test_overlap_decides(make_chain: MakeChain, overlap: str, starts: int) -> None:
    chain = make_chain(overlap=overlap).start()
    chain.takes["transform"] = 600.0
    chain.run("extract", "load", "extract", "load")
    sleep(1300)
    assert len(chain.starts()) == starts
    killed = ["killed"] if overlap == "replace" else ["succeeded"]
    assert chain.recorder.outcomes("transform") == [*killed, "succeeded"]


def test_what_succeeds_while_the_run_waits_is_part_of_its_round(make_chain: MakeChain) -> None:
    """A place in its group is free after ten minutes. The process then sees all that has happened by then."""
    chain = make_chain()
    chain.scheduler.group("one", limit=1)
    chain.add("other", "@manual", group="one")
    chain.scheduler.remove("transform")
    chain.add("transform", "@after extract,load", group="one")
    chain.takes["other"] = 600.0
    chain.start()
    other = chain.scheduler.trigger("other")
    sleep(1)
    chain.run("extract", "load", "extract", "load", "extract")
    assert chain.waits_for == ()
    other.result.get()
    sleep(0.01)
    assert len(chain.starts()) == 1
    assert chain.recorder.outcomes("transform") == ["succeeded"]
    assert chain.waits_for == ("extract", "load")


def test_the_start_deadline_limits_the_wait_and_uses_the_round_up(make_chain: MakeChain) -> None:
    chain = make_chain()
    chain.scheduler.group("one", limit=1)
    chain.add("other", "@manual", group="one")
    chain.scheduler.remove("transform")
    chain.add("transform", "@after extract,load", group="one", start_deadline=60)
    chain.takes["other"] = 600.0
    chain.start()
    chain.scheduler.trigger("other")
    sleep(1)
    chain.run("extract", "load")
    sleep(100)
    assert chain.recorder.outcomes("transform") == ["skipped"]
    assert chain.waits_for == ("extract", "load")


def test_jitter_delays_a_chained_run(make_chain: MakeChain) -> None:
    chain = make_chain(jitter="10m").start()
    chain.run("extract", "load")
    sleep(600)
    (started,) = chain.recorder.of("run-started", "transform")
    (ended,) = chain.recorder.of("run-finished", "transform")
    assert 1 < ended.time - started.time < 600


# -- pauses, switches, reloads ----------------------------------------------------------------------------------------


def test_a_paused_job_runs_once_when_it_is_resumed(make_chain: MakeChain) -> None:
    chain = make_chain().start()
    chain.run("extract")
    chain.scheduler.pause("transform")
    chain.run("load", "extract", "load")
    sleep(HOUR)
    assert (chain.starts(), chain.waits_for) == ([], ())
    chain.scheduler.resume("transform")
    sleep(1)
    assert chain.starts() == [pytest.approx(HOUR, abs=1)]
    assert len(chain.starts()) == 1


def test_a_resumed_job_with_nothing_to_do_waits(make_chain: MakeChain) -> None:
    chain = make_chain().start()
    chain.scheduler.pause("transform")
    chain.run("extract")
    chain.scheduler.resume("transform")
    sleep(1)
    assert (chain.starts(), chain.waits_for) == ([], ("load",))


def jobs(*, transform: str = "@after extract,load", load: str = "true", enabled: str = "yes") -> list[Any]:
    text = (
        "# gcron: name=extract\n@manual true\n"
        f"# gcron: name=load\n@manual {load}\n"
        f"# gcron: name=transform enabled={enabled}\n{transform} true\n"
    )
    crontab = parse(text, timezone="UTC")
    assert crontab.problems == ()
    return [job_of(entry) for entry in crontab.entries]


def succeeded(scheduler: Scheduler) -> list[str]:
    return [each.job for each in scheduler.status("transform").upstream if each.has_succeeded]


def test_a_reload_keeps_what_has_succeeded(make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler()
    scheduler.replace(jobs())
    scheduler.start()
    scheduler.trigger("extract").result.get(timeout=60)
    scheduler.replace(jobs(load="exit 0", transform="@after load,extract"))
    assert succeeded(scheduler) == ["extract"]
    scheduler.replace(jobs(enabled="no"))
    assert succeeded(scheduler) == [], "what is not enabled remembers nothing"
    scheduler.replace(jobs())
    assert succeeded(scheduler) == []
    scheduler.trigger("extract").result.get(timeout=60)
    assert recorder.of("run-started", "transform") == []
    scheduler.replace(jobs(transform="@after extract"))
    sleep(0.1)
    assert len(recorder.of("run-started", "transform")) == 1, "all that it names has succeeded"


def test_a_chained_job_that_is_not_enabled_does_not_run(make_chain: MakeChain) -> None:
    chain = make_chain(enabled=False).start()
    chain.run("extract", "load")
    assert chain.starts() == []
    assert chain.scheduler.status("transform").waits_for == ("extract", "load")


def test_a_job_that_is_removed_does_not_run(make_chain: MakeChain) -> None:
    chain = make_chain().start()
    chain.run("extract")
    chain.scheduler.remove("transform")
    chain.run("load")
    assert chain.starts() == []


def test_a_job_can_be_rescheduled_to_run_after_others(make_chain: MakeChain) -> None:
    chain = make_chain()
    chain.add("job", "@daily")
    chain.start()
    chain.scheduler.reschedule("job", after_jobs("extract"))
    assert chain.scheduler.status("job").next_fire is None
    chain.run("extract")
    assert len(chain.starts("job")) == 1
    chain.scheduler.reschedule("job", "@daily")
    chain.run("extract")
    assert len(chain.starts("job")) == 1
    with pytest.raises(JobError, match="'nothing', which does not exist"):
        chain.scheduler.reschedule("job", after_jobs("nothing"))


@pytest.mark.parametrize("how", ["add", "replace", "reschedule"])
def test_the_first_chained_job_may_come_after_the_start(clock: VirtualClock, make_scheduler: Make, how: str) -> None:
    """It never ran, and `why` said that it was due: the chains were made for it, and not started."""
    scheduler, recorder = make_scheduler(clock=clock)
    for name in ("extract", "load"):
        scheduler.job("@manual", name=name, greenlet=True)(lambda: None)
    scheduler.start()
    if how == "add":
        scheduler.job("@after extract", name="load2", greenlet=True)(lambda: None)
    elif how == "replace":
        extract, load = scheduler.jobs
        scheduler.replace([extract, replace(load, schedule=after_jobs("extract"))])
    else:
        scheduler.reschedule("load", after_jobs("extract"))
    scheduler.trigger("extract").result.get()
    sleep(0.01)
    due = [event.job for event in recorder.of("run-started") if event.fire_at is not None]
    assert due == ["load2" if how == "add" else "load"]


def test_the_first_chained_job_may_come_during_the_stop(clock: VirtualClock, make_scheduler: Make) -> None:
    """It waits for the next start."""
    scheduler, recorder = make_scheduler(clock=clock)
    for name in ("extract", "load"):
        scheduler.job("@manual", name=name, greenlet=True)(lambda: sleep(60))
    scheduler.start()
    run = scheduler.trigger("extract")
    sleep(1)
    scheduler.stop(grace=100, wait=False)
    sleep(1)
    scheduler.reschedule("load", after_jobs("extract"))
    assert run.result.get().succeeded
    scheduler.stop()
    assert recorder.of("run-started", "load") == []


# -- mistakes ---------------------------------------------------------------------------------------------------------


def test_wrong_names_are_refused_at_the_start_and_after_it(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.job("@after extract", name="job", greenlet=True)(lambda: None)
    with pytest.raises(JobError, match="job 'job': @after names 'extract', which does not exist"):
        scheduler.start()
    scheduler.job("@manual", name="extract", greenlet=True)(lambda: None)
    scheduler.start()
    with pytest.raises(JobError, match="did you mean extract"):
        scheduler.job("@after extrakt", name="other", greenlet=True)(lambda: None)
    with pytest.raises(JobError, match="catchup means nothing to a job with @after"):
        scheduler.job("@after extract", name="other", catchup="last", greenlet=True)(lambda: None)
    assert [job.name for job in scheduler.jobs] == ["job", "extract"]


def test_after_jobs_takes_names() -> None:
    schedule = after_jobs("extract", "load", "extract")
    assert (schedule.jobs, schedule.text, schedule.next_after(0)) == (("extract", "load"), "@after extract,load", None)
    assert after_jobs("send mail").jobs == ("send mail",), "in Python, a name may be any text"
    with pytest.raises(ScheduleError):
        after_jobs()
    with pytest.raises(TypeError, match="takes names of jobs"):
        after_jobs(["extract"])  # type: ignore[arg-type]


# -- restarts ---------------------------------------------------------------------------------------------------------


class Restarts:
    """Schedulers that follow one another, with one store. The first ends without a word: it is killed."""

    def __init__(self, clock: VirtualClock, make: Make) -> None:
        self.clock = clock
        self.store = MemoryStore(now=clock.now)
        self.make = make

    def begin(self, **options: Any) -> Chain:
        return Chain(self.clock, self.make, self.store, **options).start()

    def kill(self, chain: Chain) -> None:
        """Nothing that it does from now on reaches the store."""
        chain.scheduler.store.store = MemoryStore(now=self.clock.now)
        chain.scheduler.store._recorder._store = chain.scheduler.store.store  # type: ignore[attr-defined]
        chain.scheduler.kill()
        chain.scheduler.stop(grace=0)


@pytest.fixture
def restarts(clock: VirtualClock, make_scheduler: Make) -> Restarts:
    return Restarts(clock, make_scheduler)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_has_succeeded_is_known_after_a_restart(restarts: Restarts, end: str) -> None:
    first = restarts.begin()
    first.run("extract")
    first.scheduler.stop() if end == "stop" else restarts.kill(first)
    second = restarts.begin()
    sleep(1)
    assert (second.starts(), second.waits_for) == ([], ("load",))
    second.run("load")
    assert len(second.starts()) == 1
    second.scheduler.stop()
    third = restarts.begin()
    sleep(1)
    assert (third.starts(), third.waits_for) == ([], ("extract", "load"))


class DyingStore(MemoryStore):
    """Its gcron is killed at the claim of a start, `before` or `after` it. Nothing is written from then on."""

    def __init__(self, moment: str, **options: Any) -> None:
        super().__init__(**options)
        self.moment = moment
        self.is_dead = False

    def must_claim(self, job: Any) -> bool:
        return job.name == "transform"

    def claim(self, fires: Any) -> list[bool]:
        self.is_dead = self.is_dead or self.moment == "before"
        answers = [True] if self.is_dead else super().claim(fires)
        self.is_dead = self.is_dead or self.moment == "after"
        return answers

    def write(self, batch: Any) -> None:
        if not self.is_dead:
            super().write(batch)


@pytest.mark.parametrize(("moment", "starts"), [("before", 1), ("after", 0)])
def test_the_claim_of_a_start_decides_whether_the_next_gcron_starts_it(
    restarts: Restarts, moment: str, starts: int
) -> None:
    """When it is on disk, the process may have started already."""
    store = restarts.store = DyingStore(moment, now=restarts.clock.now)
    first = restarts.begin()
    first.run("extract", "load")
    assert store.is_dead
    first.scheduler.kill()
    first.scheduler.stop(grace=0)
    store.is_dead, store.moment = False, ""
    second = restarts.begin()
    sleep(1)
    assert len(second.starts()) == starts
    assert second.waits_for == ("extract", "load")
    second.run("load", "extract")
    assert len(second.starts()) == starts + 1


def test_a_store_that_does_not_answer_does_not_keep_a_chained_job(clock: VirtualClock, make_scheduler: Make) -> None:
    class Broken(DyingStore):
        def claim(self, fires: Any) -> list[bool]:
            raise OSError("the disk is gone")

    chain = Chain(clock, make_scheduler, Broken("", now=clock.now)).start()
    chain.run("extract", "load")
    assert chain.recorder.outcomes("transform") == ["succeeded"]


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.parametrize(("hours", "outcomes"), [(0.5, ["succeeded"]), (2, [])])
def test_a_job_that_was_due_and_had_not_begun_runs_once_after_the_restart(
    restarts: Restarts, end: str, hours: float, outcomes: list[str]
) -> None:
    first = restarts.begin(jitter="20m")
    first.run("extract", "load")
    assert first.waits_for == ()
    first.scheduler.stop(grace=0) if end == "stop" else restarts.kill(first)
    restarts.clock.jump(hours * HOUR)
    second = restarts.begin(jitter="20m")
    sleep(1200)
    assert second.recorder.outcomes("transform") == outcomes
    missed = second.recorder.of("fires-missed", "transform")
    assert [str(event.reason.code) for event in missed] == ([] if outcomes else ["not-running"])
    assert second.waits_for == ("extract", "load")
    second.scheduler.stop()
    third = restarts.begin(jitter="20m")
    sleep(1200)
    assert third.recorder.of("run-started", "transform") == []


def test_a_success_during_the_stop_is_known_after_it(restarts: Restarts) -> None:
    first = restarts.begin()
    first.run("extract")
    first.takes["load"] = 10.0
    first.scheduler.trigger("load")
    sleep(1)
    first.scheduler.stop(grace=30)
    assert first.starts() == []
    second = restarts.begin()
    sleep(1)
    assert len(second.starts()) == 1


def test_a_pause_that_has_ended_meanwhile_delays_the_start_deadline(restarts: Restarts) -> None:
    from datetime import UTC, datetime

    first = restarts.begin()
    until = datetime.fromtimestamp(restarts.clock.now() + 5 * HOUR, UTC)
    first.scheduler.pause("transform", until=until)
    first.run("extract", "load")
    first.scheduler.stop()
    restarts.clock.jump(5.5 * HOUR)
    second = restarts.begin()
    sleep(1)
    assert len(second.starts()) == 1


def test_a_pause_that_goes_on_holds_the_job_after_the_restart(restarts: Restarts) -> None:
    first = restarts.begin()
    first.scheduler.pause("transform")
    first.run("extract", "load")
    first.scheduler.stop()
    restarts.clock.jump(5 * HOUR)
    second = restarts.begin()
    sleep(1)
    assert (second.starts(), second.waits_for) == ([], ())
    second.scheduler.resume("transform")
    sleep(1)
    assert len(second.starts()) == 1


def test_a_removed_job_is_forgotten(restarts: Restarts) -> None:
    first = restarts.begin()
    first.run("extract")
    first.scheduler.remove("transform")
    sleep(1)
    first.add("transform", "@after extract,load")
    assert first.waits_for == ("extract", "load")
    first.scheduler.stop()
    assert restarts.begin().waits_for == ("extract", "load")

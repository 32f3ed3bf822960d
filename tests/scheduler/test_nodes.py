"""Several schedulers that share a store: each fire starts on one of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gcron.errors import JobError, StateError
from gcron.greenlet import sleep
from gcron.schedule.clock import SystemClock
from gcron.scheduler import Scheduler
from gcron.scheduler.cluster import Beat, Order, Presence
from gcron.scheduler.door import StoreUnavailable
from gcron.scheduler.membership import Membership
from gcron.testing import VirtualClock
from tests.conftest import Recorder
from tests.scheduler.cluster_store import ClusterStore, NodeClock, Shared
from tests.waiting import PATIENCE, until

Make = Callable[..., Any]


class Member:
    """One of the nodes: its scheduler, its events, its way to the store."""

    def __init__(self, store: ClusterStore, scheduler: Scheduler, recorder: Recorder, clock: NodeClock) -> None:
        self.store = store
        self.scheduler = scheduler
        self.events = recorder
        self.clock = clock


class Nodes:
    """Makes nodes that share a store; `ran` has the job, the fire, the node and the fence of each run."""

    def __init__(self, clock: VirtualClock, make: Make) -> None:
        self.clock = clock
        self.shared = Shared(clock)
        self._make = make
        self.ran: list[tuple[str, int | None, str, int]] = []
        self.midnight = int(clock.now())

    def add(
        self,
        name: str,
        jobs: Callable[[Scheduler], object],
        skew: float = 0.0,
        labels: tuple[str, ...] = (),
        when_down: Any = "skip",
        starts: bool = True,
    ) -> Member:
        store = ClusterStore(self.shared, name, labels, when_down)
        clock = NodeClock(self.clock, skew)
        scheduler, recorder = self._make(clock=clock, state=store)
        jobs(scheduler)
        scheduler.on("run-started", self._note)
        if starts:
            scheduler.start()
        return Member(store, scheduler, recorder, clock)

    def _note(self, event: Any) -> None:
        at = None if event.fire_at is None else event.fire_at - self.midnight
        self.ran.append((event.job, at, event.node, event.fence))

    def fires(self, job: str) -> list[int | None]:
        return sorted((at for name, at, _, _ in self.ran if name == job), key=lambda at: -1 if at is None else at)


@pytest.fixture
def nodes(clock: VirtualClock, make_scheduler: Make) -> Nodes:
    return Nodes(clock, make_scheduler)


def each_minute(takes: float = 0.0, **options: Any) -> Callable[[Scheduler], object]:
    return lambda scheduler: scheduler.job("* * * * *", name="job", greenlet=True, **options)(lambda: sleep(takes))


def minutes(*numbers: int) -> list[int]:
    return [60 * number for number in numbers]


def test_each_fire_starts_on_one_node(nodes: Nodes) -> None:
    for name in "abc":
        nodes.add(name, each_minute())
    sleep(301)
    assert nodes.fires("job") == minutes(1, 2, 3, 4, 5)
    fences = [fence for *_, fence in nodes.ran]
    assert fences == sorted(fences)
    assert 0 not in fences
    assert all(node in "abc" for *_, node, _ in nodes.ran)


def test_a_run_on_another_node_counts_for_overlap(nodes: Nodes) -> None:
    """Each fire that is refused is recorded once, as skipped, with the name of the other node."""
    a = nodes.add("a", each_minute(takes=90))
    sleep(70)
    b = nodes.add("b", each_minute(takes=90))
    sleep(60)
    assert nodes.fires("job") == minutes(1)
    skipped = [event for member in (a, b) for event in member.events.of("run-finished")]
    skipped = [event for event in skipped if event.result.outcome == "skipped"]
    assert len(skipped) == 1
    sleep(180)
    assert Counter(nodes.fires("job")) == Counter(minutes(1, 3, 5))


def test_overlap_allow_lets_nodes_run_at_once(nodes: Nodes) -> None:
    for name in "ab":
        nodes.add(name, each_minute(takes=90, overlap="allow"))
    sleep(190)
    assert nodes.fires("job") == minutes(1, 2, 3)


def test_run_on_every_node(nodes: Nodes) -> None:
    for name in "ab":
        nodes.add(name, each_minute(run_on="every"))
    sleep(61)
    assert sorted(nodes.ran) == [("job", 60, "a", 0), ("job", 60, "b", 0)]


def test_a_label_says_where_a_job_runs(nodes: Nodes) -> None:
    nodes.add("a", each_minute(run_on="label:disk"))
    nodes.add("b", each_minute(run_on="label:disk"), labels=("disk",))
    nodes.add("c", each_minute(run_on="label:disk"), labels=("disk", "fast"))
    sleep(121)
    assert nodes.fires("job") == minutes(1, 2)
    assert {node for *_, node, _ in nodes.ran} <= {"b", "c"}


def test_an_answer_that_came_late_does_not_say_what_time_it_is(clock: VirtualClock) -> None:
    """A database that stood still for 3 s made `gcron status` show a clock that was 1.4 s behind."""
    takes = iter([0.2, 3.0, 0.2])

    class Door:
        cluster = SimpleNamespace(lease=15.0, node="a")

        def beat(self, present: object, skew: object) -> tuple[float, Beat]:
            sent, now = clock.monotonic(), clock.now()
            sleep(next(takes, 0.2))
            return sent, Beat(now + 0.1, holds=True)

        def give_back(self) -> None: ...

    door: Any = Door()
    membership = Membership(door, clock, lambda: Presence(0, "", 1), lambda beat, sent: None, lambda seconds: None)
    membership.start()
    assert membership.skew == pytest.approx(0.0)
    sleep(9)
    assert membership.skew == pytest.approx(0.0)
    membership.stop()


def test_a_lease_that_no_beat_has_renewed_ends_like_any_other(clock: VirtualClock) -> None:
    """Runs that were adopted went on beside those of other nodes, for ever: the store had answered, but not a beat."""
    told: list[tuple[float, float | None]] = []

    class Door:
        cluster = SimpleNamespace(lease=15.0, node="a")

        def beat(self, present: object, skew: object) -> tuple[float, Beat]:
            raise StoreUnavailable("a beat takes too long")

    door: Any = Door()
    began = clock.monotonic()

    def lose(seconds: float | None) -> None:
        told.append((clock.monotonic() - began, seconds))

    membership = Membership(door, clock, lambda: Presence(0, "", 1), lambda beat, sent: None, lose)
    membership.start()
    sleep(12)
    assert told == []
    sleep(60)
    assert told == [(pytest.approx(13.0), pytest.approx(1.5))]
    membership.stop()


@pytest.mark.parametrize("skew", [5.0, -5.0, 0.4])
def test_a_node_with_a_wrong_clock_starts_no_fire_twice(nodes: Nodes, skew: float) -> None:
    sleep(30)
    nodes.add("a", each_minute())
    nodes.add("b", each_minute(), skew=skew)
    sleep(280)
    assert nodes.fires("job") == minutes(1, 2, 3, 4, 5)


def test_a_node_alone_whose_clock_is_ahead_starts_at_the_time_of_the_store(nodes: Nodes) -> None:
    sleep(30)
    a = nodes.add("a", each_minute(), skew=5.0)
    sleep(40)
    assert nodes.fires("job") == minutes(1)
    (started,) = a.events.of("run-started")
    assert started.time - a.clock.skew >= nodes.midnight + 59
    assert a.scheduler.node is not None
    assert a.scheduler.node.skew == pytest.approx(5.0)


def outcomes(member: Member, outcome: str) -> list[Any]:
    return [event for event in member.events.of("run-finished") if event.result.outcome == outcome]


def test_a_schedule_that_nodes_cannot_share_is_refused_also_later(nodes: Nodes) -> None:
    a = nodes.add("a", each_minute())
    with pytest.raises(JobError, match="@after is not offered where several nodes share a job"):
        a.scheduler.reschedule("job", "@after other")
    assert a.scheduler.jobs[0].schedule.text == "* * * * *"


@pytest.mark.parametrize("option", ["overlap='queue'", "overlap='replace'", "catchup='all'", "group='g'"])
def test_what_nodes_cannot_share_is_refused(nodes: Nodes, option: str) -> None:
    """Each node knows only its own queue, its own runs and its own groups."""
    name, _, value = option.partition("=")

    def jobs(scheduler: Scheduler, **more: Any) -> None:
        scheduler.group("g", limit=1)
        each_minute(**{name: value.strip("'")}, **more)(scheduler)

    with pytest.raises(JobError, match=f"job 'job': {name}=.* is not offered where several nodes share a job"):
        nodes.add("a", jobs)
    nodes.add("b", lambda scheduler: jobs(scheduler, run_on="every"))


def test_a_service_that_a_start_leaves_alone_is_refused(nodes: Nodes) -> None:
    """With `orphans=leave`, the next gcron of the node left the copy alone and started another one beside it."""

    def leaving(run_on: str) -> Callable[[Scheduler], object]:
        return lambda scheduler: scheduler.service("true", name="job", orphans="leave", run_on=run_on)

    with pytest.raises(JobError, match="job 'job': orphans=leave is not offered where several nodes share a job"):
        nodes.add("a", leaving("one"))
    nodes.add("b", leaving("every"), starts=False)


# -- leases -----------------------------------------------------------------------------------------------------------


def test_a_node_that_cannot_renew_its_lease_ends_its_runs_before_others_start_new_ones(nodes: Nodes) -> None:
    a = nodes.add("a", each_minute(takes=600))
    sleep(61)
    b = nodes.add("b", each_minute(takes=600))
    a.store.is_cut = True
    sleep(300)
    assert [node for *_, node, _ in nodes.ran] == ["a", "b"]
    (killed,) = outcomes(a, "killed")
    assert str(killed.result.reason.code) == "lease-lost"
    (lost,) = outcomes(b, "lost")
    assert (lost.node, lost.run_id) == ("a", killed.run_id)
    started = [event.time for event in b.events.of("run-started")]
    assert killed.time < lost.time < started[0]
    assert killed.time - 61 - nodes.midnight < 15


@pytest.mark.realtime
def test_a_process_that_ignores_the_stop_signal_is_gone_before_the_lease_ends(
    make_scheduler: Make, tmp_path: Path
) -> None:
    """Also when it was asked to end before, by its time-out, and has an hour for that."""
    shared = Shared(SystemClock())
    store = ClusterStore(shared, "a")
    store.lease = 3.0
    scheduler, recorder = make_scheduler(state=store)
    command = f"trap '' TERM; echo $GCRON_NODE $GCRON_FENCE > {tmp_path}/began; while :; do sleep 0.05; done"
    scheduler.command(command, "@manual", name="job", timeout=0.2, kill_after="1h")
    scheduler.start()
    scheduler.trigger("job")
    until(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text() == "a 1\n")
    sleep(0.4)  # beyond its time-out
    store.is_cut = True
    cut = time.monotonic()
    until(lambda: bool(recorder.outcomes()))
    assert time.monotonic() - cut < 3.5
    assert recorder.outcomes() in (["killed"], ["timed-out"])


@pytest.mark.realtime
def test_a_store_that_hangs_keeps_neither_other_jobs_nor_a_stop(make_scheduler: Make) -> None:
    """Claims and beats hang in their threads. The lease ends all the same, and with it what was claimed."""
    store = ClusterStore(Shared(SystemClock()), "a")
    store.blocks, store.lease = True, 3.0
    scheduler, recorder = make_scheduler(state=store)
    scheduler.job("@every 1s", name="own", greenlet=True, run_on="every")(lambda: None)
    scheduler.job("@manual", name="shared", greenlet=True)(lambda: sleep(60))
    scheduler.start()
    scheduler.trigger("shared")
    until(lambda: bool(recorder.of("run-started", "shared")))
    released = threading.Event()
    store.claim = store.beat = lambda *arguments: released.wait(PATIENCE)  # type: ignore[method-assign,assignment]
    scheduler.trigger("shared")
    until(lambda: recorder.outcomes("shared") == ["skipped", "killed"])
    count = len(recorder.of("run-started", "own"))
    until(lambda: len(recorder.of("run-started", "own")) > count + 1)
    waits = scheduler.trigger("shared")
    sleep(0.1)
    assert waits.outcome is None
    began = time.monotonic()
    scheduler.stop(grace=0)
    assert time.monotonic() - began < 12
    released.set()
    assert waits.outcome is not None
    assert str(waits.outcome.reason) == "not begun: gcron is told to stop"


def test_a_question_that_fails_after_the_stop_shows_no_traceback(
    make_scheduler: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    """A stop while the database was away ended with the traceback of a beat that nobody waited for."""
    store = ClusterStore(Shared(SystemClock()), "a")
    store.blocks = True
    scheduler, _ = make_scheduler(state=store)
    scheduler.start()
    asked, released, failed = threading.Event(), threading.Event(), threading.Event()

    def fail(*arguments: object) -> Any:
        asked.set()
        released.wait(PATIENCE)
        failed.set()
        raise ConnectionError("no answer in time")

    store.beat = fail  # type: ignore[method-assign]
    assert scheduler.node is not None
    scheduler.node._lease.hurry()
    until(asked.is_set)
    scheduler.stop(grace=0)
    released.set()
    until(failed.is_set)
    sleep(0.05)
    assert "no answer in time" not in capfd.readouterr().err


def test_a_short_outage_ends_no_run(nodes: Nodes) -> None:
    a = nodes.add("a", each_minute(takes=45))
    sleep(62)
    for _ in range(4):
        nodes.shared.is_down = True
        sleep(8)
        nodes.shared.is_down = False
        sleep(7)
    sleep(120)
    assert outcomes(a, "killed") == []
    assert {event.result.outcome for event in a.events.of("run-finished")} == {"succeeded"}


def test_without_the_store_runs_go_on_and_fires_start_where_the_command_line_says_so(nodes: Nodes) -> None:
    """With on-store-down=run: a fire may start on each node, and a warning says so."""
    a, b = (nodes.add(name, each_minute(takes=50), when_down="run") for name in "ab")
    sleep(30)
    nodes.shared.is_down = True
    sleep(60)
    assert sorted(node for *_, node, _ in nodes.ran) == ["a", "b"]
    for member in (a, b):
        assert [event.is_warning for event in member.events.of("notice")] == [True]
    nodes.shared.is_down = False
    sleep(120)
    assert outcomes(a, "killed") == outcomes(b, "killed") == []
    assert Counter(nodes.fires("job"))[120] == Counter(nodes.fires("job"))[180] == 1


def test_a_fire_waits_for_the_store_as_long_as_it_may_be_late(nodes: Nodes) -> None:
    members = [nodes.add(name, each_minute()) for name in "ab"]
    sleep(55)
    nodes.shared.is_down = True
    sleep(30)
    nodes.shared.is_down = False
    sleep(31)
    assert nodes.fires("job") == minutes(1)
    assert [event for member in members for event in member.events.of("fires-missed")] == []


def test_fires_that_no_node_could_claim_are_missed_once(nodes: Nodes) -> None:
    members = [nodes.add(name, each_minute()) for name in "abc"]
    sleep(55)
    nodes.shared.is_down = True
    sleep(300)  # the fires of 1 to 5 minutes
    nodes.shared.is_down = False
    sleep(360)
    missed = [event for member in members for event in member.events.of("fires-missed")]
    assert sorted(at for event in missed for at in range(event.first, event.last + 1, 60)) == [
        nodes.midnight + at for at in minutes(1, 2, 3, 4)
    ]
    assert nodes.fires("job") == minutes(5, 6, 7, 8, 9, 10, 11)


def test_a_lost_run_is_run_again_on_another_node_where_it_may_be(nodes: Nodes) -> None:
    a = nodes.add("a", each_minute(takes=50, retry_lost=True))
    sleep(70)
    b = nodes.add("b", each_minute(takes=50, retry_lost=True))
    a.store.is_cut = True
    sleep(40)
    assert [(at, node) for _, at, node, _ in nodes.ran][:2] == [(60, "a"), (60, "b")]
    assert len(outcomes(b, "lost")) == 1
    first, second = [fence for _, at, _, fence in nodes.ran if at == 60]
    assert first < second


def test_a_node_that_stood_still_starts_nothing_that_others_may_have(nodes: Nodes) -> None:
    """Its claim was granted, and the answer came after the lease: it is given back."""
    a = nodes.add("a", each_minute())
    sleep(55)
    a.store.delay = 10.0
    sleep(30)
    assert nodes.ran == []
    nodes.add("b", each_minute())
    a.store.delay = 0.0
    sleep(30)
    assert nodes.fires("job") == minutes(1)


def test_an_answer_that_is_lost_is_asked_for_again(nodes: Nodes) -> None:
    a = nodes.add("a", each_minute())
    nodes.add("b", each_minute(run_on="label:none"))
    sleep(55)
    a.store.loses_answers = True
    sleep(8)
    assert nodes.ran == []
    a.store.loses_answers = False
    sleep(10)
    assert nodes.fires("job") == minutes(1)


def test_a_node_that_is_stopped_leaves_at_once(nodes: Nodes) -> None:
    a = nodes.add("a", each_minute())
    nodes.add("b", each_minute())
    sleep(30)
    a.scheduler.stop()
    sleep(60)
    assert [node for *_, node, _ in nodes.ran] == ["b"]
    assert all(row.state != "claimed" for row in nodes.shared.claims.values())


# -- what somebody asks for --------------------------------------------------------------------------------------------


def test_a_trigger_is_skipped_while_another_node_runs_the_job(nodes: Nodes) -> None:
    a, b = (nodes.add(name, each_minute(takes=20)) for name in "ab")
    sleep(10)
    first, second = a.scheduler.trigger("job"), b.scheduler.trigger("job")
    sleep(1)
    assert second.outcome is not None
    assert str(second.outcome.reason) == "not begun: a run of the job is still under way on node a"
    assert (first.node, first.fence) == ("a", 1)
    assert first.outcome is None


def test_a_pause_holds_on_all_nodes(nodes: Nodes) -> None:
    a, b = (nodes.add(name, each_minute()) for name in "ab")
    sleep(10)
    a.scheduler.pause("job", who="ann", why="a test")
    sleep(6)
    assert b.scheduler.is_paused("job")
    assert [event.text for event in b.events.of("notice")] == ["paused on another node by ann: a test"]
    sleep(120)
    assert nodes.ran == []
    b.scheduler.resume("job")
    sleep(6)
    assert not a.scheduler.is_paused("job")
    sleep(60)
    assert len(nodes.ran) == 1
    late = nodes.add("c", each_minute())
    a.scheduler.pause("job")
    sleep(6)
    assert late.scheduler.is_paused("job")


def test_a_pause_here_is_newer_than_what_a_beat_brings_that_was_sent_before(nodes: Nodes) -> None:
    def jobs(scheduler: Scheduler) -> None:
        for name in ("one", "two"):
            scheduler.job("@hourly", name=name, greenlet=True)(lambda: None)

    a, b = (nodes.add(name, jobs) for name in "ab")
    sleep(1)
    a.store.delay = 2.0
    b.scheduler.pause("two")
    sleep(4.5)  # its beat has been answered, and the answer is on its way
    assert not a.scheduler.is_paused("two")
    a.scheduler.pause("one")
    sleep(2)
    assert a.scheduler.is_paused("one")
    assert a.scheduler.is_paused("two")
    sleep(20)
    assert b.scheduler.is_paused("one")


def test_a_run_is_stopped_from_another_node(nodes: Nodes) -> None:
    a, b = (nodes.add(name, each_minute(takes=50)) for name in "ab")
    sleep(62)
    ((_, _, node, _),) = nodes.ran
    owner, other = (a, b) if node == "a" else (b, a)
    (run,) = owner.scheduler.running()
    other.scheduler.store.send(node, Order(0, "stop", "job", run.run_id, "ann", "a test"))
    sleep(6)
    (killed,) = outcomes(owner, "killed")
    assert str(killed.result.reason) == "stopped by ann: a test"


def test_expect_within_counts_the_successes_of_all_nodes(nodes: Nodes) -> None:
    """And one node alone reports a silence."""
    succeeds = [True]

    def jobs(scheduler: Scheduler) -> None:
        @scheduler.job("*/10 * * * *", name="job", greenlet=True, expect_within="25m")
        def work() -> None:
            assert succeeds

    members = [nodes.add(name, jobs) for name in "ab"]
    sleep(3 * 3600)
    assert [event for member in members for event in member.events.of("success-overdue")] == []
    succeeds.clear()
    sleep(3600)
    overdue = [event for member in members for event in member.events.of("success-overdue")]
    assert len(overdue) == 1
    succeeds.append(True)
    sleep(900)
    assert len([event for member in members for event in member.events.of("success-resumed")]) == 1


# -- services ----------------------------------------------------------------------------------------------------------


def service(scheduler: Scheduler) -> None:
    scheduler.job("@service", name="job", greenlet=True, run_on="one")(lambda: sleep(100_000))


def living(*members: Member) -> list[str]:
    return [member.store.node for member in members if member.scheduler.services["job"].run is not None]


def test_a_service_lives_on_one_node_and_fails_over(nodes: Nodes) -> None:
    a, b, c = (nodes.add(name, service) for name in "abc")
    sleep(1)
    assert living(a, b, c) == ["a"]
    assert str(b.scheduler.services["job"].reason) == "it runs on node a"
    a.store.is_cut = True
    sleep(14.6)
    assert living(a, b, c) == []
    sleep(10)
    assert len(living(b, c)) == 1
    a.store.is_cut = False
    sleep(20)
    assert len(living(a, b, c)) == 1
    fences = [fence for *_, fence in nodes.ran]
    assert fences == sorted(set(fences))


def test_a_service_of_a_node_that_was_given_up_has_no_second_copy(nodes: Nodes) -> None:
    """Also where jobs go on without the store."""
    a, b = (nodes.add(name, service, when_down="run") for name in "ab")
    sleep(1)
    a.store.is_cut = True
    sleep(30)
    assert living(a, b) == ["a", "b"]  # on-store-down=run
    a.store.is_cut = False
    sleep(10)
    assert living(a, b) == ["b"]


def test_the_owner_of_a_service_gives_it_back_when_it_stops(nodes: Nodes) -> None:
    a, b = (nodes.add(name, service) for name in "ab")
    sleep(1)
    a.scheduler.stop()
    sleep(6)
    assert living(b) == ["b"]


def test_a_service_of_another_node_is_not_started_here(nodes: Nodes) -> None:
    _, b = (nodes.add(name, service) for name in "ab")
    sleep(1)
    with pytest.raises(StateError, match="it runs on node a"):
        b.scheduler.trigger("job")
    b.scheduler.store.send("a", Order(0, "restart", "job", "", "ann", ""))
    sleep(6)
    assert [node for *_, node, _ in nodes.ran] == ["a", "a"]


# -- many --------------------------------------------------------------------------------------------------------------


def test_a_thousand_jobs_that_are_due_at_once(nodes: Nodes) -> None:
    def jobs(scheduler: Scheduler) -> None:
        for number in range(1000):
            scheduler.job("* * * * *", name=f"job{number}", greenlet=True)(lambda: None)

    for name in "abcd":
        nodes.add(name, jobs)
    sleep(61)
    assert Counter(job for job, *_ in nodes.ran) == Counter({f"job{number}": 1 for number in range(1000)})
    shares = Counter(node for *_, node, _ in nodes.ran)
    assert min(shares[name] for name in "abcd") > 200


def test_so_many_jobs_that_the_store_is_asked_often_start_all_the_same(nodes: Nodes) -> None:
    """What was granted first was too old when the last question was answered, after more than half of the lease: all
    of it was given back, claimed again, given back again. None of the jobs ever started."""

    def jobs(scheduler: Scheduler) -> None:
        for number in range(5000):
            scheduler.job("0 * * * *", name=f"job{number}", greenlet=True)(lambda: None)

    a = nodes.add("a", jobs)
    sleep(3590)
    a.store.delay = 2.0
    sleep(40)
    assert len({job for job, *_ in nodes.ran}) == len(nodes.ran) == len(nodes.shared.granted) == 5000


def test_the_turn_of_a_node_that_is_down_passes_to_others(nodes: Nodes) -> None:
    def jobs(scheduler: Scheduler) -> None:
        for number in range(20):
            scheduler.job("* * * * *", name=f"job{number}", greenlet=True)(lambda: None)

    _, b = (nodes.add(name, jobs) for name in "ab")
    sleep(55)
    b.store.is_cut = True  # and for 15 s nobody knows
    sleep(6)
    assert {node for *_, node, _ in nodes.ran} == {"a"}
    assert len(nodes.ran) == 20

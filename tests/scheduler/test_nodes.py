"""Several schedulers that share a store: each fire starts on one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock
from tests.conftest import Recorder
from tests.scheduler.cluster_store import ClusterStore, NodeClock, Shared

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


def test_a_fire_whose_node_is_lost_before_it_began_runs_elsewhere(nodes: Nodes) -> None:
    a = nodes.add("a", each_minute())
    sleep(50)
    row = nodes.shared
    a.store.claim([_fire(nodes, 60 - 11)])
    a.store.is_cut = True
    nodes.add("b", each_minute())
    sleep(40)
    assert row.granted[0][2] == "a"
    assert 49 in nodes.fires("job")


def _fire(nodes: Nodes, second: int) -> Any:
    from gcron.scheduler.cluster import SharedFire

    return SharedFire("job", nodes.midnight + second, deadline=60.0)

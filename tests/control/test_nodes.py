"""Several nodes as the API of one of them shows them: their state, their runs, orders to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from gcron import cron
from gcron.control.instance import Instance
from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock
from tests.control.conftest import Asker
from tests.scheduler.cluster_store import ClusterStore, NodeClock, Shared

Make = Callable[..., Asker]


@pytest.fixture
def make_node(clock: VirtualClock, make_scheduler: Callable[..., Any]) -> Iterator[Make]:
    """Make a node that shares a store with the others: its API."""
    shared, askers = Shared(clock), []

    def make(name: str, *options: Any, labels: tuple[str, ...] = (), skew: float = 0.0, **more: Any) -> Asker:
        own = NodeClock(clock, skew)
        scheduler, _ = make_scheduler("UTC", clock=own, state=ClusterStore(shared, name, labels))
        scheduler.job("* * * * *", name="job", greenlet=True, **more)(lambda: sleep(50))
        asker = Asker(Instance(scheduler, name, ("crontab",), since=clock.now(), clock=own))
        askers.append(asker)
        scheduler.start()
        return asker

    yield make
    for asker in askers:
        asker.api.close()


def store_of(node: Asker) -> Any:
    return node.gcron.scheduler.store.store


def owner_first(*nodes: Asker) -> list[Asker]:
    """The node that runs the job, and then the others."""
    return sorted(nodes, key=lambda node: not node.gcron.scheduler.running())


def named(asker: Asker, node: str) -> Any:
    return next(record for record in asker.get("/nodes").json["nodes"] if record["node"] == node)


def check(asker: Asker, schema: str, answer: Any) -> None:
    """Fail unless the answer is as the OpenAPI document says."""
    document = asker.get("/openapi.json").json
    whole = {**document, "$ref": f"#/components/schemas/{schema}"}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(answer)


# -- how they stand -----------------------------------------------------------------------------------------------


def test_all_nodes_are_listed_with_what_is_known_of_them(make_node: Make) -> None:
    a, _ = make_node("a"), make_node("b", labels=("gpu",))
    sleep(70)
    first, second = a.get("/nodes").json["nodes"]
    check(a, "Node", first)
    check(a, "Node", second)
    assert (first["node"], first["self"], first["up"]) == ("a", True, True)
    assert (second["node"], second["self"], second["labels"], second["other_jobs"]) == ("b", False, ["gpu"], False)
    check(a, "Instance", a.get("/instance").json)


def test_a_gcron_alone_is_its_only_node(api: Asker) -> None:
    (node,) = api.get("/nodes").json["nodes"]
    check(api, "Node", node)
    assert (node["self"], node["up"], node["last_beat"]) == (True, True, None)


def test_a_node_with_another_crontab_a_wrong_clock_or_no_lease_is_named(make_node: Make) -> None:
    a = make_node("a")
    make_node("b", timeout="5m")
    make_node("c", skew=3.0)
    late = make_node("d")
    sleep(20)
    store_of(late).is_cut = True
    sleep(30)
    assert named(a, "b")["other_jobs"]
    assert not named(a, "c")["other_jobs"]
    assert named(a, "c")["skew"] == pytest.approx(3, abs=0.1)
    assert not named(a, "d")["up"]


def test_nodes_whose_jobs_are_due_in_other_zones_have_other_jobs(make_node: Make) -> None:
    """Their crontabs are equal, but each machine has a time zone of its own."""
    a, b = make_node("a"), make_node("b")
    for node, zone in ((a, "UTC"), (b, "Asia/Tokyo")):
        node.gcron.scheduler.command("true", "0 4 * * *", name="daily", tz=zone)
    sleep(12)
    assert named(a, "b")["other_jobs"]
    b.gcron.scheduler.reschedule("daily", cron("0 4 * * *", tz="UTC"))
    sleep(12)
    assert not named(a, "b")["other_jobs"]


# -- their runs ---------------------------------------------------------------------------------------------------


def test_a_run_on_another_node_is_under_way_here_too(make_node: Make) -> None:
    nodes = make_node("a"), make_node("b")
    sleep(70)
    owner, other = owner_first(*nodes)
    name = owner.gcron.name
    (run,) = other.get("/jobs/job").json["running"]
    check(other, "Run", run)
    assert (run["node"], run["state"], run["duration"]) == (name, "running", pytest.approx(10, abs=1))
    (here,) = owner.get("/jobs/job").json["running"]
    assert here["node"] == name
    assert here["fence"] == run["fence"] > 0
    assert other.get(f"/runs/{run['run_id']}").json["state"] == "running"
    assert [each["state"] for each in other.get("/runs").json["runs"]] == ["running"]
    due = owner.gcron.scheduler.running()[0].fire_at
    assert f"is under way on node {name}" in other.get(f"/why?job=job&at={run['fire_at']}").json["explanation"], due
    sleep(50)
    assert f"it ran on node {name}" in other.get(f"/why?job=job&at={run['fire_at']}").json["explanation"]


def test_why_explains_the_run_of_this_node_if_each_node_has_its_own(make_node: Make) -> None:
    """It explained the newest one, of whatever node: a node said that a job ran elsewhere that it had run itself."""
    nodes = make_node("a", run_on="every"), make_node("b", run_on="every")
    sleep(175)
    for node in nodes:
        (*_, first) = node.get("/runs?job=job").json["runs"]
        explained = node.get(f"/why?job=job&at={first['fire_at']}").json["explanation"]
        assert f"it ran on node {node.gcron.name}" in explained


def test_why_says_that_a_triggered_run_is_under_way_on_another_node(make_node: Make) -> None:
    """It said: outcome unknown, the record has no end."""
    a, b = make_node("a"), make_node("b")
    for node in (a, b):
        node.gcron.scheduler.job("@manual", name="restore", greenlet=True)(lambda: sleep(50))
    sleep(5)
    run = a.gcron.scheduler.trigger("restore", who="ann")
    sleep(5)
    explained = b.get("/why?job=restore&at=now").json
    assert explained["explanation"].endswith("; triggered by ann; it is under way on node a")
    assert explained["run"]["run_id"] == run.run_id
    assert explained["run"]["state"] == "running"


def test_a_run_of_a_node_that_is_down_is_not_said_to_run(make_node: Make) -> None:
    nodes = make_node("a"), make_node("b")
    sleep(62)
    owner, other = owner_first(*nodes)
    store_of(owner).is_cut = True
    sleep(25)
    assert other.get("/jobs/job").json["running"] == []


def test_a_run_on_another_node_is_stopped_by_an_order(make_node: Make) -> None:
    nodes = make_node("a"), make_node("b")
    sleep(62)
    owner, other = owner_first(*nodes)
    stopped = other.post("/jobs/job/stop", why="a test").json
    check(other, "Stopped", stopped)
    assert stopped["sent_to"] == [owner.gcron.name]
    sleep(6)
    (run,) = other.get("/runs").json["runs"]
    assert (run["outcome"], run["reason"]) == ("killed", "stopped by ann: a test")
    assert other.post(f"/runs/{run['run_id']}/stop").code == "not-under-way"


def test_one_run_on_another_node_is_killed_by_its_id(make_node: Make) -> None:
    nodes = make_node("a"), make_node("b")
    sleep(62)
    owner, other = owner_first(*nodes)
    (run,) = owner.gcron.scheduler.running()
    killed = other.post(f"/runs/{run.run_id}/kill").json
    check(other, "Run", killed)
    assert killed["sent_to"] == [owner.gcron.name]
    sleep(6)
    assert other.get(f"/runs/{run.run_id}").json["reason"] == "killed by ann"


def test_an_order_that_cannot_be_sent_is_an_error(make_node: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = make_node("a"), make_node("b")
    sleep(62)
    owner, other = owner_first(*nodes)

    def fail(node: str, order: Any) -> None:
        from gcron.scheduler.door import StoreUnavailable

        raise StoreUnavailable("it is away")

    monkeypatch.setattr(other.gcron.scheduler.store, "send", fail)
    assert other.post("/jobs/job/stop").code == "no-history"
    assert owner.gcron.scheduler.running()


def test_a_service_of_another_node_is_stopped_and_restarted_there(make_node: Make) -> None:
    nodes = [make_node(name) for name in "ab"]
    for node in nodes:
        scheduler: Scheduler = node.gcron.scheduler
        scheduler.job("@service", name="web", run_on="one", greenlet=True)(lambda: sleep(10**6))
    sleep(12)
    owner, other = sorted(nodes, key=lambda node: "web" not in [run.job for run in node.gcron.scheduler.running()])
    (life,) = other.get("/jobs/web").json["running"]
    other.post("/services/web/restart")
    sleep(12)
    (second,) = other.get("/jobs/web").json["running"]
    assert second["run_id"] != life["run_id"]
    other.post("/jobs/web/stop")
    sleep(30)
    assert other.get("/jobs/web").json["running"] == owner.get("/jobs/web").json["running"] == []


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_service_that_is_stopped_is_started_again_from_another_node(make_node: Make, verb: str) -> None:
    """Only a life on the other node was looked for: without one, the answer was 500, and nothing started it."""
    nodes = [make_node(name) for name in "ab"]
    for node in nodes:
        node.gcron.scheduler.job("@service", name="web", run_on="one", greenlet=True)(lambda: sleep(10**6))
    sleep(12)
    owner, other = sorted(nodes, key=lambda node: "web" not in [run.job for run in node.gcron.scheduler.running()])
    owner.post("/jobs/web/stop")
    sleep(12)
    assert other.get("/jobs/web").json["running"] == []
    assert other.post(f"/services/web/{verb}").status < 300
    sleep(12)
    (life,) = other.get("/jobs/web").json["running"]
    assert life["node"] == owner.gcron.name


def test_a_service_that_another_node_has_is_not_triggered_here(make_node: Make) -> None:
    """The answer was 500 Internal Server Error: it did not name the node."""
    nodes = [make_node(name) for name in "ab"]
    for node in nodes:
        node.gcron.scheduler.job("@service", name="web", run_on="one", greenlet=True)(lambda: sleep(10**6))
    sleep(12)
    owner, other = sorted(nodes, key=lambda node: "web" not in [run.job for run in node.gcron.scheduler.running()])
    answer = other.post("/jobs/web/trigger")
    assert (answer.status, answer.code) == (409, "not-here")
    assert answer.json["detail"].endswith(f"cannot be started on this node: it runs on node {owner.gcron.name}")


# -- labels and output --------------------------------------------------------------------------------------------


def test_a_job_with_a_label_that_this_node_has_not_says_so(make_node: Make) -> None:
    a, b = (make_node(name, labels=labels, run_on="label:gpu") for name, labels in (("a", ()), ("b", ("gpu",))))
    assert a.get("/jobs/job").json["waits"] == "this node does not have the label gpu"
    assert a.get("/jobs/job").json["next_fires"] == []
    assert b.get("/jobs/job").json["waits"] == ""
    assert "does not have the label gpu" in a.get("/why?job=job&at=2030-01-01T00:00Z").json["explanation"]


def test_output_that_only_another_node_has_is_a_line_that_names_the_node(
    make_node: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gcron.scheduler.history import OutputPart

    nodes = make_node("a"), make_node("b")
    sleep(62)
    owner, other = owner_first(*nodes)
    (run,) = owner.gcron.scheduler.running()
    parts = {0: OutputPart(0, b"head", 100), 4: OutputPart(96, b"tail", 100)}
    for node in nodes:
        monkeypatch.setattr(node.gcron.scheduler.store, "output", lambda run_id, position, limit: parts[position])
    words = b"are only on node " + owner.gcron.name.encode()
    assert other.get(f"/runs/{run.run_id}/output").body == b"head\n[gcron: 92 bytes %b]\ntail" % words
    assert owner.get(f"/runs/{run.run_id}/output").body == b"head\n[gcron: 92 bytes are not kept]\ntail"

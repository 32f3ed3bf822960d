"""The pages and the metrics of a node that shares its jobs with others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gcron.greenlet import sleep
from gcron.testing import VirtualClock
from tests.scheduler.cluster_store import ClusterStore, NodeClock, Shared
from tests.web.conftest import MakeSite, Site


@pytest.fixture
def site(clock: VirtualClock, make_site: MakeSite, make_scheduler: Callable[..., Any]) -> Site:
    """The pages of node a, a minute after its start; b runs other jobs, and c has stopped to report."""
    shared = Shared(clock)
    stores = {name: ClusterStore(shared, name) for name in "abc"}
    site = make_site(anonymous="metrics", store=stores["a"])
    b, c = (make_scheduler("UTC", clock=clock, state=stores[name])[0] for name in "bc")
    for scheduler in (site.gcron.scheduler, b, c):
        timeout = "9s" if scheduler is b else None
        scheduler.job("* * * * *", name="job", greenlet=True, timeout=timeout)(lambda: sleep(1))
        scheduler.start()
    stores["c"].is_cut = True
    sleep(70)
    site.sign_in()
    return site


def test_the_overview_shows_all_nodes_and_what_is_wrong_with_them(site: Site) -> None:
    page = site.get("/").text
    assert "<h2>Nodes</h2>" in page
    assert "Node c: it is down" in page
    assert "Node b: it has other jobs" in page
    assert "Node a:" not in page


@pytest.mark.parametrize(
    ("skew", "problem"),
    [
        (2.5, "its clock is 2.5 s ahead of that of the database"),
        (-2.5, "its clock is 2.5 s behind that of the database"),
        (0.9, ""),
    ],
)
def test_a_clock_that_is_more_than_a_second_off_is_a_problem(
    clock: VirtualClock, make_site: MakeSite, make_scheduler: Callable[..., Any], skew: float, problem: str
) -> None:
    """On the pages of all nodes, and in the metrics of its own."""
    shared = Shared(clock)
    right = make_site(anonymous="metrics", store=ClusterStore(shared, "a"))
    wrong, _ = make_scheduler("UTC", clock=NodeClock(clock, skew), state=ClusterStore(shared, "b"))
    for scheduler in (right.gcron.scheduler, wrong):
        scheduler.start()
    sleep(20)
    right.sign_in()
    page = right.get("/").text
    assert ("Node b" in page, problem in page) == (bool(problem), True)
    assert f"{skew:+.1f} s" in page
    assert wrong.node is not None
    assert wrong.node.skew == pytest.approx(skew, abs=0.1)


def test_runs_name_their_node(site: Site) -> None:
    assert "<th>Node" in site.get("/runs").text
    (run, *_) = site.gcron.scheduler.history()
    stored = site.gcron.scheduler.store.run(run.run_id)
    assert stored is not None
    assert f"<dt>Node<dd>{stored.node}" in site.get(f"/runs/{run.run_id}").text


def test_one_machine_alone_has_no_nodes_on_its_pages(stranger: Site) -> None:
    stranger.sign_in()
    stranger.gcron.scheduler.job("* * * * *", name="job", greenlet=True)(lambda: None)
    stranger.gcron.scheduler.start()
    sleep(70)
    assert "Nodes" not in stranger.get("/").text
    assert "<th>Node" not in stranger.get("/runs").text


def test_metrics_tell_which_nodes_are_up(site: Site) -> None:
    families = {family.name: family for family in text_string_to_metric_families(site.get("/metrics").text)}
    assert {s.labels["node"]: s.value for s in families["gcron_node_up"].samples} == {"a": 1, "b": 1, "c": 0}
    assert {s.labels["result"] for s in families["gcron_claims"].samples} == {"won", "lost"}
    (skew,) = families["gcron_clock_skew_seconds"].samples
    assert skew.value == pytest.approx(0, abs=0.1)
    (latency,) = families["gcron_store_latency_seconds"].samples
    assert latency.value >= 0

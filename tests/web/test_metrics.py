"""Metrics: their names by Prometheus' rules, their values, the files in examples/ that use them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock
from gcron.web.metrics_file import check_metrics
from tests.scheduler.cluster_store import ClusterStore, Shared
from tests.waiting import until
from tests.web.conftest import MakeSite, Messenger, Site

EXAMPLES = Path(__file__).parents[2] / "examples" / "prometheus"


def fails() -> None:
    raise ValueError("no")


@pytest.fixture
def watched(make_site: MakeSite) -> Site:
    """A gcron with a job of each kind, after two minutes."""

    class Read:
        problem = "wrong"
        last_read = 1.5
        reading_since = None

        def reload(self, who: str) -> Any:
            return None

    site = make_site(anonymous="metrics", reload=Read())
    scheduler: Scheduler = site.gcron.scheduler
    scheduler.job("* * * * *", name="good")(lambda: None)
    scheduler.job("* * * * *", name="bad", retries=1, retry_delay="1s")(fails)
    scheduler.job("0 0 1 1 *", name="paused")(fails)
    scheduler.pause("paused")
    scheduler.start()
    sleep(130)
    return site


def samples_of(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_messages_for_each_target(watched: Site, messenger: Messenger, site: Site) -> None:
    messenger.ops.fail("ops", [], 0.0, "no", 10.0)
    messenger.ops.lose([], 0.0, "no")
    messenger.ops.waiting = 2
    messenger.night.succeed("night", [], 0.0)
    site.gcron.scheduler.start()
    samples = samples_of(site.get("/metrics").text)
    assert samples["gcron_message_target_failing", ("ops",)] == 1
    assert samples["gcron_message_tries_failed_total", ("ops",)] == 1
    assert samples["gcron_messages_given_up_total", ("ops",)] == 1
    assert samples["gcron_messages_waiting", ("ops",)] == 2
    assert samples["gcron_messages_sent_total", ("night",)] == 1
    assert samples["gcron_message_target_failing", ("night",)] == 0
    assert "gcron_messages" not in watched.get("/metrics").text, "nothing is said of messages where there are none"


def test_metrics_say_how_the_jobs_stand(watched: Site, make_site: MakeSite) -> None:
    samples = samples_of(watched.get("/metrics").text)
    assert samples["gcron_up", ()] == 1
    assert samples["gcron_job_runs_total", ("good", "succeeded")] == 2
    assert samples["gcron_job_runs_total", ("bad", "failed")] == 2
    assert samples["gcron_job_retries_total", ("bad",)] == 2
    assert samples["gcron_job_duration_seconds_count", ("good",)] == 2
    assert samples["gcron_job_duration_seconds_bucket", ("good", "+Inf")] == 2
    assert samples["gcron_job_last_success_timestamp_seconds", ("good",)] == watched.gcron.clock.now() - 10
    assert samples["gcron_job_next_fire_timestamp_seconds", ("good",)] == watched.gcron.clock.now() + 50
    assert samples["gcron_job_paused", ("paused",)] == 1
    assert samples["gcron_job_paused", ("good",)] == 0
    assert samples["gcron_reload_success", ()] == 0
    assert samples["gcron_reload_timestamp_seconds", ()] == 1.5
    assert samples["gcron_log_dropped_lines_total", ()] == 7
    assert ("gcron_job_last_success_timestamp_seconds", ("bad",)) not in samples


def test_names_follow_the_rules_of_prometheus(watched: Site) -> None:
    """As `promtool check metrics` does: a unit or a kind at the end, a help, no name of a kind."""
    for family in text_string_to_metric_families(watched.get("/metrics").text):
        assert re.fullmatch(r"gcron_[a-z][a-z_]*", family.name)
        assert family.documentation
        if family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples)
        if "time" in family.name or "duration" in family.name:
            assert family.name.endswith("_seconds")
        assert not re.search(r"gauge|counter|histogram|_ms$|_minutes", family.name)


def test_open_metrics_are_served_to_who_asks(watched: Site) -> None:
    answer = watched.get("/metrics", HTTP_ACCEPT="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_names_of_jobs_break_no_line_and_no_command_is_shown(make_site: MakeSite) -> None:
    site = make_site(anonymous="metrics")
    name = 'a"b\\c\nd\udcff'
    site.gcron.scheduler.command("echo s3cret", "@hourly", name=name)
    text = site.get("/metrics").text
    assert "s3cret" not in text
    assert ("gcron_job_running", ('a"b\\c\nd\\udcff',)) in samples_of(text)


def test_without_the_library_one_line_names_the_command_that_installs_it(
    watched: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    answer = watched("GET", "/metrics")
    assert answer.status == 501
    assert "pip install 'gcron[metrics]'" in answer.text


def test_removed_jobs_are_forgotten(watched: Site) -> None:
    watched.gcron.scheduler.remove("good")
    text = watched.get("/metrics").text
    assert "good" not in text
    assert "good" not in watched.application._metrics._tally.jobs


# -- a file -------------------------------------------------------------------------------------------------------


def test_the_file_has_the_same_metrics(gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "gcron.prom"
    daemon = gcron_run("# gcron: name=job\n@hourly true\n", "--metrics-file", str(file))
    until(file.exists)
    assert samples_of(file.read_text())["gcron_up", ()] == 1
    assert [path.name for path in file.parent.iterdir()] == ["gcron.prom"]
    daemon.stop()


def test_a_file_that_cannot_be_written_refuses_the_start(gcron_run: Callable[..., Any]) -> None:
    daemon = gcron_run("@hourly true\n", "--metrics-file", "/no/such/place/x.prom")
    assert daemon.wait() == 1
    assert "cannot write into /no/such/place" in daemon.errors


def test_without_the_library_the_file_refuses_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"gcron\[metrics\]"):
        check_metrics(str(tmp_path / "x.prom"))


# -- the examples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alerts.yml", "dashboard.json"])
def test_the_examples_use_only_names_that_are_served(make_site: MakeSite, clock: VirtualClock, name: str) -> None:
    store = ClusterStore(Shared(clock), "a")
    site = make_site(anonymous="metrics", reload=type("R", (), {"problem": "", "last_read": None}), store=store)
    site.gcron.scheduler.job("@service", name="web", greenlet=True)(lambda: sleep(1000))
    site.gcron.scheduler.job("* * * * *", name="job", greenlet=True)(lambda: None)
    site.gcron.scheduler.start()
    sleep(61)
    text = site.get("/metrics").text
    served = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    served |= {f"{name}{end}" for name in served for end in ("_bucket", "_sum", "_count")}
    used = set(re.findall(r"\bgcron_\w+", (EXAMPLES / name).read_text()))
    assert used
    assert used <= served


def test_the_dashboard_is_json_whose_panels_do_not_overlap() -> None:
    dashboard = json.loads((EXAMPLES / "dashboard.json").read_text())
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert all(panel["targets"][0]["expr"] for panel in dashboard["panels"])

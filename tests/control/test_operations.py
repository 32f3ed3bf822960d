"""What can be asked and done, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gcron.control import operations
from gcron.control.instance import Instance
from gcron.control.records import without_secrets
from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock
from tests.control.conftest import Asker

HOUR = 3600


def test_jobs_come_in_pages_also_when_some_go_meanwhile(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    for number in range(25):
        scheduler.command("true", "@manual", name=f"job{number}")
    first = api.get("/jobs?limit=10").json
    assert [job["job"] for job in first["jobs"]] == [f"job{number}" for number in range(10)]
    scheduler.remove("job3")
    second = api.get(f"/jobs?limit=10&cursor={first['cursor']}").json
    assert [job["job"] for job in second["jobs"]] == [f"job{number}" for number in range(10, 20)]
    last = api.get(f"/jobs?limit=10&cursor={second['cursor']}").json
    assert [job["job"] for job in last["jobs"]] == [f"job{number}" for number in range(20, 25)]
    assert last["cursor"] is None
    assert api.get("/jobs?cursor=1000:job9999").json == {"jobs": [], "cursor": None}
    assert api.get("/jobs?cursor=nonsense").code == "bad-cursor"


def test_the_next_fires_of_a_paused_job_are_those_after_its_pause(api: Asker) -> None:
    """They were listed as if the job were not paused."""
    scheduler = api.gcron.scheduler
    scheduler.command("true", "@every 60s", name="job")
    scheduler.start()
    assert api.get("/jobs/job").json["next_fires"][0] == "2026-01-01T00:01:00Z"
    scheduler.pause("job", until=datetime(2026, 1, 1, 2, 30, 30, tzinfo=UTC))
    assert api.get("/jobs/job").json["next_fires"][0] == "2026-01-01T02:31:00Z"
    scheduler.pause("job")
    assert api.get("/jobs/job").json["next_fires"] == []


def test_runs_come_in_pages_newest_first(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.job("@every 60s", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(630)
    seen: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"/jobs/job/runs?limit=4&cursor={cursor}").json
        seen += [run["fire_at"] for run in page["runs"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == [f"2026-01-01T00:{minute:02}:00Z" for minute in range(10, 0, -1)]
    between = "since=2026-01-01T00:03:00Z&until=2026-01-01T00:05:30%2B00:00"
    assert len(api.get(f"/runs?job=job&{between}").json["runs"]) == 3
    assert api.get("/runs?outcome=failed,skipped").json["runs"] == []
    assert api.get("/runs?cursor=nonsense").code == "bad-cursor"


def test_a_page_beyond_the_end_is_empty(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.job("@every 60s", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(150)
    assert len(api.get("/runs").json["runs"]) == 2
    assert api.get("/runs?cursor=1.0:1").json == {"runs": [], "cursor": None}
    assert api.get("/jobs/job/runs?cursor=1.0:1").json == {"runs": [], "cursor": None}
    assert api.get("/jobs?limit=1&cursor=999999999:job").json["cursor"] is None


def test_a_job_is_found_by_its_name_a_part_of_it_or_its_line(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    for name in ("backup", "backup-db", "Report"):
        scheduler.command("true", "@manual", name=name)

    def found(text: str) -> list[str]:
        return [job["job"] for job in api.get(f"/jobs?find={text}").json["jobs"]]

    assert found("backup") == ["backup"]
    assert found("-db") == ["backup-db"]
    assert found("rep") == ["Report"]
    several = api.get("/jobs?find=back")
    assert (several.status, several.code) == (404, "no-such-job")
    assert "2 names have that part" in several.json["detail"]
    assert api.get("/jobs/bakcup").json["nearest"][0] == "backup"
    assert "did you mean backup" in api.get("/jobs/bakcup").json["detail"]
    assert api.get("/jobs/rep").code == "no-such-job", "the path takes whole names only"


def test_fires_to_come_are_in_order_and_without_paused_jobs(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.command("true", "0 * * * *", name="hourly")
    scheduler.command("true", "30 0 * * *", name="daily")  # 23:30 UTC the day before, in Berlin
    scheduler.command("true", "* * * * *", name="paused")
    scheduler.command("true", "* * * * *", name="off", enabled=False)
    scheduler.start()
    scheduler.pause("paused")
    window = "from=2026-01-01T22:00:00Z&to=2026-01-02T00:00:00Z"
    fires = api.get(f"/upcoming?{window}").json["fires"]
    assert [(fire["at"][11:16], fire["job"]) for fire in fires] == [
        ("23:00", "hourly"),
        ("23:30", "daily"),
        ("00:00", "hourly"),
    ]
    assert len(api.get("/upcoming?limit=2").json["fires"]) == 2
    assert {fire["job"] for fire in api.get("/upcoming?job=daily&limit=3").json["fires"]} == {"daily"}


def test_a_trigger_says_what_became_of_it(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    for overlap in ("skip", "allow", "queue", "replace"):
        scheduler.job("@manual", name=overlap, overlap=overlap, greenlet=True)(lambda: sleep(100))
    scheduler.start()
    first = [api.post(f"/jobs/{name}/trigger").json["decision"] for name in ("skip", "allow", "queue", "replace")]
    assert first == ["started"] * 4
    sleep(1)
    second = [api.post(f"/jobs/{name}/trigger").json["decision"] for name in ("skip", "allow", "queue", "replace")]
    assert second == ["skipped", "started", "queued", "replaced"]
    third = api.post("/jobs/queue/trigger").json
    assert (third["decision"], third["reason_code"], third["outcome"]) == ("skipped", "queue-full", "skipped")
    sleep(1000)
    outcomes = sorted(run["outcome"] for run in api.get("/runs").json["runs"])
    assert outcomes == ["killed", *["skipped"] * 2, *["succeeded"] * 6], "none is lost"


def test_a_trigger_while_gcron_stops_is_refused(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.job("@manual", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    scheduler.stop(grace=0)
    for target in ("/jobs/job/trigger",):
        answer = api.post(target)
        assert (answer.status, answer.code) == (503, "stopping")


def test_a_run_can_be_stopped_and_says_by_whom(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.job("@manual", name="job", overlap="allow", greenlet=True)(lambda: sleep(1000))
    scheduler.start()
    run_ids = [api.post("/jobs/job/trigger", why="a test").json["run_id"] for _ in range(3)]
    sleep(1)
    assert api.post(f"/runs/{run_ids[0]}/stop", why="too long").json["state"] == "stopping"
    sleep(1)
    stopped = api.get(f"/runs/{run_ids[0]}").json
    assert (stopped["outcome"], stopped["reason"]) == ("killed", "stopped by ann: too long")
    assert sorted(api.post("/jobs/job/stop").json["stopped"]) == sorted(run_ids[1:])
    sleep(1)
    assert api.get(f"/runs/{run_ids[2]}").json["reason"] == "stopped by ann"
    assert api.post("/jobs/job/stop").code == "not-under-way"
    assert api.post(f"/runs/{run_ids[0]}/kill").code == "not-under-way"


def test_a_pause_has_an_end_and_a_reason(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.job("0 * * * *", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    job = api.post("/jobs/job/pause", **{"for": "2h", "why": "a deploy"}).json
    expected = {"until": "2026-01-01T02:00:00.000Z", "who": "ann", "why": "a deploy"}
    assert job["pause"] == {"since": "2026-01-01T00:00:00.000Z", **expected}
    assert (job["paused"], job["next_fire"]) == (True, None)
    job = api.post("/jobs/job/pause", until="2026-01-01T03:30:00+01:00").json
    assert job["pause"]["until"] == "2026-01-01T02:30:00.000Z"
    sleep(2 * HOUR + 1801)
    assert api.get("/jobs/job").json["paused"] is False
    assert api.get("/jobs/job").json["next_fire"] == "2026-01-01T03:00:00Z"
    assert api.post("/jobs/job/pause", until="2026-01-01T00:00:00Z").code == "bad-request"
    assert api.post("/jobs/job/pause", until="2027-01-01T00:00:00Z", **{"for": 5}).code == "bad-request"
    assert api.post("/jobs/job/resume").json["paused"] is False


def test_what_means_nothing_to_a_job_is_refused(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.service("sleep 10", name="web", enabled=False)
    scheduler.job("@manual", name="job", greenlet=True)(lambda: None)
    assert api.post("/jobs/web/pause").code == "is-a-service"
    for verb in ("start", "stop", "restart"):
        assert api.post(f"/services/job/{verb}").code == "not-a-service"
        assert api.post(f"/services/nothing/{verb}").code == "no-such-job"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("backup --all", "backup --all"),
        ("TOKEN=abc backup", "TOKEN=… backup"),
        ("PASSWORD='a b c' backup; X=1 true", "PASSWORD=… backup; X=… true"),
        ("mysqldump --password=hunter2 -u root db", "mysqldump --password=… -u root db"),
        ("tool --token abc --verbose", "tool --token … --verbose"),
        ("curl -u ann:secret https://x.org/", "curl -u … https://x.org/"),
        ("curl https://ann:secret@x.org/a?key=1&b=2", "curl https://…@x.org/a?…"),
        ("curl -H 'Authorization: Bearer abc' x.org", "curl -H 'Authorization: …' x.org"),
    ],
)
def test_no_secret_of_a_command_is_shown(command: str, shown: str) -> None:
    assert without_secrets(command) == shown


def test_a_run_that_waits_for_a_job_shows_how_that_stands(api: Asker) -> None:
    """`status` said "waiting for 12s", and `why` no more."""
    scheduler = api.gcron.scheduler
    scheduler.job("@reboot", name="migrate", greenlet=True)(lambda: 1 / 0)
    scheduler.job("* * * * *", name="job", after="migrate", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(61)
    words = "waits for the job migrate: failed, ZeroDivisionError: division by zero"
    (run,) = api.get("/jobs/job").json["running"]
    assert (run["state"], run["waits_for"]) == ("waiting", words)
    assert f"is under way: waiting; it {words}" in api.get("/why?job=job&at=2026-01-01T00:01Z").json["explanation"]
    sleep(60)
    explanation = api.get("/why?job=job&at=2026-01-01T00:02Z").json["explanation"]
    assert explanation == f"due; skipped: the run {run['run_id']} has not begun yet: it {words}"


def test_a_program_without_state_shows_how_its_jobs_did(
    clock: VirtualClock, make_scheduler: Callable[..., tuple[Scheduler, Any]]
) -> None:
    """`gcron status --socket` showed LAST "-" and "0 failing", while `gcron history` listed failed runs."""
    scheduler, _ = make_scheduler("UTC", clock=clock)
    scheduler.job("* * * * *", name="bad", greenlet=True)(lambda: 1 / 0)
    scheduler.job("@manual", name="idle", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(121)
    bad, idle = operations.jobs(Instance(scheduler, "test", since=clock.now(), clock=clock))[0]
    assert (bad["recent"], bad["runs"], bad["failed"]) == (["failed", "failed"], 2, 2)
    assert bad["last_fire_at"] == "2026-01-01T00:02:00Z"
    assert (idle["recent"], idle["runs"], idle["last_ended"]) == ([], 0, None)

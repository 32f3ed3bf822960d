"""Jobs that run after others, as the API shows them and as `why` explains them."""

from __future__ import annotations

from typing import Any

import pytest

from gcron.greenlet import sleep
from tests.control.conftest import Asker


@pytest.fixture
def chain(api: Asker) -> Asker:
    """`extract` succeeds at 01:10 UTC each day, `load` fails at 01:20; `transform` runs after both."""
    scheduler = api.gcron.scheduler
    options: dict[str, Any] = {"tz": "UTC", "greenlet": True}

    def load() -> None:
        if api.fails:  # type: ignore[attr-defined]
            raise ValueError("no connection")

    api.fails = True  # type: ignore[attr-defined]
    scheduler.job("10 1 * * *", name="extract", **options)(lambda: None)
    scheduler.job("20 1 * * *", name="load", **options)(load)
    scheduler.job("@after extract,load", name="transform", **options)(lambda: None)
    scheduler.start()
    return api


def why(api: Asker, at: str = "now") -> Any:
    answer = api.get(f"/why?job=transform&at={at}")
    assert answer.status == 200, answer.body
    return answer.json


def test_a_job_record_names_the_jobs_before_it_and_how_they_have_done(chain: Asker) -> None:
    job = chain.get("/jobs/transform").json
    assert (job["kind"], job["schedule"], job["next_fire"]) == ("after-jobs", "@after extract,load", None)
    assert job["words"] == "Runs after extract and load have each succeeded"
    assert job["waits"] == "waits for extract and load"
    sleep(2 * 3600)
    job = chain.get("/jobs/transform").json
    assert job["waits"] == (
        "waits for load; extract succeeded at 01:10; load failed at 01:20: ValueError: no connection"
    )
    assert [(each["job"], each["succeeded"], each["outcome"]) for each in job["after_jobs"]] == [
        ("extract", True, "succeeded"),
        ("load", False, "failed"),
    ]
    assert job["after_jobs"][0]["ended"].startswith("2026-01-01T01:10:00")
    assert chain.get("/jobs/extract").json["after_jobs"] == []
    assert chain.get("/upcoming?job=transform").json["fires"] == []


def test_why_says_what_is_waited_for_and_what_was(chain: Asker) -> None:
    sleep(1.25 * 3600)
    assert why(chain)["explanation"] == "waits for load; extract succeeded at 01:10"
    sleep(0.75 * 3600)
    found = why(chain)
    assert (found["due"], found["verdict"], found["run"]) == (False, "waiting", None)
    assert found["explanation"].startswith("waits for load; extract succeeded at 01:10; load failed at 01:20: ")
    chain.fails = False  # type: ignore[attr-defined]
    chain.gcron.scheduler.trigger("load").result.get()
    sleep(3600)
    ran = why(chain, "02:00")
    assert (ran["due"], ran["fire_at"], ran["verdict"]) == (True, "2026-01-01T02:00:00Z", "ran")
    assert ran["run"]["outcome"] == "succeeded"
    assert ran["explanation"] == "due, because extract and load had succeeded; it ran; outcome succeeded"
    early = why(chain, "01:15")
    assert (early["due"], early["verdict"]) == (False, "not-due")
    assert early["explanation"] == "not due: it waited for load; extract succeeded at 01:10"
    assert why(chain, "02:30")["explanation"] == "not due: it waited for extract and load"
    assert why(chain)["explanation"] == "waits for extract and load"
    before = why(chain, "2025-12-31T03:00")
    assert (before["due"], before["verdict"]) == (False, "before-start")
    assert before["explanation"].startswith("this gcron started only at 2026-01-01T00:00:00Z")


def test_the_past_is_told_by_its_own_day(chain: Asker) -> None:
    sleep(86400 + 3600)
    assert chain.get("/jobs/transform").json["waits"] == (
        "waits for load; extract succeeded at 2026-01-01 01:10; "
        "load failed at 2026-01-01 01:20: ValueError: no connection"
    )


def test_a_pause_and_a_run_of_before_are_explained(chain: Asker) -> None:
    scheduler = chain.gcron.scheduler
    chain.fails = False  # type: ignore[attr-defined]
    scheduler.pause("transform", who="ann")
    sleep(2 * 3600)
    found = why(chain)
    assert (found["verdict"], found["pause"]["who"]) == ("paused", "ann")
    assert found["explanation"] == (
        "paused: it runs when it is resumed; extract succeeded at 01:10; load succeeded at 01:20"
    )
    answer = chain.post("/jobs/transform/resume")
    assert answer.status == 200
    sleep(1)
    assert scheduler.counts.of("transform").succeeded == 1


def test_a_skipped_fire_is_explained(chain: Asker) -> None:
    scheduler = chain.gcron.scheduler
    chain.fails = False  # type: ignore[attr-defined]
    scheduler.remove("transform")
    scheduler.job("@after extract,load", name="transform", tz="UTC", greenlet=True)(lambda: sleep(7200))
    scheduler.trigger("transform")
    sleep(1.5 * 3600)
    found = why(chain, "01:20")
    assert (found["due"], found["verdict"]) == (True, "skipped")
    assert "is still under way" in found["explanation"]

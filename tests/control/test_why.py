"""`why`: whether a job was due, which field says no, what the clock did, and what came of the fire."""

from __future__ import annotations

from typing import Any

from gcron import cron
from gcron.greenlet import sleep
from tests.control.conftest import Asker

DAY = 86400


def ask(api: Asker, at: str, job: str = "job") -> Any:
    answer = api.get(f"/why?job={job}&at={at.replace('+', '%2B')}")
    assert answer.status == 200, answer.body
    return answer.json


def test_the_fields_that_say_no_are_named(api: Asker) -> None:
    api.gcron.scheduler.command("true", "30 2 * * mon", name="job")
    found = ask(api, "2026-01-01T03:30")  # a Thursday
    assert (found["due"], found["verdict"]) == (False, "not-due")
    assert [field["field"] for field in found["fields"] if not field["fits"]] == ["hour", "day of week"]
    assert found["explanation"] == (
        "not due: the hour was 3, and the schedule says hour 02; the day of week was 4, and the schedule says Mondays"
    )
    assert found["at"] == "2026-01-01T02:30:00Z", "the time is one of Berlin"
    assert found["following_fire"] == "2026-01-05T01:30:00Z"


def test_either_day_field_is_enough_where_the_schedule_says_so(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.command("true", "0 0 13 * fri", name="either")
    scheduler.command("true", "0 0 */13 * fri", name="both")
    scheduler.command("true", "0 0 L * *", name="last")
    assert ask(api, "2026-01-02", "either")["due"] is True
    assert ask(api, "2026-01-13", "either")["due"] is True
    wrong = {field["field"]: field["fits"] for field in ask(api, "2026-01-14", "either")["fields"]}
    assert wrong == {"minute": True, "hour": True, "day of month": False, "month": True, "day of week": False}
    wrong = {field["field"]: field["fits"] for field in ask(api, "2026-01-02", "both")["fields"]}
    assert wrong == {"minute": True, "hour": True, "day of month": False, "month": True, "day of week": True}
    assert ask(api, "2026-01-31", "last")["due"] is True
    assert [field["fits"] for field in ask(api, "2026-01-30", "last")["fields"]][2] is False


def test_a_clock_change_that_skips_the_time_is_explained(api: Asker) -> None:
    """In Berlin, 02:30 does not exist on 2026-03-29. A fixed time fires at the change; a wildcard does not."""
    scheduler = api.gcron.scheduler
    scheduler.job("30 2 * * *", name="fixed", greenlet=True)(lambda: None)
    scheduler.job("30 * * * *", name="wild", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(88 * DAY)
    found = ask(api, "2026-03-29T02:30", "fixed")
    assert found["clock"] == "the clock skipped 02:30 that day: at 02:00 it was set to 03:00"
    assert (found["due"], found["fire_at"], found["mark"]) == (True, "2026-03-29T01:00:00Z", "made up")
    assert found["verdict"] == "ran"
    assert "made up right after a clock change" in found["explanation"]
    assert ask(api, "2026-03-29T02:30", "wild")["due"] is False


def test_a_time_that_the_clock_shows_twice_is_explained(api: Asker) -> None:
    api.gcron.scheduler.command("true", "30 2 * * *", name="job")
    found = ask(api, "2026-10-25T02:30")
    assert found["clock"] == "the clock showed 02:30 twice that day: at 03:00 it was set to 02:00"
    assert (found["due"], found["fire_at"], found["mark"]) == (True, "2026-10-25T00:30:00Z", "first pass")
    assert found["verdict"] == "to-come"
    assert ask(api, "2026-10-25T02:30+01:00")["due"] is False, "a fixed time does not fire in the second pass"


def test_what_came_of_a_fire(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.job("0 * * * *", name="job", greenlet=True)(lambda: sleep(5400))
    scheduler.start()
    sleep(3 * 3600 + 1)
    ran, skipped, under_way = (ask(api, f"2026-01-01T{hour:02}:00Z") for hour in (1, 2, 3))
    assert (ran["verdict"], ran["run"]["outcome"]) == ("ran", "succeeded")
    assert (skipped["verdict"], skipped["run"]["outcome"]) == ("skipped", "skipped")
    assert "is still under way" in skipped["explanation"]
    assert (under_way["verdict"], under_way["run"]["state"]) == ("under-way", "running")
    assert ask(api, "2026-01-01T04:00Z")["verdict"] == "to-come"
    assert ask(api, "2025-12-31T04:00Z")["verdict"] == "before-start"


def test_a_missed_fire_is_found_in_its_span(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.job("*/10 * * * *", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(60)
    api.gcron.clock.jump(3 * 3600)  # type: ignore[attr-defined]
    sleep(60)
    found = ask(api, "2026-01-01T01:30Z")
    assert (found["verdict"], found["run"]["outcome"]) == ("missed", "missed")
    assert "gcron could not act" in found["explanation"]


def test_a_pause_and_a_job_that_is_off(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    scheduler.job("0 * * * *", name="job", greenlet=True)(lambda: None)
    scheduler.job("0 * * * *", name="off", enabled=False, greenlet=True)(lambda: None)
    scheduler.job("@manual", name="manual", greenlet=True)(lambda: None)
    scheduler.start()
    scheduler.pause("job", who="ann", why="a deploy")
    sleep(2 * 3600)
    found = ask(api, "2026-01-01T01:00Z")
    assert (found["verdict"], found["pause"]["who"]) == ("paused", "ann")
    assert "by ann: a deploy" in found["explanation"]
    assert ask(api, "2026-01-02T01:00Z")["verdict"] == "paused"
    assert ask(api, "2026-01-01T01:00Z", "off")["verdict"] == "not-enabled"
    assert "only when it is triggered" in ask(api, "2026-01-01T01:00Z", "manual")["explanation"]


def test_who_triggered_a_run_and_why_is_shown(api: Asker) -> None:
    """They were in the log only."""
    scheduler = api.gcron.scheduler
    scheduler.job("0 * * * *", name="job", greenlet=True)(lambda: sleep(90))
    scheduler.start()
    sleep(3600 + 1800)  # 02:30 in Berlin
    run = scheduler.trigger("job", who="ann", why="a test")
    sleep(1)
    found = ask(api, "02:30")
    assert (found["due"], found["verdict"], found["run"]["run_id"]) == (False, "triggered", run.run_id)
    assert found["explanation"].endswith("; triggered by ann: a test; it is under way: running")
    sleep(120)
    found = ask(api, "02:30")
    assert (found["verdict"], found["run"]["who"], found["run"]["why"]) == ("triggered", "ann", "a test")
    assert found["explanation"].endswith("; triggered by ann: a test; it ran; outcome succeeded")
    assert ask(api, "02:31")["verdict"] == "not-due"
    triggered, due = api.get("/jobs/job/runs").json["runs"]
    assert [(record["who"], record["why"]) for record in (triggered, due)] == [("ann", "a test"), ("", "")]


def test_a_time_of_day_is_the_last_one(api: Asker) -> None:
    api.gcron.scheduler.command("true", "30 2 * * *", name="job")
    sleep(DAY + 3 * 3600)  # 2026-01-02 04:00 in Berlin
    assert ask(api, "02:30")["at"] == "2026-01-02T01:30:00Z"
    assert ask(api, "05:00:30")["at"] == "2026-01-01T04:00:30Z"
    assert ask(api, "now")["at"] == "2026-01-02T03:00:00Z"
    for wrong in ("tomorrow", "25:00", "2026-02-30", "02:30:99", "9999999-01-01", ""):
        assert api.get(f"/why?job=job&at={wrong}").code == "bad-request", wrong


def test_limits_of_a_schedule_are_named(api: Asker) -> None:
    schedule = cron("30 2 * * *", start="2026-01-05", end="2026-01-10", except_on="2026-01-07")
    api.gcron.scheduler.command("true", schedule, name="job")
    assert "its first moment (start)" in ask(api, "2026-01-02T02:30")["explanation"]
    assert "its last moment (end)" in ask(api, "2026-01-12T02:30")["explanation"]
    assert "except-on" in ask(api, "2026-01-07T02:30")["explanation"]
    assert ask(api, "2026-01-08T02:30")["due"] is True


def test_seconds_within_the_minute_count_as_the_minute(api: Asker) -> None:
    api.gcron.scheduler.command("true", "@every 50s", name="job")
    assert ask(api, "2026-01-01T00:01Z")["fire_at"] == "2026-01-01T00:01:40Z"
    assert ask(api, "2026-01-01T00:01:39Z")["due"] is False


def test_now_is_the_whole_minute(api: Asker) -> None:
    """`why` 17 s after a fire said "not due: its schedule has no fire then", with all five fields ok."""
    scheduler = api.gcron.scheduler
    scheduler.job("* * * * *", name="job", greenlet=True)(lambda: None)
    scheduler.job("@every 20s", name="thrice", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(137)
    found = ask(api, "now")
    assert (found["at"], found["fire_at"], found["verdict"]) == ("2026-01-01T00:02:17Z", "2026-01-01T00:02:00Z", "ran")
    assert ask(api, "2026-01-01T00:01:30Z")["fire_at"] == "2026-01-01T00:01:00Z"
    assert ask(api, "2026-01-01T00:01:30Z", "thrice")["due"] is False, "its seconds are asked about"
    sleep(30)
    assert ask(api, "now", "thrice")["fire_at"] == "2026-01-01T00:02:40Z", "the last one that is not to come"


def test_what_somebody_decided_comes_before_the_fields(api: Asker) -> None:
    """`enabled=no` was named for the minute of a fire only, and nobody asks about that minute of a job that is off."""
    scheduler = api.gcron.scheduler
    scheduler.job("0 * * * *", name="off", enabled=False, greenlet=True)(lambda: None)
    scheduler.job("0 * * * *", name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(60)
    scheduler.pause("job", who="ann", why="a deploy")
    sleep(60)
    assert ask(api, "now", "off")["explanation"].startswith("it is not enabled (enabled=no); besides, not due: ")
    explanation = ask(api, "now")["explanation"]
    assert explanation.startswith("it is paused since 2026-01-01T00:01:00Z by ann: a deploy; besides, not due: ")
    assert ask(api, "2026-01-01T00:00:30Z")["explanation"].startswith("due; "), "the pause came later"


def test_a_service_that_has_begun_is_not_said_to_be_triggered(api: Asker) -> None:
    """Each start of a service without a word of somebody was shown as a trigger."""
    api.gcron.scheduler.command("sleep 0.5", "@service", name="server")
    api.gcron.scheduler.start()
    sleep(1)
    assert ask(api, "now", "server")["verdict"] == "not-due"

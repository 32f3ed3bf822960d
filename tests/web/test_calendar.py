"""`/api/v1/calendar.ics`: who may read it, and what calendar programs find in it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import icalendar
import pytest

from gcron.crontab import parse
from gcron.greenlet import sleep
from gcron.scheduler.job import jobs_of
from gcron.web.calendar import DAYS, MOST_EVENTS, OFTEN, PLACE
from tests.web.conftest import TOKEN, MakeSite, Site


def events_of(site: Site, target: str = PLACE) -> list[Any]:
    answer = site.get(target)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    return list(icalendar.Calendar.from_ical(answer.body).walk("VEVENT"))


def key_of(site: Site) -> str:
    return site.access.calendar_key


# -- who may ------------------------------------------------------------------------------------------------------


def test_the_timeline_has_a_link_that_opens_the_calendar_without_a_session(site: Site) -> None:
    site.gcron.scheduler.command("true", "0 3 * * *", name="backup")
    link = f"{PLACE}?key={key_of(site)}"
    assert f'href="{link}"' in site.get("/timeline").text
    site.cookie = ""
    assert len(events_of(site, link)) == DAYS


@pytest.mark.parametrize("query", ["", "?key=", "?key=wrong", f"?key={TOKEN}", f"?token={TOKEN}", "?key=%ff"])
def test_without_its_key_the_calendar_is_closed(stranger: Site, query: str) -> None:
    answer = stranger.get(f"{PLACE}{query}")
    assert answer.status == 401
    assert b"VCALENDAR" not in answer.body


@pytest.mark.parametrize("path", ["/", "/timeline", "/api/v1/jobs", "/api/v1/instance", "/metrics", f"{PLACE}/"])
def test_the_key_opens_nothing_else(stranger: Site, path: str) -> None:
    key = key_of(stranger)
    for answer in (
        stranger.get(f"{path}?key={key}"),
        stranger.get(f"{path}?token={key}"),
        stranger.bearer("GET", path, key),
    ):
        assert answer.status in (401, 403, 404)


def test_the_calendar_can_only_be_read(site: Site) -> None:
    answer = site.bearer("POST", PLACE)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert site.bearer("HEAD", PLACE).status == 200


def test_another_token_has_another_key(site: Site) -> None:
    from gcron.web.access import Access

    assert Access(f"{TOKEN}x", lambda: 0.0, lambda: 0.0).calendar_key != key_of(site)
    assert TOKEN not in key_of(site)


def test_who_may_only_read_gets_a_link_without_the_key(make_site: MakeSite) -> None:
    reader = make_site(anonymous="read")
    reader.gcron.scheduler.command("true", "0 3 * * *", name="backup")
    assert key_of(reader) not in reader.get("/timeline").text
    assert len(events_of(reader)) == DAYS


def test_without_the_library_it_says_what_to_install(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "icalendar", None)
    answer = site.bearer("GET", PLACE)
    assert (answer.status, answer.json["code"]) == (501, "no-calendar")
    assert "pip install 'gcron[calendar]'" in answer.json["detail"]


# -- what is in it ------------------------------------------------------------------------------------------------


def test_an_event_says_what_the_job_does_when_and_where_it_stands_but_not_its_command(site: Site) -> None:
    text = '# gcron: name=backup description="to the other building"\n30 3 * * * PASSWORD=s3cret backup\n'
    (job,) = jobs_of(parse(text, "jobs.crontab"))
    site.gcron.scheduler.add(job)
    event = events_of(site)[0]
    assert event["SUMMARY"] == "backup"
    lines = event["DESCRIPTION"].splitlines()
    assert lines[0] == "to the other building"
    assert lines[1] == "At 03:30 every day"
    assert lines[2].endswith("03:30:00+00:00 UTC")
    assert lines[3] == "jobs.crontab:2"
    assert event["URL"] == "http://127.0.0.1:9180/jobs/backup"
    assert b"s3cret" not in site.get(PLACE).body


def test_an_event_keeps_its_uid_and_events_have_different_ones(site: Site) -> None:
    for name in ("a", "b"):
        site.gcron.scheduler.command("true", "0 3 * * *", name=name)
    before = {event["UID"] for event in events_of(site)}
    assert len(before) == 2 * DAYS
    sleep(86400)
    site.sign_in()
    after = {event["UID"] for event in events_of(site)}
    assert len(before & after) == 2 * (DAYS - 1)


def test_both_of_two_equal_hours_are_in_it(make_site: MakeSite) -> None:
    """Written as times of the zone, the second 00:30 of that night would be the first one."""
    made = make_site()
    sleep(datetime(2026, 10, 31, 12, tzinfo=UTC).timestamp() - made.gcron.clock.now())
    made.sign_in()
    made.gcron.scheduler.command("true", "30 */6 * * *", name="job", tz="America/Havana")
    times = [event["DTSTART"].dt for event in events_of(made)]
    before, first, second, after = times[1:5]
    assert before == datetime(2026, 10, 31, 22, 30, tzinfo=UTC)
    assert first == datetime(2026, 11, 1, 4, 30, tzinfo=UTC)
    assert second == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert after == datetime(2026, 11, 1, 11, 30, tzinfo=UTC)
    texts = [event["DESCRIPTION"].splitlines()[1] for event in events_of(made)]
    assert texts[2:4] == ["2026-11-01 00:30:00-04:00 America/Havana", "2026-11-01 00:30:00-05:00 America/Havana"]


def test_what_is_often_due_paused_or_not_enabled_is_left_out(site: Site) -> None:
    scheduler = site.gcron.scheduler
    scheduler.command("true", "*/5 * * * *", name="often")
    scheduler.command("true", f"0 0-{OFTEN - 1} * * *", name="not too often")
    scheduler.command("true", f"0 0-{OFTEN} * * *", name="too often")
    scheduler.command("true", "0 3 * * *", name="paused")
    scheduler.command("true", "0 3 * * *", name="off", enabled=False)
    scheduler.command("true", "@manual", name="manual")
    scheduler.pause("paused")
    assert {event["SUMMARY"] for event in events_of(site)} == {"not too often"}
    calendar = icalendar.Calendar.from_ical(site.get(PLACE).body)
    assert "without 2 jobs due more than 8 times a day" in calendar["X-WR-CALDESC"]


def test_many_jobs_are_a_bounded_number_of_events_and_the_calendar_says_where_it_ends(site: Site) -> None:
    for number in range(200):
        site.gcron.scheduler.command("true", f"{number % 60} 3 * * *", name=f"job-{number}")
    events = events_of(site)
    assert len(events) == MOST_EVENTS
    assert events == sorted(events, key=lambda event: event["DTSTART"].dt)
    calendar = icalendar.Calendar.from_ical(site.get(PLACE).body)
    assert "only 1,000 times are shown, until" in calendar["X-WR-CALDESC"]


def test_names_cannot_add_lines_to_the_calendar(site: Site) -> None:
    name = "a\r\nBEGIN:VALARM\r\n;,\\\x1b[31m\u202e"
    site.gcron.scheduler.command("true", "0 0 1 1 *", name="x", description=name)
    site.gcron.scheduler.command("true", "0 3 * * *", name=name, description=name)
    body = site.get(PLACE).body
    assert b"\nBEGIN:VALARM" not in body
    assert b"\x1b" not in body
    assert len(events_of(site)) == DAYS


def test_a_calendar_is_made_once_a_minute(site: Site) -> None:
    site.gcron.scheduler.command("true", "0 3 * * *", name="a")
    assert {event["SUMMARY"] for event in events_of(site)} == {"a"}
    site.gcron.scheduler.command("true", "0 3 * * *", name="b")
    assert {event["SUMMARY"] for event in events_of(site)} == {"a"}
    sleep(timedelta(minutes=1).total_seconds())
    assert {event["SUMMARY"] for event in events_of(site)} == {"a", "b"}


def test_who_calls_by_many_names_lets_few_calendars_be_made(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name had its own calendar, and a thousand events take most of a second: other clients got 503."""
    from gcron.web import calendar

    made = []
    write = calendar._write
    monkeypatch.setattr(calendar, "_write", lambda *arguments: made.append(1) or write(*arguments))
    site.gcron.scheduler.command("true", "0 3 * * *", name="a")
    links = [icalendar.Calendar.from_ical(site.get(PLACE, HTTP_HOST=f"localhost:{port}").body) for port in range(1, 20)]
    assert len(made) <= 5
    assert links[0].walk("VEVENT")[0]["URL"] == "http://localhost:1/jobs/a"
    assert "URL" not in links[-1].walk("VEVENT")[0]

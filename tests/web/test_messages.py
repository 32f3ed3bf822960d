"""The page of messages: what goes to which target, what failed, and what comes of each message."""

from __future__ import annotations

import re

import pytest

from gcron.control.messages import counts_record
from gcron.notify.message import Message
from gcron.scheduler import Scheduler
from gcron.web.live import MESSAGES
from tests.web.conftest import Messenger, Site

EVIL = "<script>alert(1)</script>"


def message(number: int, time: float, title: str = "backup failed: exit status 3") -> Message:
    return Message(f"m{number}", "failure", time, title, "backup")


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("<main")[2]).split()).replace(" ,", ",")


def test_without_targets_the_page_says_how_to_declare_one(site: Site) -> None:
    page = site.get("/messages").text
    assert "# gcron-notify: ops url=mailto:ops@example.com" in page
    assert "gcron help notifications" in page
    assert 'href="/messages" aria-current=page>Messages</a>' in page


def test_a_target_that_fails_stands_first_with_its_error_and_the_next_try(site: Site, messenger: Messenger) -> None:
    now = site.gcron.clock.now()
    messenger.ops.add(message(1, now - 60), "ops", is_held=False, is_kept=False)
    messenger.ops.waiting = 1
    messenger.ops.fail("ops", [("m1", "ops")], now - 30, "no connection: Connection refused", now + 20)
    page = site.get("/messages").text
    text = text_of(page)
    assert text.index("hooks.example.com") < text.index("mailto:ops@example.com")
    assert "ops webhook · https://hooks.example.com failure, recovery · 3 jobs" in text
    assert "success · 3 jobs · quiet 22:00-07:00" in text
    assert "0 delivered 1 waiting 1 failed try" in text
    assert (
        "no connection: Connection refused 30 s ago, 2025-12-31 23:59:30 next try in 20 s, 2026-01-01 00:00:20" in text
    )
    assert (
        "1 min ago 2025-12-31 23:59:00 backup failure: backup failed: exit status 3 to ops tried again no conn" in text
    )
    assert re.search(r'>Messages <b class=dot title="[^"]*">1</b></a>', page)
    assert "Messages do not get through to ops: see Messages" in site.get("/").text


def test_each_state_has_its_word_and_can_be_chosen(site: Site, messenger: Messenger) -> None:
    now = site.gcron.clock.now()
    for number in range(6):
        messenger.ops.add(message(number, now + number), "ops", is_held=number == 1, is_kept=number == 5)
    messenger.ops.succeed("ops", [("m2", "ops")], now)
    messenger.ops.lose([("m3", "ops")], now, "status 410")
    messenger.ops.drop([("m4", "ops")], now, "too many wait")
    text = text_of(site.get("/messages").text)
    for words in (
        "waiting 2",
        "held for a digest 1",
        "delivered 1",
        "given up 1",
        "dropped 1",
        "kept from before the st",
    ):
        assert words in text
    only = text_of(site.get("/messages?state=given-up").text)
    assert only.count("backup failed: exit status 3") == 1
    assert "status 410" in only
    assert site.get("/messages?state=nonsense&page=x").status == 200
    assert site.get("/messages?page=" + "9" * 5000).status == 200


def test_what_is_told_is_text(site: Site, messenger: Messenger) -> None:
    messenger.ops.add(message(1, 0.0, EVIL), "ops", is_held=False, is_kept=False)
    messenger.ops.fail("ops", [("m1", "ops")], 0.0, EVIL, None)
    assert EVIL not in site.get("/messages").text


def test_the_newest_500_are_kept_and_a_page_has_50_of_them_under_100_kilobytes(
    site: Site, messenger: Messenger
) -> None:
    """With texts as long as they can be."""
    for number in range(2000):
        messenger.ops.add(message(number, float(number), "&" * 4000), "ops", is_held=False, is_kept=False)
        messenger.ops.fail("ops", [(f"m{number}", "ops")], 0.0, "&" * 4000, 1e10)
    answer = site.get("/messages")
    assert len(answer.body) < 100 * 1024
    assert "page 1 of 10" in answer.text
    assert len(messenger.recent()) == 500
    assert messenger.recent()[0].message_id == "m1999"
    assert len(messenger.recent()[0].error) == 300


def test_browsers_that_show_messages_learn_of_changes(
    site: Site, messenger: Messenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.gcron.scheduler.start()
    stream = iter(site.get("/live?page=messages").pieces)
    others = iter(site.get("/live?page=&job=backup").pieces)
    next(stream), next(others)
    messenger.revision += 1
    assert b"event: changed" in next(stream)
    assert b"event: changed" not in next(others)
    assert MESSAGES not in "".join(job.name for job in site.gcron.scheduler.jobs)


def test_strangers_see_nothing(stranger: Site) -> None:
    assert stranger.get("/messages").status == 401
    assert stranger("GET", "/api/v1/notifications").status == 401


def test_a_record_has_times_as_the_log_has_them(site: Site, messenger: Messenger, scheduler: Scheduler) -> None:
    messenger.ops.fail("ops", [], 1.5, "no", 2.5)
    record = counts_record(messenger.counts()[1])
    assert (record["last_error_at"], record["next_try"]) == ("1970-01-01T00:00:01.500Z", "1970-01-01T00:00:02.500Z")


@pytest.fixture
def scheduler(site: Site) -> Scheduler:
    return site.gcron.scheduler

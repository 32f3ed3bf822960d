"""What the pages show: records of jobs and runs, escaped; buttons; filters; empty states."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.scheduler.door import StoreUnavailable
from gcron.scheduler.history import StoredRun
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece, WrittenSpan
from gcron.state.memory import MemoryStore
from gcron.testing import VirtualClock
from gcron.web.details import SERVICES_ON_PAGE
from gcron.web.overview import PAGE
from gcron.web.words import quoted
from tests.web.conftest import MakeSite, Site

EVIL = "<script>alert(1)</script>"


def run(site: Site, seconds: float = 0.0) -> None:
    site.gcron.scheduler.start()
    sleep(seconds)


def rows_of(text: str) -> list[str]:
    return re.findall(r"<tr><td><a href=\"/jobs/([^\"]+)\">", text)


@pytest.fixture
def scheduler(site: Site) -> Scheduler:
    return site.gcron.scheduler


# -- the overview -------------------------------------------------------------------------------------------------


def test_without_jobs_the_page_says_what_to_write(site: Site) -> None:
    page = site.get("/").text
    assert "No jobs yet" in page
    assert "crontab" in page


def test_when_all_is_well_one_line_says_so(site: Site, scheduler: Scheduler) -> None:
    scheduler.job("* * * * *", name="good")(lambda: None)
    run(site, 61)
    page = site.get("/").text
    assert re.search(r"<h1>.*All well</h1>", page)
    assert "next good in" in page


def fails() -> None:
    raise ValueError("no")


def test_the_headline_names_what_fails_since_when_and_what_is_alike(site: Site, scheduler: Scheduler) -> None:
    for name in ("one", "two", "three", "four"):
        scheduler.job("* * * * *", name=name)(fails)
    scheduler.job("* * * * *", name="good")(lambda: None)
    run(site, 61)
    page = site.get("/").text
    assert re.search(r"<h1>.*one, two, three and 1 more do not succeed</h1>", page)
    assert "4 never succeeded" in page
    assert "4 of them alike: " in page
    assert rows_of(page) == ["one", "two", "three", "four", "good"]


def test_the_worst_stands_first_and_the_order_is_in_the_address(site: Site, scheduler: Scheduler) -> None:
    scheduler.job("* * * * *", name="a-good")(lambda: None)
    scheduler.job("* * * * *", name="z-bad")(fails)
    scheduler.job("0 0 1 1 *", name="new")(fails)
    run(site, 61)
    assert rows_of(site.get("/").text) == ["z-bad", "a-good", "new"]
    assert rows_of(site.get("/?sort=name").text) == ["a-good", "new", "z-bad"]
    assert rows_of(site.get("/?sort=file").text) == ["a-good", "z-bad", "new"]
    assert rows_of(site.get("/?q=bad").text) == ["z-bad"]
    assert rows_of(site.get("/?state=new").text) == ["new"]
    assert "No job fits" in site.get("/?q=nothing").text


@pytest.mark.parametrize(
    "query",
    [
        "page=x",
        "page=0",
        "page=99999999",
        "sort=x",
        "state=x",
        "page=-1",
        pytest.param("page=00100" + "0" * 5000, id="too-long"),
        "q=%00",
        "q=%ff",
    ],
)
def test_a_query_that_means_nothing_is_a_page_all_the_same(site: Site, scheduler: Scheduler, query: str) -> None:
    scheduler.job("* * * * *", name="job")(fails)
    assert site.get(f"/?{query}").status == 200


def test_a_thousand_jobs_are_pages_of_150_under_100_kilobytes(site: Site, scheduler: Scheduler) -> None:
    for number in range(1000):
        scheduler.job(f"{number % 60} * * * *", name=f"sync-customer-{number:04}")(lambda: None)
    run(site)
    sleep(6 * 3600 + 1)
    answer = site.get("/")
    assert len(answer.body) < 100 * 1024
    sent = site.get("/", HTTP_ACCEPT_ENCODING="gzip")
    assert len(b"".join(sent.pieces)) < 20 * 1024
    assert len(rows_of(answer.text)) == PAGE
    assert "page 1 of 7" in answer.text
    seen = {name for page in range(1, 8) for name in rows_of(site.get(f"/?page={page}").text)}
    assert len(seen) == 1000


@pytest.mark.parametrize("schedule", ["0 * * * *", "*/10 * * * *"])
@pytest.mark.parametrize("ends", [lambda: None, fails], ids=["well", "failing"])
def test_every_page_is_under_100_kilobytes_with_a_thousand_jobs(
    site: Site, scheduler: Scheduler, schedule: str, ends: Any
) -> None:
    """The overview of failing jobs had 105 KB, the past day 500 KB, and what is due each ten minutes 130 KB."""
    name = "sync-the-customer-with-a-name-{:04}"
    for number in range(1000):
        scheduler.job(schedule, name=name.format(number))(ends)
    for number in range(2):
        scheduler.job("* * * * *", name=f"often-{number}")(ends)
    run(site)
    sleep(1801 if schedule.startswith("*/") else 3601)
    paths = ["/", "/runs", "/timeline", "/timeline?day=past", "/events", "/messages", f"/jobs/{name.format(7)}"]
    sizes = {path: len(site.get(path).body) for path in paths}
    assert all(0 < size < 100_000 for size in sizes.values()), sizes


def test_the_page_of_a_run_is_under_100_kilobytes_whatever_it_wrote(make_site: MakeSite, clock: VirtualClock) -> None:
    """Lines of a few bytes with their times made a page of 2 MB."""
    spans = [WrittenSpan(20, number / 100, "stderr" if number % 2 else "stdout") for number in range(20_000)]
    piece = OutputPiece("a" * 16, [b"<a & line of bytes>\n" * 20_000], 0, 1 << 20, spans)
    store = MemoryStore(now=clock.now)
    site = make_site(store=store)
    site.sign_in()
    store.write_output([piece])
    now = clock.now()
    store.write(Batch(runs=(StoredRun("a" * 16, "job", now, "succeeded", finished=now, duration=1.0),)))
    page = site.get(f"/runs/{'a' * 16}")
    assert page.status == 200
    assert len(page.body) < 100_000
    assert page.text.count("&lt;a &amp; line of bytes&gt;") > 300
    assert "bytes are left out here" in page.text


def test_without_an_answer_of_the_history_the_jobs_are_shown_all_the_same(
    site: Site, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page that says what is wrong with the history was refused for lack of history."""
    scheduler.job("* * * * *", name="job")(lambda: None)
    run(site)

    def fail(*arguments: Any) -> Any:
        raise StoreUnavailable("the disk is gone")

    for question in ("summaries", "runs", "facts"):
        monkeypatch.setattr(scheduler.store, question, fail)
    page = site.get("/").text
    assert rows_of(page) == ["job"]
    assert "The history does not work: the disk is gone" in page
    assert site.get("/runs").status == 503


# -- what others wrote --------------------------------------------------------------------------------------------


def test_names_and_output_of_jobs_are_text(site: Site, scheduler: Scheduler) -> None:
    name = f"job{EVIL}\x1b[31m\u202e"
    scheduler.command(f"echo '{EVIL}'", "* * * * *", name=name, description=f"d{EVIL}", group=None)
    run(site, 61)
    for path in ("/", "/runs", "/timeline", "/timeline?day=past", "/events", f"/jobs/{quoted(name)}", "/problems"):
        page = site.get(path).text
        assert "<script>alert" not in page
        assert "\x1b" not in page
        assert "\u202e" not in page
    assert str(quoted(name)) in site.get("/").text


def test_a_name_with_signs_of_addresses_has_a_page_and_buttons(site: Site, scheduler: Scheduler) -> None:
    name = "a/b?c=d&e#f%20 g'\"ü"
    scheduler.command("true", "@hourly", name=name)
    run(site)
    assert site.get(f"/jobs/{quoted(name)}").status == 200
    (button,) = re.findall(r"value=(pause:\S+?)>", site.get("/").text)
    assert site.press(button).status == 303
    assert scheduler.is_paused(name)


def test_no_page_shows_a_secret_of_a_command(site: Site, scheduler: Scheduler) -> None:
    command = "TOKEN=s3cret curl -u ann:s3cret --password s3cret https://ann:s3cret@example.org/?key=s3cret"
    scheduler.command(command, "@hourly", name="job")
    run(site)
    for path in ("/", "/jobs/job", "/timeline", "/runs", "/api/v1/jobs/job", "/api/v1/jobs"):
        assert "s3cret" not in site.get(path).text
    assert "TOKEN=…" in site.get("/jobs/job").text


# -- a job, a run -------------------------------------------------------------------------------------------------


def test_a_job_that_is_not_there_is_a_page_that_names_the_nearest(site: Site, scheduler: Scheduler) -> None:
    scheduler.command("true", "@hourly", name="backup")
    answer = site.get("/jobs/bakup")
    assert answer.status == 404
    assert "did you mean backup?" in answer.text


def test_a_job_has_its_schedule_definition_and_runs(site: Site, scheduler: Scheduler) -> None:
    scheduler.job("30 2 * * *", name="job", description="what it is for", tz="Europe/Berlin")(lambda: None)
    run(site, 2 * 86400)
    site.sign_in()
    page = site.get("/jobs/job").text
    for text in (
        "At 02:30 every day",
        "Europe/Berlin",
        "2026-01-03 02:30:00",
        "what it is for",
        "Success rate",
        "100%",
    ):
        assert text in page
    assert page.count("<rect class='ok'") == 2


def test_why_a_job_did_not_run_is_explained(site: Site, scheduler: Scheduler) -> None:
    scheduler.command("true", "30 2 * * *", name="job")
    run(site)
    page = site.get("/jobs/job?at=03:30").text
    assert "the hour was 3" in page
    assert "does not fit" in page
    assert "is no time" in site.get("/jobs/job?at=nonsense").text


def test_a_run_shows_its_outcome_reason_and_output(make_site: MakeSite) -> None:
    site = make_site()
    site.sign_in()
    site.gcron.scheduler.command(r"printf '\033[1;31mred\033[0m <b>\n'; exit 3", "* * * * *", name="job")
    run(site, 61)
    from tests.waiting import until

    until(lambda: site.get("/runs").text.count("failed</span>"))
    (place,) = set(re.findall(r'href="(/runs/\w+)"', site.get("/runs?only=failed").text))
    page = site.get(place).text
    assert "exit status 3" in page
    assert "<span class='a-31 a-b'>red</span> &lt;b&gt;" in page
    assert site.get("/runs/nothing").status == 404


def test_each_line_of_output_has_its_time_and_lines_of_stderr_are_marked(make_site: MakeSite) -> None:
    site = make_site()
    site.sign_in()
    site.gcron.scheduler.command("echo good; sleep 0.2; echo bad >&2; exit 3", "* * * * *", name="job")
    run(site, 61)
    from tests.waiting import until

    until(lambda: site.get("/runs").text.count("failed</span>"))
    (place,) = set(re.findall(r'href="(/runs/\w+)"', site.get("/runs?only=failed").text))
    page = site.get(place).text
    clock = r"\d\d:\d\d:\d\d\.\d{3}"
    assert re.search(rf"<span class=l data-clock={clock} title='[-\d]+ {clock} stdout'>good", page)
    assert re.search(rf"<span class='l e' data-clock={clock} title='[-\d]+ {clock} stderr'>bad", page)


# -- buttons ------------------------------------------------------------------------------------------------------


def test_buttons_do_what_they_say_and_the_next_page_says_so_once(site: Site, scheduler: Scheduler) -> None:
    scheduler.command("true", "@hourly", name="job")
    run(site)
    answer = site.press("pause:job", back="/jobs/job", **{"for": "1h"})
    assert (answer.status, answer.place) == (303, "/jobs/job")
    session, site.cookie = site.cookie, f"{site.cookie}; {answer.cookie()}"
    page = site.get("/jobs/job")
    assert "job is paused for 1h" in page.text
    assert "Max-Age=0" in page.headers["Set-Cookie"]
    assert "by a browser at 127.0.0.1" in page.text
    site.cookie = session
    site.press("resume:job")
    assert not scheduler.is_paused("job")
    assert site.post("/do", {"do": "run:job", "csrf": site.csrf}, HTTP_ACCEPT="application/json").json == {
        "said": "job has started"
    }


@pytest.mark.parametrize("back", ["//evil", "https://evil", "/\\evil", ""])
def test_a_button_leads_to_no_other_site(site: Site, scheduler: Scheduler, back: str) -> None:
    scheduler.command("true", "@hourly", name="job")
    assert site.press("pause:job", back=back).place == "/"
    assert 'href="/">Cancel' in site.get(f"/confirm?do=stop-job:job&back={quoted(back)}").text


def test_a_button_adds_no_header(site: Site, scheduler: Scheduler) -> None:
    scheduler.command("true", "@hourly", name="job")
    assert site.press("pause:job", back="/x\r\nSet-Cookie: a=b").place == "/x%0D%0ASet-Cookie:%20a=b"


@pytest.mark.parametrize("button", ["", "x", "x:job", "pause", "run:nobody", "stop-run:x", "restart:job"])
def test_a_button_that_means_nothing_is_refused(site: Site, scheduler: Scheduler, button: str) -> None:
    scheduler.command("true", "@hourly", name="job")
    assert 400 <= site.press(button).status < 500


def test_what_ends_something_asks_first(site: Site, scheduler: Scheduler) -> None:
    scheduler.job("@manual", name="job", greenlet=True)(lambda: sleep(86400))
    run(site)
    site.press("run:job")
    page = site.get("/").text
    (place,) = re.findall(r'href="(/confirm\S+?)">Stop', page)
    asked = site.get(place.replace("&amp;", "&")).text
    assert "End all runs of job?" in asked
    (do,) = re.findall(r'name=do value="(\S+)"', asked)
    assert site.press(do, why="a test").status == 303


def test_a_text_in_a_cookie_of_somebody_else_is_not_shown(site: Site) -> None:
    import base64

    text = base64.urlsafe_b64encode(b"send your password to evil").decode()
    site.cookie += f"; {site.access.said_cookie}={text}.{'0' * 64}"
    assert "evil" not in site.get("/runs").text


# -- problems, services -------------------------------------------------------------------------------------------


class Wrong:
    problem = f"crontab:3:1: error: {EVIL}\n  61 * * * * x\n  ^^"
    last_read = None
    reading_since = None

    def reload(self, who: str) -> Any:
        return None


def test_what_is_wrong_on_disk_is_shown_with_its_place(make_site: MakeSite) -> None:
    site = make_site(reload=Wrong())
    site.sign_in()
    page = site.get("/problems").text
    assert "crontab:3:1: error: &lt;script&gt;" in page
    assert "  ^^" in page
    site.gcron.scheduler.command("true", "@hourly", name="job")
    assert "The crontab on disk is wrong" in site.get("/").text


def test_services_and_groups_are_shown(site: Site, scheduler: Scheduler) -> None:
    assert "No services" in site.get("/services").text
    # Not started: virtual time passes faster than a process begins, so the end of the test would not end it.
    scheduler.service("sleep 1000", name="web")
    scheduler.group("disk", limit=1)
    scheduler.command("true", "@hourly", name="job", group="disk")
    page = site.get("/services").text
    assert "web" in page
    assert "0 of 1" in page


def test_many_services_are_several_pages(site: Site, scheduler: Scheduler) -> None:
    for number in range(SERVICES_ON_PAGE + 1):
        scheduler.service("sleep 1000", name=f"service-{number:03}-{'x' * 80}")
    first, second = site.get("/services"), site.get("/services?page=2").text
    assert len(first.body) < 100_000
    assert f"page 1 of 2 · {SERVICES_ON_PAGE + 1} services" in first.text
    assert "/services?page=2" in first.text
    assert "service-100-" not in first.text
    assert "service-099-" not in second
    assert "service-100-" in second
    assert "There are 101 services" in site.get("/services?page=3").text


def test_some_of_many_jobs_of_a_group_are_named(site: Site, scheduler: Scheduler) -> None:
    scheduler.group("disk", limit=1)
    for number in range(200):
        scheduler.job("@manual", name=f"job-{number:03}", group="disk", greenlet=True)(lambda: sleep(86400))
    run(site)
    for number in range(200):
        scheduler.trigger(f"job-{number:03}")
    sleep(1)
    page = site.get("/services").text
    assert "1 of 1" in page
    assert "job-020" in page
    assert "job-021" not in page
    assert "and 179 more" in page


def test_a_page_shows_some_of_many_problems(make_site: MakeSite) -> None:
    wrong = Wrong()
    wrong.problem = "\n".join(f"crontab:{number}:1: error: no schedule" for number in range(1, 1001))
    site = make_site(reload=wrong)
    site.sign_in()
    page = site.get("/problems").text
    assert "crontab:200:1" in page
    assert "crontab:201:1" not in page
    assert "And 800 lines more" in page


# -- live ---------------------------------------------------------------------------------------------------------


def test_a_row_that_changes_is_sent_to_who_shows_it(site: Site, scheduler: Scheduler) -> None:
    scheduler.job("* * * * *", name="job")(lambda: None)
    scheduler.job("0 0 1 1 *", name="other")(lambda: None)
    run(site)
    shown, hidden = site.get("/live?page=overview&q=job").pieces, site.get("/live?page=overview&q=other").pieces
    assert next(shown) == next(hidden) == b"retry: 5000\n\n"
    changed = next(piece for piece in shown if b"changed" in piece)
    assert b'"job": "<tr><td>' in changed
    assert next(hidden) == b": still here\n\n"


def test_a_page_of_a_job_is_told_that_it_has_changed(site: Site, scheduler: Scheduler) -> None:
    scheduler.job("* * * * *", name="job")(lambda: None)
    run(site)
    for query in ("job=job", "all=1"):
        stream = site.get(f"/live?{query}").pieces
        assert b"event: changed\ndata: {}" in next(piece for piece in stream if b"changed" in piece)
        stream.close()


def test_a_stream_without_a_body_ends_at_once(site: Site) -> None:
    """HEAD: the server reads an answer to its end, and a stream has none."""
    assert list(site("HEAD", "/live?all=1").pieces) == []


def test_output_is_followed_as_html_until_the_end(site: Site, scheduler: Scheduler) -> None:
    scheduler.command(r"printf 'one \033[3'; printf '2mgreen <i>'", "@manual", name="job")
    run(site)
    found = scheduler.trigger("job")
    stream = site.get(f"/runs/{found.run_id}/follow")
    text = stream.body.decode()
    assert "one <span class='a-32'>green &lt;i&gt;" in text
    assert text.endswith('event: end\ndata: ""\n\n')

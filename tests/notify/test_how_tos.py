"""The how-tos of docs/notifications.md: each crontab runs as it stands there, and its message arrives."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gcron import sleep
from gcron.cli.options import make_parser
from gcron.notify.mailer import Mailer, read_mailer
from gcron.testing import VirtualClock
from tests.notify.conftest import House
from tests.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
HOUR = 3600
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it


def section(title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def sample(title: str, language: str = "crontab") -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., None]:
    """Make programs of these names, with their text for the shell. They are those that the jobs find."""
    (tmp_path / "bin").mkdir()

    def make(**texts: str) -> None:
        for name, text in texts.items():
            path = tmp_path / "bin" / name
            path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
            path.chmod(0o755)

    return make


@pytest.fixture
def house(make_house: Callable[..., House], clock: VirtualClock, tmp_path: Path) -> Callable[[str], House]:
    """Make one of a sample, with real senders. It is midnight."""

    def make(text: str) -> House:
        mailer = Mailer(program=str(tmp_path / "bin" / "sendmail"))
        built = make_house(f"PATH={tmp_path}/bin:/usr/bin:/bin\n{text}", clock, mailer=mailer)
        built.scheduler.start()
        return built

    return make


class Posted:
    """What Apprise would have sent to the world."""

    status_code, content, text, headers = 200, b"ok", "ok", {}  # type: ignore[var-annotated]

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __call__(self, method: str, url: str, **options: Any) -> Posted:
        self.calls.append((url, options))
        return self


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> Posted:
    posted = Posted()
    monkeypatch.setattr("requests.Session.request", posted)
    return posted


def test_get_a_mail_when_a_job_fails(
    house: Callable[[str], House], programs: Callable[..., None], tmp_path: Path
) -> None:
    programs(pg_dump="echo no space; exit 1", sendmail="cat > mail.part; mv mail.part mail")
    house(sample("Get a mail when a job fails"))
    sleep(3 * HOUR)
    until((tmp_path / "mail").exists, "the mail")

    mail = message_from_bytes((tmp_path / "mail").read_bytes(), policy=policy.default)
    assert mail["To"] == "ops@example.com"
    assert mail["Subject"] == "pg_dump failed: exit status 1"
    assert mail["X-Gcron-Outcome"] == "failed"
    assert "no space" in mail.get_content()


def test_with_minus_n_a_job_that_succeeds_sends_no_mail(
    house: Callable[[str], House], programs: Callable[..., None], tmp_path: Path
) -> None:
    programs(pg_dump="echo done", sendmail="touch mail")
    built = house(sample("Get a mail when a job fails"))
    sleep(3 * HOUR)

    assert built.notifications.counts() == []
    assert not (tmp_path / "mail").exists()


def test_the_mailer_of_the_page_is_right() -> None:
    command = shlex.split(sample("Get a mail when a job fails", "shell"))
    mailer = read_mailer(make_parser().parse_args(command[1:]).mailer)

    assert mailer is not None
    assert (mailer.host, mailer.port, mailer.user) == ("mail.example.com", 587, "gcron")


def test_ping_healthchecks_io(
    house: Callable[[str], House], programs: Callable[..., None], pings: tuple[str, list[Any]]
) -> None:
    url, got = pings
    programs(pg_dump="echo no space; exit 3")
    house(sample("Ping healthchecks.io").replace("https://hc-ping.com", url))
    sleep(3 * HOUR)
    until(lambda: len(got) == 2, "two pings")

    check = "/eb095278-f28d-448d-87fb-7b75c171a6aa"
    assert [(path, body) for path, _, body in got] == [(f"{check}/start", b""), (f"{check}/3", b"no space\n")]
    assert got[0][1] == got[1][1]
    assert re.fullmatch(r"rid=[0-9a-f-]{36}", got[0][1])


@pytest.fixture
def pings() -> Iterator[tuple[str, list[Any]]]:
    """A server in a thread, which virtual time does not wait for: its URL, and paths, queries and bodies."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            path, _, query = self.path.partition("?")
            got.append((path, query, self.rfile.read(int(self.headers.get("Content-Length", 0)))))
            self.send_response(200)
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()
        thread.join()


def test_page_someone_when_a_backup_has_not_succeeded_for_25_hours(
    house: Callable[[str], House],
    programs: Callable[..., None],
    posted: Posted,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PAGERDUTY_KEY", "K" * 32)
    monkeypatch.setenv("PAGERDUTY_API", "A" * 20)
    programs(pg_dump="test -e disk", logger='echo "$@" >> log')
    house(sample("Page someone when a backup has not succeeded for 25 hours"))
    sleep(24 * HOUR)
    assert posted.calls == []

    sleep(2 * HOUR)
    until(lambda: posted.calls, "a page")
    until((tmp_path / "log").exists, "the command")
    (url, options), title = posted.calls[0], "backup is overdue: no success for 25h"
    assert url == "https://events.pagerduty.com/v2/enqueue"
    assert title in options["data"]
    assert (tmp_path / "log").read_text() == f"-p cron.alert {title}\n"

    (tmp_path / "disk").touch()
    sleep(3 * HOUR)
    until(lambda: len(posted.calls) == 2, "the recovery")
    assert "backup works again" in posted.calls[1][1]["data"]


def test_slack_in_two_lines(
    house: Callable[[str], House], programs: Callable[..., None], posted: Posted, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = re.search(r"`SLACK_TOKEN=(\S+)`", section("Slack in two lines"))
    assert token is not None
    monkeypatch.setenv("SLACK_TOKEN", token[1])
    programs(pg_dump="exit 1")
    house(sample("Slack in two lines"))
    sleep(3 * HOUR)
    until(lambda: posted.calls, "a message")

    ((url, options),) = posted.calls
    assert url == f"https://hooks.slack.com/services/{token[1]}"
    assert "pg_dump failed: exit status 1" in json.dumps(json.loads(options["data"]))

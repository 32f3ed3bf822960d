"""`Scheduler.notify`: messages in a program."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcron.errors import GcronError
from gcron.scheduler import Scheduler
from gcron.wsgi import WSGIServer
from tests.conftest import Recorder
from tests.waiting import until


@pytest.fixture
def sendmail(tmp_path: Path) -> str:
    program = tmp_path / "sendmail"
    program.write_text(f"#!/bin/sh\ncat >> {tmp_path}/mails\n")
    program.chmod(0o755)
    return str(program)


def test_a_program_is_told_of_the_failure_of_a_function(
    scheduler: tuple[Scheduler, Recorder], sendmail: str, tmp_path: Path
) -> None:
    made, _ = scheduler
    made.notify("mailto:ops@example.com", on="failure", mailer=sendmail, mail_from="jobs@example.com")

    @made.job("@manual")
    def breaks() -> None:
        raise RuntimeError("out of paper")

    made.trigger("breaks").result.get()
    made.stop()

    mail = (tmp_path / "mails").read_text()
    assert "Subject: breaks failed: " in mail
    assert "RuntimeError: out of paper" in mail
    assert "From: jobs@example.com" in mail


def test_a_named_target_is_for_the_jobs_that_name_it(scheduler: tuple[Scheduler, Recorder]) -> None:
    paths: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        paths.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return []

    server = WSGIServer(("127.0.0.1", 0), application, log=None, error_log=None)
    server.start()
    made, _ = scheduler
    made.notify(f"http://127.0.0.1:{server.server_port}/ops", name="ops")
    made.command("false", "@manual", name="a", notify="ops")
    made.command("false", "@manual", name="b")
    for name in ("a", "b"):
        made.trigger(name).result.get()
    made.stop()
    server.stop(timeout=0)

    assert paths == ["/ops"]


def test_what_jobs_ask_for_is_obeyed_from_the_first_call_on(
    scheduler: tuple[Scheduler, Recorder], caplog: pytest.LogCaptureFixture
) -> None:
    made, _ = scheduler
    made.command("false", "@manual", name="a", on_failure="echo paged", notify_again=0)
    with caplog.at_level(logging.INFO, "gcron"):
        made.trigger("a").result.get()
        made.notify()
        made.trigger("a").result.get()
        until(lambda: "a:on-failure: paged" in caplog.messages)

    assert caplog.messages.count("a:on-failure: paged") == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "error"),
    [
        (("nowhere",), {}, "url is no URL"),
        (("https://a.example",), {"on": "failures"}, "on cannot be 'failures'"),
        (("https://a.example",), {"colour": "red"}, r"notify\(\) has no setting 'colour'"),
        ((), {"mailer": "postfix"}, "a mailer is sendmail"),
    ],
)
def test_what_is_wrong_is_refused(
    make_scheduler: Callable[..., Any], arguments: Any, settings: Any, error: str
) -> None:
    made, _ = make_scheduler()

    with pytest.raises(GcronError, match=error):
        made.notify(*arguments, **settings)


def test_two_targets_on_one_host_are_two(scheduler: tuple[Scheduler, Recorder]) -> None:
    made, _ = scheduler
    made.notify("https://a.example/one")
    made.notify("https://a.example/two")

    assert made._messenger is not None
    assert made._messenger.names == {"https://a.example", "https://a.example (2)"}  # type: ignore[attr-defined]

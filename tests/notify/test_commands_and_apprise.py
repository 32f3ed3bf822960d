"""Commands of a job's own, as real processes; and Apprise, with a real server."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron import spawn
from gcron.crontab import parse
from gcron.notify.apprise import AppriseSender
from gcron.notify.delivery import DeliveryError, DeliveryThreads
from gcron.notify.message import Message
from gcron.schedule.clock import SystemClock
from gcron.scheduler import JobOutput
from gcron.scheduler.job import jobs_of
from gcron.wsgi import WSGIServer
from tests.notify.conftest import House
from tests.waiting import until


@pytest.fixture
def house(make_house: Callable[..., House]) -> Callable[..., House]:
    """Make one on the machine's clock, with real senders."""
    return lambda text, **options: make_house(text, SystemClock(), **options)


def run(house: House, job: str) -> None:
    house.scheduler.trigger(job).result.get()
    until(lambda: all(not counts.waiting for counts in house.notifications.counts()), "commands")


def test_a_command_gets_the_record_and_the_output(house: Callable[..., House], tmp_path: Path) -> None:
    text = (
        f"WHO=me\n# gcron: name=backup cwd={tmp_path} on-failure='env > variables; cat > output'\n"
        "@manual echo no space; exit 3\n"
    )
    built = house(text)
    run(built, "backup")

    variables = dict(line.split("=", 1) for line in (tmp_path / "variables").read_text().splitlines())
    assert (tmp_path / "output").read_text() == "no space\n"
    expected = {
        "GCRON_JOB": "backup",
        "GCRON_KIND": "failure",
        "GCRON_TITLE": "backup failed: exit status 3",
        "GCRON_OUTCOME": "failed",
        "GCRON_REASON": "exit status 3",
        "GCRON_REASON_CODE": "exit-status",
        "GCRON_EXIT_CODE": "3",
        "GCRON_TIMES": "1",
        "WHO": "me",
    }
    assert {name: variables[name] for name in expected} == expected
    (finished,) = built.recorder.of("run-finished")
    assert variables["GCRON_OF_RUN_ID"] == finished.run_id != variables["GCRON_RUN_ID"]
    (counts,) = built.notifications.counts()
    assert (counts.target, counts.where, counts.sent) == ("on-failure commands", "of 1 job", 1)


def test_each_kind_has_its_command(house: Callable[..., House], tmp_path: Path) -> None:
    commands = " ".join(f"on-{kind}='echo {kind} >> told'" for kind in ("failure", "recovery", "success"))
    built = house(f"# gcron: name=backup cwd={tmp_path} {commands}\n@manual test -e ok\n")
    run(built, "backup")
    (tmp_path / "ok").touch()
    run(built, "backup")
    run(built, "backup")

    assert sorted((tmp_path / "told").read_text().split()) == ["failure", "recovery", "success", "success"]


def test_what_a_command_prints_is_in_the_log(house: Callable[..., House]) -> None:
    events: list[Any] = []
    built = house("# gcron: name=backup on-failure='echo paged'\n@manual false\n", emit=events.append)
    run(built, "backup")

    printed = [(event.job, event.lines) for event in events if isinstance(event, JobOutput)]
    assert printed == [("backup:on-failure", [b"paged"])]
    assert built.recorder.lines() == []


def test_a_command_that_fails_is_counted_and_logged(house: Callable[..., House]) -> None:
    built = house("# gcron: name=backup on-failure='exit 7'\n@manual false\n")
    run(built, "backup")

    (counts,) = built.notifications.counts()
    assert (counts.lost, counts.last_error) == (1, "the command failed: exit status 7")
    assert built.log == [
        "notify on-failure:backup (a command of backup): given up: 'backup failed: exit status 1': "
        "the command failed: exit status 7"
    ]


def test_at_the_end_a_command_is_ended_with_its_children(house: Callable[..., House], tmp_path: Path) -> None:
    command = "mkfifo pipe; sleep 1000 > pipe & exec cat pipe"
    built = house(f"# gcron: name=backup cwd={tmp_path} on-failure='{command}'\n@manual false\n")
    built.scheduler.trigger("backup").result.get()
    until((tmp_path / "pipe").exists)
    built.notifications.stop()

    def has_no_writer() -> bool:
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(reader, 1) == b""
        except BlockingIOError:
            return False
        finally:
            os.close(reader)

    until(has_no_writer)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.realtime
def test_commands_of_many_failures_run_four_at_once_and_leave_no_process(
    make_house: Callable[..., House], tmp_path: Path
) -> None:
    """Each starts ten processes in sessions of their own, which start one more each, and ends without them."""
    (tmp_path / "notify.sh").write_text(
        "touch running.$$; ls running.* | wc -l >> counts\n"
        "for i in 1 2 3 4 5 6 7 8 9 10; do setsid sh -c 'setsid sleep 471147 & sleep 471147' & done\n"
        "sleep 0.1; rm running.$$; echo $GCRON_JOB >> done\n"
    )
    house = make_house("", SystemClock())
    options = f"cwd={tmp_path} on-failure='sh notify.sh'"
    text = "".join(f"# gcron: name=j{number} {options}\n@manual false\n" for number in range(24))
    house.scheduler.replace(jobs_of(parse(text)))
    for job in house.scheduler.jobs:
        house.scheduler.trigger(job.name)
    until(lambda: sum(counts.sent for counts in house.notifications.counts()) == 24, "24 commands")

    assert len((tmp_path / "done").read_text().split()) == 24
    assert max(map(int, (tmp_path / "counts").read_text().split())) <= 4
    until(
        lambda: not any("471147" in (each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])),
        "their ends",
    )


def test_a_command_runs_as_the_jobs_user(house: Callable[..., House]) -> None:
    events: list[Any] = []
    built = house("# gcron: name=backup user=nobody cwd=/ on-failure='id -u'\n@manual false\n", emit=events.append)
    run(built, "backup")

    printed = [event.lines for event in events if isinstance(event, JobOutput)]
    assert printed == [[str(pwd.getpwnam("nobody").pw_uid).encode()]]


# -- Apprise ----------------------------------------------------------------------------------------------------------

# Apprise imports a module of the standard library that Python 3.13 does not have.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
MESSAGE = Message("msg_1", "failure", 0.0, "backup failed", "backup", "job: backup", tail="no space\n")


def deliver(url: str, message: Message = MESSAGE) -> str:
    call = DeliveryThreads().call(AppriseSender(url).send, message, 60)
    return call.result.get()


def serve(status: str, got: list[Any]) -> WSGIServer:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        got.append(json.loads(environ["wsgi.input"].read()))
        start_response(status, [])
        return [b""]

    server = WSGIServer(("127.0.0.1", 0), application, log=None, error_log=None)
    server.start()
    return server


def test_apprise_gets_title_and_text() -> None:
    got: list[Any] = []
    server = serve("200 OK", got)

    assert deliver(f"json://127.0.0.1:{server.server_port}/SECRET") == "delivered by Apprise"

    server.stop(timeout=0)
    assert (got[0]["title"], got[0]["message"].rstrip()) == ("backup failed", "job: backup\n\nno space")
    assert got[0]["type"] == "failure"


def test_a_failure_of_apprise_shows_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    server = serve("503 Service Unavailable", [])
    with pytest.raises(DeliveryError) as caught:
        deliver(f"json://127.0.0.1:{server.server_port}/SECRET")
    server.stop(timeout=0)

    assert (str(caught.value), caught.value.final) == ("Apprise could not deliver it: status 503", False)
    assert "SECRET" not in "".join(capfd.readouterr())


def test_a_url_that_apprise_does_not_know_is_final() -> None:
    with pytest.raises(DeliveryError, match="does not know such a URL") as caught:
        deliver("nosuchservice://SECRET")
    assert caught.value.final
    assert "SECRET" not in str(caught.value)


def test_without_apprise_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)

    with pytest.raises(DeliveryError, match=r"pip install 'gcron\[notify\]'") as caught:
        spawn(AppriseSender("slack://a/b/c").send, MESSAGE).get()
    assert caught.value.final

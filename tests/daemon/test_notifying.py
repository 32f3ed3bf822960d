"""`gcron run` with notifications: mail, reloads, and targets that hang. No fire is later, no stop longer than 5 s."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.waiting import takes, until


@pytest.fixture
def sendmail(tmp_path: Path) -> Path:
    """A program that takes mail: each is a file in `mails`."""
    program = tmp_path / "sendmail"
    (tmp_path / "mails").mkdir()
    program.write_text(
        f"#!/bin/sh\ncat > {tmp_path}/mails/$$.part && mv {tmp_path}/mails/$$.part {tmp_path}/mails/$$\n"
    )
    program.chmod(0o755)
    return program


def mails(tmp_path: Path) -> list[str]:
    return [path.read_text() for path in (tmp_path / "mails").iterdir() if path.suffix != ".part"]


def test_mailto_means_what_it_means_in_cron(gcron_run: Callable[..., Any], sendmail: Path, tmp_path: Path) -> None:
    text = "MAILTO=ops@example.com\n# gcron: name=hello\n@reboot echo hello\n# gcron: name=silent\n@reboot true\n"
    daemon = gcron_run(text, f"--mailer={sendmail}")
    daemon.wait_for(r"\bhello +succeeded|hello.*succeeded")
    daemon.wait_for(r"silent.*succeeded")
    assert daemon.stop() == 0

    (mail,) = mails(tmp_path)
    assert "To: ops@example.com\n" in mail
    assert "> echo hello\n" in mail
    assert mail.endswith("\n\nhello\n")


@pytest.mark.parametrize(
    ("mailer", "warning"),
    [
        ("smtp://gcron@localhost?password-file={}", "the password file {} is not there, or cannot be read"),
        ("{}", "{} is no program that can be run"),
    ],
)
def test_a_mailer_that_cannot_work_is_warned_about_at_the_start(
    gcron_run: Callable[..., Any], tmp_path: Path, mailer: str, warning: str
) -> None:
    """A wrong path of a password was found when the first mail about a failure was lost."""
    missing = tmp_path / "missing"
    daemon = gcron_run(
        "MAILTO=ops@example.com\n# gcron: name=hello\n@manual true\n", f"--mailer={mailer.format(missing)}"
    )
    daemon.wait_for("1 job from")
    assert daemon.stop() == 0
    assert f"--mailer: {warning.format(missing)}, so no mail can be sent" in daemon.errors


def test_a_file_of_a_target_that_is_missing_is_warned_about_at_the_start(
    gcron_run: Callable[..., Any], tmp_path: Path
) -> None:
    """It was found when the first message about a failure was not sent. The daemon runs, and a reload says it again."""
    text = (
        f"# gcron-notify: hook url-file={tmp_path}/url\n"
        f"# gcron-notify: signed url=https://a.example/ secret-file={tmp_path}/key\n"
        "# gcron: name=fails notify=hook,signed\n@manual false\n"
    )
    daemon = gcron_run(text)
    for line, name, key, file in ((1, "hook", "url-file", "url"), (2, "signed", "secret-file", "key")):
        daemon.wait_for(
            rf"crontab\d*:{line}: the target {name}: {key}: {tmp_path}/{file} cannot be read: "
            "no such file or directory: no message can be sent to it"
        )
    (tmp_path / "key").write_text("k")
    crontab = next(path for path in tmp_path.iterdir() if path.name.startswith("crontab"))
    crontab.write_text(text.replace("hook", "other"))
    daemon.wait_for("the target other: url-file")
    assert daemon.stop() == 0
    assert daemon.log.count("the target signed") == 1


def test_without_a_mailer_there_is_no_mail(gcron_run: Callable[..., Any], sendmail: Path, tmp_path: Path) -> None:
    daemon = gcron_run("MAILTO=ops@example.com\n# gcron: name=hello\n@reboot echo hello\n", "--mailer=off")
    daemon.wait_for(r"hello.*succeeded")
    assert daemon.stop() == 0

    assert mails(tmp_path) == []
    assert "notify" not in daemon.log


@pytest.mark.realtime
def test_a_mail_program_that_hangs_does_not_outlive_gcron(
    gcron_run: Callable[..., Any], sendmail: Path, tmp_path: Path
) -> None:
    """Each delivery that hung when gcron stopped left its processes behind."""
    sendmail.write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/pid.part; mv {tmp_path}/pid.part {tmp_path}/pid; sleep 1000 & wait\n"
    )
    daemon = gcron_run("MAILTO=ops@example.com\n# gcron: name=hello\n@reboot echo hello\n", f"--mailer={sendmail}")
    until((tmp_path / "pid").exists, "the program")
    group = int((tmp_path / "pid").read_text())
    with takes(at_most=6):
        assert daemon.stop() == 0

    until(lambda: not has_processes(group), "their end")


@pytest.mark.realtime
def test_a_command_that_hangs_leaves_no_process_when_gcron_stops(gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    """It was killed, and what it had started in sessions of its own went on."""
    command = f"for i in 1 2 3; do setsid sleep 471148 & done; touch {tmp_path}/begun; kill -STOP $$"
    daemon = gcron_run(f"# gcron: name=fails on-failure='{command}'\n@reboot false\n")
    until((tmp_path / "begun").exists, "the command")
    with takes(at_most=6):
        assert daemon.stop() == 0

    until(lambda: not any("471148" in (each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])))


def has_processes(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_reload_may_bring_the_first_target_and_a_wrong_one_is_told(
    gcron_run: Callable[..., Any], sendmail: Path, tmp_path: Path
) -> None:
    daemon = gcron_run("# gcron: name=a\n@reboot true\n", f"--mailer={sendmail}")
    crontab = next(path for path in tmp_path.iterdir() if path.name.startswith("crontab"))
    right = "# gcron-notify: ops url=mailto:ops@example.com\n# gcron: name=a notify=ops\n@reboot true\n"
    daemon.wait_for("Ctrl-C stops")
    crontab.write_text(right)
    daemon.wait_for("read again: 0 added, 1 changed, 0 removed")
    crontab.write_text(right + "61 * * * * x\n")
    daemon.wait_for("nothing is changed, for what was read is wrong")
    until(lambda: any("crontab on disk is wrong" in mail for mail in mails(tmp_path)), "the mail")
    crontab.write_text(right)
    daemon.wait_for("read again: 0 added, 0 changed, 0 removed")
    assert daemon.stop() == 0

    told = "\n".join(mails(tmp_path))
    assert "Subject: gcron: the crontab on disk is wrong: the jobs stay as they are" in told
    assert "61 is out of range in the minute field" in told
    assert "Subject: gcron: the crontab on disk is right again" in told


class Hanging:
    """Listens, and hangs at one place of a connection. `greeting`: said at once; `drips`: each second."""

    def __init__(self, greeting: bytes = b"", drips: bytes = b"", accepts: bool = True) -> None:
        self._greeting = greeting
        self._drips = drips
        self._over = threading.Event()
        self._sockets = [socket.create_server(("127.0.0.1", 0), backlog=0 if not accepts else 100)]
        self.address = f"127.0.0.1:{self._sockets[0].getsockname()[1]}"
        self.connections = 0
        if accepts:
            threading.Thread(target=self._serve, daemon=True).start()
        else:
            self._fill()

    def _fill(self) -> None:
        """Fill the queue of connections that nobody accepts: the kernel drops what comes after that."""
        while True:
            client = socket.socket()
            self._sockets.append(client)
            client.settimeout(1)
            try:
                client.connect(self._sockets[0].getsockname())
            except TimeoutError:
                return

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self._sockets.append(self._sockets[0].accept()[0])
                self.connections += 1
                threading.Thread(target=self._answer, args=(self._sockets[-1],), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(self._greeting)
            while self._drips and not self._over.wait(1):
                connection.sendall(self._drips)

    def end(self) -> None:
        self._over.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def hanging() -> Iterator[Callable[..., Hanging]]:
    made: list[Hanging] = []

    def make(**behaviour: Any) -> Hanging:
        made.append(Hanging(**behaviour))
        return made[-1]

    yield make
    for each in made:
        each.end()


HTTP_ERROR = b"HTTP/1.1 500 Oh\r\nContent-Length: 1000\r\n\r\n"
HTTP_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
PLACES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    # The schemes of the web and of mail, and how their servers behave.
    "at connect": ("http", "smtp", {"accepts": False}, {"accepts": False}),
    "after connect": ("http", "smtp", {}, {}),
    "in TLS": ("https", "smtps", {}, {}),
    "in the header": ("http", "smtp", {"greeting": b"HTTP/1.1 200 OK\r\nX-A: ", "drips": b"x"}, {"drips": b"2"}),
    "in the body": ("http", "smtp", {"greeting": HTTP_ERROR}, {"greeting": b"220 mail\r\n"}),
    "in a slow body": (
        "http",
        "smtp",
        {"greeting": HTTP_ERROR, "drips": b"x"},
        {"greeting": b"220-x\r\n", "drips": b"2"},
    ),
    "in the body of a success": (
        "http",
        "smtp",
        {"greeting": HTTP_OK, "drips": b"x"},
        {"greeting": b"220 mail\r\n250"},
    ),
}


@pytest.mark.realtime
@pytest.mark.parametrize("place", PLACES)
def test_targets_that_hang_delay_no_fire_and_no_stop_by_more_than_5_s(
    gcron_run: Callable[..., Any], hanging: Callable[..., Hanging], place: str
) -> None:
    """A webhook, a ping and a mail server, for a job each second."""
    web, mail, of_web, of_mail = PLACES[place]
    hook, ping, server = hanging(**of_web), hanging(**of_web), hanging(**of_mail)
    text = (
        "MAILTO=ops@example.com\n"
        f"# gcron-notify: hook url={web}://{hook.address}/SECRET\n# gcron-notify: pinged ping={web}://{ping.address}/SECRET\n"
        "# gcron-defaults: notify=hook,pinged notify-again=0\n"
        "# gcron: name=fails every=1s\n* * * * * echo no; false\n"
    )
    daemon = gcron_run(text, f"--mailer={mail}://{server.address}", "--log-format=json")
    if of_web.get("accepts", True):
        until(lambda: hook.connections and ping.connections and server.connections, "deliveries")
    daemon.wait_for(r'"run-finished".*"fails"|"fails".*"run-finished"', count=4)
    with takes(at_most=6):
        assert daemon.stop() == 0

    records = [json.loads(line) for line in daemon.log.splitlines()]
    starts = [record for record in records if record["event"] == "run-started"]
    due = [datetime.fromisoformat(record["fire_at"]).timestamp() for record in starts]
    late = [datetime.fromisoformat(record["time"]).timestamp() - at for record, at in zip(starts, due, strict=True)]
    assert len(due) >= 4
    assert [after - before for before, after in pairwise(due)] == [1] * (len(due) - 1), "no fire is left out"
    assert max(late) < 1, "no fire comes later than the next one is due"
    left = " ".join(record["message"] for record in records if "not delivered, and" in record.get("message", ""))
    for name in ("MAILTO", *(() if place == "in the body of a success" else ("hook", "pinged"))):
        assert f"notify {name}" in left
    assert "SECRET" not in daemon.log + daemon.errors


@pytest.mark.realtime
@pytest.mark.parametrize(
    ("state", "fate"), [((), "kept for the next start"), (("--state", "memory"), "lost")], ids=["disk", "memory"]
)
def test_a_thousand_failures_in_a_second_with_a_dead_target(
    gcron_run: Callable[..., Any], state: tuple[str, ...], fate: str
) -> None:
    """Fires are on time, and the end is not delayed by what cannot be told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    lines = "".join(f"# gcron: name=j{number}\n@reboot false\n" for number in range(1000))
    daemon = gcron_run(
        f"# gcron-notify: hook url=http://127.0.0.1:{port}/SECRET\n# gcron-defaults: notify=hook\n{lines}", *state
    )
    daemon.wait_for(r"j\d+ .*failed", count=1000)
    daemon.wait_for("notify hook .*: not delivered: no connection: Connection refused; tried again in 10 s")
    with takes(at_most=6):
        assert daemon.stop() == 0

    assert f"not delivered, and {fate}: 1000: no connection: Connection refused" in daemon.log
    assert "SECRET" not in daemon.log + daemon.errors

"""gcron looks after itself: a part that has died ends it with a status that says so; else the watchdog is fed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from gcron.daemon.formats.format import Level
from gcron.daemon.sd_notify import Notifier
from gcron.daemon.self_check import EXIT_BROKEN, SelfCheck
from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.realtime

PROGRAM = """
    import sys
    from gcron.daemon import self_check
    self_check.CHECK_EVERY = 0.1
    {break_it}
    from gcron.cli.main import main
    sys.exit(main(["run", sys.argv[1]]))
"""
# What may die, by an error that nobody has thought of.
WATCHER = """
    from gcron.scheduler.watch import Watch
    def fail(self):
        raise RuntimeError("an error that nobody has thought of")
    Watch._look_at_clock = fail
"""
FOLLOWER = """
    from gcron.daemon.watching import FileWatch
    def fail(self):
        raise RuntimeError("an error that nobody has thought of")
    FileWatch.wait = fail
"""
LOG = """
    from gcron.daemon.sink import Sink
    write = Sink._write_record
    def fail(self, data):
        lost = write(self, data)
        if b"dies now" in data:
            raise RuntimeError("an error that nobody has thought of")
        return lost
    Sink._write_record = fail
"""
REAPER = """
    from gcron.runtime.children import Child
    Child._collect = lambda self: None
"""


def run(program: str, crontab: Path) -> subprocess.CompletedProcess[str]:
    source = textwrap.dedent(PROGRAM).format(break_it=textwrap.dedent(program))
    command = [sys.executable, "-c", source, str(crontab)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("program", "named"),
    [
        (WATCHER, "the watch of the clock"),
        (FOLLOWER, "the watch of the files"),
        (LOG, None),
        (REAPER, "the collection of exit statuses"),
    ],
    ids=["clock", "files", "log", "statuses"],
)
def test_what_has_died_ends_gcron_with_status_6(program: str, named: str | None, tmp_path: Path) -> None:
    """A process went on that looked alive: no job was due any more, or no line was written, and nobody was told."""
    crontab = tmp_path / "crontab"
    crontab.write_text("@reboot echo dies now\n@reboot sleep 600\n")

    done = run(program, crontab)

    assert done.returncode == EXIT_BROKEN, done
    if named is not None:
        assert f"{named} has died: gcron ends with status 6" in done.stdout


def test_the_watchdog_is_fed_while_all_is_well(gcron_run: Any, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(PATIENCE)
        environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
        daemon = gcron_run("@reboot echo usec=$WATCHDOG_USEC.\n", "--no-watch", env=environment)
        said = [manager.recv(4096) for _ in range(4)]
        assert said.count(b"WATCHDOG=1") >= 3
        daemon.wait_for(r"usec=\.")  # jobs do not get the variable
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", "", 30.0),
        ("30000000", "own", 30.0),
        ("30000000", "1", None),
        ("x", "", None),
        ("0", "", None),
    ],
)
def test_the_interval_is_the_service_managers(
    usec: str, pid: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert Notifier().watchdog_interval == seconds
    assert "WATCHDOG_USEC" not in os.environ


class Part:
    has_died = False
    watchdog_interval: float | None = 0.02

    def __init__(self) -> None:
        self.fed = 0
        self.said: list[str] = []

    def alive(self) -> None:
        self.fed += 1

    def say(self, text: str, level: Level = "info") -> None:
        self.said.append(text)

    def close(self, timeout: float) -> None:
        return


def test_a_watchdog_is_not_fed_once_a_part_has_died(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part()
    statuses: list[int] = []
    check = SelfCheck(Scheduler(), part, part, part, statuses.append)
    check.start()
    until(lambda: part.fed > 2)
    part.has_died = True
    until(lambda: statuses)
    fed = part.fed
    sleep(0.1)
    assert (part.fed, statuses) == (fed, [EXIT_BROKEN])
    assert part.said == ["the watch of the files, the thread of the log has died: gcron ends with status 6"]

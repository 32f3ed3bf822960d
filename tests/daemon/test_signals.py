"""Which signals stop `gcron run`, which one is an echo, and what a terminal that goes away means."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.daemon.daemon import Daemon, Settings
from gcron.daemon.formats.text import TextFormat
from gcron.daemon.log import LogSettings
from gcron.daemon.stop_signals import StopRequests
from gcron.greenlet import sleep, spawn_later
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job
from gcron.supervise.python_call import PythonCall
from gcron.testing import VirtualClock
from tests.conftest import Gate
from tests.waiting import until

Run = Callable[..., Any]


def test_a_signal_that_timeout_sends_twice_is_one_request(gcron_run: Run, gate: Gate) -> None:
    """`timeout 60 gcron run FILE` killed jobs at once: timeout(1) signals its command and then its process group."""
    daemon = gcron_run(f"@reboot echo up; {gate.wait}; echo finished\n", before=("timeout", "1h"))
    daemon.wait_for(r"\| up")
    daemon.send(signal.SIGTERM)
    daemon.wait_for("SIGTERM: stopping, waiting up to 30 s")
    gate.open()
    assert daemon.wait() == 0
    assert "| finished" in daemon.log


@pytest.mark.parametrize(
    ("times", "echoes"),
    [
        ([(0, "TERM"), (0.9, "TERM"), (1.1, "TERM")], [False, True, False]),
        ([(0, "TERM"), (0.1, "INT")], [False, False]),
        ([(0, "INT"), (0.01, "INT"), (0.3, "INT")], [False, True, False]),
        ([(0, "QUIT"), (0.1, "TERM"), (0.2, "QUIT")], [False, False, False]),
    ],
)
def test_the_same_signal_soon_after_is_an_echo(
    clock: VirtualClock, times: list[tuple[float, str]], echoes: list[bool]
) -> None:
    requests = StopRequests()
    found, before = [], 0.0
    for time, name in times:
        sleep(time - before)
        before = time
        found.append(requests.is_echo(signal.Signals[f"SIG{name}"]))
    assert found == echoes


@pytest.mark.parametrize(("second", "status"), [(1.9, 0), (2.1, 3)])
def test_a_second_term_within_a_second_kills_nothing(
    tmp_path: Path, clock: VirtualClock, second: float, status: int
) -> None:
    log = tmp_path / "log"
    job = Job("long", parse("@reboot", "UTC"), PythonCall(lambda: sleep(5), greenlet=True), Policy())
    with log.open("wb") as out:
        daemon = Daemon([job], Settings(LogSettings(TextFormat(UTC), stdout_fd=out.fileno())), "a test", list)
        for moment in (1, second):
            spawn_later(moment, os.kill, os.getpid(), signal.SIGTERM)
        assert daemon.run() == status
        daemon.close()
    assert ("SIGTERM: killing long" in log.read_text()) == (status == 3)


# -- the terminal -------------------------------------------------------------------------------------------------


class Session:
    """A shell command on a terminal of its own, with `gcron run` in it. Its log is a file."""

    def __init__(self, directory: Path, command: str) -> None:
        self._log = directory / "log"
        (directory / "crontab").write_text("# gcron: name=long\n@reboot echo up; exec sleep 60\n")
        gcron = shlex.join([sys.executable, "-m", "gcron", "run", "--no-watch", "--grace", "0", "crontab"])
        self.leader, self._terminal = pty.fork()
        if self.leader == 0:
            os.chdir(directory)
            os.execv("/bin/sh", ["sh", "-c", command.replace("GCRON", f"{gcron} > log 2>&1")])
        self.wait_for("| up")
        leader = psutil.Process(self.leader)
        words = [process for process in [leader, *leader.children(recursive=True)] if "crontab" in process.cmdline()]
        self.gcron = next(process for process in words if process.cmdline()[0] == sys.executable)

    def wait_for(self, text: str) -> None:
        until(lambda: self._log.exists() and text in self._log.read_text(), text)

    def close_terminal(self) -> None:
        os.close(self._terminal)
        self._terminal = -1

    def end(self) -> None:
        with suppress(psutil.Error):
            for child in self.gcron.children(recursive=True):
                child.kill()
            self.gcron.kill()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.leader, signal.SIGKILL)
            os.waitpid(self.leader, 0)
        if self._terminal >= 0:
            self.close_terminal()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Callable[[str], Session]]:
    sessions: list[Session] = []

    def start(command: str) -> Session:
        sessions.append(Session(tmp_path, command))
        return sessions[-1]

    yield start
    for each in sessions:
        each.end()


@pytest.mark.parametrize("command", ["exec GCRON", "GCRON; true"], ids=["session leader", "of a shell"])
def test_gcron_stops_when_its_terminal_is_closed(session: Callable[[str], Session], command: str) -> None:
    """HUP was taken for a reload: gcron and its jobs went on unseen, under process 1."""
    running = session(command)
    running.close_terminal()
    running.wait_for("SIGHUP, because the terminal has gone away: stopping")
    running.wait_for("stopped; had to be killed: long")
    until(lambda: not running.gcron.is_running() or running.gcron.status() == psutil.STATUS_ZOMBIE)


def test_hup_reloads_while_the_terminal_is_there(session: Callable[[str], Session]) -> None:
    running = session("exec GCRON")
    running.gcron.send_signal(signal.SIGHUP)
    running.wait_for("SIGHUP: read again")


def test_under_nohup_the_end_of_the_terminal_changes_nothing(session: Callable[[str], Session]) -> None:
    running = session("trap '' HUP; exec GCRON")
    running.close_terminal()
    running.gcron.send_signal(signal.SIGHUP)
    running.wait_for("SIGHUP: read again")
    running.gcron.send_signal(signal.SIGUSR1)
    running.wait_for("status: 1 job, 1 running")

"""Fixtures that all tests share: virtual time, a scheduler with a recorder, and `gcron run` as a process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import psutil
import pytest
from hypothesis import settings

from gcron.scheduler import JobOutput, Scheduler
from gcron.supervise.timing import Timing
from gcron.testing import VirtualClock
from tests.postgres import bouncer, postgres, postgres_server  # noqa: F401  # fixtures
from tests.waiting import PATIENCE

NIGHT = datetime(2026, 1, 1, tzinfo=UTC)
WITH_TIMING = Path(__file__).with_name("gcron_with_timing.py")

# Schedules without a zone are in that of the machine. Tests know only this one.
os.environ["TZ"] = "UTC"
time.tzset()

# No deadline: a busy machine is not a failure, and benchmarks/ measure speed. The workers can share the database of
# examples, because each test has its own directory there.
settings.register_profile("gcron", deadline=None)
# For hours of fuzzing: pytest --hypothesis-profile=long
settings.register_profile("long", settings.get_profile("gcron"), max_examples=20_000)
settings.load_profile("gcron")

# What a test starts writes no history into the directory of this user.
os.environ["GCRON_STATE"] = "memory"

# A script's `pytest &` ignores these two, and everything that the tests start would inherit that.
for _signum, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_signum) is signal.SIG_IGN:
        signal.signal(_signum, _handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=20, help="how often tests/state kills what writes the history")
    parser.addoption("--nemesis", type=float, default=1.0, help="for how many minutes tests/cluster disturbs its nodes")
    parser.addoption("--seed", type=int, default=20, help="of the faults of tests/cluster")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` means: one for each processor, and one for the tests that only wait."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(tryfirst=True)  # before the one of pytest-xdist, which looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that take real time in two workers, one file after the other: more of them would delay each other.

    They mostly wait, so two at once do not keep two processors busy.
    """
    for item in items:
        if item.get_closest_marker("realtime"):
            lane = crc32(item.path.name.encode()) % 2
            item.add_marker(pytest.mark.xdist_group(f"realtime-{lane}"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Check that pytest-xdist has seen the group: it shows in the id of a test."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        lost = [item.nodeid for item in session.items if item.get_closest_marker("realtime") and "@" not in item.nodeid]
        assert not lost, f"pytest-xdist ignores the group of {lost[0]}"


@pytest.fixture(autouse=True)
def _runtime_directory(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let each `gcron run` of a test have its control socket below a directory of the tests."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.getbasetemp()))


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of the test alone, whose path is short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    yield directory
    shutil.rmtree(directory)


class Recorder:
    """An observer that keeps everything."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    def of(self, kind: str, job: str | None = None) -> list[Any]:
        return [event for event in self.events if event.kind == kind and job in (None, getattr(event, "job", ""))]

    def outcomes(self, job: str | None = None) -> list[str]:
        return [str(event.result.outcome) for event in self.of("run-finished", job)]

    def lines(self, job: str | None = None) -> list[bytes]:
        return [
            line
            for event in self.events
            if isinstance(event, JobOutput)
            if job in (None, event.job)
            for line in event.lines
        ]


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """Virtual time from 2026-01-01 00:00 UTC on."""
    with VirtualClock(NIGHT).installed() as virtual:
        yield virtual


@pytest.fixture
def steady_clock() -> Iterator[VirtualClock]:
    """Virtual time for clock steps: the scheduler reads it each second, as without a kernel timer."""
    with VirtualClock(NIGHT, longest_nap=1.0).installed() as virtual:
        yield virtual


@pytest.fixture
def make_scheduler() -> Iterator[Callable[..., tuple[Scheduler, Recorder]]]:
    """Make schedulers with a recorder. They are stopped after the test."""
    made: list[Scheduler] = []

    def make(*args: Any, **kwargs: Any) -> tuple[Scheduler, Recorder]:
        scheduler = Scheduler(*args, **kwargs)
        recorder = Recorder()
        scheduler.on("*", recorder)
        made.append(scheduler)
        return scheduler, recorder

    yield make
    for scheduler in made:
        scheduler.kill()
        scheduler.stop(grace=0)


@pytest.fixture
def scheduler(make_scheduler: Callable[..., tuple[Scheduler, Recorder]]) -> tuple[Scheduler, Recorder]:
    """One scheduler on the machine's clock."""
    return make_scheduler()


class Daemon:
    """A running `gcron run`. Its log is a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, errors: Path) -> None:
        self.process = process
        self.log_path = log
        self.errors_path = errors

    @property
    def log(self) -> str:
        return self.log_path.read_bytes().decode("utf-8", "surrogateescape")

    @property
    def errors(self) -> str:
        return self.errors_path.read_text()

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """Wait until the log has `count` matches."""
        deadline = time.monotonic() + PATIENCE
        while len(found := re.findall(pattern, self.log, re.MULTILINE)) < count:
            assert time.monotonic() < deadline, f"no {pattern!r} in\n{self.log}\n{self.errors}"
            assert self.process.poll() is None, (
                f"gcron ended with {self.process.returncode}:\n{self.log}\n{self.errors}"
            )
            time.sleep(0.01)
        return found

    def send(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def wait(self, timeout: float = PATIENCE) -> int:
        return self.process.wait(timeout)

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        self.send(signum)
        return self.wait()


@pytest.fixture
def gcron_run(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Start `gcron run` with the text of a crontab. All its processes are killed after the test.

    `before`: a command that starts it, such as `nohup`. `timing`: other waiting times than the defaults.
    """
    daemons: list[Daemon] = []

    def start(
        text: str, *options: str, before: tuple[str, ...] = (), timing: Timing | None = None, **popen: Any
    ) -> Daemon:
        crontab = tmp_path / f"crontab{len(daemons)}"
        crontab.write_text(text)
        log, errors = tmp_path / f"log{len(daemons)}", tmp_path / f"errors{len(daemons)}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
        options = ("--state", str(tmp_path / f"state{len(daemons)}"), *options)
        popen.setdefault("env", environment)
        with log.open("wb") as out, errors.open("wb") as err:
            popen.setdefault("stdout", out)
            popen.setdefault("stderr", err)
            gcron = ["-m", "gcron"] if timing is None else [str(WITH_TIMING), json.dumps(asdict(timing))]
            process = subprocess.Popen([*before, sys.executable, *gcron, "run", *options, str(crontab)], **popen)
        daemons.append(Daemon(process, log, errors))
        return daemons[-1]

    yield start
    for daemon in daemons:
        _end(daemon.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr, process.stdin):
        if stream is not None:
            stream.close()


class Gate:
    """Lets a job wait until the test opens the gate."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wait = f"until test -e {path}; do sleep 0.02; done"
        """The shell command that waits."""

    def open(self) -> None:
        self.path.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.fixture
def unique() -> str:
    """Return a number of seconds that no other process sleeps for, so that processes can be found by it."""
    return f"{2000 + os.getpid()}.{time.monotonic_ns() % 10**9}"


@pytest.fixture(scope="session", autouse=True)
def _directories_of_workers_can_be_entered(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let other users enter the directory of a worker: some tests become another user."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        tmp_path_factory.getbasetemp().chmod(0o755)


@pytest.fixture
def marked_processes() -> Callable[[str], list[int]]:
    """Return a function that finds the living processes with a text in their command line."""

    def find(text: str) -> list[int]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and text in " ".join(process.cmdline()):
                    found.append(process.pid)
        return found

    return find

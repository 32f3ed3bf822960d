"""Daemons: what it takes to start one, to hold its jobs, and to start very many of them in one second.

    python benchmarks/daemon.py --impl yacron --only burst

Every implementation is a process of its own that reads a file of jobs; the marks that jobs leave (files, whose time
of change the kernel sets) are all that is looked at from outside.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import harness
from harness import Area, Measure

_START = (Measure("first job", "ms"), Measure("memory", "MB"))
SIZES = (10, 1_000, 10_000, 100_000)
AREAS = (
    *(Area(f"start-{size}", f"{size:,} jobs: until one ran, and held", size, _START, 1, False) for size in SIZES),
    Area("restart", "a service killed: until its successor runs", 20, (Measure("down", "ms"),), 1, False),
    Area(
        "burst", "1,000 shell jobs due at one second: the last one started", 1_000, (Measure("late", "ms"),), 1, False
    ),
)
# Seconds: until 100,000 jobs are read by the slowest peer; until the last of a burst has started, once it is due.
PATIENCE = 300.0
BURST_PATIENCE = 60.0
# Seconds that a service lives before it is killed: long enough for all of them to start it again at once.
LIFE = 1.2
# Where a thousand marks a second do not measure the journal of a disk.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

_JOBS_IN_A_FILE = 10_000

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Job:
    """A schedule of five fields, or `@reboot`, and a shell command."""

    schedule: str
    command: str


@dataclass(frozen=True, slots=True)
class Daemon:
    """How an implementation is told its jobs, and how it is started with that file."""

    write: Callable[[Sequence[Job], Path], None]
    command: tuple[str, ...]
    write_service: Callable[[str, Path], None] | None = None
    """How it is told to keep one shell command running."""
    most: int = SIZES[-1]
    """Jobs beyond which it takes minutes to start."""


class Areas:
    """The areas, in terms of a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        if daemon.write_service is not None:
            self.restart = self._restart
        for size in SIZES:
            if size <= daemon.most:
                setattr(self, f"start_{size}", self._start)

    def _start(self, size: int) -> tuple[float, float]:
        """Seconds until a job that is due at the start has run, and bytes that the process then holds."""
        with tempfile.TemporaryDirectory() as folder:
            mark = Path(folder, "mark")
            jobs = [
                Job("@reboot", f": > {mark}"),
                *(Job(_not_due(number), f"job {number}") for number in range(size - 1)),
            ]
            begin = time.time()
            with self._running(jobs, folder) as process:
                _wait_for(lambda: mark.exists(), PATIENCE, process)
                return mark.stat().st_mtime - begin, _memory(process.pid)

    def burst(self, size: int) -> float:
        """Seconds from the full minute until the last of the jobs has begun."""
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            marks = Path(folder, "marks")
            marks.mkdir()
            due = _minute_to_come()
            schedule = f"{datetime.fromtimestamp(due, UTC):%M %H} * * *"
            jobs = [Job(schedule, f": > {marks}/{number}") for number in range(size)]
            with self._running(jobs, folder) as process:
                time.sleep(max(0.0, due - time.time()))
                _wait_for(lambda: len(os.listdir(marks)) == size, BURST_PATIENCE, process)
            starts = [mark.stat().st_mtime for mark in marks.iterdir()]
            harness.check(min(starts) >= due - 0.01, "a job started early")  # the kernel's coarse clock sets the mark
            return max(starts) - due

    def _restart(self, count: int) -> float:
        """The median of the seconds from the death of a process to the first act of the one in its place."""
        assert self._daemon.write_service is not None
        with tempfile.TemporaryDirectory() as folder:
            mark, file = Path(folder, "pid"), Path(folder, "services")
            self._daemon.write_service(f"echo $$ > {mark}; exec sleep 1000", file)
            with self._started(file) as process:
                _wait_for(mark.exists, BURST_PATIENCE, process)
                downs = [_kill_and_wait(mark, process) for _ in range(count)]
        return statistics.median(downs)

    @contextmanager
    def _running(self, jobs: Sequence[Job], folder: str) -> Iterator[subprocess.Popen[bytes]]:
        file = Path(folder, "jobs")
        self._daemon.write(jobs, file)
        with self._started(file) as process:
            yield process

    @contextmanager
    def _started(self, file: Path) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            [*self._daemon.command, file],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TZ": "UTC"},
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _not_due(number: int) -> str:
    return f"{number % 60} {number // 60 % 24} 29 2 *"


def _minute_to_come() -> int:
    """A full minute that leaves time to start."""
    return (int(time.time()) + 15) // 60 * 60 + 60


def _wait_for(condition: Callable[[], bool], seconds: float, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        harness.check(process.poll() is None, "the daemon ended")
        harness.check(time.monotonic() < deadline, f"the jobs did not run within {seconds:g} s")
        time.sleep(0.005)


def _kill_and_wait(mark: Path, process: subprocess.Popen[bytes]) -> float:
    time.sleep(LIFE)
    pid = mark.read_text()
    os.kill(int(pid), signal.SIGKILL)
    begin = time.perf_counter()
    while mark.read_text() in (pid, ""):
        harness.check(process.poll() is None, "the daemon ended")
        harness.check(time.perf_counter() - begin < BURST_PATIENCE, "the service was not started again")
        time.sleep(0.0001)  # to look all the time would take one of the processors that they need
    return time.perf_counter() - begin


def _memory(pid: int) -> int:
    import psutil  # not there yet when run.py --setup asks for this module's areas

    return int(psutil.Process(pid).memory_info().rss)


# -- implementations ----------------------------------------------------------------------------------------


def write_crontab(jobs: Sequence[Job], file: Path) -> None:
    """As every cron reads it."""
    file.write_text("".join(f"{job.schedule}  {job.command}\n" for job in jobs))


def write_crontabs(jobs: Sequence[Job], folder: Path) -> None:
    """As gcron reads many: a directory, for a file has at most 1 MiB."""
    folder.mkdir()
    for number, start in enumerate(range(0, len(jobs), _JOBS_IN_A_FILE)):
        write_crontab(jobs[start : start + _JOBS_IN_A_FILE], folder / str(number))


def write_yaml(jobs: Sequence[Job], file: Path) -> None:
    """As yacron reads it; its names are to be unique."""
    entries = (
        f'- name: "{number}"\n  schedule: "{job.schedule}"\n  command: "{job.command}"\n  concurrencyPolicy: Forbid\n'
        for number, job in enumerate(jobs)
    )
    file.write_text("jobs:\n" + "".join(entries))


def write_service(command: str, file: Path) -> None:
    """As gcron reads it."""
    file.write_text(f"@service {command}\n")


def write_supervisor(command: str, file: Path) -> None:
    """As supervisord reads it."""
    folder = file.parent
    script = folder / "service.sh"
    script.write_text(command)
    file.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={folder}/pidfile\n"
        f"[program:service]\ncommand=/bin/sh {script}\nautorestart=true\nstartsecs=1\n"
    )


def _gcron() -> Areas:
    return Areas(Daemon(write_crontabs, (sys.executable, "-m", "gcron", "run"), write_service))


def _supervisord() -> Areas:
    _require("supervisor")
    areas = Areas(Daemon(write_crontab, (sys.executable, "-m", "supervisor.supervisord", "-c"), write_supervisor, 0))
    areas.burst = None  # type: ignore[method-assign, assignment]
    return areas


def _apscheduler() -> Areas:
    _require("apscheduler")
    return Areas(Daemon(write_crontab, (sys.executable, str(HERE / "daemon_apscheduler.py"))))


def _yacron() -> Areas:
    _require("yacron")
    return Areas(Daemon(write_yaml, (sys.executable, "-m", "yacron", "-c"), most=1_000))


def _supercronic() -> Areas:
    program = shutil.which("supercronic")
    if program is None:
        raise ModuleNotFoundError("no supercronic on the PATH")
    areas = Areas(Daemon(write_crontab, (program,)))
    for size in SIZES:
        delattr(areas, f"start_{size}")  # it has no @reboot that would tell when it is there
    return areas


def _require(module: str) -> None:
    if find_spec(module) is None:
        raise ModuleNotFoundError(f"No module named {module!r}")


PROGRAM = harness.Program(
    "daemon",
    AREAS,
    {
        "gcron": _gcron,
        "apscheduler": _apscheduler,
        "yacron": _yacron,
        "supercronic": _supercronic,
        "supervisord": _supervisord,
    },
)

if __name__ == "__main__":
    harness.main(PROGRAM)

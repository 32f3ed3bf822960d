"""Daemons: how quickly they start, what they hold, and how they cope with many jobs due at one second.

    python benchmarks/daemon.py --impl yacron --only burst

Every implementation is a process of its own that reads a file of jobs. Its jobs leave marks: files, whose time of
change the kernel sets. Nothing else is looked at from outside.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import daemons
import harness
from daemons import AT_START, Daemon, Job, not_due
from harness import Area, Measure

_START = (Measure("first job", "ms"), Measure("memory", "MB"))
SIZES = (10, 1_000, 10_000, 100_000)
AREAS = (
    # Short enough to repeat; the first start of all compiles what it imports.
    Area("start-10", "10 jobs: until one ran, and held", SIZES[0], _START, repeat=5, warm_up=True),
    *(Area(f"start-{size}", f"{size:,} jobs: until one ran, and held", size, _START, 1, False) for size in SIZES[1:]),
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


class Scheduling:
    """The areas of a daemon that runs jobs by a schedule."""

    def __init__(self, daemon: Daemon, most: int = SIZES[-1]) -> None:
        """`most`: jobs beyond which the daemon takes minutes to start."""
        self._daemon = daemon
        for size in SIZES:
            if daemon.runs_at_start and size <= most:
                setattr(self, f"start_{size}", self._start)

    def _start(self, size: int) -> tuple[float, float]:
        """Seconds until a job that is due at the start has run, and bytes that the process then holds."""
        with tempfile.TemporaryDirectory() as folder:
            mark, path = Path(folder, "mark"), Path(folder, "jobs")
            others = [Job(not_due(number), f"job {number}") for number in range(size - 1)]
            write = self._daemon.write_large or self._daemon.write
            write([Job(AT_START, f": > {mark}"), *others], path)
            begin = time.time()
            with self._daemon.running(path) as process:
                _wait_for(mark.exists, PATIENCE, process)
                return mark.stat().st_mtime - begin, _memory(process.pid)

    def burst(self, size: int) -> float:
        """Seconds from the full minute until the last of the jobs has begun."""
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            marks, path = Path(folder, "marks"), Path(folder, "jobs")
            marks.mkdir()
            due = _minute_to_come()
            schedule = f"{datetime.fromtimestamp(due, UTC):%M %H} * * *"
            self._daemon.write([Job(schedule, f": > {marks}/{number}") for number in range(size)], path)
            with self._daemon.running(path) as process:
                time.sleep(max(0.0, due - time.time()))
                _wait_for(lambda: len(os.listdir(marks)) == size, BURST_PATIENCE, process)
            starts = [mark.stat().st_mtime for mark in marks.iterdir()]
            harness.check(min(starts) >= due - 0.01, "a job started early")  # the kernel's coarse clock sets the mark
            return max(starts) - due


class Supervising:
    """The area of a daemon that keeps a service running."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def restart(self, count: int) -> float:
        """The median of the seconds from the death of a process to the first act of its successor."""
        with tempfile.TemporaryDirectory() as folder:
            mark, path = Path(folder, "pid"), Path(folder, "services")
            self._daemon.write([Job("@service", f"echo $$ > {mark}; exec sleep 1000")], path)
            with self._daemon.running(path) as process:
                _wait_for(mark.exists, BURST_PATIENCE, process)
                downs = [_kill_and_wait(mark, process) for _ in range(count)]
        return statistics.median(downs)


class Both(Scheduling, Supervising):
    """All areas."""


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


def _supervisord() -> Supervising:
    if find_spec("supervisor") is None:
        raise ModuleNotFoundError("No module named 'supervisor'")
    return Supervising(Daemon((sys.executable, "-m", "supervisor.supervisord", "-c"), _write_supervisor))


def _write_supervisor(services: Sequence[Job], path: Path) -> None:
    folder = path.parent
    script = folder / "service.sh"
    script.write_text(services[0].command)
    path.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={folder}/pidfile\n"
        f"[program:service]\ncommand=/bin/sh {script}\nautorestart=true\nstartsecs=1\n"
    )


PROGRAM = harness.Program(
    "daemon",
    AREAS,
    {
        "gcron": lambda: Both(daemons.gcron()),
        "apscheduler": lambda: Scheduling(daemons.apscheduler()),
        "cronstable": lambda: Scheduling(daemons.cronstable()),
        "cronstable-uvloop": lambda: Scheduling(daemons.cronstable_uvloop()),
        "yacron": lambda: Scheduling(daemons.yacron(), most=1_000),
        "supercronic": lambda: Scheduling(daemons.supercronic()),
        "supervisord": _supervisord,
    },
)

if __name__ == "__main__":
    harness.main(PROGRAM)

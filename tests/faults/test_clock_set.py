"""The wall clock of a real `gcron run` is set while it runs.

Nobody but root may set the machine's clock, and no test should: a preloaded library of a few lines adds an offset,
read from a shared file, to the wall clock of this one process. Its other clocks are left alone.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_OFFSET_FILE"), O_RDONLY);
    offset = mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && clock == CLOCK_REALTIME) now->tv_sec += *offset;
    return status;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec fine;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &fine);
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *where) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    if (where) *where = fine.tv_sec;
    return fine.tv_sec;
}
"""
HOUR = 3600

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD is how Linux does it"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="the library that shifts the clock needs a C compiler"),
]


class SettableClock:
    """The wall clock of processes that start with `environment`."""

    def __init__(self, folder: Path) -> None:
        source, library, shared = folder / "shim.c", folder / "shim.so", folder / "offset"
        source.write_text(SHIM)
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
        shared.write_bytes(bytes(8))
        with shared.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)
        self.environment = os.environ | {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(shared)}

    def now(self) -> float:
        return time.time() + self.offset

    @property
    def offset(self) -> int:
        return int(struct.unpack("q", self._memory[:])[0])

    def set_to(self, instant: float) -> None:
        self._memory[:] = struct.pack("q", int(instant - time.time()))


@pytest.fixture
def clock(tmp_path: Path) -> SettableClock:
    return SettableClock(tmp_path)


def at(hour: int, minute: int = 0, second: int = 0) -> float:
    return datetime(2030, 6, 5, hour, minute, second, tzinfo=UTC).timestamp()


CRONTAB = """\
CRON_TZ=UTC
# gcron: name=fixed
30 12 * * *  true
# gcron: name=wildcard
30 * * * *  true
# gcron: name=every
@every 1s  true
"""


def starts(daemon: Any, job: str) -> int:
    return len(re.findall(rf"  {job} +started", daemon.log))


def wait_for_more(daemon: Any, job: str, more: int) -> None:
    daemon.wait_for(rf"  {job} +started", starts(daemon, job) + more)


def test_the_library_shifts_the_clocks_that_python_reads(clock: SettableClock) -> None:
    clock.set_to(at(12))
    code = "import time, datetime; print(time.time(), time.time_ns() / 1e9, datetime.datetime.now().timestamp())"
    told = subprocess.run([sys.executable, "-c", code], env=clock.environment, capture_output=True, check=True).stdout
    assert all(abs(float(word) - clock.now()) < 60 for word in told.split())


def test_set_forward_and_back_a_little(clock: SettableClock, gcron_run: Callable[..., Any]) -> None:
    clock.set_to(at(12, 10))
    daemon = gcron_run(CRONTAB, env=clock.environment)
    wait_for_more(daemon, "every", 2)
    assert starts(daemon, "fixed") == starts(daemon, "wildcard") == 0
    clock.set_to(at(12, 50))  # forward by 40 minutes: the fixed time is made up, once
    daemon.wait_for(r"  fixed +started")
    daemon.wait_for(r"  wildcard +missed: 2030-06-05 12:30:00Z")
    wait_for_more(daemon, "every", 2)
    clock.set_to(at(12, 29, 58))  # back over it: it does not come again, the wildcard does
    daemon.wait_for(r"  wildcard +started")
    wait_for_more(daemon, "every", 2)
    assert starts(daemon, "fixed") == starts(daemon, "wildcard") == 1
    assert starts(daemon, "every") < 15  # no burst
    assert daemon.stop() == 0


def test_set_forward_by_more_than_three_hours_makes_nothing_up(
    clock: SettableClock, gcron_run: Callable[..., Any]
) -> None:
    clock.set_to(at(12, 10))
    daemon = gcron_run(CRONTAB, env=clock.environment)
    wait_for_more(daemon, "every", 1)
    clock.set_to(at(18, 10))
    daemon.wait_for(r"  fixed +missed: 2030-06-05 12:30:00Z: the clock was set forward by 2\d{4} s")
    wait_for_more(daemon, "every", 2)
    assert starts(daemon, "fixed") == starts(daemon, "wildcard") == 0
    assert daemon.stop() == 0


def test_set_back_by_more_than_three_hours_follows_the_new_clock(
    clock: SettableClock, gcron_run: Callable[..., Any]
) -> None:
    clock.set_to(at(12, 29, 58))
    daemon = gcron_run(CRONTAB, env=clock.environment)
    daemon.wait_for(r"  fixed +started")
    clock.set_to(at(7))
    wait_for_more(daemon, "every", 2)
    clock.set_to(at(12, 29, 58))
    daemon.wait_for(r"  fixed +started", 2)
    daemon.wait_for(r"  wildcard +started", 2)
    assert daemon.stop() == 0


def test_a_gcron_that_was_stopped_starts_no_burst(gcron_run: Callable[..., Any]) -> None:
    daemon = gcron_run("# gcron: name=every\n@every 1s  true\n")
    wait_for_more(daemon, "every", 2)
    before = starts(daemon, "every")
    daemon.send(signal.SIGSTOP)
    time.sleep(4.2)
    daemon.send(signal.SIGCONT)
    daemon.wait_for(r"  every +missed: .*: gcron could not act when they were due")
    wait_for_more(daemon, "every", 1)
    assert starts(daemon, "every") <= before + 3  # one just before the stop, one made up, one since
    assert daemon.stop() == 0

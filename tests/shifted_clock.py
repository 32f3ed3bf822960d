"""Clocks that a test can set: those of single processes, not the machine's.

Only root may set the clock of the machine, and no test should. So a preloaded library adds offsets from a shared file
to the clocks of one process. A step moves only the wall clock. A suspend also moves CLOCK_BOOTTIME. Nothing moves
CLOCK_MONOTONIC. Timers behave as in the kernel (timerfd_create(2)): they follow the wall clock, and a step cancels
them. The library can also take the timers away.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

__all__ = ["SettableClock", "library_of_clocks", "why_no_clock_can_be_set"]

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000L

static volatile struct { long wall, boot; } *offset; /* nanoseconds */
static int timer = -1;
static long set_at;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_OFFSET_FILE"), O_RDONLY);
    offset = mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
}
static void add(struct timespec *when, long nanoseconds) {
    long sum = when->tv_nsec + nanoseconds % SECOND;
    when->tv_sec += nanoseconds / SECOND + (sum >= SECOND) - (sum < 0);
    when->tv_nsec = (sum + SECOND) % SECOND;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && clock == CLOCK_REALTIME) add(now, offset->wall);
    if (status == 0 && clock == CLOCK_BOOTTIME) add(now, offset->boot);
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
static void *cancel_on_set(void *wall_at_creation) {
    struct itimerspec at_once = {{0, 0}, {0, 1}};
    long seen = (long)wall_at_creation;
    for (;; usleep(2000))
        if (seen != offset->wall) {
            seen = offset->wall;
            syscall(SYS_timerfd_settime, timer, 0, &at_once, NULL);
        }
    return NULL;
}
int timerfd_create(int clock, int flags) {
    pthread_t thread;
    sigset_t all, before;
    if (getenv("CLOCK_WITHOUT_TIMERS")) { errno = ENOSYS; return -1; }
    timer = syscall(SYS_timerfd_create, clock, flags);
    set_at = offset->wall;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_create(&thread, NULL, cancel_on_set, (void *)set_at);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return timer;
}
int timerfd_settime(int fd, int flags, const struct itimerspec *wanted, struct itimerspec *old) {
    struct itimerspec shifted = *wanted;
    long now = offset->wall;
    if (wanted->it_value.tv_sec || wanted->it_value.tv_nsec) add(&shifted.it_value, -now);
    int status = syscall(SYS_timerfd_settime, fd, flags, &shifted, old);
    if (status == 0 && now != set_at) { errno = ECANCELED; status = -1; }
    set_at = now;
    return status;
}
"""
_NANOSECONDS = 10**9


def why_no_clock_can_be_set() -> str:
    """Return why; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "LD_PRELOAD is how Linux does it"
    if shutil.which("gcc") is None:
        return "the library that shifts the clock needs a C compiler"
    return ""


@pytest.fixture(scope="session")
def library_of_clocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the library that shifts the clocks."""
    if reason := why_no_clock_can_be_set():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", folder / "shim.so", folder / "shim.c"], check=True)
    return folder / "shim.so"


class SettableClock:
    """The clocks of processes that start with `environment`."""

    def __init__(self, library: Path, shared: Path, with_timers: bool = True) -> None:
        """`shared` is the file with the offsets, which is made."""
        shared.write_bytes(bytes(16))
        with shared.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 16)
        self.variables = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(shared)}
        if not with_timers:
            self.variables["CLOCK_WITHOUT_TIMERS"] = "1"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process, with these clocks."""
        return os.environ | self.variables

    def now(self) -> float:
        """Return seconds of UTC, by the clock that was set."""
        return time.time() + self._offsets[0]

    @property
    def _offsets(self) -> tuple[float, float]:
        wall, boot = struct.unpack("qq", self._memory[:])
        return wall / _NANOSECONDS, boot / _NANOSECONDS

    def shift_to(self, wall: float, boot: float | None = None) -> None:
        """Let the clocks be ahead by so many seconds. `boot`: None leaves that of CLOCK_BOOTTIME."""
        offsets = (wall, self._offsets[1] if boot is None else boot)
        self._memory[:] = struct.pack("qq", *(round(offset * _NANOSECONDS) for offset in offsets))

    def set_to(self, instant: float) -> None:
        """Set the wall clock, as an administrator or a time server does."""
        self.shift_to(int(instant - time.time()))

    def pass_asleep(self, instant: float) -> None:
        """Let the clocks be as if the machine had slept until then."""
        slept = int(instant - self.now())
        wall, boot = self._offsets
        self.shift_to(wall + slept, boot + slept)

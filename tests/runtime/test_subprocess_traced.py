"""Traced children: while a tracer holds a dead child, its exit is reported, but it has no status yet.

A blocking wait for the status would stop every job, and repeated checks would spin.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gcron
from gcron.subprocess import PIPE, Popen, TimeoutExpired

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="ptrace as used here is Linux's"),
    pytest.mark.usefixtures("told_by", "no_descriptor_leaks"),
]

SEIZE = 0x4206
TRACER = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
print(libc.ptrace(0x4206, int(sys.argv[1]), 0, 0), flush=True)
sys.stdin.read()
"""

Release = Callable[[], None]


@pytest.fixture
def child() -> Iterator[Popen]:
    with Popen("echo said; exec sleep 100", shell=True, stdout=PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def release(child: Popen) -> Iterator[Release]:
    """A function that ends the tracer's hold on the dead child."""
    with Popen([sys.executable, "-c", TRACER, str(child.pid)], stdin=PIPE, stdout=PIPE) as tracer:
        if tracer.stdout.readline() != b"0\n":
            pytest.skip("this machine forbids ptrace")
        child.kill()
        _wait_until_dead(child.pid)
        yield tracer.stdin.close


def _wait_until_dead(pid: int) -> None:
    while True:
        with open(f"/proc/{pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "Z":
                return
        gcron.sleep(0.001)


WAITS: dict[str, Callable[[Popen], Any]] = {
    "wait": lambda process: process.wait(0.2),
    "communicate": lambda process: process.communicate(timeout=0.2),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_a_held_child_blocks_nobody_and_the_loop_does_not_spin(
    wait: Callable[[Popen], Any], child: Popen, release: Release
) -> None:
    ticks: list[int] = []

    def tick() -> None:
        while True:
            ticks.append(1)
            gcron.sleep(0.01)

    ticking = gcron.spawn(tick)
    cpu = time.process_time()
    with pytest.raises(TimeoutExpired):
        wait(child)
    assert time.process_time() - cpu < 0.1
    assert len(ticks) >= 5
    assert child.poll() is None
    release()
    assert child.wait(5) == -signal.SIGKILL
    ticking.kill()


def test_all_waiters_are_woken_when_the_tracer_detaches(child: Popen, release: Release) -> None:
    linked: list[Popen] = []
    child.rawlink(linked.append)
    waiting = [gcron.spawn(child.wait), gcron.spawn(child.wait, 5), gcron.spawn(gcron.wait, [child])]
    gcron.sleep(0.05)
    assert not linked
    assert not any(greenlet.dead for greenlet in waiting)
    release()
    assert [greenlet.get(timeout=5) for greenlet in waiting] == [-signal.SIGKILL, -signal.SIGKILL, [child]]
    assert linked == [child]


def test_an_abandoned_wait_for_a_held_child_is_no_work_left(child: Popen, release: Release) -> None:
    waiting = gcron.spawn(child.wait)
    gcron.sleep(0.05)
    waiting.kill()
    assert gcron.wait(timeout=2) is True
    release()


def test_a_stop_of_a_child_traced_by_this_process_is_no_exit(child: Popen) -> None:
    """Regression: `waitid` also reports stops when the parent is the tracer, even if asked for exits. A stop was taken
    for an exit by signal 19."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    assert child.stdout.readline() == b"said\n"
    if libc.ptrace(SEIZE, child.pid, 0, 0) != 0:
        pytest.skip("this machine forbids ptrace")
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutExpired):
        child.wait(0.1)
    assert child.poll() is None
    child.kill()
    assert child.wait(5) == -signal.SIGKILL

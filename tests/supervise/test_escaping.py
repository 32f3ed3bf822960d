"""Ending trees whose members try to escape: many, forking, detached, ignoring signals, without a mark."""

from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.greenlet import sleep, spawn
from gcron.supervise.outcome import Outcome, RunResult
from tests.supervise.conftest import STOP
from tests.waiting import PATIENCE, takes, until

Stop = Callable[..., RunResult]
Find = Callable[[str], list[int]]

# Detached children that ignore TERM, start another such child at TERM, or form an endless chain of short processes.
# Each ends after a minute in any case.
CROWD = """
import os, signal, sys, time
end = time.monotonic() + 60
def deaf():
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(end - time.monotonic())
def fertile():
    os.setsid()
    def bear(*args):
        if os.fork() == 0:
            deaf()
            os._exit(0)
    signal.signal(signal.SIGTERM, bear)
    while time.monotonic() < end:
        time.sleep(1)
def chain():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while time.monotonic() < end:
        os.setsid()
        if os.fork():
            os._exit(0)
        time.sleep(0.005)
for child, count in ((deaf, 180), (fertile, 17), (chain, 3)):
    for _ in range(count):
        if os.fork() == 0:
            child()
            os._exit(0)
print("up", flush=True)
time.sleep(60)
"""


def carriers(run_id: str) -> list[psutil.Process]:
    """Return the living processes with the mark of a run. This search is independent of gcron's."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("GCRON_RUN_ID") == run_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def threads_of(run_id: str) -> list[int]:
    """Return the living threads with the mark of a run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/task/[0-9]*/environ"):
        with suppress(OSError):
            if f"GCRON_RUN_ID={run_id}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@pytest.fixture
def crowd(tmp_path: Path, run_id: str) -> Iterator[str]:
    script = tmp_path / "crowd.py"
    script.write_text(CROWD)
    yield f"exec {sys.executable} {script}"
    for process in carriers(run_id):
        process.kill()


@pytest.mark.realtime
def test_200_children_that_resist_are_killed(stop: Stop, listening: Any, crowd: str, run_id: str) -> None:
    result = stop(crowd, kill_after=1)
    assert listening.out == [b"up"]
    assert (result.outcome, result.exit_code, result.left_behind) == (Outcome.KILLED, -15, "")
    assert result.duration < 40, "they would end by themselves later"
    assert carriers(run_id) == []


# -- without the mark -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "processes"),
    [
        ("setsid env -i sleep {0} & wait", 1),
        ("setsid env -i sh -c 'setsid sleep {0} & wait' & wait", 2),
        ("setsid sh -c 'trap \"\" TERM; setsid env -i sleep {0}; sleep {0}' & wait", 2),
    ],
    ids=["child", "grandchild", "of-a-marked-one"],
)
def test_children_without_mark_and_session_are_ended_with_their_parents(
    stop: Stop, marked_processes: Find, unique: str, command: str, processes: int
) -> None:
    """`sudo` cleans the variables and, on a terminal, makes a session. Such processes outlived their run."""

    def are_there() -> bool:
        """Return True when all processes have executed their last command. The leader's command has the number, too."""
        names = [psutil.Process(pid).name() for pid in marked_processes(unique)]
        return len(names) == 1 + processes and "sleep" in names and not {"setsid", "env"} & {*names}

    result = stop(command.format(unique) + "; sleep 60", when=are_there, kill_after=0.3)
    assert result.left_behind == ""
    assert marked_processes(unique) == []


def test_processes_in_the_session_of_the_leader_are_ended_without_a_mark(
    stop: Stop, listening: Any, marked_processes: Find, unique: str
) -> None:
    """Job control gives them their own process groups, and their parent has exited."""
    stop(f"bash -mc 'env -i sleep {unique} & disown'; echo up; sleep 60", kill_after=0.3)
    assert marked_processes(unique) == []


def test_a_member_without_a_mark_is_remembered_after_its_parent_exits(
    stop: Stop, marked_processes: Find, unique: str
) -> None:
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'print("up", flush=True)\n'
        f"time.sleep({unique})\n"
    )
    with takes(at_least=0.5):
        result = stop(f"setsid env -i {sys.executable} -c '{code}' & wait", kill_after=0.5)
    assert result.exit_code == -signal.SIGTERM  # the leader obeyed, and its child lost its parent
    assert marked_processes(unique) == []


def test_children_of_other_processes_are_not_members(stop: Stop) -> None:
    """The search goes from members to children, never to parents or siblings."""
    bystander = subprocess.Popen(["sh", "-c", "sleep 30 & wait"], env={}, start_new_session=True)
    try:
        stop("setsid env -i sleep 60 & echo up; wait")
        assert bystander.poll() is None
        assert len(psutil.Process(bystander.pid).children()) == 1
    finally:
        os.killpg(bystander.pid, signal.SIGKILL)
        bystander.wait()


def test_a_process_whose_first_thread_exited_is_killed(stop: Stop, listening: Any, run_id: str) -> None:
    """Linux shows such a process as a zombie without variables. Detached, it was never ended."""
    code = (
        "import ctypes, os, threading, time\n"
        "def work():\n"
        "    time.sleep(0.2)\n"
        "    os.write(1, b'alone\\n')\n"
        "    time.sleep(60)\n"
        "threading.Thread(target=work).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    result = stop(f'setsid {sys.executable} -c "{code}" & sleep 60', kill_after=2)
    left = threads_of(run_id)
    for thread in left:
        os.kill(thread, signal.SIGKILL)
    assert (listening.out, result.left_behind, left) == ([b"alone"], "", [])


# -- when looking is hard ---------------------------------------------------------------------------------------


def test_without_free_descriptors_a_tree_does_not_count_as_ended(
    make: Callable[..., Any], marked_processes: Find, unique: str
) -> None:
    """A process that could not be read counted as ended: the run ended while its tree lived."""
    attempt = make(f"setsid sleep {unique} & exec sleep {unique}")
    running = spawn(attempt.perform)
    until(lambda: [psutil.Process(pid).name() for pid in marked_processes(unique)] == ["sleep", "sleep"])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # else a file that an earlier test forgot may be closed meanwhile, and a descriptor is free
    lowest_free = os.dup(2)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        attempt.stop(Outcome.KILLED, STOP, now=True)
        sleep(0.5)
        assert not running.ready()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert running.get(timeout=PATIENCE).outcome is Outcome.KILLED
    assert marked_processes(unique) == []

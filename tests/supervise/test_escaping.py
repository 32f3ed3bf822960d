"""Ending trees whose members try to get away: many, deaf, forking, in sessions of their own, without the mark."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.greenlet import sleep, spawn
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.process_walk import Walker

Perform = Callable[..., RunResult]

# Children in sessions of their own that ignore TERM, start another such child at TERM, or are born, fork and die in
# an endless chain. Each ends by itself after a minute, whatever becomes of the test.
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


@pytest.fixture
def unique(run_id: str) -> str:
    """A number of seconds that only this test sleeps."""
    return f"{1000 + os.getpid()}.{abs(hash(run_id)) % 10**9}"


def carriers(run_id: str) -> list[psutil.Process]:
    """The processes alive that carry the mark of a run, by another look than gcron's."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("GCRON_RUN_ID") == run_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def threads_of(run_id: str) -> list[int]:
    """The threads alive that carry the mark of a run."""
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
def test_two_hundred_children_that_will_not_go_are_all_killed(
    perform: Perform, listening: Any, crowd: str, run_id: str
) -> None:
    result = perform(crowd, timeout=2, kill_after=1)
    assert listening.out == [b"up"]
    assert (result.outcome, result.reason.text, result.exit_code) == (Outcome.TIMED_OUT, "still running after 2 s", -15)
    assert result.left_behind == ""
    assert result.duration < 15
    sleep(0.2)
    assert carriers(run_id) == []


# -- without the mark -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "setsid env -i sleep {0} & wait",
        "setsid env -i sh -c 'setsid sleep {0} & wait' & wait",
        "setsid sh -c 'trap \"\" TERM; setsid env -i sleep {0}; sleep {0}' & wait",
    ],
    ids=["child", "grandchild", "of-a-marked-one"],
)
def test_children_that_shed_the_mark_and_the_session_are_ended_with_their_parents(
    perform: Perform, marked_processes: Callable[[str], list[int]], unique: str, command: str
) -> None:
    """`sudo` does so: clean variables, and a session of its own on a terminal. Such processes outlived their run."""
    result = perform(command.format(unique) + "; sleep 20", timeout=0.4, kill_after=0.3)
    assert result.left_behind == ""
    assert marked_processes(unique) == []


def test_processes_of_the_leaders_session_are_ended_without_the_mark(
    perform: Perform, marked_processes: Callable[[str], list[int]], unique: str
) -> None:
    """Job control puts them in groups of their own, and their parent is gone."""
    command = f"bash -mc 'env -i sleep {unique} & disown' & sleep 0.2; sleep 20"
    perform(command, timeout=0.5, kill_after=0.3)
    assert marked_processes(unique) == []


def test_who_is_found_without_a_mark_is_not_forgotten_when_its_parent_has_gone(
    perform: Perform, marked_processes: Callable[[str], list[int]], unique: str
) -> None:
    code = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep({unique})"
    deaf = f"{sys.executable} -c '{code}'"
    result = perform(f"setsid env -i {deaf} & wait", timeout=0.6, kill_after=0.5)
    assert result.exit_code == -signal.SIGTERM  # the leader obeyed, and its child was nobody's
    assert result.duration >= 1.1
    assert marked_processes(unique) == []


def test_children_of_strangers_are_none_of_the_runs(perform: Perform) -> None:
    """Links lead from members to their children, not to their parents or to those that are beside them."""
    bystander = subprocess.Popen(["sh", "-c", "sleep 30 & wait"], env={}, start_new_session=True)
    try:
        perform("setsid env -i sleep 20 & wait", timeout=0.3)
        assert bystander.poll() is None
        assert len(psutil.Process(bystander.pid).children()) == 1
    finally:
        os.killpg(bystander.pid, signal.SIGKILL)
        bystander.wait()


def test_a_process_whose_first_thread_has_ended_is_ended_too(
    perform: Perform, listening: Any, marked_processes: Callable[[str], list[int]], run_id: str
) -> None:
    """Linux shows it as a zombie without variables; it went on for ever, in a session of its own."""
    code = (
        "import ctypes, os, threading, time\n"
        "def work():\n"
        "    time.sleep(0.2)\n"
        "    os.write(1, b'alone\\n')\n"
        "    time.sleep(60)\n"
        "threading.Thread(target=work).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    result = perform(f'setsid {sys.executable} -c "{code}" & sleep 60', timeout=1.5, kill_after=2)
    left = threads_of(run_id)
    for thread in left:
        os.kill(thread, signal.SIGKILL)
    assert (listening.out, result.left_behind, left) == ([b"alone"], "", [])


# -- when looking is hard ---------------------------------------------------------------------------------------


def test_a_tree_is_not_taken_for_gone_while_there_are_no_descriptors_to_look_with(
    make: Callable[..., Any], listening: Any, marked_processes: Callable[[str], list[int]], unique: str
) -> None:
    """Each process that could not be looked at counted as one that had ended: the run was over, and its tree lived."""
    attempt = make(f"setsid sleep {unique} & echo up; exec sleep {unique}")
    running = spawn(attempt.perform)
    while not listening.out:
        sleep(0.005)
    sleep(0.1)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(2)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "now"), now=True)
        sleep(0.5)
        assert not running.ready()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert running.get(timeout=15).outcome is Outcome.KILLED
    assert marked_processes(unique) == []


def test_a_look_goes_around_a_process_that_does_not_let_itself_be_read() -> None:
    release = threading.Event()
    calls: list[int] = []

    def look(pid: int) -> int:
        calls.append(pid)
        if pid == 2:
            release.wait(20)
        return pid * 10

    walker = Walker[int]()
    began = time.monotonic()
    assert walker.walk(look, [1, 2, 3]) == [10, 30]
    assert 1 <= time.monotonic() - began < 10
    assert set(walker.stuck) == {2}
    assert walker.walk(look, [1, 2, 3]) == [10, 30]  # and does not ask it again meanwhile
    assert calls == [1, 2, 3, 1, 3]
    release.set()
    while walker.stuck:
        sleep(0.01)
    assert walker.walk(look, [1, 2, 3]) == [10, 20, 30]


def test_a_look_is_done_at_once_where_there_are_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert Walker[int]().walk(lambda pid: pid, [1, 2]) == [1, 2]

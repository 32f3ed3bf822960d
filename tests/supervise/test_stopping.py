"""Ending whole trees: those that obey, those that do not, and those that cannot be ended."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import sleep, spawn
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult

CLONE = {"x86_64": 56, "aarch64": 220}
CLONE_VFORK = 0x4000
Perform = Callable[..., RunResult]
Find = Callable[[str], list[int]]
DEAF = f"{sys.executable} -c '" + (
    'import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(1, b"1\\n"); time.sleep(%s)\''
)


@pytest.fixture
def unique(run_id: str) -> str:
    """A number of seconds that only this test sleeps."""
    return f"{1000 + os.getpid()}.{abs(hash(run_id)) % 10**9}"


def test_a_run_that_takes_too_long_is_asked_to_stop_and_says_so(perform: Perform, listening: Any) -> None:
    result = perform("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.02; done", timeout=0.3)
    assert (result.outcome, result.reason.text) == (Outcome.TIMED_OUT, "still running after 0.3 s")
    assert result.exit_code == 7
    assert listening.out == [b"up", b"bye"]
    assert 0.3 <= result.duration < 3


@pytest.mark.parametrize(("code", "outcome"), [(0, Outcome.SUCCEEDED), (7, Outcome.FAILED)])
def test_who_ended_in_time_while_gcron_could_not_look_ended_as_it_did(
    make: Callable[..., Any], code: int, outcome: Outcome
) -> None:
    """A gcron that had been paused called a backup timed-out, or killed, that had ended well within its time.

    When it goes on, timers (a timeout, the next fire of `overlap=replace`) are due at the same moment as the news of
    the exit, and came first.
    """
    attempt = make(f"exit {code}", timeout=0.3)
    performing = spawn(attempt.perform)
    while attempt._tree is None:
        sleep(0)
    time.sleep(0.5)  # of this thread: nothing is looked at
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "replaced"))
    result = performing.get(timeout=20)
    assert (result.outcome, result.exit_code) == (outcome, code)


def test_a_timeout_that_is_due_with_the_exit_comes_second(make: Callable[..., Any], listening: Any) -> None:
    """As above, for the run's own timeout."""
    performing = spawn(make("sleep 0.1; exit 7", timeout=0.3).perform)
    while not listening.pid:
        sleep(0)
    time.sleep(0.6)
    result = performing.get(timeout=20)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, 7)


def test_the_signal_to_stop_is_the_policys(perform: Perform, listening: Any) -> None:
    perform("trap 'echo int; exit' INT; while :; do sleep 0.02; done", timeout=0.2, stop_signal="INT")
    assert listening.out == [b"int"]


def test_a_tree_that_ignores_the_request_is_killed_with_children_in_sessions_of_their_own(
    perform: Perform, marked_processes: Find, unique: str
) -> None:
    deaf = DEAF % unique
    result = perform(f"trap '' TERM; setsid {deaf} & {deaf} & sleep {unique}", timeout=0.5, kill_after=0.3)
    assert result.outcome is Outcome.TIMED_OUT
    assert result.left_behind == ""
    assert 0.8 <= result.duration < 6
    assert marked_processes(unique) == []


def test_a_leader_that_emptied_its_environment_is_killed_all_the_same(
    perform: Perform, marked_processes: Find, unique: str
) -> None:
    result = perform(f"exec env -i {DEAF % unique}", timeout=0.4, kill_after=0.2)
    assert (result.outcome, result.exit_code) == (Outcome.TIMED_OUT, -9)
    assert marked_processes(unique) == []


def test_a_stopped_process_is_continued_so_that_it_can_stop(perform: Perform, listening: Any) -> None:
    result = perform("trap 'echo bye; exit' TERM; kill -STOP $$; sleep 20", timeout=0.3, kill_after=8)
    assert (result.outcome, listening.out) == (Outcome.TIMED_OUT, [b"bye"])
    assert result.duration < 5


def test_a_tree_that_is_stopped_as_a_whole_is_continued_too(
    make: Callable[..., Any], listening: Any, marked_processes: Find, unique: str
) -> None:
    attempt = make(f"setsid sleep {unique} & sleep {unique} & echo up; wait", kill_after=60)
    running = spawn(attempt.perform)
    while not listening.out:
        sleep(0.005)
    sleep(0.1)
    for pid in (listening.pid, *marked_processes(unique)):
        os.kill(pid, signal.SIGSTOP)
    attempt.stop(Outcome.STOPPED, Reason(ReasonCode.STOP_REQUESTED, "stopped on request"))
    result = running.get(timeout=15)
    assert (result.outcome, result.exit_code) == (Outcome.STOPPED, -signal.SIGTERM)
    assert marked_processes(unique) == []


@pytest.mark.skipif(platform.machine() not in CLONE, reason="the number of clone(2) is known of other machines only")
def test_a_parent_that_waits_for_its_vforked_child_cannot_obey_and_is_killed(perform: Perform, listening: Any) -> None:
    """Until the child of vfork(2) executes something or ends, its parent sleeps and handles no signal."""
    code = (
        "import ctypes, os, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *args: os._exit(0))\n"
        f"if ctypes.CDLL(None).syscall({CLONE[platform.machine()]}, {CLONE_VFORK} | signal.SIGCHLD, 0, 0, 0, 0) == 0:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    os.setsid()\n"
        "    os.write(1, b'up\\n')\n"
        "    time.sleep(60)\n"
    )
    result = perform(f'exec {sys.executable} -c "{code}"', timeout=1, kill_after=0.4)
    assert listening.out == [b"up"]
    assert (result.outcome, result.exit_code, result.left_behind) == (Outcome.TIMED_OUT, -signal.SIGKILL, "")
    assert 1.4 <= result.duration < 10


def test_the_second_request_may_be_for_now(make: Callable[..., Any], listening: Any, unique: str) -> None:
    attempt = make(f"exec {DEAF % unique}", kill_after=60)
    running = spawn(attempt.perform)
    while not listening.out:
        sleep(0.005)
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "first"))
    sleep(0.1)
    assert not running.ready()
    started = time.monotonic()
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "second"), now=True)
    result = running.get(timeout=10)
    assert (result.outcome, result.reason.text, result.exit_code) == (Outcome.KILLED, "first", -9)
    assert time.monotonic() - started < 3


def test_asking_again_and_again_does_not_put_off_the_end(
    make: Callable[..., Any], listening: Any, marked_processes: Find, unique: str
) -> None:
    deaf = DEAF % unique
    attempt = make(f"setsid {deaf} & exec {deaf}", kill_after=60)
    running = spawn(attempt.perform)
    while len(listening.out) < 2:
        sleep(0.005)
    started = time.monotonic()
    while not running.ready() and time.monotonic() < started + 10:
        attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "again"), now=True)
        sleep(0.001)
    assert running.get(timeout=1).exit_code == -9
    assert time.monotonic() - started < 3
    assert marked_processes(unique) == []


def test_an_attempt_that_is_stopped_before_its_start_starts_nothing(make: Callable[..., Any], listening: Any) -> None:
    attempt = make("echo never")
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "too late"))
    result = spawn(attempt.perform).get(timeout=5)
    assert (result.outcome, result.reason.text, listening.pid) == (Outcome.KILLED, "too late", 0)


def test_other_processes_keep_running_when_a_tree_is_ended(perform: Perform) -> None:
    bystander = subprocess.Popen(["sleep", "30"], env={**os.environ, "GCRON_RUN_ID": "another"})
    try:
        perform("sleep 20", timeout=0.1)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206


@pytest.mark.parametrize("request_", [PTRACE_SEIZE, PTRACE_ATTACH], ids=["running", "stopped-by-the-debugger"])
def test_a_dead_process_that_a_debugger_holds_is_named_and_ends_the_run(
    make: Callable[..., Any], listening: Any, hurried: None, request_: int
) -> None:
    attempt = make("exec sleep 60")
    running = spawn(attempt.perform)
    while not listening.pid:
        sleep(0.005)
    sleep(0.05)
    debugger = _debugger_of(listening.pid, request_)
    try:
        attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "stopped on request"), now=True)
        result = running.get(timeout=10)
        worked = time.process_time()
        sleep(0.5)
        assert time.process_time() - worked < 0.25  # whoever waits for it does not spin
        assert result.outcome is Outcome.KILLED
        assert f"pid {listening.pid} (sleep, zombie)" in result.left_behind
    finally:
        debugger.kill()
        debugger.wait()
    with pytest.raises(ProcessLookupError):
        for _ in range(500):  # collected as soon as the debugger lets go
            os.kill(listening.pid, 0)
            sleep(0.01)


def _debugger_of(pid: int, request: int) -> subprocess.Popen[bytes]:
    """A process that traces `pid` and does nothing about it."""
    code = (
        "import ctypes, time\n"
        f"ok = ctypes.CDLL(None).ptrace({request}, {pid}, 0, 0)\n"
        "print(ok, flush=True)\n"
        "time.sleep(60)\n"
    )
    debugger = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert debugger.stdout is not None
    with debugger.stdout:
        answer = debugger.stdout.readline().strip()
    if answer != b"0":
        debugger.kill()
        debugger.wait()
        pytest.skip(f"this machine forbids ptrace ({ctypes.get_errno()})")
    return debugger


# -- after the end ----------------------------------------------------------------------------------------------


def test_a_grandchild_that_keeps_the_pipe_does_not_keep_the_run(
    perform: Perform, listening: Any, hurried: None
) -> None:
    started = time.monotonic()
    result = perform("(sleep 0.4; echo afterwards; sleep 0.05) & echo done")
    assert result.outcome is Outcome.SUCCEEDED
    elapsed = time.monotonic() - started
    assert elapsed < 0.4
    assert result.duration < elapsed - 0.09  # the process's own, without the wait for its pipes
    assert listening.out == [b"done"]
    sleep(0.7)
    assert listening.late == [b"afterwards"]
    assert "its output is still open" in listening.notices[0]
    assert len(listening.notices) == 1


def test_a_pipe_that_is_still_held_is_closed_in_the_end_and_the_holder_named(
    perform: Perform, listening: Any, hurried: None, marked_processes: Find, unique: str
) -> None:
    perform(f"setsid sleep {unique} & echo done")
    sleep(1.2)
    (holder,) = marked_processes(unique)
    try:
        assert listening.notices[1] == f"its output was closed: still held by pid {holder} (sleep, sleeping)"
    finally:
        os.kill(holder, signal.SIGKILL)


def test_stopping_a_run_that_has_ended_touches_nothing_that_it_left(
    make: Callable[..., Any], listening: Any, hurried: None, marked_processes: Find, unique: str
) -> None:
    attempt = make(f"setsid sleep {unique} & echo done")
    running = spawn(attempt.perform)
    while not listening.out:
        sleep(0.005)
    sleep(0.05)
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "too late"), now=True)
    assert running.get(timeout=5).outcome is Outcome.SUCCEEDED
    (left,) = marked_processes(unique)
    os.kill(left, signal.SIGKILL)

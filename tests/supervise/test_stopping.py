"""Ending process trees that obey, that resist, or that cannot be ended."""

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

import psutil
import pytest

from gcron.greenlet import sleep, spawn
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.timing import Timing
from tests.conftest import Gate
from tests.supervise.conftest import STOP
from tests.waiting import PATIENCE, SLACK, takes, until

CLONE = {"x86_64": 56, "aarch64": 220}
CLONE_VFORK = 0x4000
Perform = Callable[..., RunResult]
Stop = Callable[..., RunResult]
Find = Callable[[str], list[int]]
DEAF = f"{sys.executable} -c '" + (
    'import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(1, b"1\\n"); time.sleep(%s)\''
)


@pytest.mark.realtime
def test_a_run_that_takes_too_long_gets_the_stop_signal(perform: Perform, listening: Any) -> None:
    result = perform("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.02; done", timeout=1)
    assert (result.outcome, result.reason.text) == (Outcome.TIMED_OUT, "still running after 1 s")
    assert result.exit_code == 7
    assert listening.out == [b"up", b"bye"]
    assert 1 <= result.duration < 1 + SLACK


def let_exit_unseen(pid: int) -> None:
    """Block this thread, and so gcron, until the process has exited."""
    while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


@pytest.mark.parametrize(("code", "outcome"), [(0, Outcome.SUCCEEDED), (7, Outcome.FAILED)])
def test_a_job_that_exited_during_a_pause_of_gcron_keeps_its_outcome(
    make: Callable[..., Any], code: int, outcome: Outcome
) -> None:
    """After a pause of gcron, a backup that had ended in time was reported as timed-out or killed.

    After the pause, timers (a timeout, the next fire of `overlap=replace`) are due at the same moment as the exit, and
    were handled first.
    """
    attempt = make(f"sleep 0.1; exit {code}", timeout=0.3)
    performing = spawn(attempt.perform)
    while attempt._tree is None:
        sleep(0)
    let_exit_unseen(attempt._tree.pid)
    time.sleep(0.4)
    attempt.stop(Outcome.KILLED, STOP)
    result = performing.get(timeout=PATIENCE)
    assert (result.outcome, result.exit_code) == (outcome, code)


def test_an_exit_comes_before_a_timeout_that_is_due_at_the_same_time(make: Callable[..., Any], listening: Any) -> None:
    """As above, for the timeout of the run."""
    performing = spawn(make("sleep 0.1; exit 7", timeout=0.3).perform)
    while not listening.pid:
        sleep(0)
    let_exit_unseen(listening.pid)
    time.sleep(0.4)
    result = performing.get(timeout=PATIENCE)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, 7)


def test_the_stop_signal_is_that_of_the_option(stop: Stop, listening: Any) -> None:
    stop("trap 'echo int; exit' INT; echo up; while :; do sleep 0.02; done", stop_signal="INT")
    assert listening.out == [b"up", b"int"]


@pytest.mark.realtime
def test_a_tree_that_ignores_the_stop_signal_is_killed_with_detached_children(
    stop: Stop, marked_processes: Find, unique: str
) -> None:
    deaf = DEAF % unique
    with takes(at_least=0.3, at_most=0.3 + 4):
        result = stop(f"trap '' TERM; setsid {deaf} & {deaf} & sleep {unique}", kill_after=0.3)
    assert (result.outcome, result.left_behind) == (Outcome.KILLED, "")
    assert marked_processes(unique) == []


def test_a_leader_with_an_empty_environment_is_killed(stop: Stop, marked_processes: Find, unique: str) -> None:
    result = stop(f"exec env -i {DEAF % unique}", kill_after=0.2)
    assert (result.outcome, result.exit_code) == (Outcome.KILLED, -9)
    assert marked_processes(unique) == []


@pytest.mark.realtime
def test_a_suspended_process_is_continued_so_that_it_can_exit(stop: Stop, listening: Any) -> None:
    def is_stopped() -> bool:
        return bool(psutil.Process(listening.pid).status() == psutil.STATUS_STOPPED)

    with takes(at_most=10):
        result = stop("trap 'echo bye; exit' TERM; kill -STOP $$; sleep 60", when=is_stopped, kill_after=30)
    assert (result.outcome, listening.out) == (Outcome.KILLED, [b"bye"])


def test_a_suspended_tree_is_continued_so_that_it_can_exit(
    stop: Stop, listening: Any, marked_processes: Find, unique: str
) -> None:
    def stop_all() -> bool:
        if len(marked_processes(f"sleep {unique}")) < 3:  # the shell's command has the number, too
            return False
        for pid in (listening.pid, *marked_processes(unique)):
            os.kill(pid, signal.SIGSTOP)
        return True

    result = stop(f"setsid sleep {unique} & sleep {unique} & wait", when=stop_all, kill_after=60)
    assert (result.outcome, result.exit_code) == (Outcome.KILLED, -signal.SIGTERM)
    assert marked_processes(unique) == []


@pytest.mark.skipif(platform.machine() not in CLONE, reason="the number of clone(2) is known of other machines only")
def test_a_parent_that_waits_for_its_vforked_child_is_killed(stop: Stop, listening: Any) -> None:
    """Until the child of vfork(2) executes a program or exits, its parent handles no signal."""
    code = (
        "import ctypes, os, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *args: os._exit(0))\n"
        f"if ctypes.CDLL(None).syscall({CLONE[platform.machine()]}, {CLONE_VFORK} | signal.SIGCHLD, 0, 0, 0, 0) == 0:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    os.setsid()\n"
        "    os.write(1, b'up\\n')\n"
        "    time.sleep(60)\n"
    )
    with takes(at_least=0.4):
        result = stop(f'exec {sys.executable} -c "{code}"', kill_after=0.4)
    assert listening.out == [b"up"]
    assert (result.outcome, result.exit_code, result.left_behind) == (Outcome.KILLED, -signal.SIGKILL, "")


@pytest.mark.realtime
def test_a_second_stop_can_kill_at_once(make: Callable[..., Any], listening: Any, unique: str) -> None:
    attempt = make(f"exec {DEAF % unique}", kill_after=60)
    running = spawn(attempt.perform)
    until(lambda: listening.out)
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "first"))
    sleep(0.1)
    assert not running.ready()
    with takes(at_most=3):
        attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "second"), now=True)
        result = running.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text, result.exit_code) == (Outcome.KILLED, "first", -9)


@pytest.mark.realtime
def test_repeated_stops_do_not_delay_the_end(
    make: Callable[..., Any], listening: Any, marked_processes: Find, unique: str
) -> None:
    deaf = DEAF % unique
    attempt = make(f"setsid {deaf} & exec {deaf}", kill_after=60)
    running = spawn(attempt.perform)
    until(lambda: len(listening.out) == 2)
    with takes(at_most=3):
        until(lambda: attempt.stop(Outcome.KILLED, STOP, now=True) or running.ready())
    assert running.get(timeout=PATIENCE).exit_code == -9
    assert marked_processes(unique) == []


def test_an_attempt_stopped_before_its_start_starts_no_process(make: Callable[..., Any], listening: Any) -> None:
    attempt = make("echo never")
    attempt.stop(Outcome.KILLED, STOP)
    result = spawn(attempt.perform).get(timeout=PATIENCE)
    assert (result.outcome, result.reason, listening.pid) == (Outcome.KILLED, STOP, 0)


def test_ending_a_tree_leaves_other_processes_alone(perform: Perform) -> None:
    bystander = subprocess.Popen(["sleep", "30"], env={**os.environ, "GCRON_RUN_ID": "another"})
    try:
        perform("sleep 20", timeout=0.1)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206


@pytest.mark.parametrize("request_", [PTRACE_SEIZE, PTRACE_ATTACH], ids=["running", "stopped-by-the-debugger"])
def test_a_dead_process_held_by_a_debugger_is_named_and_ends_the_run(
    make: Callable[..., Any], listening: Any, request_: int
) -> None:
    attempt = make("exec sleep 60", Timing(pipes_after_exit=0.1, unkillable_after=0.5))
    running = spawn(attempt.perform)
    until(lambda: listening.pid and psutil.Process(listening.pid).name() == "sleep")
    debugger = _debugger_of(listening.pid, request_)
    try:
        attempt.stop(Outcome.KILLED, STOP, now=True)
        result = running.get(timeout=PATIENCE)
        worked = time.process_time()
        sleep(0.5)
        assert time.process_time() - worked < 0.25  # the wait does not use the processor
        assert result.outcome is Outcome.KILLED
        assert f"pid {listening.pid} (sleep, zombie)" in result.left_behind
    finally:
        debugger.kill()
        debugger.wait()
    until(lambda: not psutil.pid_exists(listening.pid), "the end of who is collected once the debugger lets go")


def _debugger_of(pid: int, request: int) -> subprocess.Popen[bytes]:
    """Start a process that traces `pid` and does nothing else."""
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


def test_a_run_does_not_wait_for_a_grandchild_that_keeps_the_pipe(perform: Perform, listening: Any, gate: Gate) -> None:
    started = time.monotonic()
    timing = Timing(pipes_after_exit=0.1, late_output=PATIENCE)
    result = perform(f"({gate.wait}; echo afterwards) & echo done", timing)
    assert result.outcome is Outcome.SUCCEEDED
    assert result.duration < time.monotonic() - started - 0.09  # without the wait for the pipes
    assert listening.out == [b"done"]
    gate.open()
    until(lambda: listening.late)
    sleep(0.1)
    assert listening.late == [b"afterwards"]
    assert "its output is still open" in listening.notices[0]
    assert len(listening.notices) == 1


def test_a_pipe_that_stays_open_is_closed_and_its_holder_named(
    perform: Perform, listening: Any, marked_processes: Find, unique: str
) -> None:
    perform(f"setsid sleep {unique} & echo done", Timing(pipes_after_exit=0.1, late_output=0.6))
    until(lambda: len(listening.notices) == 2)
    (holder,) = marked_processes(unique)
    try:
        assert listening.notices[1] == f"its output was closed: still held by pid {holder} (sleep, sleeping)"
    finally:
        os.kill(holder, signal.SIGKILL)


def test_stopping_an_ended_run_does_not_touch_processes_it_left_behind(
    make: Callable[..., Any], marked_processes: Find, unique: str
) -> None:
    attempt = make(f"setsid sleep {unique} & echo done", Timing(pipes_after_exit=1, late_output=1))
    running = spawn(attempt.perform)
    until(lambda: attempt._ended_at is not None)
    attempt.stop(Outcome.KILLED, STOP, now=True)
    assert running.get(timeout=PATIENCE).outcome is Outcome.SUCCEEDED
    (left,) = marked_processes(unique)
    os.kill(left, signal.SIGKILL)


# -- /proc is not there -----------------------------------------------------------------------------------------


@pytest.mark.realtime
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide /proc")
def test_without_proc_the_group_of_the_leader_is_killed_and_the_log_says_what_was_not_seen(
    gcron_run: Callable[..., Any], marked_processes: Find, unique: str
) -> None:
    """With an empty /proc, as in a chroot, `timeout=1s` killed nothing, and the log said `timed-out`.

    A stop then said `killed`, and all lived on.
    """
    hide = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc; exec "$@"', "sh")
    daemon = gcron_run(
        f"# gcron: name=job timeout=1s kill-after=0.3s\n@reboot {DEAF % unique} & exec {DEAF % unique}\n", before=hide
    )
    (why,) = daemon.wait_for("job +timed-out: still running after 1 s; (.*) \\(after")
    assert "so gcron does not see which processes the job has left" in why
    until(lambda: marked_processes(unique) == [], "the end of the group")
    assert daemon.stop() == 0
    assert daemon.log.count("still runs") == 0

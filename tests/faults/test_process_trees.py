"""Promises 3, 4 and 7: however processes end, other jobs continue, and a stop ends in time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.greenlet import sleep, spawn
from gcron.policy import Policy
from gcron.schedule.clock import SystemClock
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Command, Identity
from gcron.supervise.outcome import Outcome, Reason, ReasonCode
from gcron.supervise.process_reader import LinuxReader
from gcron.supervise.timing import Timing
from tests.faults.conftest import BEAT, WITHOUT_GROUPS
from tests.waiting import PATIENCE, SLACK, takes, until

Run = Callable[..., Any]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do that")

# Each process ignores TERM, has its own session, and forks as often as its limit allows. All end after two minutes.
BOMBER = 100_000 + os.getpid()  # a user of this test run alone
ROOM = 25
BOMB = f"""
import os, resource, signal, time
resource.setrlimit(resource.RLIMIT_NPROC, ({ROOM}, {ROOM}))
os.setuid({BOMBER})
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 120
print("up", flush=True)
while time.monotonic() < end:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        time.sleep(0.0005)
"""


def attempt_of(command: str, run_id: str) -> Attempt:
    return Attempt(Command(command), Policy(), Identity("test", run_id), lambda event: None, SystemClock())


def _is_of(process: psutil.Process, run_id: str) -> bool:
    return (process.info["environ"] or {}).get("GCRON_RUN_ID", "").startswith(run_id)


def owned_by(uid: int) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter()
        if process.is_running() and process.uids().real == uid and process.status() != psutil.STATUS_ZOMBIE
    ]


@AS_ROOT
@pytest.mark.realtime
@pytest.mark.parametrize("before", [(), WITHOUT_GROUPS], ids=["", "without-control-groups"])
def test_a_fork_bomb_is_ended_and_delays_no_other_job(gcron_run: Run, tmp_path: Path, before: tuple[str, ...]) -> None:
    """Killed one by one, each process made room for another fork. So they are all stopped first."""
    script = tmp_path / "bomb.py"
    script.write_text(BOMB)
    try:
        daemon = gcron_run(
            f"# gcron: name=bomb timeout=3s kill-after=0.3s\n@reboot exec {sys.executable} {script}\n" + BEAT,
            before=before,
        )
        daemon.wait_for("bomb +\\| up")
        daemon.wait_for(r"bomb +timed-out: still running after 3 s ")  # long before the processes would end
        assert "could not be killed" not in daemon.log
        until(lambda: owned_by(BOMBER) == [], "the end of those that were killed", SLACK)
        meanwhile = daemon.log.partition("bomb     timed-out")[0]
        assert len(re.findall("beat +(started|missed)", meanwhile)) >= 2
        assert daemon.stop() == 0
    finally:
        for pid in owned_by(BOMBER):
            os.kill(pid, signal.SIGKILL)


# -- uninterruptible --------------------------------------------------------------------------------------------


@AS_ROOT
@pytest.mark.realtime
def test_a_process_in_disk_sleep_is_named_and_the_stop_ends_in_time(freezable: Path, gcron_run: Run) -> None:
    subprocess.run(["fsfreeze", "-f", freezable], check=True)
    daemon = gcron_run(
        f"# gcron: name=stuck kill-after=0.5s\n@reboot exec mkdir {freezable}/new\n" + BEAT,
        "--grace",
        "0s",
        timing=Timing(unkillable_after=1),
    )
    (pid,) = daemon.wait_for(r"stuck +started \(pid (\d+)\)")
    daemon.wait_for("beat +succeeded", 2)
    with takes(at_least=0.5 + 1, at_most=0.5 + 1 + 5):
        assert daemon.stop() == 4
    assert f"could not be killed: pid {pid} (mkdir, disk-sleep)" in daemon.log
    # The log said that it "has ended, but its output is still open", and the stop waited 2 s for the end of its pipes.
    assert not re.search("stuck .*has ended", daemon.log)
    assert re.search("stuck .*could not be ended, and its output is still open", daemon.log)
    assert len(re.findall("beat +succeeded", daemon.log)) >= 2


# -- many, and other people's -----------------------------------------------------------------------------------


def test_runs_that_end_together_share_snapshots_of_the_process_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """One snapshot for each run would be hundreds of reads of hundreds of processes."""
    snapshots = []
    list_all = LinuxReader.list_all
    monkeypatch.setattr(LinuxReader, "list_all", lambda self: snapshots.append(1) or list_all(self))
    run_id = f"together-{os.getpid()}"

    def sleepers() -> list[int]:
        sleep(0.1)  # a search takes long
        processes = psutil.process_iter(["environ", "name"])
        return [process.pid for process in processes if _is_of(process, run_id) and process.info["name"] == "sleep"]

    attempts = [attempt_of("setsid sleep 60 & exec sleep 60", f"{run_id}-{n}") for n in range(100)]
    running = [spawn(attempt.perform) for attempt in attempts]
    until(lambda: len(sleepers()) == 200)
    for attempt in attempts:
        attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "all of them"))
    results = [each.get(timeout=PATIENCE) for each in running]
    assert {result.outcome for result in results} == {Outcome.KILLED}
    assert not any(result.left_behind for result in results)
    assert len(snapshots) < 100
    assert sleepers() == []


def test_each_look_lists_processes_once_and_reads_each_environment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lists of all processes each half second, with all their environments, took a core with 1,000 processes."""
    lists: list[float] = []
    statuses: Counter[int] = Counter()
    environments: Counter[int] = Counter()
    list_all, read, variable_of = LinuxReader.list_all, LinuxReader.read, LinuxReader.variable_of

    def count_list(self: LinuxReader) -> Any:
        lists.append(time.monotonic())
        return list_all(self)

    def count_status(self: LinuxReader, pid: int) -> Any:
        statuses[pid] += 1
        return read(self, pid)

    def count_environment(self: LinuxReader, pid: int, name: str) -> Any:
        environments[pid] += 1
        return variable_of(self, pid, name)

    monkeypatch.setattr(LinuxReader, "list_all", count_list)
    monkeypatch.setattr(LinuxReader, "read", count_status)
    monkeypatch.setattr(LinuxReader, "variable_of", count_environment)
    crowd = [subprocess.Popen(["sleep", "60"]) for _ in range(30)]
    # It has not ended 2 s after TERM: that is a look each half second.
    attempt = attempt_of("trap 'sleep 2; exit' TERM; echo up; while :; do sleep 0.05; done", f"counted-{os.getpid()}")
    try:
        running = spawn(attempt.perform)
        until(lambda: attempt._tree is not None and attempt._tree.members(), "its processes")
        sleep(0.3)
        lists.clear()
        attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "the test stops it"))
        assert running.get(timeout=PATIENCE).outcome is Outcome.KILLED
        looks = len(lists)
        assert 5 <= looks <= 12  # the first pauses are shorter, and the last look is made twice
        pids = [process.pid for process in crowd]
        assert {environments[pid] for pid in pids} == {1}
        # Others are not read again at each look: the list alone shows whether they are the same.
        assert max(statuses[pid] for pid in pids) <= 3
    finally:
        for process in crowd:
            process.kill()
            process.wait()


def test_children_of_other_code_are_not_killed_and_keep_their_exit_status() -> None:
    """Promise 7, also while trees are killed, and when a thread of the program waits for its own children."""
    others = [subprocess.Popen(["sh", "-c", f"sleep 0.{n}; exit {n}"]) for n in range(1, 8)]
    statuses: list[int] = []
    waiting = threading.Thread(target=lambda: statuses.extend(other.wait() for other in others[:4]))
    waiting.start()
    for n in range(4):
        attempt = attempt_of("setsid sleep 60 & sleep 60", f"beside-{os.getpid()}-{n}")
        running = spawn(attempt.perform)
        sleep(0.1)
        attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "now"), now=True)
        assert running.get(timeout=PATIENCE).outcome is Outcome.KILLED
    waiting.join(PATIENCE)
    assert statuses == [1, 2, 3, 4]
    assert [os.waitstatus_to_exitcode(os.waitpid(other.pid, 0)[1]) for other in others[4:]] == [5, 6, 7]
    for other in others[4:]:
        other.returncode = 0  # collected above

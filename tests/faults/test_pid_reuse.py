"""Reused pids, in a PID namespace, where a test can choose the next pid."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Runs in the namespace, whose init is a shell that collects orphans. Processes with the same pid differ in their start
# times, which Linux counts in hundredths of a second.
BEGIN = """
import os, signal, subprocess, sys
from gcron.greenlet import sleep, spawn
from gcron.supervise.process_table import process_table
from gcron.supervise.command import Command, Identity
from gcron.supervise.surroundings import Surroundings
from gcron.supervise.process_tree import TreeEnd, start_tree

def tree_of(text, members=1):
    tree = start_tree(Command(text), Surroundings(), Identity("test", "reused"))
    until(lambda: len(tree.members()) == members)
    return tree

def until(condition):
    for _ in range(3000):
        if condition():
            return
        sleep(0.01)
    raise AssertionError("waited in vain")

def kill_leader(tree):
    os.kill(tree.pid, signal.SIGKILL)
    until(lambda: tree.leader.poll() is not None)

def next_pid(pid):
    sleep(0.05)
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(pid - 1))

def stranger(pid, **options):
    next_pid(pid)
    process = subprocess.Popen(["sleep", "60"], start_new_session=True, **options)
    assert process.pid == pid, (process.pid, pid)
    return process

def wait_until_gone(pid):
    until(lambda: not os.path.exists(f"/proc/{pid}"))
"""

MEMBER_REPLACED = """
tree = tree_of("setsid sleep 60 & exec sleep 60", 2)
seen = {member.pid: member for member in tree.members()}
(pid,) = set(seen) - {tree.pid}
os.kill(pid, signal.SIGKILL)
kill_leader(tree)
wait_until_gone(pid)
process = stranger(pid)
process_table().send(seen.values(), [signal.SIGKILL])
assert tree.members() == ()
assert tree.kill() == TreeEnd()
sleep(0.1)
assert process.poll() is None
process.kill()
"""

LEADER_REPLACED = """
tree = tree_of("setsid sleep 60 & sleep 0.5; exit 0", 3)
until(lambda: tree.leader.poll() == 0)
process = stranger(tree.pid)
assert len(tree.members()) == 1
assert tree.stop(signal.SIGTERM, 1) == TreeEnd()
assert tree.kill() == TreeEnd()
sleep(0.1)
assert process.poll() is None
process.kill()
"""

STRANGER_REPLACED = """
process = stranger(30000)
other = tree_of("exec sleep 60")
assert [member.pid for member in other.members()] == [other.pid]
assert other.kill() == TreeEnd()
process.kill()
process.wait()
next_pid(30000)
tree = tree_of("trap 'exit 7' TERM; cd /proc; while :; do sleep 0.02; done")
assert tree.pid == 30000
until(lambda: os.readlink("/proc/30000/cwd") == "/proc")  # it has set its trap
process_table().send([member for member in tree.members() if member.pid == 30000], [signal.SIGTERM])
until(lambda: tree.leader.poll() == 7)
"""

CHILD_REPLACED = """
tree = tree_of("setsid env -i sleep 60 & exec sleep 60", 2)
seen = {member.pid: member for member in tree.members()}
(pid,) = set(seen) - {tree.pid}
os.kill(pid, signal.SIGKILL)
kill_leader(tree)
wait_until_gone(pid)
process = stranger(pid, env={})
assert tree.members() == ()
assert tree.kill() == TreeEnd()
assert process.poll() is None
process.kill()
"""


def _permitted() -> bool:
    if os.geteuid() != 0:
        return False
    command = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "echo 20000 > /proc/sys/kernel/ns_last_pid"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not _permitted(), reason="needs root, unshare and a kernel with ns_last_pid")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(MEMBER_REPLACED, id="a-member-by-a-stranger"),
        pytest.param(CHILD_REPLACED, id="a-child-without-a-mark-by-a-stranger"),
        pytest.param(LEADER_REPLACED, id="the-leader-by-another-session's"),
        pytest.param(STRANGER_REPLACED, id="a-stranger-by-a-member"),
    ],
)
def test_no_signal_reaches_a_process_that_reuses_a_pid(script: str) -> None:
    """The last case was a bug: `psutil.process_iter` remembers the process that had a pid.

    A member with the pid of a dead process was taken for that process. It got no stop signal, and was killed later.
    """
    inside = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, BEGIN + script]
    result = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *inside],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")

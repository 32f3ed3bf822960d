"""Control groups of runs: real ones, below the group of the test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gcron.greenlet import spawn
from gcron.runtime.waiting import joinall
from gcron.supervise import cgroup as cgroup_module
from gcron.supervise import process_tree as tree_module
from gcron.supervise.cgroup import enter_cgroup, use_cgroups
from gcron.supervise.cgroup_files import Cgroup
from gcron.supervise.outcome import Outcome, RunResult
from tests.waiting import until

Perform = Callable[..., RunResult]
Stop = Callable[..., RunResult]
Find = Callable[[str], list[int]]
# Waits until the job is in its group: it enters after all starts of an instant.
IN_GROUP = "until grep -q run- /proc/$$/cgroup; do sleep 0.02; done"
# Starts a child without the mark, the session and the parent of its job.
ESCAPE = IN_GROUP + "; setsid env -i sh -c 'setsid env -i sleep {0} & exit'; echo escaped; exec sleep 60"


def test_without_use_cgroups_no_process_enters_a_group() -> None:
    assert enter_cgroup("run", os.getpid()) is None


def test_a_child_without_mark_session_and_parent_is_ended_with_its_run(
    stop: Stop, listening: Any, groups: Path, marked_processes: Find, unique: str
) -> None:
    result = stop(ESCAPE.format(unique), kill_after=0.5)
    assert (result.outcome, result.left_behind, listening.out) == (Outcome.KILLED, "", [b"escaped"])
    assert marked_processes(unique) == []
    assert list(groups.glob("run-*")) == []


def test_jobs_due_together_start_before_any_of_them_enters_a_group(
    make: Callable[..., Any], groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel delays every fork and exec while it moves a process into a group.

    With a move after each start, the last of a thousand jobs due at one second started 0.3 s later.
    """
    done: list[str] = []

    def start(*args: Any) -> Any:
        done.append("start")
        return real_start(*args)

    def enter(*args: Any) -> Any:
        done.append("enter")
        return real_enter(*args)

    real_start, real_enter = tree_module.start, tree_module.enter_cgroup
    monkeypatch.setattr(tree_module, "start", start)
    monkeypatch.setattr(tree_module, "enter_cgroup", enter)
    joinall([spawn(make("sleep 0.5").perform) for _ in range(5)])
    assert done == ["start"] * 5 + ["enter"] * 5


def test_a_child_known_only_by_its_group_gets_the_stop_signal_first(stop: Stop, listening: Any, groups: Path) -> None:
    polite = 'trap "echo bye; exit" TERM; echo up; while :; do sleep 0.02; done'
    stop(f"{IN_GROUP}; setsid env -i setsid sh -c '{polite}' & sleep 60", kill_after=30)
    assert listening.out == [b"up", b"bye"]


def test_remnants_known_only_by_their_group_are_ended(
    perform: Perform, listening: Any, groups: Path, marked_processes: Find, unique: str
) -> None:
    """The search used only the mark, so the remnants of a service's lives could pile up."""
    command = f"{IN_GROUP}; setsid env -i sleep {unique} >/dev/null 2>&1 & exit 0"
    assert perform(command, kill_after=0.5, sweep=True).succeeded
    assert re.fullmatch(r"ended what it had left behind: pid \d+ \(\w+, \S+\)", listening.notices[0])
    assert marked_processes(unique) == []
    assert list(groups.glob("run-*")) == []


def test_a_group_is_removed_after_its_last_process(
    perform: Perform, groups: Path, marked_processes: Find, unique: str
) -> None:
    assert perform(f"{IN_GROUP}; setsid sleep {unique} >/dev/null 2>&1 & exit 0").succeeded
    (left,) = marked_processes(unique)
    (group,) = groups.glob("run-*")
    assert (group / "cgroup.procs").read_text().split() == [str(left)]
    os.kill(left, 9)
    until(lambda: perform("true").succeeded and not group.exists())


def test_groups_of_an_earlier_gcron_are_removed(groups: Path) -> None:
    stale = groups.with_name("gcron-0")
    (stale / "run-x" / "of-the-job").mkdir(parents=True)
    assert use_cgroups()
    assert not stale.exists()


def test_a_run_works_without_a_group_when_none_can_be_made(
    perform: Perform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(cgroup_module, "_parent", tmp_path / "file" / "below")
    assert perform("true").succeeded


@pytest.mark.realtime
def test_gcron_run_uses_groups(
    groups: Path, gcron_run: Callable[..., Any], marked_processes: Find, unique: str
) -> None:
    daemon = gcron_run(f"# gcron: name=job timeout=3s kill-after=0.3s\n@reboot {ESCAPE.format(unique)}\n")
    daemon.wait_for("job +\\| escaped")
    assert len(marked_processes(unique)) == 1
    daemon.wait_for("job +timed-out")
    assert marked_processes(unique) == []
    assert daemon.stop() == 0
    assert not groups.with_name(f"gcron-{daemon.process.pid}").exists()


def test_only_the_owner_may_change_a_group_whatever_the_umask(groups: Path) -> None:
    """With the umask 0, any user could put processes into the group of a run."""
    before = os.umask(0)
    process = subprocess.Popen(["sleep", "60"])
    try:
        cgroup = enter_cgroup("test", process.pid)
        assert cgroup is not None
        (group,) = groups.glob("run-*")
        assert group.stat().st_mode & 0o022 == 0
    finally:
        os.umask(before)
        process.kill()
        process.wait()
    until(lambda: cgroup.remove() or not group.exists(), "the end of the group")


def test_a_group_counts_the_kills_for_lack_of_memory(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert Cgroup(tmp_path).count_oom_kills() == 2
    assert Cgroup(tmp_path / "without-the-controller").count_oom_kills() is None


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A group with a limit of memory; version 1, which has the controller where version 2 has not."""
    group = Path(f"/sys/fs/cgroup/memory/gcron-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("150M")
    except OSError as error:
        pytest.skip(f"no memory can be limited here: {error}")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text(), "the end of all processes in the group")
    group.rmdir()


@pytest.mark.realtime
def test_a_kill_for_lack_of_memory_is_named(gcron_run: Callable[..., Any], little_memory: Path) -> None:
    """`killed by signal 9 (SIGKILL)` or a bare 137 let people look for somebody who had killed it."""
    eat = f'{sys.executable} -c "x = bytearray(400_000_000)"'
    daemon = gcron_run(
        f"# gcron: name=one\n@reboot exec {eat}\n# gcron: name=two\n@reboot {eat}; exit $?\n",
        *("--log-format", "json"),
        before=("sh", "-c", f'echo $$ > {little_memory}/cgroup.procs; exec "$@"', "sh"),
    )
    why = "; out of memory: the kernel killed a process of gcron's control group meanwhile"
    daemon.wait_for('"event":"run-finished"', count=2)
    ends = {record["job"]: record for line in daemon.log.splitlines() if "outcome" in (record := json.loads(line))}
    assert ends["one"]["reason"] == f"killed by signal 9 (SIGKILL){why}"
    assert ends["two"]["reason"] == f"exit status 137 (128 + 9: a shell's command was killed by SIGKILL){why}"
    assert {end["reason_code"] for end in ends.values()} == {"out-of-memory"}
    assert daemon.stop() == 0

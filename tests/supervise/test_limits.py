"""Limits of control groups: where the kernel keeps them, and where it cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.scheduler import RunResult
from gcron.supervise import cgroup as cgroup_module
from gcron.supervise import cgroup_limits as limits_module
from gcron.supervise import limited_start as start_module
from gcron.supervise.cgroup import hand_down
from gcron.supervise.cgroup_files import Cgroup
from gcron.supervise.cgroup_limits import divide, foresee, report_once, settings_of
from gcron.supervise.command import Command
from gcron.supervise.outcome import Outcome, ReasonCode
from gcron.supervise.usage import Usage
from tests.waiting import until

Perform = Callable[..., RunResult]
Find = Callable[[str], list[int]]

ALL = (("memory_max", 64 << 20), ("cpu_max", 150), ("tasks_max", 20))
OPTIONS = "memory-max=64M cpu-max=150% tasks-max=20"
# These change what the group of all tests hands down: one at a time.
HANDS_DOWN = pytest.mark.xdist_group("realtime")
# Takes more memory than any limit here, and swap.
EAT = f'{sys.executable} -c "x = bytes(1) * 400_000_000"'


@pytest.fixture
def kept(groups: Path) -> Path:
    """The directory of groups that can have all limits."""
    _, problem = divide(ALL)
    if problem:
        pytest.skip(f"this machine cannot keep limits: {problem}")
    return groups


@pytest.fixture
def without_controllers(groups: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Groups that have no limits, for what the start of a limited process does otherwise."""
    monkeypatch.setattr(start_module, "divide", lambda limits: (limits, ""))
    monkeypatch.setattr(start_module, "settings_of", lambda limits: {})
    return groups


def limited(text: str, **fields: Any) -> Command:
    return Command(text, cgroup_limits=ALL, **fields)


# -- where the kernel keeps them --------------------------------------------------------------------------------


def test_the_kernel_gets_the_limits(kept: Path, perform: Perform, listening: Any) -> None:
    files = f"{kept}/run-*-limited"
    result = perform(limited(f"cat {files}/memory.max {files}/cpu.max {files}/pids.max"))
    assert (result.outcome, listening.notices) == (Outcome.SUCCEEDED, [])
    assert listening.out == [b"67108864", b"150000 100000", b"20"]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (f"exec {EAT}", r"killed by signal 9 \(SIGKILL\)"),
        (f"{EAT}; exit $?", r"exit status 137 \(128 \+ 9: a shell's command was killed by SIGKILL\)"),
        (f"{EAT}; exit 1", "exit status 1"),
    ],
)
def test_a_kill_at_the_limit_of_memory_is_named(kept: Path, perform: Perform, command: str, why: str) -> None:
    result = perform(limited(command))
    assert (result.outcome, result.reason.code) == (Outcome.FAILED, ReasonCode.OUT_OF_MEMORY)
    end = r"; out of memory at memory-max=64M \(peak 6[34]\.\d MiB\): the kernel killed a process of the job"
    assert re.fullmatch(why + end, result.reason.text)
    assert result.usage.max_rss_bytes is not None
    assert 60 << 20 < result.usage.max_rss_bytes <= 64 << 20


def test_retries_follow_a_kill_for_lack_of_memory(kept: Path, scheduler: Any) -> None:
    gcron, recorder = scheduler
    gcron.command(EAT, "@manual", name="job", memory_max="64M", retries=1, retry_delay=0)
    gcron.start()
    result = gcron.trigger("job").result.get(timeout=60)
    assert (result.attempts, result.reason.code) == (2, ReasonCode.OUT_OF_MEMORY)
    assert [event.result.reason.code for event in recorder.of("retry-planned")] == [ReasonCode.OUT_OF_MEMORY]


def test_gcron_exec_keeps_limits_and_says_when_one_ended_the_job(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "crontab").write_text(f"# gcron: name=hungry memory-max=64M\n@daily exec {EAT}\n")
    words = [sys.executable, "-m", "gcron", "exec", "crontab", "hungry"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 137
    assert re.match("gcron: hungry: failed: .*; out of memory at memory-max=64M", done.stderr)


def test_processor_time_is_limited(kept: Path, perform: Perform) -> None:
    burn = f'{sys.executable} -c "import time\nwhile time.process_time() < 0.5: pass"'
    result = perform(Command(burn, cgroup_limits=(("cpu_max", 25),)))
    assert result.usage.cpu_seconds is not None
    assert result.duration > 1.5


def test_the_number_of_tasks_is_limited(kept: Path, perform: Perform, listening: Any) -> None:
    forks = "import os\nn = 0\ntry:\n while os.fork(): n += 1\nexcept BlockingIOError: print(n)\nelse: os._exit(0)"
    # The children are zombies, which count, until their parent ends.
    result = perform(Command(f"exec {sys.executable} -c '{forks}'", cgroup_limits=(("tasks_max", 5),)))
    assert (result.outcome, listening.out) == (Outcome.SUCCEEDED, [b"4"])


@pytest.mark.realtime
def test_a_service_with_a_limit_is_started_again_when_it_needed_more(kept: Path, gcron_run: Callable[..., Any]) -> None:
    daemon = gcron_run(f"# gcron: name=hungry memory-max=64M min-uptime=0 restart-delay=0.1s\n@service exec {EAT}\n")
    daemon.wait_for("hungry +failed: .*; out of memory at memory-max=64M", count=2)
    assert daemon.stop() == 0


@pytest.mark.realtime
def test_a_reload_changes_the_limits_of_the_next_run(kept: Path, gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    text = "# gcron: name=job tasks-max={}\n@every 1s cat /sys/fs/cgroup$(cut -d: -f3 /proc/$$/cgroup)/pids.max\n"
    daemon = gcron_run(text.format(30))
    daemon.wait_for(r"job +\| 30$")
    (tmp_path / "crontab0").write_text(text.format(40))
    daemon.wait_for(r"job +\| 40$")
    assert daemon.stop() == 0


# -- what happens at the start, with or without controllers -----------------------------------------------------


def test_a_process_is_in_its_group_before_its_command_begins(
    without_controllers: Path, perform: Perform, listening: Any
) -> None:
    """A child that is started before its parent enters the group stays outside, and has no limit."""
    for _ in range(10):
        assert perform(limited("cat /proc/self/cgroup")).succeeded
    groups = [line for line in listening.out if line.startswith(b"0::")]
    assert len(groups) == 10
    assert all(re.search(rb"/gcron-\d+/run-[\w-]+-limited(-\d+)?$", group) for group in groups)
    assert listening.err == []
    until(lambda: perform("true").succeeded and not list(without_controllers.glob("run-*")))


def test_the_options_of_the_process_hold_as_well(
    without_controllers: Path, perform: Perform, listening: Any, tmp_path: Path
) -> None:
    command = limited("read line; echo $line; pwd; umask", stdin=b"hello\n", cwd=str(tmp_path), umask=0o27)
    assert perform(command).succeeded
    assert listening.out == [b"hello", os.fsencode(tmp_path), b"0027"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run jobs as other users")
def test_a_process_of_another_user_is_in_its_group_too(
    without_controllers: Path, perform: Perform, listening: Any
) -> None:
    assert perform(limited("cat /proc/self/cgroup; id -un", user="nobody")).succeeded
    assert re.search(rb"-limited$", next(line for line in listening.out if line.startswith(b"0::")))
    assert listening.out[-1] == b"nobody"


def test_a_process_that_may_not_be_continued_is_killed_with_its_group(
    without_controllers: Path, perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without CAP_KILL, root cannot let a job of another user go on: it would be stopped for ever."""

    def refuse(pid: int, signum: int) -> None:
        raise PermissionError

    monkeypatch.setattr(start_module.os, "kill", refuse)
    assert perform(limited("echo never")).exit_code == -9


def test_a_missing_shell_is_refused_as_without_limits(without_controllers: Path, perform: Perform) -> None:
    result = perform(limited("true", shell="/no/such/shell"))
    assert result.reason.text == "cannot start: there is no shell /no/such/shell"
    until(lambda: perform("true").succeeded and not list(without_controllers.glob("run-*")))


def test_a_stop_ends_a_process_that_waits_for_its_group(
    without_controllers: Path, stop: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_module, "_has_stopped", lambda pid: False)
    result = stop(limited("echo never"), when=lambda: True, kill_after=30)
    assert (result.outcome, result.exit_code) == (Outcome.KILLED, -15)


def test_a_run_goes_on_when_its_group_cannot_be_made(
    without_controllers: Path, perform: Perform, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_module, "settings_of", lambda limits: {"no-such.file": "1"})
    assert perform(limited("echo done")).succeeded
    assert listening.out == [b"done"]
    assert re.match(r"its limits are not kept: no control group can be made: .*no-such\.file", listening.notices[0])
    assert list(without_controllers.glob("run-*-limited")) == []


def test_a_start_that_fails_leaves_no_group(without_controllers: Path, perform: Perform) -> None:
    assert perform(limited("true\0")).outcome is Outcome.START_FAILED
    assert list(without_controllers.glob("run-*")) == []


def test_children_that_outlive_the_leader_count(groups: Path, perform: Perform, tmp_path: Path, unique: str) -> None:
    """wait4(2) knows only the time of children whose end somebody waited for."""
    busy = "import time, pathlib\nwhile time.process_time() < 0.3: pass\npathlib.Path('burnt').touch()\ntime.sleep(60)"
    in_group = "until grep -q run- /proc/$$/cgroup; do sleep 0.02; done"
    child = f'setsid {sys.executable} -c "{busy}" {unique} >/dev/null 2>&1 &'
    command = Command(f"{in_group}; {child} until test -e burnt; do sleep 0.05; done; echo $! >pid", cwd=str(tmp_path))
    result = perform(command)
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert result.succeeded
    assert result.usage.cpu_seconds is not None
    assert result.usage.cpu_seconds >= 0.28


def test_a_group_says_what_it_used(tmp_path: Path) -> None:
    assert Cgroup(tmp_path).usage() == Usage()
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n")
    assert Cgroup(tmp_path).usage() == Usage(1.5, None)
    (tmp_path / "memory.peak").write_text("4096\n")
    assert Cgroup(tmp_path, is_whole=True).usage() == Usage(1.5, 4096)


def test_the_peak_of_a_group_that_was_entered_late_means_nothing(tmp_path: Path) -> None:
    """A shell that had all its memory before it was moved into its group had a peak of 0."""
    (tmp_path / "memory.peak").write_text("0\n")
    assert Cgroup(tmp_path).usage() == Usage()


@pytest.mark.parametrize(("content", "limit"), [("max\n", None), ("67108864\n", 64 << 20), (None, None)])
def test_a_group_knows_its_limit_of_memory(tmp_path: Path, content: str | None, limit: int | None) -> None:
    if content is not None:
        (tmp_path / "memory.max").write_text(content)
    assert Cgroup(tmp_path).memory_max() == limit


# -- controllers --------------------------------------------------------------------------------------------------

# `hugetlb` is with version 2 also on machines where version 1 has the others. Of `pids`, the kernel lets a group with
# processes hand it down, but then no process can enter a group below.
CONTROLLERS = ["hugetlb", "memory", "pids"]
PROGRAM = """
import subprocess, sys
from pathlib import Path
from gcron.supervise import cgroup
from gcron.supervise.cgroup import enter_cgroup, hand_down, remove_cgroups, use_cgroups

group_of = lambda pid: Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1]
own = lambda: group_of("self")
helpers = [subprocess.Popen(["sleep", "60"]) for _ in sys.argv[2:]]
assert use_cgroups(lambda: [each.pid for each in helpers])
before = own()
try:
    hand_down(sys.argv[1])
except OSError as error:
    print(error.strerror)
else:
    child = subprocess.Popen(["sleep", "60"])
    assert enter_cgroup("test", child.pid) is not None
    print((cgroup._parent / "cgroup.subtree_control").read_text().strip(), own().removeprefix(before)[:7])
    assert all(group_of(each.pid) == own() for each in helpers)
    child.kill()
    child.wait()
remove_cgroups()
assert own() == before
assert all(group_of(each.pid) == before for each in helpers)
for each in helpers:
    each.kill()
    each.wait()
"""


@pytest.fixture
def own_group() -> Iterator[Path]:
    """A group of the test that is not the root: there the kernel wants no processes beside handed down controllers."""
    root = cgroup_module.own_group()
    if root is None:
        pytest.skip("no control groups can be made here")
    control = root / "cgroup.subtree_control"
    before = control.read_text().split()
    handed_down = set((root / "cgroup.controllers").read_text().split()) - set(before)
    group = root / f"tests-of-gcron-{os.getpid()}"  # no other gcron takes it for that of a dead one
    try:
        control.write_text(" ".join(f"+{controller}" for controller in handed_down))
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no group with controllers can be made here: {error}")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text(), "the end of all processes in the group")
    for path in (*group.glob("*/*/"), *group.glob("*/"), group):
        path.rmdir()
    with suppress(OSError):  # other tests on this machine may need them
        control.write_text(" ".join(f"-{controller}" for controller in handed_down))


def run_in(group: Path, controller: str, command: str, *more: str) -> str:
    if controller not in (group / "cgroup.controllers").read_text().split():
        pytest.skip(f"the {controller} controller is not with version 2 of control groups here")
    enter = f"echo $$ >{group}/cgroup.procs; {command}"
    words = ["sh", "-c", enter, "sh", PROGRAM, controller, *more]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@HANDS_DOWN
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_gcron_moves_into_a_group_below_its_own_and_back(own_group: Path, controller: str) -> None:
    assert run_in(own_group, controller, f'exec {sys.executable} -c "$@"') == f"{controller} /gcron-"
    assert (own_group / "cgroup.subtree_control").read_text().split() == []
    assert list(own_group.glob("*/")) == []


@HANDS_DOWN
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_gcron_takes_its_helpers_along(own_group: Path, controller: str) -> None:
    """A process that writes the log was one of others: no job with `memory-max` could start."""
    command = f'exec {sys.executable} -c "$@"'
    assert run_in(own_group, controller, command, "with a helper") == f"{controller} /gcron-"
    assert list(own_group.glob("*/")) == []


@HANDS_DOWN
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_gcron_moves_no_process_of_others(own_group: Path, controller: str) -> None:
    said = run_in(own_group, controller, f'{sys.executable} -c "$@"; exit $?')
    assert re.fullmatch(r"other processes are in it: pid \d+", said)
    assert list(own_group.glob("*/")) == []


@pytest.mark.realtime
def test_gcron_run_in_a_group_of_its_own_keeps_limits(
    kept: Path, own_group: Path, gcron_run: Callable[..., Any]
) -> None:
    enter = ("sh", "-c", f'echo $$ >{own_group}/cgroup.procs; exec "$@"', "sh")
    text = (
        f"# gcron: name=hungry memory-max=64M\n@every 1s exec {EAT}\n"
        "# gcron: name=other tasks-max=30\n@every 1s cat /proc/self/cgroup\n"
    )
    daemon = gcron_run(text, before=enter)
    daemon.wait_for("hungry +failed: .*; out of memory at memory-max=64M", count=2)
    daemon.wait_for(r"other +\| 0::/tests-of-gcron-\d+/gcron-\d+/run-\w+-limited$", count=2)
    assert "cannot be kept" not in daemon.log
    assert (
        Path(f"/proc/{daemon.process.pid}/cgroup").read_text().rstrip().endswith(f"/gcron-{daemon.process.pid}/gcron")
    )
    assert daemon.stop() == 0
    assert (own_group / "cgroup.subtree_control").read_text().split() == []


@pytest.mark.realtime
def test_process_1_moves_out_of_the_way_with_its_init(
    kept: Path, own_group: Path, gcron_run: Callable[..., Any]
) -> None:
    """In a container, process 1 is the init that gcron leaves behind, and stays in the group of the container."""
    enter = f'echo $$ >{own_group}/cgroup.procs; exec "$@"'
    before = ("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", enter, "sh")
    daemon = gcron_run(f"# gcron: name=hungry memory-max=64M\n@every 1s exec {EAT}\n", before=before)
    daemon.wait_for("hungry +failed: .*; out of memory at memory-max=64M")
    assert len((own_group / "gcron-2/gcron/cgroup.procs").read_text().split()) == 2
    (init,) = psutil.Process(daemon.process.pid).children()
    init.terminate()
    assert daemon.wait() == 0


def test_a_controller_that_is_not_there_is_an_error(groups: Path) -> None:
    with pytest.raises(OSError, match=r".*"):
        hand_down("no-such")


# -- where they cannot be kept ------------------------------------------------------------------------------------


@pytest.fixture
def no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where version 2 of control groups is not mounted."""
    for module in (cgroup_module, limits_module):
        monkeypatch.setattr(module, "own_directories", list)
    monkeypatch.setattr(cgroup_module, "_home", None)
    monkeypatch.setattr(cgroup_module, "_parent", None)
    monkeypatch.setattr(limits_module, "_reported", set())


NOT_MOUNTED = "version 2 of control groups is not mounted (mount -t cgroup2 cgroup2 /sys/fs/cgroup)"
LOST = f"memory-max=64M and cpu-max=150% and tasks-max=20 cannot be kept: {NOT_MOUNTED}"


def test_what_is_missing_is_named_with_what_would_be_right(no_groups: None) -> None:
    assert divide(ALL) == ((), LOST)
    assert foresee(ALL) == LOST
    assert divide(()) == ((), "")


def test_it_is_reported_once_for_each_job_and_again_when_the_limit_changes(no_groups: None) -> None:
    assert report_once("a", ALL) == LOST
    assert report_once("b", ALL) == LOST
    assert report_once("a", ALL) == ""
    assert report_once("a", ()) == ""
    assert report_once("a", ALL[:1]).startswith("memory-max=64M cannot be kept")


def test_a_group_that_may_not_be_written_is_named(
    no_groups: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits_module, "own_directories", lambda: [tmp_path])
    assert f"gcron may not write its control group {tmp_path} (" in foresee(ALL)


def group_with(controllers: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "cgroup.controllers").write_text(controllers)
    monkeypatch.setattr(cgroup_module, "own_directories", lambda: [directory])


def test_only_the_limits_without_a_controller_are_lost(
    no_groups: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    group_with("cpu pids\n", tmp_path, monkeypatch)
    monkeypatch.setattr(limits_module, "_is_of_version_1", lambda controller: False)
    gone = f"the control group {tmp_path} has no controller memory (systemd: Delegate=yes)"
    assert foresee(ALL) == f"memory-max=64M cannot be kept: {gone}"
    monkeypatch.setattr(limits_module, "_is_of_version_1", lambda controller: True)
    gone = "version 1 of control groups has the {} (boot with cgroup_no_v1=all)"
    assert foresee(ALL) == f"memory-max=64M cannot be kept: {gone.format('controller memory')}"
    group_with("cpuset\n", tmp_path, monkeypatch)
    options = "memory-max=64M and cpu-max=150%"
    assert foresee(ALL[:2]) == f"{options} cannot be kept: {gone.format('controllers memory and cpu')}"
    group_with("cpu pids\n", tmp_path, monkeypatch)
    monkeypatch.setattr(limits_module, "uses_cgroups", lambda: True)
    monkeypatch.setattr(limits_module, "hand_down", lambda controller: None)
    assert divide(ALL)[0] == ALL[1:]
    assert settings_of(ALL[1:]) == {"cpu.max": "150000 100000", "pids.max": "20"}


def test_a_program_without_groups_is_told_the_call(
    no_groups: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    group_with("memory cpu pids\n", tmp_path, monkeypatch)
    assert divide(ALL)[1].endswith("it may call gcron.supervise.cgroup.use_cgroups)")


def test_processes_in_the_way_are_named(no_groups: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(controller: str) -> None:
        raise OSError(16, "other processes are in it: pid 7")

    group_with("memory cpu pids\n", tmp_path, monkeypatch)
    monkeypatch.setattr(limits_module, "uses_cgroups", lambda: True)
    monkeypatch.setattr(limits_module, "hand_down", refuse)
    assert divide(ALL[:1])[1] == (
        f"memory-max=64M cannot be kept: the control group {tmp_path} cannot hand down the controller memory"
        " (other processes are in it: pid 7); start gcron in a group of its own, with systemd's Delegate=yes"
    )


def test_a_run_without_its_limits_says_so_once(no_groups: None, scheduler: Any) -> None:
    gcron, recorder = scheduler
    gcron.command("true", "@manual", name="job", memory_max="64M", cpu_max="150%", tasks_max=20)
    gcron.start()
    for _ in range(2):
        assert gcron.trigger("job").result.get(timeout=60).succeeded
    assert [(event.text, event.is_warning) for event in recorder.of("notice")] == [(LOST, True)]


def without_version_2(*command: str) -> tuple[str, ...]:
    """The command in a mount namespace without control groups of version 2."""
    return ("unshare", "-m", "sh", "-c", 'umount -a -l -t cgroup2; exec "$@"', "sh", *command)


@pytest.fixture
def can_unshare() -> None:
    if subprocess.run(without_version_2("true"), capture_output=True).returncode:
        pytest.skip("only root can have a mount namespace of its own")


@pytest.mark.realtime
def test_gcron_run_warns_when_it_loads_the_jobs(
    can_unshare: None, gcron_run: Callable[..., Any], tmp_path: Path
) -> None:
    text = f"# gcron-defaults: {OPTIONS}\n# gcron: name=a\n@manual true\n# gcron: name=b\n@every 1s true\n"
    daemon = gcron_run(text, "--log-format", "json", before=without_version_2())
    daemon.wait_for('"job":"b".*"succeeded"', count=2)
    (warning,) = [line for line in daemon.log.splitlines() if "cannot be kept" in line]
    assert f'"message":"a, b: {LOST}"' in warning
    assert '"level":"warning"' in warning
    (tmp_path / "crontab0").write_text(text.replace("64M", "65M").replace("name=a", "name=a memory-max=unlimited"))
    daemon.wait_for('"message":"b: memory-max=65M and cpu-max=150% and tasks-max=20 cannot be kept')
    daemon.wait_for('"message":"a: cpu-max=150% and tasks-max=20 cannot be kept')
    assert daemon.stop() == 0


@pytest.mark.realtime
def test_a_service_without_its_limits_is_warned_about_once(can_unshare: None, gcron_run: Callable[..., Any]) -> None:
    text = "# gcron: name=web min-uptime=0 restart-delay=0.1s memory-max=64M\n@service sleep 0.1\n"
    daemon = gcron_run(text, before=without_version_2())
    daemon.wait_for("web +stopped|web +succeeded", count=3)
    assert daemon.log.count("cannot be kept") == 1
    assert daemon.stop() == 0


def gcron_without_version_2(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = without_version_2(sys.executable, "-m", "gcron", *words)
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)


def test_check_warns_and_exec_says_it(can_unshare: None, tmp_path: Path) -> None:
    (tmp_path / "crontab").write_text(f"@daily true\n# gcron: name=job {OPTIONS}\n@daily echo done\n")
    checked = gcron_without_version_2(tmp_path, "check", "--strict", "crontab")
    assert checked.returncode == 1
    assert f"crontab:3:1: warning: {LOST}\n" in checked.stdout + checked.stderr
    assert "hint: the job runs without" in checked.stdout + checked.stderr
    done = gcron_without_version_2(tmp_path, "exec", "crontab", "job")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr == f"gcron: job: {LOST}\n"


@pytest.mark.realtime
def test_status_of_the_job_shows_it(can_unshare: None, gcron_run: Callable[..., Any], runtime: Path) -> None:
    daemon = gcron_run(f"# gcron: name=job {OPTIONS}\n@daily true\n", before=without_version_2())
    daemon.wait_for("1 job")
    (socket,) = until(lambda: list(runtime.rglob("control.sock")))
    words = [sys.executable, "-m", "gcron", "status", "--instance", socket.parent.name]
    shown = subprocess.run([*words, "job"], capture_output=True, text=True, timeout=60).stdout
    assert re.search(rf"^limits +{re.escape(LOST)}$", shown, re.MULTILINE)
    assert daemon.stop() == 0

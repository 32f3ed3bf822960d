"""The surroundings of a job: session, descriptors, variables, standard input, limits."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.greenlet import sleep, spawn
from gcron.policy import Policy
from gcron.supervise import start_script as start_script_module
from gcron.supervise import surroundings as surroundings_module
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Command, command_of
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult
from tests.waiting import PATIENCE

Perform = Callable[..., RunResult]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that")


def with_options(text: str, **options: Any) -> Command:
    """Make a command with options, as directives of a crontab do."""
    return command_of(text, Policy.from_options(options))


def test_a_job_leads_its_own_session(perform: Perform, listening: Any) -> None:
    script = f"exec {sys.executable} -c 'import os; print(os.getpid(), os.getsid(0), os.getpgid(0))'"
    perform(script)
    pid, session, group = map(int, listening.out[0].split())
    assert pid == session == group == listening.pid
    assert session != os.getsid(0)


def test_a_job_has_exactly_three_descriptors(perform: Perform, listening: Any) -> None:
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        # The shell needs a descriptor for its glob, so another process lists the directory.
        perform(Command("(ls /proc/$PPID/fd) & wait; ls /proc/$$/fd", stdin=b"text"))
    finally:
        os.close(leaked)
    assert listening.out[-3:] == [b"0", b"1", b"2"]
    listening.out.clear()
    perform("ls /proc/$$/fd")
    assert listening.out == [b"0", b"1", b"2"]


def test_standard_input_is_empty_or_the_text_of_the_entry(perform: Perform, listening: Any) -> None:
    perform("readlink /proc/$$/fd/0; cat")
    assert listening.out == [b"/dev/null"]
    listening.out.clear()
    perform(Command("cat; echo end", stdin=b"one\ntwo \xff\nno newline"))
    assert listening.out == [b"one", b"two \xff", b"no newlineend"]


def test_a_job_that_does_not_read_its_input_is_not_blocked(perform: Perform) -> None:
    assert perform(Command("true", stdin=b"x" * 10_000_000)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("size", [8, 1_000_000], ids=["in-a-pipe", "in-a-file"])
def test_without_memfd_the_input_arrives_whole(
    perform: Perform, listening: Any, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Other systems than Linux have no memfd_create, and where seccomp denied it, no job with an input could start."""

    def deny(*args: Any) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "memfd_create", deny)
    perform(Command("cat | wc -c", stdin=b"one\ntwo\n" * (size // 8)))
    assert listening.out[0].strip() == b"%d" % size


def test_a_job_gets_variables_of_its_run_and_not_those_of_gcron(
    perform: Perform, listening: Any, run_id: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("GCRON_SECRET", "hunter2")
    monkeypatch.setenv("INHERITED", "yes")
    perform(Command("env", environment={"FROM_CRONTAB": "caf\udce9"}))
    variables = dict(line.split(b"=", 1) for line in listening.out if b"=" in line)
    assert variables[b"GCRON_RUN_ID"] == run_id.encode()
    assert variables[b"GCRON_JOB"] == b"test"
    assert variables[b"INHERITED"] == b"yes"
    assert variables[b"FROM_CRONTAB"] == b"caf\xe9"
    assert b"GCRON_SECRET" not in variables


@pytest.mark.parametrize("user", ["", "user=nobody "], ids=["own-user", "other-user"])
@pytest.mark.parametrize("given", [{}, {"LC_CTYPE": "C.UTF-8"}], ids=["not-set", "set"])
def test_a_locale_that_python_has_set_does_not_reach_jobs(
    gcron_run: Callable[..., Any], user: str, given: dict[str, str]
) -> None:
    """In the C locale Python sets LC_CTYPE for itself, and `sort` and `ls` of the jobs used it."""
    if user and os.geteuid() != 0:
        pytest.skip("only root may become another user")
    variables = {name: value for name, value in os.environ.items() if name != "LANG" and not name.startswith("LC_")}
    text = f"# gcron: name=job {user}cwd=/\n@reboot echo locale=${{LC_CTYPE-not set}}.\n"
    daemon = gcron_run(text, env=variables | given)
    daemon.wait_for("job +succeeded")
    assert f"locale={given.get('LC_CTYPE', 'not set')}." in daemon.log


def test_many_runs_leave_no_descriptor_and_no_process(perform: Perform) -> None:
    perform("true")
    before, children = len(os.listdir("/proc/self/fd")), psutil.Process().children()  # servers of other tests
    for _ in range(20):
        perform(Command("echo out; echo err >&2", stdin=b"x"))
    assert len(os.listdir("/proc/self/fd")) <= before
    assert psutil.Process().children() == children


# -- directory, mask, priority, limits ----------------------------------------------------------------------


def test_a_job_starts_in_its_directory(perform: Perform, listening: Any, tmp_path: Path) -> None:
    perform(with_options("pwd; echo $PWD; echo ${OLDPWD-none}", cwd=tmp_path))
    assert listening.out == [os.fsencode(tmp_path), os.fsencode(tmp_path), b"none"]


def test_files_get_the_modes_of_the_umask(perform: Perform, listening: Any, tmp_path: Path) -> None:
    before = os.umask(0o022)
    os.umask(before)
    perform(with_options("umask; : >file; mkdir directory", cwd=tmp_path, umask="037"))
    assert listening.out == [b"0037"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "directory").stat().st_mode & 0o777 == 0o740
    assert os.umask(before) == before


def test_nice_is_set_before_the_job_starts_and_needs_no_path(perform: Perform, listening: Any) -> None:
    nice = f"exec {shutil.which('nice')}"
    own = os.getpriority(os.PRIO_PROCESS, 0)
    perform(command_of(nice, Policy.from_options({"nice": 7}), environment={"PATH": "/nowhere"}))
    perform(with_options(nice))
    assert listening.out == [b"%d" % min(19, own + 7), b"%d" % own]
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


@as_root
def test_a_negative_nice_of_a_job_does_not_change_gcron(perform: Perform, listening: Any) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    perform(with_options("nice", nice=-5))
    perform(with_options("nice", nice=-3, user="daemon"))
    assert listening.out == [b"%d" % (own - 5), b"%d" % (own - 3)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


@as_root
def test_a_negative_nice_without_root_refuses_the_run(perform: Perform) -> None:
    os.seteuid(12345)
    try:
        result = perform(with_options("true", nice=-5))
    finally:
        os.seteuid(0)
    assert (result.outcome, result.reason.text) == (
        Outcome.START_FAILED,
        "cannot start: only root can have a job go first with nice=-5",
    )


LIMITS = {
    "rlimit_as": ("2G", "Max address space", 2 << 30),
    "rlimit_core": ("3M", "Max core file size", 3 << 20),
    "rlimit_cpu": ("61", "Max cpu time", 61),
    "rlimit_data": ("1G", "Max data size", 1 << 30),
    "rlimit_fsize": ("5M", "Max file size", 5 << 20),
    "rlimit_nofile": ("33", "Max open files", 33),
    "rlimit_nproc": ("4321", "Max processes", 4321),
    "rlimit_stack": ("6M", "Max stack size", 6 << 20),
}
SHELLS = [pytest.param(["sh"], id="sh")] + [
    pytest.param(argv, id=argv[0], marks=pytest.mark.skipif(not shutil.which(argv[0]), reason=f"no {argv[0]} here"))
    for argv in (["dash"], ["bash", "--posix"], ["busybox", "sh"])
]


@pytest.mark.parametrize("argv", SHELLS)
def test_all_resource_limits_are_set_with_any_shell_as_sh(
    perform: Perform, listening: Any, argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shells count in different block sizes, and have different letters for the number of processes."""
    if len(argv) > 1:
        shell = tmp_path / "sh"
        # Under the name `sh` bash follows POSIX.
        shell.write_text(f'#!/bin/sh\nexec {shutil.which(argv[0])} {argv[1]} "$@"\n')
        shell.chmod(0o755)
        monkeypatch.setattr(start_script_module, "DEFAULT_SHELL", str(shell))
    elif argv != ["sh"]:
        monkeypatch.setattr(start_script_module, "DEFAULT_SHELL", shutil.which(argv[0]))
    options = {name: value for name, (value, _, _) in LIMITS.items()}
    assert perform(with_options("cat /proc/self/limits", shell="/bin/sh", **options)).outcome is Outcome.SUCCEEDED
    found = {line[:25].decode().strip(): line[25:].split()[:2] for line in listening.out}
    for _, title, number in LIMITS.values():
        assert found[title] == [b"%d" % number] * 2, title  # soft and hard


def test_a_resource_limit_affects_only_its_job(perform: Perform, tmp_path: Path) -> None:
    result = perform(with_options("head -c 2000000 /dev/zero >file", cwd=tmp_path, rlimit_fsize="1M"))
    assert result.outcome is Outcome.FAILED
    assert (tmp_path / "file").stat().st_size == 1 << 20
    (tmp_path / "own").write_bytes(bytes(2_000_000))


def test_a_resource_limit_that_cannot_be_set_refuses_the_run(perform: Perform) -> None:
    # More than any kernel allows, even for root.
    result = perform(with_options("echo never", rlimit_nofile=1 << 40))
    assert result.outcome is Outcome.START_FAILED
    assert result.reason.text.startswith("cannot start: ")
    assert result.reason.text.endswith("rlimit-nofile cannot be set to 1099511627776")
    assert b"never" not in result.output_head


# -- the file of variables ----------------------------------------------------------------------------------


def test_an_env_file_is_read_for_each_run(perform: Perform, listening: Any, tmp_path: Path) -> None:
    file = tmp_path / "env"
    policy = Policy.from_options({"env_file": file})
    command = command_of('echo "$ONE|$TWO|$THREE|$GCRON_JOB"', policy, environment={"ONE": "crontab", "TWO": "crontab"})
    file.write_text("# a comment\n\n  TWO = 'from file'\r\nTHREE=a \"b\" = c\x0bd \nGCRON_JOB=fake\n")
    perform(command)
    file.write_text("\ufeffONE=changed")
    perform(command)
    assert listening.out == [b'crontab|from file|a "b" = c\x0bd|test', b"changed|crontab||test"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"A=1\nexport B=2\n", ":2: no assignment: NAME=value is one"),
        (b"A=1\n\nB='open\n", ":3:3: the quote is not closed (close it with ')"),
        (b"=x\n", ":1:1: an assignment without a name (NAME=value)"),
        (b"A=\0\n", ":1: a NUL byte, which no variable can hold"),
        (b"A=1\n" * 300_000, " cannot be read: it is larger than 1 MiB"),
        ("fifo", " cannot be read: it is a FIFO, not a regular file"),
        ("directory", " cannot be read: it is a directory, not a regular file"),
        ("missing", " cannot be read: no such file or directory"),
    ],
)
def test_a_wrong_env_file_fails_its_run(perform: Perform, tmp_path: Path, content: bytes | str, reason: str) -> None:
    file = tmp_path / "env"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content == "fifo":
        os.mkfifo(file)
    elif content == "directory":
        file.mkdir()
    result = perform(with_options("true", env_file=file))
    assert (result.outcome, result.reason.text) == (Outcome.START_FAILED, f"cannot start: env-file {file}{reason}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_env_file_of_a_trusted_owner_is_read(perform: Perform, listening: Any, tmp_path: Path) -> None:
    """In a bind mount the env-file belongs to uid 1000, as the crontab beside it does."""
    file = tmp_path / "env"
    file.write_text("X=read\n")
    os.chown(file, 1000, 1000)
    policy = Policy.from_options({"env_file": file})

    assert perform(command_of("echo $X", policy)).outcome is Outcome.START_FAILED
    assert perform(command_of("echo $X", policy, trusted_owners=frozenset({1000}))).succeeded
    assert listening.out == [b"read"]


@pytest.fixture
def hanging_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An env-file whose read hangs until the end of the test."""
    path = str(tmp_path / "hanging")
    go_on = threading.Event()
    read_env_file = surroundings_module.read_env_file

    def read(name: str, trusted_owners: Any = ()) -> dict[str, str]:
        if name == path:
            go_on.wait(PATIENCE)
            return {"X": "late"}
        return read_env_file(name)

    monkeypatch.setattr(surroundings_module, "read_env_file", read)
    yield path, go_on
    go_on.set()


def test_an_env_file_that_hangs_delays_only_its_job_and_only_until_the_deadline(
    perform: Perform, make: Callable[..., Attempt], listening: Any, hanging_file: Any, tmp_path: Path
) -> None:
    path, go_on = hanging_file
    waiting = spawn(make(with_options("true", env_file=path), start_deadline=0.3).perform)
    (tmp_path / "env").write_text("X=fine\n")
    for _ in range(50):
        perform(with_options("echo $X", env_file=tmp_path / "env"))
    assert listening.out == [b"fine"] * 50
    result = waiting.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text) == (
        Outcome.START_FAILED,
        f"cannot start: env-file {path}: no answer within 0.3 s",
    )
    # A later run does not start another thread.
    assert "still hangs" in perform(with_options("true", env_file=path)).reason.text
    go_on.set()
    while (result := perform(with_options("echo $X", env_file=path))).outcome is not Outcome.SUCCEEDED:
        sleep(0.01)
    assert listening.out[-1] == b"late"


def test_a_run_that_waits_for_its_env_file_can_be_stopped(make: Callable[..., Attempt], hanging_file: Any) -> None:
    attempt = make(with_options("true", env_file=hanging_file[0]))
    waiting = spawn(attempt.perform)
    sleep(0.05)
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "on request"))
    result = waiting.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text) == (Outcome.KILLED, "on request")

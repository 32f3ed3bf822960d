"""`gcron exec`: a job runs as in the scheduler, and ends like a program in a shell."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Gate
from tests.waiting import FULL_PIPE, PATIENCE, takes, unread, until

Exec = Callable[..., subprocess.CompletedProcess[bytes]]
Start = Callable[..., subprocess.Popen[bytes]]
DEAF = f"{sys.executable} -c 'import signal, time; signal.signal(15, 1); print(\"deaf\", flush=True); time.sleep(60)'"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `gcron exec` for the job named `job` in the text of a crontab."""
    started: list[subprocess.Popen[bytes]] = []

    def start(text: str, *options: str, before: tuple[str, ...] = (), **popen: Any) -> subprocess.Popen[bytes]:
        (tmp_path / "crontab").write_text(text)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
        command = [*before, sys.executable, "-m", "gcron", "exec", *options, "crontab", "job"]
        settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment} | popen
        started.append(subprocess.Popen(command, cwd=tmp_path, **settings))
        return started[-1]

    yield start
    for process in started:
        with suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.communicate()


@pytest.fixture
def run(start: Start) -> Exec:
    def run(*arguments: Any, **popen: Any) -> subprocess.CompletedProcess[bytes]:
        process = start(*arguments, **popen)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


def job(command: str, options: str = "", above: str = "") -> str:
    return f"{above}# gcron: name=job {options}\n@daily {command}\n"


# -- what comes out ---------------------------------------------------------------------------------------------


def test_stdout_and_stderr_are_passed_on_unchanged(run: Exec) -> None:
    program = "import os; os.write(2, b'oops'); [os.write(1, bytes(range(256))) for _ in range(3000)]"
    result = run(job(f'{sys.executable} -c "{program}"'))
    assert result.stdout == bytes(range(256)) * 3000
    assert (result.stderr, result.returncode) == (b"oops", 0)


@pytest.mark.parametrize(
    ("command", "options", "status", "said"),
    [
        ("exit 0", "", 0, ""),
        ("exit 3", "", 3, ""),
        ("exit 7", "success-codes=7", 7, ""),
        ("kill -9 $$", "", 137, ""),
        ("kill -15 $$", "", 143, ""),
        ("exit 1", "retries=3 retry-delay=1s", 1, ""),
        ("sleep 60", "timeout=0.2s", 124, "gcron: job: timed-out: still running after 0.2 s\n"),
        ("nonsense-command", "", 127, "nonsense-command"),
        ("true", "cwd=/nonexistent", 126, "gcron: job: start-failed: cannot start: there is no directory /nonexistent"),
        ("true", "enabled=no", 0, ""),
    ],
)
def test_exec_exits_with_the_status_of_the_job(run: Exec, command: str, options: str, status: int, said: str) -> None:
    result = run(job(command, options))
    assert result.returncode == status
    assert said in result.stderr.decode()
    assert bool(said) == bool(result.stderr)


def test_exec_shows_the_output_of_a_job_that_discards_it(run: Exec) -> None:
    assert run(job("echo x", "output=discard")).stdout == b"x\n"


def test_exec_runs_a_job_with_its_options(run: Exec, tmp_path: Path) -> None:
    identity = r"echo $COLOUR $GCRON_JOB $GCRON_ATTEMPT \"$GCRON_FIRE_AT\" $$; ps -o sid= $$"
    show = f"tty; cat; pwd; umask; ulimit -n; {identity}"
    text = job(f"{show}%from the crontab", f"cwd={tmp_path} umask=027 rlimit-nofile=100", above="COLOUR=blue\n")
    lines = run(text, stdin=subprocess.DEVNULL).stdout.decode().split("\n")
    assert lines[:5] == ["not a tty", "from the crontab", str(tmp_path), "0027", "100"]
    *words, pid = lines[5].split()
    assert words == ["blue", "job", "1", '""']
    assert lines[6].strip() == pid  # it leads its own session


def test_a_job_gets_nothing_of_the_service_manager(run: Exec) -> None:
    """`gcron exec` in a unit passed NOTIFY_SOCKET on: the job could say anything in the unit's name."""
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
    environment = os.environ | dict.fromkeys(names, "/nowhere") | {"OTHER": "kept"}
    lines = run(job("env"), env=environment).stdout.decode().splitlines()
    assert "OTHER=kept" in lines
    assert not {line.partition("=")[0] for line in lines} & set(names)


def test_a_job_does_not_read_the_input_of_exec(run: Exec) -> None:
    with Path(__file__).open("rb") as ours:
        assert run(job("cat"), stdin=ours).stdout == b""


def test_exec_runs_a_service_once(run: Exec) -> None:
    result = run("# gcron: name=job restart=always\n@service echo up; exit 4\n")
    assert (result.stdout, result.returncode) == (b"up\n", 4)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as somebody else")
def test_exec_system_reads_the_user_column(run: Exec) -> None:
    assert run("# gcron: name=job cwd=/\n@daily nobody id -un\n", "--system").stdout == b"nobody\n"


# -- what is wrong ----------------------------------------------------------------------------------------------


def test_an_unknown_job_is_reported_with_the_most_similar_one(run: Exec) -> None:
    result = run("\n\n# gcron: name=jbo\n@daily true\n")
    assert result.returncode == 125
    assert result.stderr == b"gcron: there is no job 'job'; did you mean jbo (crontab:4)?\n"


def test_a_wrong_file_is_reported_and_no_job_runs(run: Exec) -> None:
    result = run(job("echo ran") + "0 25 * * * x\n")
    assert (result.returncode, result.stdout) == (125, b"")
    assert b"crontab:3:3: error" in result.stderr


def test_output_lost_on_a_full_disk_is_reported(run: Exec) -> None:
    with open("/dev/full", "wb") as full:
        result = run(job("printf 1234567"), stdout=full)
    assert result.returncode == 125
    assert result.stderr == b"gcron: job: 7 bytes of its output are lost: they could not be written\n"


# -- stopping ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_the_whole_process_tree(
    start: Start, marked_processes: Callable[[str], list[int]], unique: str, signum: signal.Signals
) -> None:
    command = f"trap 'echo asked; exit 0' TERM; sleep {unique} & setsid sleep {unique} & echo up; wait"
    process = start(job(command, "kill-after=1s"))
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signum)
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == (b"asked\n", 128 + signum)
    assert err.decode() == f"gcron: job: killed: {signum.name}\n"
    assert marked_processes(unique) == []


@pytest.mark.realtime
def test_a_job_that_ignores_the_signal_is_killed_after_its_kill_after(start: Start) -> None:
    process = start(job(DEAF, "kill-after=0.3s"))
    assert process.stdout is not None
    process.stdout.readline()
    with takes(at_least=0.3, at_most=0.3 + 4):
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130


def test_a_second_signal_kills_at_once(start: Start) -> None:
    process = start(job("trap 'echo asked' TERM; echo up; while :; do sleep 0.05; done", "kill-after=1h"))
    assert process.stdout is not None
    for line in (b"up\n", b"asked\n"):
        assert process.stdout.readline() == line
        process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130


def test_under_nohup_exec_ignores_a_hangup(start: Start, gate: Gate) -> None:
    process = start(job(f"echo up; {gate.wait}; echo done"), before=("sh", "-c", "trap '' HUP; exec \"$@\"", "sh"))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    gate.open()
    assert process.communicate(timeout=PATIENCE)[0] == b"done\n"
    assert process.returncode == 0


# -- who reads --------------------------------------------------------------------------------------------------


def test_a_reader_that_exits_ends_the_job_as_in_a_shell(run: Exec) -> None:
    result = run(job("exec yes"), before=("sh", "-c", '{ "$@"; echo $? >&2; } | head -n 1', "sh"))
    assert (result.stdout, result.stderr) == (b"y\n", b"141\n")


@pytest.mark.realtime
def test_a_slow_reader_gets_everything(start: Start) -> None:
    size = 20_000_000
    process = start(job(f"head -c {size} /dev/zero"))
    assert process.stdout is not None
    time.sleep(1.5)  # longer than the log of `gcron run` would wait
    assert len(process.stdout.read()) == size
    assert process.wait(PATIENCE) == 0


def test_a_signal_ends_exec_although_nobody_reads_its_output(start: Start) -> None:
    process = start(job("exec yes", "kill-after=1s"))
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    until(lambda: unread(pipe) > FULL_PIPE)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143


@pytest.mark.realtime
def test_exec_does_not_wait_for_a_process_left_behind(run: Exec) -> None:
    with takes(at_most=8):
        result = run(job("sleep 20 & echo done"), stderr=subprocess.STDOUT)
    assert re.match(rb"done\n", result.stdout)


@pytest.mark.realtime
def test_memory_is_bounded_while_nobody_reads_the_output(start: Start) -> None:
    process = start(job("exec cat /dev/zero"))
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    until(lambda: unread(pipe) > FULL_PIPE)
    time.sleep(1)  # enough to read hundreds of megabytes
    assert psutil.Process(process.pid).memory_info().rss < 100 * 1024 * 1024

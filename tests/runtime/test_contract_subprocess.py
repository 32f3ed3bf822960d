"""`gcron.subprocess`: the contract, with pidfds, and again without, by SIGCHLD (docs/runtime.md)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess as stdlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gcron
from gcron.subprocess import (
    PIPE,
    STDOUT,
    UNKNOWN_STATUS,
    CalledProcessError,
    Popen,
    TimeoutExpired,
    call,
    check_call,
    check_output,
    run,
)

pytestmark = pytest.mark.usefixtures("told_by", "no_descriptor_leaks")


@pytest.fixture
def ticks() -> Iterator[list[int]]:
    """A list that grows while others run: it shows that a wait is cooperative."""
    seen: list[int] = []

    def tick() -> None:
        while True:
            seen.append(1)
            gcron.sleep(0.005)

    ticking = gcron.spawn(tick)
    yield seen
    ticking.kill()


def test_it_is_the_standard_librarys_popen() -> None:
    with Popen(["true"]) as process:
        assert isinstance(process, stdlib.Popen)


def test_waiting_lets_others_run(ticks: list[int]) -> None:
    assert call(["sleep", "0.1"]) == 0
    assert len(ticks) >= 5


@pytest.mark.parametrize(
    ("command", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $$", -15)]
)
def test_exit_statuses_are_the_standard_librarys(command: str, status: int) -> None:
    assert call(command, shell=True) == status == stdlib.call(command, shell=True)


def test_poll_without_yielding_sees_the_exit() -> None:
    with Popen(["true"]) as process:
        deadline = time.monotonic() + 10
        while process.poll() is None:
            assert time.monotonic() < deadline
    assert process.returncode == 0


def test_communicate_sends_and_receives_megabytes() -> None:
    data = os.urandom(1 << 20)
    with Popen(["cat"], stdin=PIPE, stdout=PIPE) as process:
        assert process.communicate(data) == (data, None)


def test_both_outputs_are_read_together() -> None:
    command = "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero"
    finished = run(command, shell=True, capture_output=True)
    assert (len(finished.stdout), len(finished.stderr)) == (300_000, 300_000)
    assert len(run(command, shell=True, stdout=PIPE, stderr=STDOUT).stdout) == 600_000


def test_communicate_after_a_timeout_returns_all_output() -> None:
    with Popen("echo one; sleep 0.2; echo two", shell=True, stdout=PIPE) as process:
        with pytest.raises(TimeoutExpired) as caught:
            process.communicate(timeout=0.05)
        assert caught.value.output == b"one\n"
        assert process.poll() is None
        assert process.communicate() == (b"one\ntwo\n", None)


def test_run_with_a_timeout_returns_on_time_although_a_grandchild_holds_the_pipe() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutExpired) as caught:
        run("sleep 3 & echo said; sleep 3", shell=True, stdout=PIPE, timeout=0.1)
    assert caught.value.output == b"said\n"
    assert time.monotonic() - started < 2


def test_text_is_decoded_with_universal_newlines() -> None:
    printed = "printf 'h\\303\\251\\r\\nb\\rc\\n'"
    assert run(printed, shell=True, stdout=PIPE, encoding="utf-8").stdout == "hé\nb\nc\n"
    assert check_output(["cat"], input="hé", encoding="utf-8") == "hé"


@pytest.mark.parametrize("bufsize", [-1, 0, 4096])
def test_streams_can_be_read_and_written_directly(bufsize: int) -> None:
    with Popen(["cat"], stdin=PIPE, stdout=PIPE, bufsize=bufsize) as process:
        process.stdin.write(b"one\ntwo\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"one\n"
        process.stdin.close()
        assert process.stdout.read() == b"two\n"


def test_lines_arrive_one_by_one_while_others_run(ticks: list[int]) -> None:
    with Popen("for i in 1 2 3; do echo $i; sleep 0.05; done", shell=True, stdout=PIPE, text=True) as process:
        assert [line.strip() for line in process.stdout] == ["1", "2", "3"]
    assert len(ticks) >= 5


def test_several_greenlets_wait_for_one_child() -> None:
    with Popen(["sleep", "0.05"]) as process:
        waiting = [gcron.spawn(process.wait) for _ in range(5)]
        assert gcron.wait([process], timeout=10) == [process]
        assert [greenlet.get(timeout=1) for greenlet in waiting] == [0] * 5


def test_wait_raises_after_its_timeout() -> None:
    with Popen(["sleep", "10"]) as process:
        with pytest.raises(TimeoutExpired):
            process.wait(timeout=0.01)
        process.kill()


def test_children_of_other_code_keep_their_status() -> None:
    other = os.fork()
    if other == 0:
        os._exit(42)
    assert call(["true"]) == 0
    beside = stdlib.Popen(["sh", "-c", "exit 7"])
    assert call(["true"]) == 0

    assert os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) == 42
    assert beside.wait() == 7


def test_a_status_that_somebody_else_collected_is_unknown_and_not_success() -> None:
    process = Popen(["true"])
    os.waitpid(process.pid, 0)

    assert process.wait(timeout=10) == UNKNOWN_STATUS
    assert UNKNOWN_STATUS not in range(-64, 256)


def test_an_inherited_sigchld_ignore_loses_no_status() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert call(["sh", "-c", "exit 3"]) == 3
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_missing_command_is_an_error_and_leaks_nothing() -> None:
    with pytest.raises(FileNotFoundError):
        Popen(["no-such-command"], stdin=PIPE, stdout=PIPE, stderr=PIPE)


def test_check_call_and_check_output_raise_for_a_failure() -> None:
    with pytest.raises(CalledProcessError):
        check_call(["false"])
    with pytest.raises(CalledProcessError) as caught:
        check_output("echo out; exit 4", shell=True)
    assert (caught.value.returncode, caught.value.output) == (4, b"out\n")
    with pytest.raises(ValueError, match="stdout"):
        check_output(["true"], stdout=PIPE)


def test_a_signal_is_never_sent_to_a_process_that_was_collected() -> None:
    process = Popen(["true"])
    process.wait()
    process.send_signal(signal.SIGKILL)
    assert process.returncode == 0


def test_a_child_may_ignore_its_input() -> None:
    with Popen(["true"], stdin=PIPE, stdout=PIPE) as process:
        assert process.communicate(b"x" * 1_000_000) == (b"", None)


def test_it_works_outside_the_main_thread() -> None:
    import threading

    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(call(["sh", "-c", "exit 5"])))
    thread.start()
    thread.join(timeout=10)
    assert statuses == [5]


@pytest.mark.skipif(sys.platform != "linux", reason="ptrace as used here is Linux's")
def test_a_dead_child_held_by_a_tracer_blocks_nobody(ticks: list[int], tmp_path: Path) -> None:
    """A traced child that has died is shown as readable, yet its status is not to be had: a blocking wait would stall
    every job, a level-triggered one would spin."""
    tracer = tmp_path / "tracer.py"
    tracer.write_text(
        "import ctypes, os, sys, time\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "pid = int(sys.argv[1])\n"
        "PTRACE_SEIZE = 0x4206\n"
        "print(libc.ptrace(PTRACE_SEIZE, pid, None, None), flush=True)\n"
        "time.sleep(0.3)\n"
    )
    with Popen(["sleep", "10"]) as child, Popen([sys.executable, tracer, str(child.pid)], stdout=PIPE) as holder:
        seized = holder.stdout.readline() == b"0\n"
        if not seized:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            pytest.skip("this machine forbids ptrace")
        child.kill()
        before = time.process_time()
        ticked = len(ticks)
        assert child.wait(timeout=10) == -9
        assert len(ticks) - ticked >= 5
        assert time.process_time() - before < 0.15

"""Outcomes of processes and of Python calls, with their reasons."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcron.greenlet import GreenletExit, sleep, spawn
from gcron.policy import Policy
from gcron.schedule.clock import SystemClock
from gcron.supervise.command import Command, Identity
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.python_call import PythonCall, python_call
from gcron.supervise.run import Run
from gcron.supervise.usage import NO_USAGE
from gcron.threadpool import ThreadPool
from gcron.timeout import Timeout
from tests.waiting import PATIENCE, until

Perform = Callable[..., RunResult]
NOT_FOUND = "the command was not found, or its interpreter (CRLF line ends?)"


@pytest.mark.parametrize(
    ("command", "outcome", "reason", "code"),
    [
        ("true", Outcome.SUCCEEDED, "", 0),
        ("exit 1", Outcome.FAILED, "exit status 1", 1),
        ("exit 3", Outcome.SUCCEEDED, "exit status 3", 3),
        ("kill -9 $$", Outcome.FAILED, "killed by signal 9 (SIGKILL)", -9),
        ("kill -TERM $$", Outcome.FAILED, "killed by signal 15 (SIGTERM)", -15),
        ("kill -35 $$", Outcome.FAILED, "killed by signal 35", -35),
        ("no-such-command-here", Outcome.FAILED, f"exit status 127 ({NOT_FOUND})", 127),
        ("/etc/passwd", Outcome.FAILED, "exit status 126 (the command cannot be executed)", 126),
    ],
)
def test_a_process_ends_in_an_outcome_with_a_reason(
    perform: Perform, command: str, outcome: Outcome, reason: str, code: int
) -> None:
    result = perform(command, success_codes=(0, 3))
    assert (result.outcome, result.reason.text, result.exit_code) == (outcome, reason, code)


def test_a_script_with_carriage_returns_is_not_said_to_be_missing(perform: Perform, tmp_path: Path) -> None:
    """A script saved on Windows lay there, could be executed, and was reported as "the command was not found".

    What is not found is the interpreter `/bin/sh\\r`. dash and bash exit with 127 and 126.
    """
    script = tmp_path / "script"
    script.write_bytes(b"#!/bin/sh\r\necho done\r\n")
    script.chmod(0o755)

    assert perform(str(script), shell="/bin/sh").reason.text == f"exit status 127 ({NOT_FOUND})"


def test_exit_status_0_is_a_failure_when_success_codes_exclude_it(perform: Perform) -> None:
    assert perform("true", success_codes=3).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Command("true", shell="/no/such/shell"), "cannot start: there is no shell /no/such/shell"),
        (Command("true", shell="/etc/passwd"), "cannot start: the shell /etc/passwd may not be executed"),
        (Command("true", environment={"X": "a\0b"}), "cannot start: embedded null byte"),
        (Command("true\0false"), "cannot start: embedded null byte"),
    ],
)
def test_a_failed_start_has_a_reason(perform: Perform, command: Command, reason: str) -> None:
    result = perform(command)
    assert (result.outcome, result.reason.text, result.exit_code) == (Outcome.START_FAILED, reason, None)


def test_without_free_descriptors_a_run_fails_to_start(perform: Perform) -> None:
    perform("true")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 1, hard))
    try:
        result = perform("true", start_deadline=0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (result.outcome, result.reason.text) == (Outcome.START_FAILED, "cannot start: Too many open files")
    assert perform("true").outcome is Outcome.SUCCEEDED


def test_a_missing_directory_fails_the_start_and_the_reason_names_it(perform: Perform, listening: Any) -> None:
    result = perform(Command("echo never", cwd="/no/such/directory"))
    assert (result.outcome, result.exit_code) == (Outcome.START_FAILED, None)
    assert "/no/such/directory" in result.reason.text
    assert (listening.out, listening.err) == ([], [])


def test_an_exit_status_that_other_code_collected_is_unknown(make: Callable[..., Any], listening: Any) -> None:
    attempt = make("sleep 0.1")
    running = spawn(attempt.perform)
    until(lambda: listening.pid)
    os.waitpid(listening.pid, 0)
    result = running.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text) == (
        Outcome.UNKNOWN_EXIT,
        "another part of the program collected the exit status",
    )
    assert result.usage == NO_USAGE


# -- Python functions -------------------------------------------------------------------------------------------


def call_of(call: PythonCall, listening: Any, threads: ThreadPool | None = None, **options: Any) -> Any:
    policy, run, identity = (
        Policy.from_options(options),
        Run("run", "test", None, SystemClock()),
        Identity("test", "run"),
    )
    return python_call(call, policy, run, identity, listening, SystemClock(), threads or ThreadPool(1))


@pytest.fixture
def call(listening: Any) -> Callable[..., RunResult]:
    def call(function: Callable[[], Any], **options: Any) -> RunResult:
        result: RunResult = spawn(call_of(PythonCall(function, greenlet=True), listening, **options).perform).get(
            timeout=PATIENCE
        )
        return result

    return call


def test_the_value_of_a_result_is_what_the_function_returned(call: Callable[..., RunResult]) -> None:
    result = call(lambda: 42)
    assert (result.outcome, result.reason.text, result.value, result.exit_code) == (Outcome.SUCCEEDED, "", 42, None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError("no"), "ValueError: no"), (SystemExit(2), "SystemExit: 2"), (Timeout(3), "Timeout: 3 seconds")],
)
def test_an_exception_is_a_failure_and_its_traceback_is_output(
    call: Callable[..., RunResult], listening: Any, error: BaseException, reason: str
) -> None:
    def raise_it() -> None:
        raise error

    result = call(raise_it)
    assert (result.outcome, result.reason.text, result.value) == (Outcome.FAILED, reason, None)
    assert listening.err[0] == b"Traceback (most recent call last):"
    assert listening.err[-1].startswith(reason.partition(":")[0].encode()) or b"Timeout" in listening.err[-1]


def test_an_exception_whose_text_raises_is_a_failure(call: Callable[..., RunResult], listening: Any) -> None:
    """Some drivers raise errors whose `__str__` raises. The run was reported as "killed before it began"."""

    class Untold(Exception):
        def __str__(self) -> str:
            raise LookupError

    def raise_it() -> None:
        raise Untold

    result = call(raise_it)
    assert (result.outcome, result.reason.text) == (Outcome.FAILED, "Untold: <its text raises LookupError>")
    assert listening.err[-1].endswith(b"Untold: <exception str() failed>")


def test_a_function_that_raises_system_exit_0_has_succeeded(call: Callable[..., RunResult], listening: Any) -> None:
    def leave() -> None:
        raise SystemExit(0)

    assert call(leave).outcome is Outcome.SUCCEEDED
    assert listening.err == []


def test_a_function_whose_greenlet_is_killed_has_the_outcome_killed(call: Callable[..., RunResult]) -> None:
    def end() -> None:
        raise GreenletExit

    result = call(end)
    assert (result.outcome, result.reason.text, result.value) == (Outcome.KILLED, "its greenlet was killed", None)


def test_a_function_that_takes_too_long_has_the_outcome_timed_out(call: Callable[..., RunResult], clock: Any) -> None:
    result = call(lambda: sleep(10**6), timeout=6)
    assert (result.outcome, result.reason.text) == (Outcome.TIMED_OUT, "still running after 6 s")
    assert result.duration == 6
    assert result.value is None


def test_a_function_stopped_before_its_start_is_never_called(listening: Any) -> None:
    calls: list[int] = []
    attempt = call_of(PythonCall(lambda: calls.append(1), greenlet=True), listening)
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "stopped on request"))
    assert spawn(attempt.perform).get(timeout=PATIENCE).outcome is Outcome.KILLED
    assert calls == []


def test_a_function_that_waits_for_a_thread_is_not_called_during_a_stop(listening: Any) -> None:
    """It would start within the grace only to be killed at its end."""
    pool = ThreadPool(1)
    release = threading.Event()
    calls: list[str] = []

    def work(name: str) -> None:
        calls.append(name)
        release.wait(PATIENCE)

    def perform(run: Run) -> None:
        run.end(run.perform(call_of(PythonCall(work, (run.run_id,)), listening, pool)))
        run.deliver()

    runs = Run("a", "first", None, SystemClock()), Run("b", "second", None, SystemClock())
    for run in runs:
        spawn(perform, run)
    until(lambda: calls)
    for run in runs:
        run.end_retries(Reason(ReasonCode.SHUTDOWN, "gcron is told to stop"))
    second = runs[1].result.get(timeout=PATIENCE)
    assert (second.outcome, second.reason.text) == (Outcome.START_FAILED, "no thread was free; gcron is told to stop")
    release.set()
    assert runs[0].result.get(timeout=PATIENCE).succeeded
    pool.join()
    assert calls == ["a"]

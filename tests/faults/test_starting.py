"""Promises 1 and 3: a failed start is an outcome, and a start without free resources waits. Other jobs run."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.supervise.outcome import Outcome, RunResult
from tests.waiting import PATIENCE, SLACK, until

Made = tuple[Scheduler, Any]
JOBS = 20
# One process for each job, so that a limit stops a fork of gcron and not of a job.
BURST = "".join(f"# gcron: name=job{number} {{options}}\n@reboot exec sleep {{seconds}}\n" for number in range(JOBS))


def perform(scheduler: Scheduler, command: str, **options: Any) -> RunResult:
    """Run a command, together with a job that must succeed; return its result."""
    name = f"job{len(scheduler.jobs)}"
    scheduler.command(command, "@manual", name=name, **options)
    scheduler.command("echo fine", "@manual", name=f"{name}-neighbour")
    runs = scheduler.trigger(name), scheduler.trigger(f"{name}-neighbour")
    assert runs[1].result.get(timeout=PATIENCE).outcome is Outcome.SUCCEEDED
    result: RunResult = runs[0].result.get(timeout=PATIENCE)
    return result


# -- what cannot be started ---------------------------------------------------------------------------------


def make(path: Path, content: str, mode: int) -> str:
    path.write_text(content)
    path.chmod(mode)
    return str(path)


def options_of(kind: str, tmp_path: Path, closed_directory: str) -> dict[str, Any]:
    """Return the options that make the start fail."""
    path = tmp_path / "it"
    match kind:
        case "shell is missing":
            return {"shell": path}
        case "shell is missing where it is expected":
            return {"shell": "/bin/no-such-shell"}
        case "shell is missing in PATH":
            return {"shell": "no-such-shell"}
        case "shell is a directory":
            return {"shell": tmp_path}
        case "shell may not be executed":
            return {"shell": make(path, "#!/bin/sh\n", 0o644)}
        case "shell is a script without an interpreter":
            return {"shell": make(path, "#!/no/such/interpreter\n", 0o755)}
        case "directory is missing":
            return {"cwd": path}
        case "directory is a file":
            return {"cwd": make(path, "", 0o644)}
        case "directory may not be entered":
            return {"cwd": closed_directory, "user": "daemon"}
        case _:
            return {"user": "no-such-user"}


CASES = {
    "shell is missing": "there is no shell {}",
    "shell is missing where it is expected": "No such file or directory: {}",
    "shell is missing in PATH": "there is no shell {}",
    "shell is a directory": "the shell {} is a directory",
    "shell may not be executed": "the shell {} may not be executed",
    "shell is a script without an interpreter": "{}: ",
    "directory is missing": "there is no directory {}, or it may not be seen",
    "directory is a file": "there is no directory {}, or it may not be seen",
    "directory may not be entered": "may not enter the directory {}",
    "user is unknown": "there is no user {}",
}


@pytest.fixture
def closed_directory() -> Iterator[str]:
    """A directory that only its owner may enter, in one that all may enter (pytest's own is closed)."""
    with tempfile.TemporaryDirectory() as path:
        yield path


@pytest.mark.parametrize("nice", [None, 5])
@pytest.mark.parametrize(("kind", "reason"), CASES.items(), ids=CASES)
def test_each_failed_start_has_its_own_reason(
    scheduler: Made, tmp_path: Path, closed_directory: str, kind: str, reason: str, nice: int | None
) -> None:
    if kind == "directory may not be entered" and os.geteuid() != 0:
        pytest.skip("only root has another user try")
    options = options_of(kind, tmp_path, closed_directory)
    scheduler[0].start()
    result = perform(scheduler[0], "echo never", nice=nice, **options)
    what = options.get("shell") or options.get("cwd") or options.get("user")
    assert result.outcome is Outcome.START_FAILED
    assert result.reason.text.startswith("cannot start: ")
    if nice is None or kind != "shell is missing where it is expected":
        assert reason.format(what) in result.reason.text
    assert b"never" not in result.output_head


@pytest.mark.parametrize("options", [{}, {"cwd": "/"}], ids=["plain", "prologue"])
def test_a_command_that_is_too_long_does_not_start(scheduler: Made, options: dict[str, Any]) -> None:
    scheduler[0].start()
    result = perform(scheduler[0], "true " + "x" * 200_000, **options)
    assert (result.outcome, result.reason.text) == (
        Outcome.START_FAILED,
        "cannot start: Argument list too long: /bin/sh",
    )


@pytest.mark.parametrize("options", [{}, {"cwd": "/"}], ids=["plain", "with-start-script"])
@pytest.mark.parametrize("code", [1, 126])
def test_a_job_that_prints_the_messages_of_the_start_script_is_a_normal_failure(
    scheduler: Made, code: int, options: dict[str, Any]
) -> None:
    """A job that printed the start script's fixed name and ended with 126 was reported as never started."""
    scheduler[0].start()
    result = perform(scheduler[0], f"echo gcron-start: no >&2; exit {code}", **options)
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, code)


def test_discarded_output_does_not_hide_the_reason_of_a_failed_start(scheduler: Made) -> None:
    scheduler[0].start()
    result = perform(scheduler[0], "true", cwd="/no/such", output="discard")
    assert (result.outcome, result.reason.text) == (
        Outcome.START_FAILED,
        "cannot start: there is no directory /no/such, or it may not be seen",
    )
    text = "[ /dev/stdout -ef /dev/null ] && [ /dev/stderr -ef /dev/null ] && echo lost && echo lost >&2"
    result = perform(scheduler[0], text, cwd="/", output="discard")
    assert (result.outcome, result.output_size) == (Outcome.SUCCEEDED, 0)


def test_a_failed_start_is_retried(scheduler: Made, tmp_path: Path) -> None:
    scheduler[0].start()
    scheduler[0].on("retry-planned", lambda event: (tmp_path / "later").mkdir())
    result = perform(scheduler[0], "pwd", cwd=tmp_path / "later", retries=1, retry_delay=0)
    assert (result.outcome, result.attempts) == (Outcome.SUCCEEDED, 2)


# -- no room ------------------------------------------------------------------------------------------------


@pytest.fixture
def few_descriptors() -> Iterator[Callable[[int], None]]:
    """Return a function that allows this process some more descriptors than it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(100, *map(int, os.listdir("/proc/self/fd")))  # enough for a full reserve
    fillers = [os.dup(2)]
    while fillers[-1] < highest:
        fillers.append(os.dup(2))

    def limit(more: int) -> None:
        lowest_free = os.dup(2)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + more, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for filler in fillers:
        os.close(filler)


def wait_for(recorder: Any, kind: str) -> Any:
    return until(lambda: recorder.of(kind), kind)


def test_a_run_waits_for_free_descriptors_and_reports_it_once(
    scheduler: Made, few_descriptors: Callable[[int], None]
) -> None:
    jobs, recorder = scheduler
    jobs.command("echo done", "@manual", name="job")
    jobs.start()
    few_descriptors(20)
    run = jobs.trigger("job")
    assert "waits for room to start: Too many open files" in wait_for(recorder, "notice")[0].text
    sleep(0.4)  # three more tries
    assert run.result.value is None
    # There are free descriptors, but they are reserved for gcron itself.
    for descriptor in [os.open("/", os.O_RDONLY) for _ in range(10)]:
        os.close(descriptor)
    few_descriptors(400)
    assert run.result.get(timeout=PATIENCE).outcome is Outcome.SUCCEEDED
    assert len(recorder.of("notice")) == 1


def test_a_run_that_waits_for_descriptors_gives_up_at_its_deadline(
    scheduler: Made, few_descriptors: Callable[[int], None]
) -> None:
    jobs, _ = scheduler
    jobs.command("echo done", "@manual", name="job", start_deadline=0.3)
    jobs.start()
    few_descriptors(20)
    result = jobs.trigger("job").result.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text) == (Outcome.START_FAILED, "cannot start: Too many open files")
    assert 0.3 <= result.duration < SLACK


def test_a_run_that_waits_for_descriptors_can_be_stopped(
    scheduler: Made, few_descriptors: Callable[[int], None]
) -> None:
    jobs, recorder = scheduler
    jobs.command("echo done", "@manual", name="job")
    jobs.start()
    few_descriptors(20)
    run = jobs.trigger("job")
    wait_for(recorder, "notice")
    run.stop(reason="on request")
    result = run.result.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text) == (Outcome.KILLED, "on request")


def test_a_run_that_waits_for_descriptors_does_not_start_during_a_stop(
    scheduler: Made, few_descriptors: Callable[[int], None]
) -> None:
    """A backup that had waited for a free process started 24 s after TERM, and the end of the grace killed it.

    Only jobs that have a process may finish within the grace. Nothing new may start.
    """
    jobs, recorder = scheduler
    jobs.command("echo done", "@manual", name="job", retries=1, retry_delay=60)
    jobs.start()
    few_descriptors(20)
    run = jobs.trigger("job")
    wait_for(recorder, "notice")
    assert jobs.stop(PATIENCE).killed == ()
    result = run.result.get(timeout=PATIENCE)
    assert result.outcome is Outcome.START_FAILED
    why = "gcron is told to stop"
    assert result.reason.text == f"cannot start: Too many open files; {why}; no further attempt: {why}"
    assert result.duration < SLACK
    assert recorder.of("process-started") == []


def test_a_newer_fire_ends_the_wait_of_an_older_one(scheduler: Made, few_descriptors: Callable[[int], None]) -> None:
    """After a shortage, the run of an old fire started first, and the fires of the present were skipped for it."""
    jobs, recorder = scheduler
    jobs.command("echo done", "@every 1s", name="job", overlap="skip")
    jobs.start()
    few_descriptors(20)
    until(lambda: recorder.outcomes().count("start-failed") >= 2, "the end of two waits")
    (waiting,) = jobs.running()
    few_descriptors(400)
    until(lambda: "succeeded" in recorder.outcomes(), "a run in the freed room")

    failed = [event for event in recorder.of("run-finished") if event.result.outcome is Outcome.START_FAILED]
    why = "the job is due again"
    reasons = {event.result.reason.text for event in failed}
    assert reasons == {f"cannot start: Too many open files; {why}"}
    started = recorder.of("process-started")[0]
    first = next(event for event in recorder.of("run-started") if event.run_id == started.run_id)
    assert first.fire_at >= waiting.fire_at > max(event.fire_at for event in failed[:2])


def test_the_duration_of_a_run_excludes_its_wait_for_descriptors(
    scheduler: Made, few_descriptors: Callable[[int], None]
) -> None:
    """The log said that a job with `timeout=3s` failed after 26.90 s. It had waited 26 s for free resources."""
    jobs, recorder = scheduler
    jobs.command("true", "@manual", name="job")
    jobs.start()
    few_descriptors(20)
    run = jobs.trigger("job")
    wait_for(recorder, "notice")
    before = time.monotonic()
    sleep(0.5)
    few_descriptors(400)
    result = run.result.get(timeout=PATIENCE)
    assert result.succeeded
    assert result.duration < time.monotonic() - before - 0.4


def burst(gcron_run: Callable[..., Any], before: tuple[str, ...], seconds: float, options: str = "") -> Any:
    if shutil.which(before[0]) is None:
        pytest.skip(f"no {before[0]} here")
    # The history is in memory: the user of `before` may not write here.
    text = BURST.format(seconds=seconds, options=options)
    return gcron_run(text, "--log-format", "json", "--state", "memory", before=before)


@pytest.mark.realtime
def test_a_low_limit_of_descriptors_delays_jobs_and_ends_nothing(gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    daemon = burst(gcron_run, ("prlimit", "--nofile=64"), 1)
    daemon.wait_for("waits for room to start: Too many open files")
    # Reads of files and the log need descriptors, too.
    (tmp_path / "crontab0").write_text("@daily true\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_for('"removed": ?20')
    daemon.wait_for('"outcome": ?"succeeded"', JOBS)
    assert daemon.stop() == 0
    assert daemon.log.count("waits for room") <= JOBS


@pytest.mark.realtime
@pytest.mark.skipif(os.geteuid() != 0, reason="root is not limited, and only root can start gcron as somebody else")
@pytest.mark.parametrize("with_file", [False, True], ids=["plain", "env-file"])
def test_a_low_limit_of_processes_delays_jobs_and_ends_nothing(
    gcron_run: Callable[..., Any], tmp_path: Path, with_file: bool
) -> None:
    """The limit also counts the thread that reads an env-file."""
    (tmp_path / "env").write_text("A=1\n")
    options = f"env-file={tmp_path}/env" if with_file else ""
    user = str(60_000 + os.getpid() % 5000)  # a user of this test run alone: the limit counts all processes of a user
    # Keep the right to read this checkout, wherever it is.
    rights = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    switch = ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", *rights)
    daemon = burst(gcron_run, (*switch, "prlimit", "--nproc=12"), 1, options)
    daemon.wait_for("waits for room to start: Resource temporarily unavailable")
    daemon.wait_for('"outcome": ?"succeeded"', JOBS)
    assert daemon.stop() == 0
    assert daemon.log.count("waits for room") <= JOBS

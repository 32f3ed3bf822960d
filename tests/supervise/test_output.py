"""The output of a job, byte for byte, while the job runs."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import sleep, spawn
from gcron.supervise import output as output_module
from gcron.supervise.events import JobOutput
from gcron.supervise.outcome import Outcome, RunResult
from gcron.supervise.timing import Timing
from tests.supervise.conftest import STOP
from tests.waiting import PATIENCE, takes, until

Perform = Callable[..., RunResult]
Stop = Callable[..., RunResult]


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        (r"a\nb\n", [b"a", b"b"]),
        (r"no newline", [b"no newline"]),
        (r"\n\n", [b"", b""]),
        (r"\xff\xfe\n", [b"\xff\xfe"]),
        (r"a\r\nb\rc\n", [b"a\r", b"c"]),
        (r"a\0b\x1b[2J\n", [b"a\0b\x1b[2J"]),
    ],
)
def test_lines_arrive_as_they_were_written(perform: Perform, listening: Any, printed: str, lines: list[bytes]) -> None:
    result = perform(f"exec {sys.executable} -c 'import os; os.write(1, b\"{printed}\")'")
    assert listening.out == lines
    assert result.output_size == len(printed.encode().decode("unicode_escape"))


def test_both_streams_are_kept_apart_and_counted_together(perform: Perform, listening: Any) -> None:
    result = perform("echo out; echo err >&2")
    assert (listening.out, listening.err, result.output_size) == ([b"out"], [b"err"], 8)


def test_a_line_of_a_megabyte_arrives_in_pieces(perform: Perform, listening: Any) -> None:
    result = perform("head -c 1000000 /dev/zero | tr '\\0' x")
    assert max(map(len, listening.out)) <= 65536
    assert listening.continued == listening.out[:-1]
    assert b"".join(listening.out) == b"x" * 1_000_000
    assert (result.output_size, len(result.output_head), len(result.output_tail)) == (1_000_000, 32768, 65536)


def test_lines_arrive_while_the_job_runs(make: Callable[..., Any], listening: Any) -> None:
    attempt = make("echo first; sleep 60")
    running = spawn(attempt.perform)
    until(lambda: listening.out)
    assert listening.out == [b"first"]
    assert not running.ready()
    attempt.stop(Outcome.KILLED, STOP, now=True)
    running.get(timeout=PATIENCE)


@pytest.mark.realtime
def test_an_unfinished_line_is_shown_after_a_second(stop: Stop, listening: Any) -> None:
    with takes(at_least=1.0, at_most=3.0):
        stop("printf 'password: '; sleep 60", now=True)
    assert listening.out == listening.continued == [b"password: "]


@pytest.mark.realtime
def test_a_progress_bar_is_shown_about_once_a_second(stop: Stop, listening: Any) -> None:
    """`rsync --progress` showed nothing for minutes, and then one long line: it is never silent for a second."""
    make_progress = "while :; do i=$((i + 1)); printf '%s%%\\r' $i; sleep 0.1; done"
    with takes(at_least=1.0, at_most=3.0):
        stop(make_progress, now=True)
    assert re.fullmatch(rb"[0-9]+%", listening.out[0])
    assert listening.continued == []


def test_a_job_that_writes_without_pause_does_not_block_the_loop(make: Callable[..., Any], listening: Any) -> None:
    def output(event: JobOutput) -> None:
        """Be as slow as a log format, so that the pipe is never empty."""
        end = time.thread_time() + 0.0005
        while time.thread_time() < end:
            continue

    listening.output = output
    attempt = make("exec yes")
    running = spawn(attempt.perform)
    until(lambda: listening.pid)
    gaps: list[float] = []
    while len(gaps) < 100:
        before = time.thread_time()  # only of this thread, so other programs do not count
        sleep(0.001)
        gaps.append(time.thread_time() - before)
    assert not running.ready()
    attempt.stop(Outcome.KILLED, STOP, now=True)
    running.get(timeout=PATIENCE)
    assert sorted(gaps)[90] < 0.05


def test_lines_that_wait_for_a_slow_listener_are_not_late(make: Callable[..., Any], listening: Any) -> None:
    heard: list[bool] = []

    def output(event: JobOutput) -> None:
        sleep(0.15)
        heard.append(event.late)

    listening.output = output
    result = spawn(make("seq 1500", Timing(pipes_after_exit=0.1, late_output=PATIENCE)).perform).get(timeout=PATIENCE)
    assert result.outcome is Outcome.SUCCEEDED
    assert heard[:2] == [False, False]
    assert listening.notices == []


def test_raw_output_arrives_unchanged_and_in_order(perform: Perform, listening: Any) -> None:
    data = bytes(range(256)) * 1000
    program = "import os; os.write(2, b'err'); [os.write(1, bytes(range(256))) for _ in range(1000)]; os.write(2, b'!')"
    result = perform(f'exec {sys.executable} -c "{program}"', output="raw")
    assert listening.raw == {"stdout": data, "stderr": b"err!"}
    assert listening.out == listening.err == []
    assert (result.output_size, len(result.output_tail)) == (len(data) + 4, 65536)


def test_raw_output_does_not_wait_for_the_end_of_a_line(
    stop: Stop, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_module, "_SHOW_PARTIAL_AFTER", 3600)
    stop("printf x; sleep 60", when=lambda: listening.raw["stdout"], now=True, output="raw")
    assert listening.raw["stdout"] == b"x"


def test_discarded_output_goes_to_the_null_device(perform: Perform, listening: Any) -> None:
    result = perform(
        "[ /dev/stdout -ef /dev/null ] && [ /dev/stderr -ef /dev/null ] && head -c 10000000 /dev/zero && echo x >&2",
        output="discard",
    )
    assert (result.outcome, result.output_size, result.output_head) == (Outcome.SUCCEEDED, 0, b"")
    assert listening.out == listening.err == []


@pytest.mark.realtime
def test_a_run_with_discarded_output_does_not_wait_for_a_process_left_behind(perform: Perform, listening: Any) -> None:
    with takes(at_most=2):  # there is no pipe to wait for
        perform("sleep 60 & exit 0", timing=Timing(pipes_after_exit=30), output="discard")
    assert listening.notices == []


def test_output_that_was_read_in_time_reaches_a_slow_listener(make: Callable[..., Any], listening: Any) -> None:
    heard: list[bytes] = []

    def output(event: JobOutput) -> None:
        sleep(0.4)  # longer than late output is read for
        heard.extend(event.lines)

    listening.output = output
    spawn(make("seq 2500", Timing(pipes_after_exit=0.1, late_output=0.3)).perform).get(timeout=PATIENCE)
    until(lambda: len(heard) == 2500)
    assert heard == [b"%d" % number for number in range(1, 2501)]

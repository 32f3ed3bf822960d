"""What a job prints, byte for byte, while it prints it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import sleep, spawn
from gcron.supervise.events import JobOutput
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult

Perform = Callable[..., RunResult]


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        (r"a\nb\n", [b"a", b"b"]),
        (r"no newline", [b"no newline"]),
        (r"\n\n", [b"", b""]),
        (r"\xff\xfe\n", [b"\xff\xfe"]),
        (r"a\r\nb\rc\n", [b"a\r", b"b\rc"]),
        (r"a\0b\x1b[2J\n", [b"a\0b\x1b[2J"]),
    ],
)
def test_lines_come_as_they_were_written(perform: Perform, listening: Any, printed: str, lines: list[bytes]) -> None:
    result = perform(f"exec {sys.executable} -c 'import os; os.write(1, b\"{printed}\")'")
    assert listening.out == lines
    assert result.output_size == len(b"\n".join(lines)) + printed.endswith(r"\n")


def test_both_streams_are_told_apart_and_counted_together(perform: Perform, listening: Any) -> None:
    result = perform("echo out; echo err >&2")
    assert (listening.out, listening.err, result.output_size) == ([b"out"], [b"err"], 8)


def test_a_line_of_a_megabyte_arrives_whole_in_pieces(perform: Perform, listening: Any) -> None:
    result = perform("head -c 1000000 /dev/zero | tr '\\0' x")
    assert max(map(len, listening.out)) <= 65536
    assert listening.continued == listening.out[:-1]
    assert b"".join(listening.out) == b"x" * 1_000_000
    assert (result.output_size, len(result.output_head), len(result.output_tail)) == (1_000_000, 32768, 65536)


def test_lines_are_heard_while_the_job_still_runs(make: Callable[..., Any], listening: Any) -> None:
    attempt = make("echo first; sleep 20")
    running = spawn(attempt.perform)
    deadline = time.monotonic() + 5
    while not listening.out and time.monotonic() < deadline:
        sleep(0.005)
    assert listening.out == [b"first"]
    assert not running.ready()
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "enough"), now=True)
    running.get(timeout=10)


@pytest.mark.realtime
def test_a_line_without_its_end_is_shown_after_a_second(make: Callable[..., Any], listening: Any) -> None:
    attempt = make("printf 'password: '; sleep 20")
    started = time.monotonic()
    running = spawn(attempt.perform)
    while not listening.out and time.monotonic() < started + 5:
        sleep(0.01)
    assert listening.out == listening.continued == [b"password: "]
    assert 1.0 <= time.monotonic() - started < 3.0
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "enough"), now=True)
    running.get(timeout=10)


def test_a_job_that_never_pauses_lets_everybody_else_run(make: Callable[..., Any], listening: Any) -> None:
    gaps: list[float] = []
    before = time.monotonic()

    def output(stream: str, lines: list[bytes], late: bool, continued: bool) -> None:
        time.sleep(0.0005)  # as slow as a log format, so that the pipe is never empty

    listening.output = output
    attempt = make("exec yes")
    running = spawn(attempt.perform)
    while len(gaps) < 100:
        sleep(0.001)
        gaps.append(time.monotonic() - before)
        before = time.monotonic()
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "enough"), now=True)
    running.get(timeout=10)
    assert sorted(gaps)[90] < 0.05


def test_lines_that_wait_for_a_slow_listener_are_not_late(
    make: Callable[..., Any], listening: Any, hurried: None
) -> None:
    heard: list[bool] = []

    def output(event: JobOutput) -> None:
        sleep(0.15)
        heard.append(event.late)

    listening.output = output
    result = spawn(make("seq 1500").perform).get(timeout=10)
    assert result.outcome is Outcome.SUCCEEDED
    assert heard[:2] == [False, False]
    assert listening.notices == []


def test_raw_output_comes_byte_for_byte_each_stream_in_order(perform: Perform, listening: Any) -> None:
    data = bytes(range(256)) * 1000
    program = "import os; os.write(2, b'err'); [os.write(1, bytes(range(256))) for _ in range(1000)]; os.write(2, b'!')"
    result = perform(f'exec {sys.executable} -c "{program}"', output="raw")
    assert listening.raw == {"stdout": data, "stderr": b"err!"}
    assert listening.out == listening.err == []
    assert (result.output_size, len(result.output_tail)) == (len(data) + 4, 65536)


@pytest.mark.realtime
def test_raw_output_does_not_wait_for_the_end_of_a_line(make: Callable[..., Any], listening: Any) -> None:
    attempt = make("printf x; sleep 20", output="raw")
    started = time.monotonic()
    running = spawn(attempt.perform)
    while not listening.raw["stdout"] and time.monotonic() < started + 5:
        sleep(0.005)
    assert time.monotonic() - started < 0.9
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "enough"), now=True)
    running.get(timeout=10)


def test_discarded_output_goes_to_the_null_device_and_blocks_nobody(perform: Perform, listening: Any) -> None:
    result = perform(
        "[ /dev/stdout -ef /dev/null ] && [ /dev/stderr -ef /dev/null ] && head -c 10000000 /dev/zero && echo x >&2",
        output="discard",
    )
    assert (result.outcome, result.output_size, result.output_head) == (Outcome.SUCCEEDED, 0, b"")
    assert listening.out == listening.err == []


def test_a_process_left_behind_keeps_no_run_whose_output_is_discarded(perform: Perform, listening: Any) -> None:
    started = time.monotonic()
    perform("sleep 3 & exit 0", output="discard")
    assert time.monotonic() - started < 1.5  # no pipe, so nothing to wait for
    assert listening.notices == []


def test_what_was_read_in_time_is_handed_on_however_long_the_listener_takes(
    make: Callable[..., Any], listening: Any, hurried: None
) -> None:
    heard: list[bytes] = []

    def output(event: JobOutput) -> None:
        sleep(0.8)  # longer than late output is read for
        heard.extend(event.lines)

    listening.output = output
    spawn(make("seq 2500").perform).get(timeout=10)
    deadline = time.monotonic() + 10
    while len(heard) < 2500 and time.monotonic() < deadline:
        sleep(0.02)
    assert heard == [b"%d" % number for number in range(1, 2501)]

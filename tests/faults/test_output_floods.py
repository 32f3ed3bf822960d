"""Promises 3 and 5: no job can stop another by flooding, and memory is bounded by configuration."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

Run = Callable[..., Any]
MIB = 1024 * 1024
FLOOD = "# gcron: name=flood\n@reboot yes 0{zeros} | head -c {size}\n# gcron: name=beat\n@every 1s date +\\%s.\\%N\n"


def flood(size: int) -> str:
    """A job that writes `size` bytes in lines of 100 as fast as it can, beside one that fires every second."""
    return FLOOD.format(zeros="0" * 98, size=size)


def beats(log: str) -> list[float]:
    """By how much the beat's runs came after their second."""
    return [float(stamp) % 1 for stamp in re.findall(r"beat +\| (\d+\.\d+)", log)]


@pytest.mark.realtime
def test_a_hundred_megabytes_arrive_to_the_byte_while_another_job_keeps_its_beat(gcron_run: Run) -> None:
    size = 100_000_000
    daemon = gcron_run(flood(size), stdout=subprocess.PIPE)
    process = psutil.Process(daemon.process.pid)
    lines, largest, kept, rest = 0, 0, [], b""
    needle = b"| " + b"0" * 99 + b"\n"
    while not any(b"flood    succeeded" in line for line in kept):
        data = os.read(daemon.process.stdout.fileno(), MIB)
        assert data
        time.sleep(0.001)  # keeps up, and makes it last for some beats
        whole, newline, rest = (rest + data).rpartition(b"\n")
        lines += (whole + newline).count(needle)
        kept += [line for line in whole.split(b"\n") if b"000000" not in line]
        largest = max(largest, process.memory_info().rss)
    assert lines == size // 100
    assert largest < 120 * MIB
    late = beats(b"\n".join(kept).decode())
    assert len(late) >= 2
    assert max(late) < 0.5
    daemon.send(signal.SIGTERM)
    while os.read(daemon.process.stdout.fileno(), MIB):
        continue
    assert daemon.wait() == 0


@pytest.mark.realtime
def test_a_reader_that_stops_costs_output_and_no_fire_and_is_told_how_much(gcron_run: Run) -> None:
    daemon = gcron_run(flood(60_000_000), "--log-format", "json", stdout=subprocess.PIPE)
    process = psutil.Process(daemon.process.pid)
    pipe = daemon.process.stdout.fileno()
    time.sleep(3.2)  # nobody reads
    assert process.memory_info().rss < 120 * MIB
    data = bytearray()
    while b'"outcome":"succeeded","reason":"","exit_code":0' not in data.rpartition(b'"job":"flood"')[2]:
        block = os.read(pipe, MIB)
        assert block
        data += block
    daemon.send(signal.SIGTERM)
    while block := os.read(pipe, MIB):
        data += block
    assert daemon.wait() == 0
    records = [line for line in bytes(data).split(b"\n") if line]
    written = sum(1 for line in records if b'"line":"0000' in line)
    lost = sum(int(count) for count in re.findall(rb"lost (\d+) lines of this log", bytes(data)))
    assert lost > 0
    beats_lost = _fires(data) - data.count(b'"event":"output","job":"beat"')
    assert written + lost == 600_000 + beats_lost
    assert _fires(data) >= 3
    assert data.count(b'"event":"run-started","job":"beat"') == data.count(b'"event":"run-finished","job":"beat"')


def _fires(log: bytearray) -> int:
    return log.count(b'"event":"run-started","job":"beat"')


def test_a_reader_that_is_gone_does_not_end_the_scheduler(gcron_run: Run, tmp_path: Any) -> None:
    marks = tmp_path / "marks"
    daemon = gcron_run(
        f"@reboot echo early\n@every 1s echo noise; echo x >> {marks}\n", before=("sh", "-c", '"$@" | head -n 1', "sh")
    )
    deadline = time.monotonic() + 10
    while not marks.exists() or marks.stat().st_size < 4:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (child,) = [child for child in psutil.Process(daemon.process.pid).children() if "gcron" in child.cmdline()]
    child.terminate()
    assert daemon.wait() == 0
    assert daemon.errors == ""


def test_a_full_disk_ends_nothing_and_the_exit_status_is_right(gcron_run: Run, tmp_path: Any) -> None:
    marks = tmp_path / "marks"
    with open("/dev/full", "wb") as full:
        daemon = gcron_run(f"@reboot yes | head -c 1000000; echo x > {marks}\n", stdout=full)
    deadline = time.monotonic() + 10
    while not marks.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert daemon.stop() == 0
    assert daemon.errors == ""


def test_newlines_without_end_delay_no_other_job(gcron_run: Run) -> None:
    daemon = gcron_run(
        "# gcron: name=flood\n@reboot exec yes ''\n# gcron: name=beat\n@every 1s date +\\%s.\\%N\n",
        "--grace",
        "0",
        before=("sh", "-c", '"$@" | grep --line-buffered -v flood', "sh"),
    )
    daemon.wait_for(r"beat +\| (\d+\.\d+)", 2)
    (child,) = [child for child in psutil.Process(daemon.process.pid).children() if "gcron" in child.cmdline()]
    child.terminate()
    daemon.wait()
    assert max(beats(daemon.log)) < 0.5

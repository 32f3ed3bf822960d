"""Promises 3 and 5: no job can stop another by flooding, and memory is bounded by configuration."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
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
    while b'"event":"run-finished"' not in data.rpartition(b'"job":"flood"')[2]:
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


# -- raw, split, blocked ----------------------------------------------------------------------------------------


def drain(pipe: int, until: Callable[[bytearray], bool] = lambda data: False) -> bytearray:
    """Read to the end of file, or until there is enough."""
    data = bytearray()
    while not until(data) and (block := os.read(pipe, MIB)):
        data += block
    return data


@pytest.mark.realtime
def test_raw_output_that_nobody_reads_is_counted_to_the_byte(gcron_run: Run) -> None:
    size = 60_000_000
    crontab = f"# gcron: name=flood output=raw\n@reboot head -c {size} /dev/zero\n# gcron: name=beat\n@every 1s true\n"
    daemon = gcron_run(crontab, "--split-logs", stdout=subprocess.PIPE)
    time.sleep(3.2)  # nobody reads
    assert len(re.findall(r"beat +succeeded", daemon.errors)) >= 2  # the scheduler speaks elsewhere
    pipe = daemon.process.stdout.fileno()
    data = drain(pipe, lambda data: b"of this log" in data[-500:] and "flood    succeeded" in daemon.errors)
    daemon.send(signal.SIGTERM)
    data += drain(pipe)
    assert daemon.wait() == 0
    # What tells of the loss stands where it was lost.
    told = re.findall(rb"[^\0]*lost \d+ lines of this log \((\d+) bytes\)[^\0]*\n", bytes(data))
    assert data.count(b"\0") + sum(map(int, told)) == size
    assert sum(map(int, told)) > 0


@pytest.mark.realtime
def test_with_block_a_flood_waits_for_the_reader_and_the_beat_goes_on(gcron_run: Run) -> None:
    size = 30_000_000
    daemon = gcron_run(flood(size), "--on-stall", "block", "--split-logs", stdout=subprocess.PIPE)
    time.sleep(3.2)  # nobody reads
    assert len(re.findall(r"beat +started", daemon.errors)) >= 2
    assert "flood    succeeded" not in daemon.errors
    pipe = daemon.process.stdout.fileno()
    data = drain(pipe, lambda data: "flood    succeeded" in daemon.errors)
    daemon.send(signal.SIGTERM)
    data += drain(pipe)
    assert daemon.wait() == 0
    assert data.count(b"| " + b"0" * 99 + b"\n") == size // 100
    assert b"lost" not in data


@pytest.mark.realtime
def test_with_block_stopping_is_bounded_all_the_same(gcron_run: Run) -> None:
    daemon = gcron_run(
        "# gcron: kill-after=1s\n@reboot exec yes\n", "--on-stall=block", "--grace=1s", stdout=subprocess.PIPE
    )
    time.sleep(1.5)
    daemon.send(signal.SIGTERM)
    daemon.wait(1 + 1 + 5)


def test_raw_and_discarded_output_of_gcron_run(gcron_run: Run) -> None:
    crontab = (
        "# gcron: name=raw output=raw\n@reboot printf 'a\\000\\377\\033[b'; printf err >&2\n"
        "# gcron: name=silent output=discard\n@reboot echo never; echo seen >&2\n"
    )
    daemon = gcron_run(crontab)
    daemon.wait_for("raw .*succeeded")
    daemon.wait_for("silent .*succeeded")
    assert daemon.stop() == 0
    assert b"a\0\xff\x1b[b" in daemon.log_path.read_bytes()
    assert daemon.errors == "err"
    assert "never" not in daemon.log


def test_split_logs_part_job_output_from_what_gcron_says(gcron_run: Run) -> None:
    text = """# gcron: name=job\n@reboot echo '{"level": "info"}'; echo x >&2\n"""
    daemon = gcron_run(text, env={**os.environ, "GCRON_SPLIT_LOGS": "yes", "GCRON_LOG_FORMAT": "json"})
    deadline = time.monotonic() + 10
    while '"run-finished"' not in daemon.errors:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert daemon.stop() == 0
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    assert {line["stream"]: line["line"] for line in lines} == {"stderr": "x", "stdout": {"level": "info"}}
    kinds = [json.loads(line)["event"] for line in daemon.errors.splitlines()]
    assert "output" not in kinds
    assert set(kinds) == {"message", "run-started", "process-started", "run-finished"}


# -- a lot ------------------------------------------------------------------------------------------------------


def test_a_gigabyte_without_a_newline_is_counted_to_the_byte_in_bounded_memory(gcron_run: Run) -> None:
    size = 1024 * MIB
    daemon = gcron_run(
        f"# gcron: name=long\n@reboot head -c {size} /dev/zero | tr '\\0' x\n",
        "--log-format=json",
        stdout=subprocess.PIPE,
    )
    process = psutil.Process(daemon.process.pid)
    largest, pieces = 0, []
    with daemon.process.stdout as log:
        for record in log:
            fields = json.loads(record)
            if fields["event"] == "output":
                pieces.append((len(fields["line"]), fields.get("continued", False)))
                if len(pieces) % 500 == 0:
                    largest = max(largest, process.memory_info().rss)
            if fields["event"] == "run-finished":
                assert fields["output_bytes"] == size
                daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0
    assert sum(length for length, _ in pieces) == size
    assert [continued for _, continued in pieces] == [True] * (len(pieces) - 1) + [False]
    assert largest < 120 * MIB


def test_five_million_lines_all_arrive(gcron_run: Run) -> None:
    daemon = gcron_run("# gcron: name=lines\n@reboot seq 5000000\n", stdout=subprocess.PIPE)
    pipe = daemon.process.stdout.fileno()
    count, whole, rest = 0, b"", b""
    while b"lines    succeeded" not in whole:
        block = os.read(pipe, MIB)
        assert block
        whole, _, rest = (rest + block).rpartition(b"\n")
        count += whole.count(b"| ")
    daemon.send(signal.SIGTERM)
    drain(pipe)
    assert daemon.wait() == 0
    assert count == 5_000_000


# -- the disk ---------------------------------------------------------------------------------------------------


def test_when_a_full_disk_has_room_again_the_log_goes_on_and_tells_what_it_lost(gcron_run: Run, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    ballast = f"head -c 200000 /dev/zero > {disk}/ballast"
    mount = f'mount -t tmpfs -o size=512k none {disk} && {ballast} && exec "$@" > {disk}/log'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount, "sh", "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk of his own")
    daemon = gcron_run(
        "# gcron: name=flood\n"
        f"@reboot seq -f '\\%0100.0f' 20000; sleep 0.5; rm {disk}/ballast; echo enough; sleep 0.5;"
        f" cp {disk}/log {tmp_path}/part && mv {tmp_path}/part {tmp_path}/copy\n",
        before=("unshare", "-rm", "sh", "-c", mount, "sh"),
    )
    deadline = time.monotonic() + 15
    while not (tmp_path / "copy").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert daemon.stop() == 0
    log = (tmp_path / "copy").read_text()
    kept = len(re.findall(r"\| 0\d{99}$", log, re.MULTILINE))
    lost = sum(int(count) for count in re.findall(r"lost (\d+) lines of this log", log))
    assert 0 < kept < 20_000
    assert kept + lost == 20_000
    assert "| enough" in log

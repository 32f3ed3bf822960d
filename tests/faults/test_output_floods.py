"""Promises 3 and 5: no job can stop another by its output, and memory is bounded."""

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

from gcron.supervise.timing import Timing
from tests.waiting import FULL_PIPE, takes, unread, until

Run = Callable[..., Any]
MIB = 1024 * 1024
# A large pipe: on a busy machine each 64 KiB of a small one would wait until the reader gets a processor.
READ = {"stdout": subprocess.PIPE, "pipesize": MIB}


class Crontab:
    """A job that writes `size` bytes in lines of 100, and a job that fires each second."""

    def __init__(self, directory: Path, size: int) -> None:
        self._flooded = directory / "flooded"
        self._beats = directory / "beats"
        self._beats.touch()
        self.text = (
            f"# gcron: name=flood\n@reboot yes {'0' * 99} | head -c {size}; touch {self._flooded}\n"
            f"# gcron: name=beat\n@every 1s echo $GCRON_FIRE_AT $(date +\\%s.\\%N) | tee -a {self._beats}\n"
        )

    def is_flooded(self) -> bool:
        """Return True when the first job has written everything."""
        return self._flooded.exists()

    def lateness(self) -> list[float]:
        """Return how many seconds after its due time each run of the second job was."""
        beats = [line.split() for line in self._beats.read_text().splitlines()]
        return [float(now) - int(fire_at) for fire_at, now in beats]


@pytest.mark.realtime
def test_a_flood_of_100_megabytes_arrives_whole_and_delays_no_other_job(gcron_run: Run, tmp_path: Path) -> None:
    size = 100_000_000
    crontab = Crontab(tmp_path, size)
    daemon = gcron_run(crontab.text, **READ)
    process = psutil.Process(daemon.process.pid)
    lines, largest, kept, rest = 0, 0, [], b""
    needle = b"| " + b"0" * 99 + b"\n"
    while not any(b"flood    succeeded" in line for line in kept):
        data = os.read(daemon.process.stdout.fileno(), MIB)
        assert data
        time.sleep(len(data) / 50_000_000)  # slow enough for some runs of the other job
        whole, newline, rest = (rest + data).rpartition(b"\n")
        lines += (whole + newline).count(needle)
        kept += [line for line in whole.split(b"\n") if b"000000" not in line]
        largest = max(largest, process.memory_info().rss)
    assert lines == size // 100
    assert largest < 120 * MIB
    (seconds,) = re.findall(rb"flood    succeeded \(after ([\d.]+) s", b"\n".join(kept))
    late = crontab.lateness()
    assert len(late) >= 2
    # A run that had to wait for the flood would start after its end.
    assert max(late) < max(0.5, float(seconds) / 4)
    daemon.send(signal.SIGTERM)
    drain(daemon.process.stdout.fileno())
    assert daemon.wait() == 0


@pytest.mark.realtime
def test_a_stopped_reader_loses_counted_output_and_no_fire(gcron_run: Run, tmp_path: Path) -> None:
    crontab = Crontab(tmp_path, 60_000_000)
    daemon = gcron_run(crontab.text, "--log-format", "json", stdout=subprocess.PIPE)
    process = psutil.Process(daemon.process.pid)
    pipe = daemon.process.stdout.fileno()
    # Nobody reads.
    until(lambda: crontab.is_flooded() and len(crontab.lateness()) >= 3)
    assert process.memory_info().rss < 120 * MIB
    data = drain(pipe, lambda data: b'"event":"run-finished","job":"flood"' in data[-2 * MIB :])
    daemon.send(signal.SIGTERM)
    data += drain(pipe)
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


def test_a_reader_that_exits_does_not_end_the_scheduler(gcron_run: Run, tmp_path: Any) -> None:
    marks = tmp_path / "marks"
    daemon = gcron_run(
        f"@reboot echo early\n@every 1s echo noise; echo x >> {marks}\n", before=("sh", "-c", '"$@" | head -n 1', "sh")
    )
    until(lambda: marks.exists() and marks.stat().st_size >= 4)
    (child,) = [child for child in psutil.Process(daemon.process.pid).children() if "gcron" in child.cmdline()]
    child.terminate()
    assert daemon.wait() == 0
    assert daemon.errors == ""


def test_a_full_disk_ends_nothing_and_keeps_the_exit_status(gcron_run: Run, tmp_path: Any) -> None:
    marks = tmp_path / "marks"
    with open("/dev/full", "wb") as full:
        daemon = gcron_run(f"@reboot yes | head -c 1000000; echo x > {marks}\n", stdout=full)
    until(marks.exists)
    assert daemon.stop() == 0
    assert daemon.errors == ""


@pytest.mark.realtime
def test_endless_newlines_delay_no_other_job(gcron_run: Run, tmp_path: Path) -> None:
    crontab = Crontab(tmp_path, 0)
    daemon = gcron_run(
        crontab.text + "@reboot exec yes ''\n",
        "--grace",
        "0",
        before=("sh", "-c", '"$@" | grep --line-buffered -v "| $"', "sh"),
    )
    daemon.wait_for(r"beat +\| (\d+)", 2)
    (child,) = [child for child in psutil.Process(daemon.process.pid).children() if "gcron" in child.cmdline()]
    child.terminate()
    daemon.wait()
    assert max(crontab.lateness()) < 5  # instead of never


# -- raw, split, blocked ----------------------------------------------------------------------------------------


def drain(pipe: int, until: Callable[[bytearray], bool] = lambda data: False) -> bytearray:
    """Read to the end of the file, or until a condition holds."""
    data = bytearray()
    while not until(data) and (block := os.read(pipe, MIB)):
        data += block
    return data


@pytest.mark.realtime
def test_lost_raw_output_is_counted_to_the_byte(gcron_run: Run) -> None:
    size = 60_000_000
    crontab = f"# gcron: name=flood output=raw\n@reboot head -c {size} /dev/zero\n# gcron: name=beat\n@every 1s true\n"
    daemon = gcron_run(crontab, "--split-logs", stdout=subprocess.PIPE)
    # Nobody reads stdout. Own records go to stderr.
    until(lambda: "flood    succeeded" in daemon.errors and len(re.findall(r"beat +succeeded", daemon.errors)) >= 2)
    pipe = daemon.process.stdout.fileno()
    data = drain(pipe, lambda data: b"of this log" in data[-500:])
    daemon.send(signal.SIGTERM)
    data += drain(pipe)
    assert daemon.wait() == 0
    # The report of a loss is where the bytes are missing.
    told = re.findall(rb"[^\0]*lost \d+ lines of this log \((\d+) bytes\)[^\0]*\n", bytes(data))
    assert data.count(b"\0") + sum(map(int, told)) == size
    assert sum(map(int, told)) > 0


@pytest.mark.realtime
def test_with_block_a_flood_waits_for_the_reader_and_delays_no_other_job(gcron_run: Run, tmp_path: Path) -> None:
    size = 30_000_000
    daemon = gcron_run(Crontab(tmp_path, size).text, "--on-stall", "block", "--split-logs", stdout=subprocess.PIPE)
    # Nobody reads for longer than it takes to drop output without `block`.
    until(lambda: len(re.findall(r"beat +started", daemon.errors)) >= 3)
    assert "flood    succeeded" not in daemon.errors
    pipe = daemon.process.stdout.fileno()
    data = drain(pipe, lambda data: "flood    succeeded" in daemon.errors)
    daemon.send(signal.SIGTERM)
    data += drain(pipe)
    assert daemon.wait() == 0
    assert data.count(b"| " + b"0" * 99 + b"\n") == size // 100
    assert b"lost" not in data


@pytest.mark.realtime
def test_with_block_a_stop_still_ends_in_time(gcron_run: Run) -> None:
    crontab = "# gcron: kill-after=1s\n@reboot exec yes\n"
    options = ("--on-stall=block", "--grace=0.3s")
    daemon = gcron_run(crontab, *options, timing=Timing(last_log=0.3), stdout=subprocess.PIPE)
    until(lambda: unread(daemon.process.stdout.fileno()) > FULL_PIPE)
    time.sleep(0.5)  # until the queue of the log is full, too
    with takes(at_least=0.3 + 0.3, at_most=0.3 + 1 + 5):
        daemon.stop()


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


def test_split_logs_separates_job_output_from_own_records(gcron_run: Run) -> None:
    text = """# gcron: name=job\n@reboot echo '{"level": "info"}'; echo x >&2\n"""
    daemon = gcron_run(text, env={**os.environ, "GCRON_SPLIT_LOGS": "yes", "GCRON_LOG_FORMAT": "json"})
    until(lambda: '"run-finished"' in daemon.errors)
    assert daemon.stop() == 0
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    assert {line["stream"]: line["line"] for line in lines} == {"stderr": "x", "stdout": '{"level": "info"}'}
    kinds = [json.loads(line)["event"] for line in daemon.errors.splitlines()]
    assert "output" not in kinds
    assert set(kinds) == {"message", "run-started", "process-started", "run-finished"}


# -- a lot ------------------------------------------------------------------------------------------------------


def test_a_line_of_200_megabytes_arrives_whole_in_bounded_memory(gcron_run: Run) -> None:
    size = 200 * MIB
    daemon = gcron_run(
        f"# gcron: name=long\n@reboot head -c {size} /dev/zero | tr '\\0' x\n",
        "--log-format=json",
        **READ,
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


def test_five_million_lines_arrive(gcron_run: Run) -> None:
    daemon = gcron_run("# gcron: name=lines\n@reboot seq 5000000\n", **READ)
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


def test_after_a_full_disk_the_log_continues_and_counts_what_it_lost(gcron_run: Run, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    # Without the ballast there is room for the whole log: a second full disk would lose the end of it.
    ballast = f"head -c 7000000 /dev/zero > {disk}/ballast"
    mount = f'mount -t tmpfs -o size=7100k none {disk} && {ballast} && exec "$@" > {disk}/log'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount, "sh", "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk of his own")
    daemon = gcron_run(
        "# gcron: name=flood\n"
        f"@reboot seq -f '\\%0100.0f' 20000; until [ $(stat -f -c \\%f {disk}) = 0 ]; do sleep 0.02; done;"
        f" sleep 1; rm {disk}/ballast; echo enough; until grep -q enough {disk}/log; do sleep 0.02; done;"
        f" cp {disk}/log {tmp_path}/part && mv {tmp_path}/part {tmp_path}/copy\n",
        before=("unshare", "-rm", "sh", "-c", mount, "sh"),
    )
    until((tmp_path / "copy").exists)
    assert daemon.stop() == 0
    log = (tmp_path / "copy").read_text()
    kept = len(re.findall(r"\| 0\d{99}$", log, re.MULTILINE))
    lost = sum(int(count) for count in re.findall(r"lost (\d+) lines of this log", log))
    assert 0 < kept < 20_000
    assert 20_000 <= kept + lost < 20_005, "each line is kept or counted; messages of gcron itself may be lost, too"
    assert "| enough" in log

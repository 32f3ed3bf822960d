"""The writer of the log: each byte arrives or is counted, and the loop never blocks."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from gcron.daemon import sink as sink_module
from gcron.daemon.sink import Outlets, Sink
from gcron.greenlet import sleep, spawn
from tests.waiting import PATIENCE, takes, until

LIMIT = 64 * 1024


def report(lines: int, size: int) -> bytes:
    return f"lost {lines} {size}\n".encode()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    made = os.fstat(read)
    yield read, write
    for fd in (read, write):
        with suppress(OSError):
            if os.path.samestat(os.fstat(fd), made):  # else the test has closed it, and the number has another file
                os.close(fd)


@pytest.fixture(autouse=True)
def _no_reader_counts_as_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a reader may pause for long. Tests of stopped readers set a short time."""
    monkeypatch.setattr(sink_module, "_STALLED_AFTER", PATIENCE)


class Reader(threading.Thread):
    """Reads a pipe to its end, with `pause` seconds between reads."""

    def __init__(self, fd: int, pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.fd = fd
        self.pause = pause
        self.data = bytearray()
        self.start()

    def run(self) -> None:
        while data := os.read(self.fd, 65536):
            self.data += data
            time.sleep(self.pause)


def test_a_slow_reader_gets_everything_in_order(pipe: tuple[int, int]) -> None:
    reader = Reader(pipe[0], pause=0.002)
    sink = Sink(pipe[1], report, LIMIT)
    records = [f"{number} {'x' * 1000}\n".encode() for number in range(3000)]

    def produce() -> None:
        for record in records:
            sink.write_output(record)

    spawn(produce).join()
    sink.close()
    os.close(pipe[1])
    reader.join(PATIENCE)
    assert bytes(reader.data) == b"".join(records)


def test_a_producer_waits_for_space_while_other_greenlets_run(pipe: tuple[int, int]) -> None:
    sink = Sink(pipe[1], report, LIMIT)
    producing = spawn(lambda: [sink.write_output(b"x" * 9999 + b"\n") for _ in range(20)])
    for _ in range(20):
        sleep(0.005)
    assert not producing.ready()
    reader = Reader(pipe[0])
    producing.get(timeout=PATIENCE)
    sink.close()
    os.close(pipe[1])
    reader.join(PATIENCE)
    assert len(reader.data) == 200_000


def fill_and_stall(sink: Sink, size: int) -> tuple[int, int]:
    """Write job output until some is dropped; return the number of records, and of dropped ones."""
    written = 0
    while not sink._dropped_size:
        sink.write_output(b"x" * (size - 1) + b"\n")
        written += 1
    return written, sink._dropped_lines


def test_lost_output_is_counted_to_the_byte_and_reported_when_the_reader_continues(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "_STALLED_AFTER", 0.1)
    sink = Sink(pipe[1], report, LIMIT)
    written, _ = spawn(fill_and_stall, sink, 1000).get(timeout=PATIENCE)
    for _ in range(9):
        sink.write_output(b"y" * 999 + b"\n")  # dropped without waiting
    sink.write(b"own record\n")
    reader = Reader(pipe[0])
    until(lambda: b"lost" in reader.data)  # the report comes without another write
    sink.write_output(b"after\n")
    sink.close()
    os.close(pipe[1])
    reader.join(PATIENCE)
    lines = bytes(reader.data).splitlines()
    kept = lines.count(b"x" * 999)
    assert lines[kept:] == [
        b"own record",
        f"lost {written - kept + 9} {(written - kept + 9) * 1000}".encode(),
        b"after",
    ]


def test_own_records_are_kept_for_a_stopped_reader_up_to_a_limit(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "_STALLED_AFTER", 0.1)
    sink = Sink(pipe[1], report, LIMIT)
    spawn(fill_and_stall, sink, 1000).get(timeout=PATIENCE)
    for _ in range(1000):
        sink.write(b"own" * 333 + b"\n")
    assert sink._waiting < LIMIT * 5
    reader = Reader(pipe[0])
    sink.close()
    os.close(pipe[1])
    reader.join(PATIENCE)
    lines = bytes(reader.data).splitlines()
    (lost,) = [line for line in lines if line.startswith(b"lost")]
    kept = lines.count(b"own" * 333)
    assert 150 < kept < 400
    assert int(lost.split()[1]) >= 1000 - kept


@pytest.mark.realtime
def test_a_closed_pipe_turns_the_log_off_and_blocks_nothing(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    sink = Sink(pipe[1], report, LIMIT)
    spawn(lambda: [sink.write_output(b"x" * 9999 + b"\n") for _ in range(100)]).get(timeout=PATIENCE)
    sink.write(b"own\n")
    with takes(at_most=1):
        sink.close(PATIENCE)


def test_a_non_blocking_descriptor_loses_nothing(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    sink = Sink(pipe[1], report, LIMIT)
    producing = spawn(lambda: [sink.write_output(b"x" * 9999 + b"\n") for _ in range(50)])
    sleep(0.05)
    reader = Reader(pipe[0])
    producing.get(timeout=PATIENCE)
    sink.close()
    os.close(pipe[1])
    reader.join(PATIENCE)
    assert len(reader.data) == 500_000


@pytest.mark.realtime
def test_a_reader_that_never_reads_does_not_delay_the_end(pipe: tuple[int, int]) -> None:
    sink = Sink(pipe[1], report, LIMIT)
    for _ in range(200):
        sink.write(b"x" * 999 + b"\n")
    with takes(at_least=0.2, at_most=1):
        sink.close(timeout=0.2)


@pytest.mark.realtime
def test_a_reader_known_to_have_stopped_delays_the_end_by_half_a_second(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop with a reader that never reads took 3.1 s more: the log was waited for as if the reader went on."""
    monkeypatch.setattr(sink_module, "_STALLED_AFTER", 0.2)
    sink = Sink(pipe[1], report, LIMIT)
    for _ in range(200):
        sink.write(b"x" * 999 + b"\n")
    until(lambda: sink._writing_since is not None and time.monotonic() - sink._writing_since > 0.2, "the stall")
    with takes(at_least=0.4, at_most=0.6):
        sink.close(timeout=PATIENCE)


class Disk:
    """Replaces `os.write`: accepts `room` bytes, then the disk is full."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.data = bytearray()

    def write(self, fd: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = min(self.room, len(data))
        self.room -= count
        self.data += bytes(data[:count])
        return count


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Disk]:
    def disk(room: int) -> Disk:
        made = Disk(room)
        real = os.write
        monkeypatch.setattr(
            sink_module.os, "write", lambda fd, data: made.write(fd, data) if fd == -7 else real(fd, data)
        )
        return made

    return disk


def test_after_a_full_disk_the_log_continues_and_reports_the_loss(disk: Callable[[int], Disk]) -> None:
    full = disk(10)
    sink = Sink(-7, report, LIMIT)
    for word in (b"first\n", b"second\n", b"third\n", b"fourth\n"):
        sink.write(word)
    until(lambda: not sink._waiting)
    full.room = 10**6
    sink.write(b"fifth\n")
    sink.close()
    # The first part of a cut line stays as a line.
    assert bytes(full.data) == b"first\nseco\nlost 3 16\nfifth\n"


@pytest.mark.realtime
def test_a_disk_that_stays_full_blocks_nothing(disk: Callable[[int], Disk]) -> None:
    disk(0)
    sink = Sink(-7, report, LIMIT)
    spawn(lambda: [sink.write_output(b"x" * 9999 + b"\n") for _ in range(100)]).get(timeout=PATIENCE)
    with takes(at_most=1):
        sink.close(PATIENCE)


def test_with_block_output_waits_for_a_stopped_reader_and_nothing_is_lost(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "_STALLED_AFTER", 0.02)
    sink = Sink(pipe[1], report, LIMIT, on_stall="block")
    producing = spawn(lambda: [sink.write_output(b"x" * 9999 + b"\n") for _ in range(50)])
    assert not producing.join(0.5)
    sink.write(b"own record\n")  # does not wait
    reader = Reader(pipe[0])
    producing.get(timeout=PATIENCE)
    sink.close()
    os.close(pipe[1])
    reader.join(PATIENCE)
    assert bytes(reader.data).count(b"x" * 9999 + b"\n") == 50
    assert len(reader.data) == 500_000 + len(b"own record\n")
    assert sink.lost == 0


def test_stop_blocking_ends_the_wait_for_a_stopped_reader(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "_STALLED_AFTER", 0.02)
    sink = Sink(pipe[1], report, LIMIT, on_stall="block")
    producing = spawn(lambda: [sink.write_output(b"x" * 9999 + b"\n") for _ in range(50)])
    assert not producing.join(0.1)
    sink.stop_blocking()
    producing.get(timeout=PATIENCE)
    assert sink.lost > 0


def test_an_outlet_that_nobody_reads_does_not_delay_the_other(pipe: tuple[int, int]) -> None:
    read, write = os.pipe()
    outlets = Outlets(report, stdout_fd=pipe[1], stderr_fd=write)
    outlets.stdout.write(b"x" * 200_000)
    outlets.stderr.write(b"heard\n")
    assert os.read(read, 100) == b"heard\n"
    outlets.close(timeout=0.1)
    os.close(read)
    os.close(write)


def test_stdout_and_stderr_to_the_same_file_share_one_sink(pipe: tuple[int, int]) -> None:
    same = os.dup(pipe[1])
    outlets = Outlets(report, stdout_fd=pipe[1], stderr_fd=same)
    assert outlets.stderr is outlets.stdout
    outlets.close()
    os.close(same)

"""When the bytes of an output came: the records beside the files, against a list of all of them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.cli.timestamps import Stamped
from gcron.control.feed import output_record
from gcron.scheduler.history import OutputPart, OutputSpan
from gcron.scheduler.output_buffer import OutputPiece, WrittenSpan
from gcron.state.output import OutputFiles
from gcron.state.output_index import RECORD_SIZE, find_spans, pack, place, unpack
from tests.waiting import PATIENCE

streams = st.sampled_from(["stdout", "stderr"])
written = st.lists(st.builds(WrittenSpan, st.integers(1, 30), st.floats(0, 2e9), streams), max_size=40)


@given(written, st.integers(0, 600), st.integers(0, 600), st.integers(0, RECORD_SIZE - 1))
def test_spans_are_found_for_any_part(spans: list[WrittenSpan], start: int, size: int, cut: int) -> None:
    """Also when gcron was killed while it wrote the last record."""
    data = pack(place(spans, 0)) + bytes(cut)
    end = min(start + size, sum(span.size for span in spans))
    of_bytes = [span for span in spans for _ in range(span.size)][start:end]

    found = find_spans(lambda at, size: data[at : at + size], len(data) // RECORD_SIZE, start, end)

    assert [(span.time, span.stream) for span in found for _ in range(span.size)] == [
        (span.time, span.stream) for span in of_bytes
    ]


@given(written, written)
def test_bytes_without_a_record_are_not_known_and_all_others_are(
    first: list[WrittenSpan], last: list[WrittenSpan]
) -> None:
    begin = sum(span.size for span in first)
    end = begin + 7 + sum(span.size for span in last)
    data = pack([*place(first, 0), *place(last, begin + 7)])

    found = find_spans(lambda at, size: data[at : at + size], len(data) // RECORD_SIZE, 0, end)

    if first or last:
        assert [span for span in found if span.time is None] == [OutputSpan(7)]
        assert sum(span.size for span in found) == end
    else:
        assert found == ()
    assert [(span.size, span.time) for span in found if span.time is not None] == [
        (span.size, span.time) for span in (*first, *last)
    ]
    assert len(unpack(data)) == len(first) + len(last)


def test_output_of_an_earlier_version_has_no_times_and_reads_as_before(tmp_path: Path) -> None:
    files = OutputFiles(str(tmp_path))
    spans = [WrittenSpan(4, 5.0, "stdout"), WrittenSpan(4, 6.0, "stderr")]
    files.write([OutputPiece("run", [b"one\n", b"two\n"], 0, 1024, spans)])
    part = files.read("run", 0, 100)
    assert part is not None
    assert part.spans == (OutputSpan(4, 5.0, "stdout"), OutputSpan(4, 6.0, "stderr"))
    (tmp_path / "run.index").unlink()

    part = OutputFiles(str(tmp_path)).read("run", 0, 100)

    assert part is not None
    assert (part.data, part.spans) == (b"one\ntwo\n", ())


def test_an_index_goes_with_its_output(tmp_path: Path) -> None:
    files = OutputFiles(str(tmp_path))
    for number in range(100):
        files.write([OutputPiece("run", [b"x" * 50], 0, 1000, [WrittenSpan(50, float(number), "stdout")])])
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {name.removesuffix(".index") for name in names if name.endswith(".index")} == {
        name for name in names if not name.endswith(".index")
    }
    files.delete(["run"])
    assert not list(tmp_path.rglob("*"))


# -- kills ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [0, 2])
def test_times_of_bytes_that_a_kill_kept_from_being_written_are_not_those_of_later_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """An index is written before its bytes. The next gcron wrote others in their place, which got the old time."""
    OutputFiles(str(tmp_path)).write([OutputPiece("run", [b"one\n"], 0, 1024, [WrittenSpan(4, 1.0, "stdout")])])
    original = os.write

    def killed(file: int, data: bytes) -> int:
        if bytes(data) == b"two\n":
            original(file, data[:written])
            raise KeyboardInterrupt
        return original(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            OutputFiles(str(tmp_path)).write([OutputPiece("run", [b"two\n"], 0, 1024, [WrittenSpan(4, 2.0, "stderr")])])
    OutputFiles(str(tmp_path)).write([OutputPiece("run", [b"three\n"], 0, 1024, [WrittenSpan(6, 3.0, "stdout")])])

    part = OutputFiles(str(tmp_path)).read("run", 0, 100)

    assert part is not None
    assert part.data == b"one\n" + b"two\n"[:written] + b"three\n"
    unknown = (OutputSpan(written),) if written else ()
    assert part.spans == (OutputSpan(4, 1.0, "stdout"), *unknown, OutputSpan(6, 3.0, "stdout"))


# Writes outputs until it is killed, each time by a new process, as several lives of a gcron. Each byte shows in which
# span it came: its value is the time of the span, and its stream is by that, too.
WRITER = """
import os, random, sys
from gcron.scheduler.output_buffer import OutputPiece, WrittenSpan
from gcron.state.output import OutputFiles

def write(life):
    files = OutputFiles(sys.argv[1])
    chance = random.Random(life)
    while True:
        chunks, spans = [], []
        for _ in range(chance.randrange(1, 9)):
            time, size = chance.randrange(256), chance.randrange(1, 300)
            chunks.append(bytes([time]) * size)
            spans.append(WrittenSpan(size, float(time), "stderr" if time % 2 else "stdout"))
        keep = chance.choice([(1, 20_000), (2, 400), (3, 1 << 20)])
        files.write([OutputPiece(f"run{keep[0]}", chunks, chance.choice([0, 0, 7]), keep[1], spans)])
        if chance.random() < 0.01:
            files.delete([f"run{chance.randrange(1, 4)}"])

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        write(int(line))
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("dead", flush=True)
"""


@pytest.mark.realtime
def test_after_a_kill_at_any_moment_no_byte_has_a_wrong_time(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """`pytest --kills 200` for the promise; few of them otherwise."""
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    directory = tmp_path / "output"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    known = 0
    try:
        for life in range(pytestconfig.getoption("kills")):
            writer.stdin.write(f"{seed + life}\n")
            writer.stdin.flush()
            pid = int(writer.stdout.readline())
            sleep(moments.uniform(0.0, 0.05))
            os.kill(pid, signal.SIGKILL)
            assert writer.stdout.readline() == "dead\n"
            known += sum(_check(OutputFiles(str(directory)), f"run{number}", seed) for number in (1, 2, 3))
    finally:
        writer.stdin.close()
        writer.wait(PATIENCE)
        writer.stdout.close()
    assert known > 0


def _check(files: OutputFiles, run_id: str, seed: int) -> int:
    """Read all of an output as `gcron logs --timestamps` does; return how many bytes have a time."""
    position, known, stamped = 0, 0, Stamped()
    while (part := files.read(run_id, position, 65536)) is not None and part.data:
        stamped.take(output_record(part, timestamps=True))
        known += _check_part(part, seed)
        position = part.start + len(part.data)
    return known


def _check_part(part: OutputPart, seed: int) -> int:
    assert not part.spans or sum(span.size for span in part.spans) == len(part.data), seed
    position, known = 0, 0
    for span in part.spans:
        data = part.data[position : position + span.size]
        position += span.size
        if span.time is None:
            continue
        assert set(data) == {int(span.time)}, seed
        assert span.stream == ("stderr" if span.time % 2 else "stdout"), seed
        known += span.size
    return known

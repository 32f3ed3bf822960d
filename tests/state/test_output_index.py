"""When the bytes of an output came: the records beside the files, against a list of all of them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gcron.scheduler.history import OutputSpan
from gcron.scheduler.output_buffer import OutputPiece, WrittenSpan
from gcron.state.output import OutputFiles
from gcron.state.output_index import RECORD_SIZE, find_spans, pack, place, unpack

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

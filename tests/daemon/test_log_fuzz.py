"""Records under attack: whatever a job prints, and whatever names hold, each record is one, whole, and says who spoke.

The readers here are strict: they refuse what any reader of the field might refuse.
"""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.daemon.formats.format import LEAST_RECORD_LIMIT, RECORD_LIMIT, Format, has_long_line
from gcron.daemon.formats.json import JsonFormat
from gcron.daemon.formats.logfmt import LogfmtFormat
from gcron.daemon.formats.text import TextFormat
from gcron.scheduler import FiresMissed, JobOutput, Notice, Outcome, Reason, ReasonCode, RunFinished, RunResult
from gcron.scheduler.events import StoreFailed

AT = 1767225600.25
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
STAMP = "2026-01-01T00:00:00"
LIMIT = LEAST_RECORD_LIMIT
FORMATS = [
    TextFormat(UTC, limit=LIMIT),
    TextFormat(UTC, colour=True, limit=LIMIT),
    JsonFormat(LIMIT),
    LogfmtFormat(LIMIT),
]
# Controls, bidirectional marks, ends of lines and paragraphs, tags, marks without a shape, surrogates, and JSON.
HOSTILE = [
    *("\n", "\r", "\x1b[2J", "\0", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\U000e0041"),
    *("\ud800", "\udcff", "\udfff", "\U0001f600", "é", "x" * 3000, "é" * 3000),
    *('"', "\\", "\\n", "{", "}", '{"a":1}', "=", " ", "\t"),
]
TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=3), max_size=8).map("".join)
LINES = st.lists(
    st.binary(max_size=30) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")), min_size=1, max_size=5
).map(lambda lines: [line.replace(b"\n", b"") for line in lines])


def read_json(record: bytes) -> Any:
    """Refuse what is no ASCII, no JSON by RFC 8259, has a name twice, or a lone surrogate, or is deep."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    found = json.loads(record.decode("ascii"), parse_constant=pytest.fail, object_pairs_hook=once)
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    return found


def read_logfmt(record: bytes) -> dict[str, str]:
    text = record.decode("ascii").removesuffix("\n")
    pair = r'([A-Za-z0-9_.-]+)=("(?:[^"\\\x00-\x1f\x7f]|\\(?:["\\/bfnrt]|u[0-9a-f]{4}))*"|[!#-<>-\[\]-~]*)'
    assert re.fullmatch(rf"{pair}(?: {pair})*", text), text
    pairs = [
        (match[1], json.loads(match[2]) if match[2].startswith('"') else match[2]) for match in re.finditer(pair, text)
    ]
    assert len(dict(pairs)) == len(pairs)
    "".join(value for _, value in pairs).encode("utf-8")
    return dict(pairs)


def read_text(record: bytes, colour: bool) -> str:
    """Refuse what has no stamp in front, or what a terminal, a pager or a reader of lines could act upon."""
    text = record.decode("utf-8").removesuffix("\n")
    if colour:
        text = re.sub(r"\x1b\[[0-9]+m(.*?)\x1b\[0m", r"\1", text)
    assert re.match(rf"{STAMP}\+00:00  ", text), text
    assert text.splitlines() == [text]
    for character in text.replace("\t", ""):
        assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}, repr(text)
        assert unicodedata.bidirectional(character) not in {
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }
    return text


def read(format: Format, data: bytes) -> list[Any]:
    records = data.splitlines(keepends=True) if isinstance(format, JsonFormat) else re.findall(rb"[^\n]*\n", data)
    assert b"".join(records) == data
    assert all(len(record) <= LIMIT for record in records), max(map(len, records))
    if isinstance(format, JsonFormat):
        return [read_json(record) for record in records]
    if isinstance(format, LogfmtFormat):
        return [read_logfmt(record) for record in records]
    return [read_text(record, format is FORMATS[1]) for record in records]


@pytest.mark.parametrize("format", FORMATS, ids=["text", "colour", "json", "logfmt"])
@given(lines=LINES, job=TEXTS, late=st.booleans(), continued=st.booleans())
def test_whatever_a_job_prints_is_records_of_that_job(
    format: Format, lines: list[bytes], job: str, late: bool, continued: bool
) -> None:
    records = read(format, format.event(JobOutput(AT, job[:40], "r1", "stderr", lines, late, continued)))

    assert len(records) >= len(lines)
    for record in records:
        if not isinstance(record, str):
            assert (record["event"], record["run_id"], record["stream"]) == ("output", "r1", "stderr")
            assert isinstance(record["line"], str | dict)


@pytest.mark.parametrize("format", FORMATS, ids=["text", "colour", "json", "logfmt"])
@given(text=TEXTS, job=TEXTS)
def test_whatever_names_and_reasons_hold_it_is_records_of_gcron(format: Format, text: str, job: str) -> None:
    """Names of processes (`prctl`), paths, users and zones are in them. A newline in one began a record of its own."""
    reason = Reason(ReasonCode.EXIT_STATUS, text)
    events = [
        Notice(AT, job, "r1", text),
        RunFinished(AT, job, "r1", None, RunResult(Outcome.KILLED, reason, left_behind=text)),
        FiresMissed(AT, job, 1767225600, 1767229200, reason, 2),
        StoreFailed(AT, reason),
    ]
    data = [format.event(event) for event in events]
    data += [
        format.message(AT, text, "error"),
        format.report(AT, "status", {"problem": text, text: [text] * 40}, [text]),
    ]
    for record in data:
        assert len(read(format, record)) >= bool(text)
        assert isinstance(format, TextFormat) or record.count(b"\n") == 1


@pytest.mark.parametrize("size", [LIMIT - 200, LIMIT, 5 * LIMIT, 65_536])
@pytest.mark.parametrize("unit", ["x", "é", "\x1b", '"', "\U0001f600"], ids=ascii)
def test_the_pieces_of_a_line_are_all_of_it(size: int, unit: str) -> None:
    """Docker cuts lines at 16 KiB, journald at 48 KiB, and a job wrote a record of gcron's after the cut."""
    line = (unit * size)[:size] + "end"
    event = JobOutput(AT, "job", "r1", "stdout", [b"first", line.encode(), b"last"], False)

    found = read(FORMATS[2], FORMATS[2].event(event))
    assert "".join(record["line"] for record in found) == f"first{line}last"
    assert [record.get("continued", False) for record in found] == [False, *[True] * (len(found) - 3), False, False]
    found = read(FORMATS[3], FORMATS[3].event(event))
    assert "".join(record["line"] for record in found) == f"first{line}last"

    texts = [record.split(" | ", 1)[1] for record in read(FORMATS[0], FORMATS[0].event(event))]
    joined = "".join(text.removesuffix(" (continued)") for text in texts)
    assert joined == f"first{line}last".replace("\x1b", "\\x1b")


def test_an_object_that_is_too_long_is_pieces_of_text() -> None:
    line = json.dumps({"event": "run-finished", "text": "x" * 9000}).encode()
    records = read(FORMATS[2], FORMATS[2].event(JobOutput(AT, "job", "r1", "stdout", [line], False)))

    assert "".join(record["line"] for record in records) == line.decode()
    assert {record["event"] for record in records} == {"output"}


def test_a_report_that_is_too_long_is_shortened_and_says_so() -> None:
    fields = {"jobs": 3000, "running": [{"job": f"job{number}", "pid": number} for number in range(3000)]}
    for format in (JsonFormat(), LogfmtFormat()):
        record = format.report(AT, "status", fields, [])
        assert len(record) <= RECORD_LIMIT
    (short,) = [read_json(JsonFormat().report(AT, "status", fields, []))]
    assert (short["jobs"], short["truncated"], short["running"][0]) == (3000, True, {"job": "job0", "pid": 0})


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(2, 40))
def test_a_long_line_is_found_wherever_it_stands(lengths: list[int], room: int) -> None:
    block = b"\n".join(b"x" * length for length in lengths)
    assert has_long_line(block, room) == (max(lengths, default=0) > room)

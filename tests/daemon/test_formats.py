"""Log formats: safe for terminals, valid for machines."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.daemon.formats import Format, JsonFormat, TextFormat, duration
from gcron.scheduler import (
    FiresMissed,
    JobOutput,
    Notice,
    Outcome,
    ProcessStarted,
    RunFinished,
    RunResult,
    RunStarted,
)

AT = 1767225600.25


def output(*lines: bytes, stream: Any = "stdout", late: bool = False, job: str = "job") -> JobOutput:
    return JobOutput(AT, job, "r1", stream, list(lines), late)


def finished(outcome: Outcome, reason: str = "", **fields: Any) -> RunFinished:
    return RunFinished(AT, "job", "r1", 1767225600, RunResult(outcome, reason, **fields))


ALL = [
    RunStarted(AT, "job", "r1", 1767225600),
    RunStarted(AT, "job", "r1", None),
    ProcessStarted(AT, "job", "r1", 42),
    output(b"line"),
    Notice(AT, "job", "r1", "something"),
    finished(Outcome.SUCCEEDED, exit_code=0),
    finished(Outcome.KILLED, "enough\nof it \x1b[2J", left_behind="pid 1 (x\n)"),
    FiresMissed(AT, "job", 1767225600, 1767229200, "a step", 2),
]


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.kind)
def test_every_event_is_one_line_of_json(event: Any) -> None:
    record = JsonFormat().event(event)
    assert record.count(b"\n") == 1
    fields = json.loads(record)
    assert (fields["time"], fields["event"], fields["job"]) == ("2026-01-01T00:00:00.250Z", event.kind, "job")


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.kind)
def test_every_event_is_at_most_one_line_of_text_without_control_characters(event: Any) -> None:
    for colour in (False, True):
        record = TextFormat(UTC, colour=colour).event(event)
        assert record.count(b"\n") <= 1
        assert b"\x1b[2J" not in record
        assert colour or b"\x1b" not in record


@pytest.mark.parametrize(
    ("line", "merged"),
    [
        (b'{"a": 1, "b": [null, "x"]}', {"a": 1, "b": [None, "x"]}),
        (b'{"a": 1}\r', {"a": 1}),
        (b'{"a": 1', '{"a": 1'),
        (b"[1, 2]", "[1, 2]"),
        (b"plain", "plain"),
        (b'{"a": NaN}', '{"a": NaN}'),
        (b'{"a": 1e999}', '{"a": 1e999}'),
        (b"{" + b'"a":{' * 20_000 + b"}" * 20_001, None),
        (b'{"a": ' + b"9" * 5000 + b"}", None),
        (b"\xff\xfe{}", "\\xff\\xfe{}"),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b"", ""),
    ],
)
def test_a_jobs_own_json_is_merged_and_what_is_none_stays_text(line: bytes, merged: object) -> None:
    record = JsonFormat().event(output(line))
    assert json.loads(record, parse_constant=pytest.fail)["line"] == (line.decode() if merged is None else merged)


@given(st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")), min_size=1, max_size=5))
def test_any_bytes_give_as_many_records_as_lines(lines: list[bytes]) -> None:
    records = JsonFormat().event(output(*lines)).split(b"\n")
    assert len(records) == len(lines) + 1
    for record in records[:-1]:
        assert json.loads(record)["stream"] == "stdout"
    text = TextFormat(UTC).event(output(*lines)).decode()
    assert text.count("\n") == len(lines)
    assert len(text.splitlines()) >= len(lines)
    assert not any(character != "\t" and ord(character) < 32 for character in text.replace("\n", ""))


def test_text_is_time_job_and_line() -> None:
    text = TextFormat(UTC)
    text.fit(["job", "longer-name"])
    prefix = "2026-01-01T00:00:00+00:00  job        "
    expected = f"{prefix} | one\n{prefix} | tw\\x1bo\tx\n".encode()
    assert text.event(output(b"one\r", b"tw\x1bo\tx")) == expected
    assert text.event(output(b"\xff\xc3\xa9", stream="stderr", late=True)) == f"{prefix} ! (late) \\xffé\n".encode()
    assert text.event(output(b"")) == f"{prefix} | \n".encode()
    assert text.event(finished(Outcome.SKIPPED, "why")) == f"{prefix} skipped: why\n".encode()
    assert text.event(RunStarted(AT, "job", "r1", None)) == b""


def test_a_name_with_control_characters_cannot_forge_a_line() -> None:
    record = TextFormat(UTC).event(output(b"x", job="evil\n2026 other\x1b[31m"))
    assert record.count(b"\n") == 1
    assert b"\x1b" not in record


@pytest.mark.parametrize("format", [TextFormat(UTC), JsonFormat()])
def test_a_message_is_one_line(format: Format) -> None:
    assert format.message(AT, "two\nlines \udcff", bad=True).count(b"\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.00 s"), (59.4, "59.40 s"), (60, "1m00s"), (3599.6, "1h00m"), (3780, "1h03m"), (90000, "25h00m")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text

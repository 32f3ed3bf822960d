"""Log formats: safe for terminals, valid for machines."""

from __future__ import annotations

import json
import re
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.daemon.formats.format import Format
from gcron.daemon.formats.json import JsonFormat
from gcron.daemon.formats.logfmt import LogfmtFormat
from gcron.daemon.formats.text import TextFormat, duration
from gcron.scheduler import (
    FiresMissed,
    JobOutput,
    JobPaused,
    JobResumed,
    Notice,
    Outcome,
    ProcessStarted,
    Reason,
    ReasonCode,
    RunFinished,
    RunLate,
    RunResult,
    RunStarted,
    ServiceState,
    ServiceStateChanged,
    StoreFailed,
    StoreRecovered,
    SuccessOverdue,
    SuccessResumed,
)
from gcron.supervise.usage import NO_USAGE, Usage

AT = 1767225600.25


def output(
    *lines: bytes, stream: Any = "stdout", late: bool = False, job: str = "job", continued: bool = False
) -> JobOutput:
    return JobOutput(AT, job, "r1", stream, list(lines), late, continued)


def why(text: str) -> Reason:
    return Reason(ReasonCode.EXIT_STATUS if text else ReasonCode.NONE, text)


def finished(outcome: Outcome, reason: str = "", **fields: Any) -> RunFinished:
    return RunFinished(AT, "job", "r1", 1767225600, RunResult(outcome, why(reason), **fields))


ALL = [
    RunStarted(AT, "job", "r1", 1767225600),
    RunStarted(AT, "job", "r1", None),
    ProcessStarted(AT, "job", "r1", 42),
    output(b"line"),
    Notice(AT, "job", "r1", "something"),
    finished(Outcome.SUCCEEDED, exit_code=0),
    finished(Outcome.KILLED, "enough\nof it \x1b[2J", left_behind="pid 1 (x\n)"),
    FiresMissed(AT, "job", 1767225600, 1767229200, why("a step"), 2),
    RunLate(AT, "job", "r1", 1767225600, 8.25, why("it waited for the group db")),
    SuccessOverdue(AT, "job", 90_000.0, None),
    SuccessOverdue(AT, "job", 90_000.0, AT - 100_000),
    SuccessResumed(AT, "job", 100_000.5),
    ServiceStateChanged(AT, "job", ServiceState.FAILED, why("a\nb"), 1, 0.0),
    JobPaused(AT, "job"),
    JobResumed(AT, "job"),
    JobPaused(AT, "job", 1767229200.0, "ann", "deploy 4711"),
    JobResumed(AT, "job", "ben"),
]
OWN = [StoreFailed(AT, why("it\n\x1b[2J")), StoreRecovered(AT, 3)]


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.kind)
def test_every_event_is_one_line_of_json(event: Any) -> None:
    record = JsonFormat().event(event)
    assert record.count(b"\n") == 1
    fields = json.loads(record)
    assert (fields["time"], fields["event"], fields["job"]) == ("2026-01-01T00:00:00.250Z", event.kind, "job")


@pytest.mark.parametrize("event", OWN, ids=lambda event: event.kind)
def test_an_event_of_gcron_itself_has_no_job(event: Any) -> None:
    assert "job" not in json.loads(JsonFormat().event(event))
    assert TextFormat(UTC).event(event).split()[1] == b"gcron"


@pytest.mark.parametrize("event", [*ALL, *OWN], ids=lambda event: event.kind)
def test_every_event_is_at_most_one_line_of_text_without_control_characters(event: Any) -> None:
    for colour in (False, True):
        record = TextFormat(UTC, colour=colour).event(event)
        assert record.count(b"\n") <= 1
        assert b"\x1b[2J" not in record
        assert colour or b"\x1b" not in record


@pytest.mark.parametrize(
    ("usage", "shown"),
    [
        (NO_USAGE, b"(after 2.10 s)\n"),
        (Usage(0.09, 16 * 1024 * 1024 - 1), b"(after 2.10 s)\n"),
        (Usage(1.8, None), b"(after 2.10 s, cpu 1.80 s)\n"),
        (Usage(125.0, 34 << 20), b"(after 2.10 s, cpu 2m05s, peak 34.0 MiB)\n"),
        (Usage(None, 3 << 30), b"(after 2.10 s, peak 3.0 GiB)\n"),
    ],
)
def test_a_line_shows_what_a_run_used_if_that_is_much(usage: Usage, shown: bytes) -> None:
    event = finished(Outcome.SUCCEEDED, duration=2.1, usage=usage)
    assert TextFormat(UTC).event(event).endswith(shown)
    record = json.loads(JsonFormat().event(event))
    assert (record["cpu_seconds"], record["max_rss_bytes"]) == (usage.cpu_seconds, usage.max_rss_bytes)


NO_DATA = object()


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (b'{"a": 1, "b": [null, "x"]}', {"a": 1, "b": [None, "x"]}),
        (b'{"a": 1}\r', {"a": 1}),
        (b'{"a": 1', NO_DATA),
        (b"[1, 2]", NO_DATA),
        (b"plain", NO_DATA),
        (b'{"a": NaN}', NO_DATA),
        (b'{"a": 1e999}', NO_DATA),
        pytest.param(b"{" + b'"a":{' * 20_000 + b"}" * 20_001, NO_DATA, id="too deep for Python"),
        pytest.param(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", NO_DATA, id="too deep for some"),
        pytest.param(
            b'{"a":' + b"[" * 63 + b"]" * 63 + b"}", json.loads('{"a":' + "[" * 63 + "]" * 63 + "}"), id="deep"
        ),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", NO_DATA, id="long number"),
        (b"\xff\xfe{}", NO_DATA),
        (b'{"a": "\\ud800"}', NO_DATA),
        (b"", NO_DATA),
    ],
)
def test_a_line_is_always_text_and_its_json_is_data(line: bytes, data: object) -> None:
    """`line` was a string or an object by turns: log stores refused the records of one kind or the other."""
    record = json.loads(JsonFormat(limit=1 << 20).event(output(line)), parse_constant=pytest.fail)
    assert record["line"] == line.decode("utf-8", "backslashreplace").removesuffix("\r")
    assert record.get("data", NO_DATA) == data


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (finished(Outcome.SUCCEEDED), "info"),
        (finished(Outcome.STOPPED), "info"),
        (finished(Outcome.FAILED), "error"),
        (finished(Outcome.TIMED_OUT), "error"),
        (finished(Outcome.START_FAILED), "error"),
        (finished(Outcome.KILLED), "error"),
        (finished(Outcome.SKIPPED), "warning"),
        (finished(Outcome.MISSED), "warning"),
        (FiresMissed(AT, "job", 1767225600, 1767229200, why("a step"), 2), "warning"),
        (SuccessOverdue(AT, "job", 90_000.0, None), "error"),
        (ServiceStateChanged(AT, "job", ServiceState.FAILED, why(""), 1, 0.0), "error"),
        (ServiceStateChanged(AT, "job", ServiceState.READY, why(""), 1, 0.0), "info"),
        (RunStarted(AT, "job", "r1", None), "info"),
        (StoreFailed(AT, why("")), "error"),
    ],
)
def test_each_record_of_gcron_has_a_level(event: Any, level: str) -> None:
    """A failed run had none, so an alarm on `level=error` never rang."""
    assert json.loads(JsonFormat().event(event))["level"] == level
    assert f" level={level}".encode() in LogfmtFormat().event(event)


@given(st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")), min_size=1, max_size=5))
def test_any_bytes_give_one_record_for_each_line(lines: list[bytes]) -> None:
    records = JsonFormat().event(output(*lines)).split(b"\n")
    assert len(records) == len(lines) + 1
    for record in records[:-1]:
        assert json.loads(record)["stream"] == "stdout"
    text = TextFormat(UTC).event(output(*lines)).decode()
    assert text.count("\n") == len(lines)
    assert len(text.splitlines()) >= len(lines)
    assert not any(character != "\t" and ord(character) < 32 for character in text.replace("\n", ""))


def test_a_line_of_text_has_time_job_and_output() -> None:
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


@pytest.mark.parametrize("format", [TextFormat(UTC), JsonFormat(), LogfmtFormat()])
def test_a_message_is_one_line(format: Format) -> None:
    assert format.message(AT, "two\nlines \udcff", "error").count(b"\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.00 s"), (59.4, "59.40 s"), (60, "1m00s"), (3599.6, "1h00m"), (3780, "1h03m"), (90000, "25h00m")],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# -- many lines at once -----------------------------------------------------------------------------------------

# A format has a fast path for plain lines. Together with another line they take the slow one.
LINES = st.lists(st.text(alphabet='ab \\"\t{}=\r\x1b\x7f\u0085é\ud800€', max_size=6), min_size=1, max_size=4).map(
    lambda lines: [line.encode("utf-8", "surrogatepass") for line in lines]
)


@pytest.mark.parametrize("format", [TextFormat(UTC), JsonFormat(), LogfmtFormat()])
@given(lines=LINES)
def test_lines_in_one_event_are_formatted_as_in_separate_events(format: Format, lines: list[bytes]) -> None:
    assert format.event(output(*lines)) == b"".join(format.event(output(line)) for line in lines)


@given(st.lists(st.text(alphabet="ab \\\"\t'=}", max_size=8), min_size=1, max_size=4))
def test_plain_lines_survive_json_unchanged(lines: list[str]) -> None:
    records = JsonFormat().event(output(*[line.encode() for line in lines])).splitlines()
    assert [json.loads(record)["line"] for record in records] == lines


def test_no_control_character_reaches_a_terminal() -> None:
    text = TextFormat(UTC)
    for code in [*range(0x20), 0x7F, *range(0x80, 0xA0)]:
        if chr(code) in "\t\n":
            continue
        for written in (chr(code).encode(), bytes([code])):
            record = text.event(output(b"a" + written + b"b")).decode()
            assert record.endswith((rf"a\x{code:02x}b" + "\n", rf"a\xc2\x{code:02x}b" + "\n")), (code, record)
    halves = text.event(output(b"\xc2", continued=True)) + text.event(output(b"\x9b31m"))
    assert halves.decode("ascii").count("\\x") == 2


def test_an_unfinished_line_is_marked_as_continued() -> None:
    event = output(b"whole", b"half", continued=True)
    first, second = map(json.loads, JsonFormat().event(event).splitlines())
    assert ("continued" not in first, second["continued"], second["line"]) == (True, True, "half")
    assert TextFormat(UTC).event(event).endswith(b"| half (continued)\n")
    assert LogfmtFormat().event(event).endswith(b" stream=stdout continued=true line=half\n")


def test_an_unfinished_line_is_not_read_as_json() -> None:
    (record,) = JsonFormat().event(output(b"{}", continued=True)).splitlines()
    assert json.loads(record)["line"] == "{}"
    assert "data" not in json.loads(record)


# -- logfmt -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"plain", "plain"),
        (b"/a/b:c-d_e", "/a/b:c-d_e"),
        (b"two words", '"two words"'),
        (b"a=b", '"a=b"'),
        (b'say "x"', '"say \\"x\\""'),
        (b"back\\slash", '"back\\\\slash"'),
        (b"\x1b[2J", '"\\u001b[2J"'),
        ("é".encode(), '"\\u00e9"'),
        (b"\xff", '"\\\\xff"'),
        (b"", '""'),
    ],
)
def test_logfmt_quotes_values_that_need_it(line: bytes, value: str) -> None:
    record = LogfmtFormat().event(output(line)).decode("ascii")
    assert record == f"time=2026-01-01T00:00:00.250Z event=output job=job run_id=r1 stream=stdout line={value}\n"


@pytest.mark.parametrize("event", [*ALL, *OWN], ids=lambda event: event.kind)
def test_every_event_is_one_line_of_logfmt(event: Any) -> None:
    record = LogfmtFormat().event(event).decode("ascii")
    assert record.count("\n") == 1
    assert re.fullmatch(r'([\w.-]+=([!#-<>-\[\]-~]*|"([^"\\]|\\.)*")( |\n))+', record)


def test_nested_fields_have_dotted_names_in_logfmt() -> None:
    fields = {"ok": True, "none": None, "jobs": [{"name": "a b", "at": 1.5}], "by": {"odd key": 1}}
    record = LogfmtFormat().report(AT, "status", fields, [])
    start = b"time=2026-01-01T00:00:00.250Z event=status level=info "
    assert record == start + b'ok=true none= jobs.0.name="a b" jobs.0.at=1.5 by.odd_key=1\n'


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (JobPaused(AT, "job"), "paused"),
        (
            JobPaused(AT, "job", 1767229200.0, "ann", "deploy 4711"),
            "paused until 2026-01-01 01:00:00Z by ann: deploy 4711",
        ),
        (JobResumed(AT, "job"), "resumed"),
        (JobResumed(AT, "job", "ben"), "resumed by ben"),
    ],
)
def test_the_log_shows_who_paused_a_job_and_why(event: Any, text: str) -> None:
    """`pause --for 10m --why 'deploy 4711'` left "paused" in the log, and then "resumed"."""
    assert TextFormat(UTC).event(event).decode().partition("job ")[2].strip() == text

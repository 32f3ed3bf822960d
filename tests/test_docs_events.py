"""docs/events.md lists each event with exactly its keys in the log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gcron.daemon.formats.json import JsonFormat
from gcron.scheduler import (
    FiresMissed,
    JobOutput,
    JobPaused,
    JobResumed,
    LoopBlocked,
    Notice,
    Outcome,
    ProcessStarted,
    Reason,
    ReasonCode,
    RetryPlanned,
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
from gcron.scheduler.events import EVENTS

PAGE = (Path(__file__).parent.parent / "docs" / "events.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z-]+)` \| `([A-Za-z]+)` \| ([^|]*)\|", re.MULTILINE)
ROWS = {event: (name, keys) for event, name, keys in ROW.findall(PAGE)}
# The keys of all records; output has no `level`. Events of gcron itself have no `job`.
COMMON = {"time", "event", "level"}
WHY = Reason(ReasonCode.EXIT_STATUS, "exit status 1")
LEFT = RunResult(Outcome.FAILED, WHY, 1, left_behind="sleep (pid 7)")

# Each event with all its optional fields.
FULL = [
    RunStarted(0.0, "job", "run", 0, "ann", "a test", "a", 7),
    ProcessStarted(0.0, "job", "run", 7),
    JobOutput(0.0, "job", "run", "stdout", [b"{}", b"half"], late=True, continued=True),
    Notice(0.0, "job", "run", "text"),
    RetryPlanned(0.0, "job", "run", 1, LEFT, 10.0),
    RunFinished(0.0, "job", "run", 0, LEFT, node="a", fence=7),
    FiresMissed(0.0, "job", 0, 60, WHY, 2),
    RunLate(0.0, "job", "run", 0, 5.0, WHY),
    SuccessOverdue(0.0, "job", 60.0, None),
    SuccessResumed(0.0, "job", 60.0),
    ServiceStateChanged(0.0, "job", ServiceState.BACKING_OFF, WHY, 1, 2.0),
    JobPaused(0.0, "job", 60.0, "ann", "a test"),
    JobResumed(0.0, "job", "ann"),
    LoopBlocked(0.0, "job", "job job", "jobs.py:3, in job", 1.5),
    StoreFailed(0.0, WHY),
    StoreRecovered(0.0, 3),
]


def test_each_event_is_described_with_its_class() -> None:
    assert {event: name for event, (name, _) in ROWS.items()} == {
        event: kind.__name__ for event, kind in EVENTS.items()
    }


@pytest.mark.parametrize("event", FULL, ids=lambda event: event.kind)
def test_the_documented_keys_are_those_of_the_log(event: Any) -> None:
    records = map(json.loads, JsonFormat().event(event).splitlines())
    keys = {key for record in records for key in record}

    assert set(re.findall(r"`([a-z_]+)`", ROWS[event.kind][1])) == keys - COMMON - {"job"}
    assert keys >= (COMMON - {"level"} if event.kind == "output" else COMMON)


def test_each_reason_code_is_described() -> None:
    described = re.findall(
        r"^\| `([a-z-]+)` \|", PAGE[PAGE.index("## Reason codes") : PAGE.index("## What gcron itself")], re.MULTILINE
    )
    assert sorted(described) == sorted(code for code in ReasonCode if code)


def test_all_events_except_raw_output_are_checked() -> None:
    assert {event.kind for event in FULL} == EVENTS.keys() - {"raw-output"}

"""What waits for the store: events become records, in order, bounded, and nothing ended twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.scheduler import journal as journal_module
from gcron.scheduler.events import (
    FiresMissed,
    JobOutput,
    JobPaused,
    JobResumed,
    ProcessStarted,
    RawOutput,
    RetryPlanned,
    RunFinished,
    RunStarted,
)
from gcron.scheduler.history import Pause, StoredRun
from gcron.scheduler.journal import Batch, Journal
from gcron.scheduler.messages import KeptMessage
from gcron.scheduler.output_buffer import OutputBuffer, OutputPiece
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode, RunResult

DONE = RunResult(Outcome.SUCCEEDED, NO_REASON, exit_code=0, duration=1.5)
LATE = Reason(ReasonCode.NOT_IN_TIME, "gcron could not act when they were due")


def runs(batch: Batch) -> dict[str, StoredRun]:
    return {run.run_id: run for run in batch.runs}


def test_a_run_is_one_record_that_grows() -> None:
    journal = Journal()
    journal.note(RunStarted(10.0, "job", "1", 10))
    first = runs(journal.take())["1"]
    assert (first.job, first.created, first.fire_at, first.outcome) == ("job", 10.0, 10, "")
    journal.note(ProcessStarted(10.1, "job", "1", 77, 1, 5.0))
    failed = RunResult(Outcome.FAILED, Reason(ReasonCode.EXIT_STATUS, "exit status 1"), exit_code=1)
    journal.note(RetryPlanned(11.0, "job", "1", 1, failed, 2.0))
    waiting = runs(journal.take())["1"]
    assert (waiting.started, waiting.attempts, waiting.reason, waiting.outcome) == (10.1, 1, "exit status 1", "")
    assert waiting.pid is None, "no process lives while a retry waits"
    journal.note(ProcessStarted(13.0, "job", "1", 78, 2, 8.0))
    journal.note(RunFinished(14.0, "job", "1", 10, DONE))
    last = runs(journal.take())["1"]
    assert (last.started, last.finished, last.pid, last.outcome, last.reason) == (10.1, 14.0, 78, "succeeded", "")
    assert not journal.take()


def message(number: int) -> KeptMessage:
    return KeptMessage(str(number), "mail", float(number), "text")


def dropped(numbers: Iterable[int]) -> list[tuple[str, str]]:
    return [(str(number), "mail") for number in numbers]


def test_messages_that_the_store_is_to_forget_are_bounded_and_take_no_room_of_those_to_keep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """50,000 were remembered, all of them, and then a message that was to be kept found no room."""
    monkeypatch.setattr(journal_module, "MOST_MESSAGES", 10)
    monkeypatch.setattr(journal_module, "MOST_DROPPED", 20, raising=False)
    journal = Journal()
    for start in range(0, 300, 100):  # the store fails each time
        journal.drop_messages(dropped(range(start, start + 50)))
        journal.keep_messages([message(start + 60 + number) for number in range(6)])
        batch = journal.take()
        journal.drop_messages(dropped(range(start + 50, start + 60)))
        journal.keep_messages([message(start + 70 + number) for number in range(6)])
        journal.give_back(batch)
    batch = journal.take()
    assert batch.dropped_messages == tuple(dropped(range(20)))
    assert [each.message_id for each in batch.messages] == [str(number) for number in (*range(60, 66), *range(70, 74))]


def test_the_last_word_about_a_message_counts() -> None:
    journal = Journal()
    journal.keep_messages([message(1), message(2)])
    batch = journal.take()
    journal.drop_messages(dropped([1, 3]))
    journal.give_back(batch)
    batch = journal.take()
    assert (batch.messages, batch.dropped_messages) == ((message(2),), tuple(dropped([1, 3])))
    journal.keep_messages([message(3)])
    journal.give_back(batch)
    batch = journal.take()
    assert (set(batch.messages), batch.dropped_messages) == ({message(2), message(3)}, tuple(dropped([1])))


def test_a_skipped_fire_has_no_start_and_missed_ones_are_one_record() -> None:
    journal = Journal()
    journal.note(RunFinished(20.0, "a", "1", 20, RunResult(Outcome.SKIPPED, LATE)))
    journal.note(FiresMissed(90.0, "b", 30, 80, LATE, 6))
    batch = journal.take()
    skipped, missed = batch.runs
    assert (skipped.outcome, skipped.started, skipped.duration, skipped.attempts) == ("skipped", None, None, 0)
    assert (missed.outcome, missed.fire_at, missed.last_fire_at, missed.fires) == ("missed", 30, 80, 6)
    assert batch.handled == {"a": 20, "b": 80}


def test_a_pause_has_an_end_and_says_who_and_why() -> None:
    journal = Journal()
    journal.note(JobPaused(5.0, "a", 9.0, "ann", "maintenance"))
    journal.note(JobPaused(5.0, "b"))
    assert journal.take().pauses == {"a": Pause(5.0, 9.0, "ann", "maintenance"), "b": Pause(5.0)}
    journal.note(JobResumed(7.0, "a"))
    batch = journal.take()
    assert (batch.pauses, batch.restarted) == ({"a": None}, {"a": 7.0})


def test_what_a_store_has_refused_comes_again_without_what_is_older_than_the_news() -> None:
    journal = Journal()
    journal.note(RunStarted(1.0, "a", "1", 1))
    journal.note(RunStarted(1.0, "b", "2", 1))
    journal.note(JobPaused(1.0, "c"))
    refused = journal.take()
    journal.note(RunFinished(2.0, "a", "1", 1, DONE))
    journal.note(JobResumed(2.0, "c"))
    journal.give_back(refused)
    again = journal.take()
    assert {run_id: run.outcome for run_id, run in runs(again).items()} == {"1": "succeeded", "2": ""}
    assert again.pauses == {"c": None}
    assert again.handled == {"a": 1, "b": 1}


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["begin", "end", "write", "refuse"])), max_size=80))
def test_ended_runs_are_written_once_or_counted_as_lost(steps: list[tuple[int, str]]) -> None:
    """Rows and counted losses are all runs, whatever the store does, and no written run stays open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "MOST_WAITING", 3)
        journal = Journal()
        numbers = itertools.count()
        under_way: dict[int, str] = {}
        ended = 0
        table: dict[str, StoredRun] = {}

        def write() -> None:
            batch = journal.take()
            for run in batch.runs:
                assert not (run.run_id in table and table[run.run_id].outcome), "no run ends twice"
                table[run.run_id] = run
            journal.confirm(batch)

        for place, step in steps:
            if step == "write":
                write()
            elif step == "refuse":
                journal.give_back(journal.take())
            elif step == "begin" and place not in under_way:
                under_way[place] = f"run{next(numbers)}"
                journal.note(RunStarted(1.0, "job", under_way[place], 1))
            elif step == "end" and place in under_way:
                journal.note(RunFinished(2.0, "job", under_way.pop(place), 1, DONE))
                ended += 1
        for _ in range(3):
            write()
        assert sum(bool(run.outcome) for run in table.values()) + journal.lost == ended
        assert {run_id for run_id, run in table.items() if not run.outcome} == set(under_way.values())


# -- output -----------------------------------------------------------------------------------------------------


def test_output_is_what_the_job_wrote_line_by_line_or_raw() -> None:
    journal = Journal()
    journal.note(RunStarted(1.0, "a", "1", 1))
    journal.note(JobOutput(1.0, "a", "1", "stdout", [b"one", b"two"], False))
    journal.note(JobOutput(1.0, "a", "1", "stdout", [b"begin"], False, continued=True))
    journal.note(JobOutput(1.0, "a", "1", "stdout", [b" end"], False))
    journal.note(RawOutput(1.0, "a", "1", "stdout", b"\0raw", False))
    journal.note(JobOutput(1.0, "a", "1", "stdout", [b"", b"last"], False, lacks_newline=True))
    (piece,) = journal.take_output()
    assert (piece.run_id, b"".join(piece.chunks), piece.skipped) == ("1", b"one\ntwo\nbegin end\n\0raw\nlast", 0)
    assert not journal.take_output()


def test_output_that_waits_for_a_disk_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MOST_OUTPUT", 10_000)
    journal = Journal(keep_output=4_000)
    for number in range(20):
        journal.note(RunStarted(1.0, "a", str(number), 1))
    for turn in range(100):
        for number in range(20):
            journal.note(RawOutput(1.0, "a", str(number), "stdout", bytes([turn]) * 100, False))
    pieces = journal.take_output()
    assert sum(len(chunk) for piece in pieces for chunk in piece.chunks) <= 12_100


@given(
    st.integers(2, 40),
    st.lists(st.one_of(st.integers(0, 50), st.just("take"), st.just("crowded")), max_size=40),
)
def test_a_buffer_keeps_the_beginning_and_the_newest_and_counts_the_gap(keep: int, steps: list[Any]) -> None:
    buffer = OutputBuffer("run", keep)
    written = 0
    pieces: list[OutputPiece] = []
    for step in steps:
        if step == "take":
            pieces += buffer.take()
        else:
            size = 7 if step == "crowded" else step
            data = bytes(position % 251 for position in range(written, written + size))
            buffer.add(data, float(written), "stderr" if size % 2 else "stdout", crowded=step == "crowded")
            written += size
        assert buffer.size <= keep // 2 + keep // 2 + 50
    pieces += buffer.take()
    position = 0
    for piece in pieces:
        position += piece.skipped
        data = b"".join(piece.chunks)
        assert sum(span.size for span in piece.spans) == len(data)
        assert data == bytes(place % 251 for place in range(position, position + len(data)))
        position += len(data)
    assert position <= written, "nothing is counted twice; a gap at the very end is told with what follows"

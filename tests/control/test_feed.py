"""Streams: events as they happen, resumed and filtered; slow readers are dropped; output as it comes."""

from __future__ import annotations

import json
from typing import Any

from gcron.control import feed
from gcron.greenlet import sleep, spawn
from tests.control.conftest import Answer, Asker
from tests.waiting import until


class Reader:
    """Reads a stream in a greenlet of its own."""

    def __init__(self, answer: Answer) -> None:
        assert answer.headers["Content-Type"] == "text/event-stream"
        self.messages: list[tuple[str, Any, str]] = []
        self.comments = 0
        self.is_over = False
        self._pieces = answer.pieces
        self._greenlet = spawn(self._read)
        sleep(0)

    def _read(self) -> None:
        for piece in self._pieces:
            fields = dict(line.split(": ", 1) for line in piece.decode().strip().splitlines())
            if "event" in fields:
                self.messages.append((fields["event"], json.loads(fields["data"]), fields.get("id", "")))
            else:
                self.comments += 1
        self.is_over = True

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.messages]

    def close(self) -> None:
        self._greenlet.kill()
        self._pieces.close()


def start(api: Asker) -> None:
    scheduler = api.gcron.scheduler
    for name in ("job", "other"):
        scheduler.job("@manual", name=name, greenlet=True)(lambda: None)
    scheduler.start()


def run(api: Asker, name: str = "job") -> None:
    api.gcron.scheduler.trigger(name).result.get(timeout=5)


def test_events_come_as_they_happen(api: Asker) -> None:
    start(api)
    reader = Reader(api.get("/events"))
    run(api)
    sleep(1)
    assert reader.kinds == ["hello", "run-started", "run-finished"]
    _, finished, last_id = reader.messages[-1]
    assert (finished["job"], finished["outcome"], finished["event"]) == ("job", "succeeded", "run-finished")
    assert last_id
    reader.close()


def test_events_of_some_jobs_and_kinds(api: Asker) -> None:
    start(api)
    reader = Reader(api.get("/events?job=other&kind=run-finished,job-paused"))
    run(api)
    run(api, "other")
    api.gcron.scheduler.resume("other")
    sleep(1)
    assert [(kind, data.get("job")) for kind, data, _ in reader.messages[1:]] == [("run-finished", "other")]
    reader.close()


def test_a_stream_goes_on_after_the_last_event_that_was_read(api: Asker) -> None:
    start(api)
    reader = Reader(api.get("/events"))
    run(api)
    sleep(1)
    last_id = reader.messages[1][2]
    reader.close()
    run(api, "other")
    again = Reader(api.get("/events", HTTP_LAST_EVENT_ID=last_id))
    run(api)
    sleep(1)
    jobs = [(kind, data["job"]) for kind, data, _ in again.messages[1:]]
    assert jobs == [
        ("run-finished", "job"),
        *(("run-started", "other"), ("run-finished", "other")),
        *(("run-started", "job"), ("run-finished", "job")),
    ]
    assert again.kinds[0] == "hello"
    again.close()


def test_a_gap_is_reported(api: Asker, monkeypatch: Any) -> None:
    start(api)
    reader = Reader(api.get("/events"))
    run(api)
    sleep(1)
    last_id = reader.messages[1][2]
    reader.close()
    for _ in range(feed._KEPT):
        run(api)
    assert Reader(api.get("/events", HTTP_LAST_EVENT_ID=last_id)).kinds[0] == "gap"
    for foreign in ("00000000-1", "nonsense", f"{last_id}9999999"):
        assert Reader(api.get("/events", HTTP_LAST_EVENT_ID=foreign)).kinds[0] == "gap"


def test_a_slow_reader_is_dropped_with_a_last_event_and_slows_nobody(api: Asker) -> None:
    start(api)
    stream = api.get("/events").pieces
    assert b"event: hello" in next(stream)
    quick = Reader(api.get("/events?kind=run-finished"))
    for _ in range(feed._MOST_WAITING):
        run(api)
        sleep(0.1)
    assert len(quick.messages) == 1 + feed._MOST_WAITING, "another reader has all of them"
    rest = list(stream)
    assert len(rest) == 1
    assert b"event: dropped" in rest[0]
    quick.close()


def test_a_quiet_stream_is_kept_alive(api: Asker) -> None:
    start(api)
    reader = Reader(api.get("/events"))
    sleep(feed.KEEP_ALIVE * 3.5)
    assert (reader.kinds, reader.comments) == (["hello"], 3)
    reader.close()


def test_there_are_not_too_many_streams(api: Asker) -> None:
    start(api)
    readers = [Reader(api.get("/events")) for _ in range(feed._MOST_READERS)]
    answer = api.get("/events")
    assert (answer.status, answer.code) == (503, "too-many-streams")
    readers[0].close()
    readers[0] = Reader(api.get("/events"))
    assert readers[0].kinds == ["hello"]
    for reader in readers:
        reader.close()


def test_streams_end_when_gcron_does(api: Asker) -> None:
    start(api)
    reader = Reader(api.get("/events"))
    api.api.close()
    until(lambda: reader.is_over)
    assert reader.kinds == ["hello", "stopped"]


def test_output_is_followed_to_the_end_of_its_run(api: Asker) -> None:
    """The run is one of a function, which prints nothing: the end comes all the same."""
    scheduler = api.gcron.scheduler
    scheduler.job("@manual", name="job", greenlet=True)(lambda: sleep(100))
    scheduler.start()
    run_id = api.post("/jobs/job/trigger").json["run_id"]
    reader = Reader(api.get(f"/runs/{run_id}/output?follow=1"))
    sleep(50)
    assert (reader.kinds, reader.comments >= 2) == ([], True)
    sleep(60)
    assert reader.kinds == ["end"]
    assert reader.messages[0][1]["outcome"] == "succeeded"
    assert api.get(f"/runs/{run_id}/output").code == "no-output"

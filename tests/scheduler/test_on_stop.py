"""What `on-stop` does to the runs of a job when the scheduler stops."""

from __future__ import annotations

from typing import Any

import pytest

from gcron.greenlet import spawn
from gcron.scheduler import Scheduler
from gcron.supervise.outcome import Outcome
from tests.conftest import Gate
from tests.waiting import PATIENCE, takes, until

Watched = tuple[Scheduler, Any]
DEAF = "trap '' TERM; echo up; while :; do sleep 0.05; done"
WORKER = "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done 2>/dev/null"


def test_a_job_with_on_stop_term_is_asked_to_end_at_once(scheduler: Watched, gate: Gate) -> None:
    """Workers that end cleanly on TERM held up every deployment for the whole grace."""
    running, recorder = scheduler
    running.command(WORKER, "@manual", name="worker", on_stop="term")
    running.command(f"echo up; {gate.wait}; echo done", "@manual", name="backup")
    running.start()
    for name in ("worker", "backup"):
        running.trigger(name)
    until(lambda: len(recorder.lines()) == 2)
    stopping = spawn(running.stop, PATIENCE)
    until(lambda: recorder.outcomes("worker"))

    assert recorder.outcomes("backup") == []
    gate.open()
    assert stopping.get(timeout=PATIENCE).killed == ()
    assert recorder.lines("worker") == [b"up", b"bye"]
    assert recorder.lines("backup") == [b"up", b"done"]
    assert (recorder.outcomes("worker"), recorder.outcomes("backup")) == (["stopped"], ["succeeded"])


@pytest.mark.realtime
def test_a_job_that_ignores_its_stop_signal_has_the_grace_and_is_killed(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.command(DEAF, "@manual", name="deaf", on_stop="term", kill_after=0.1)
    running.start()
    running.trigger("deaf")
    until(lambda: recorder.lines("deaf"))

    with takes(at_least=0.5, at_most=0.5 + 1):
        report = running.stop(grace=0.5)

    assert report.killed == ("deaf",)
    (end,) = recorder.of("run-finished")
    assert (end.result.outcome, end.result.reason.text) == (
        Outcome.KILLED,
        "gcron is told to stop, and ignored the stop signal",
    )

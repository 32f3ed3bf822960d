"""`Scheduler(state=…)`: what a program's scheduler remembers, over restarts and kills; and what it knows without it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron import ArgumentError, JobError, Scheduler, StateError, sleep
from gcron.scheduler import PastRun, PythonCall
from gcron.scheduler.history import Recall, StoredRun
from gcron.scheduler.journal import Batch
from gcron.scheduler.recent import RecentRuns
from gcron.state.memory import MemoryStore
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE, until

Make = Callable[..., Any]
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def work() -> None: ...


def outcomes(runs: list[PastRun]) -> list[tuple[str, str]]:
    return [(run.job, str(run.outcome)) for run in runs]


# -- what is remembered -------------------------------------------------------------------------------------------


@pytest.fixture(params=["directory", "memory", None])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return tmp_path / "state" if request.param == "directory" else request.param


def test_the_history_has_runs_newest_first(clock: VirtualClock, make_scheduler: Make, state: Any) -> None:
    scheduler, _ = make_scheduler(clock=clock, state=state)
    scheduler.job("* * * * *", name="good", greenlet=True)(lambda: sleep(2))
    scheduler.job("*/2 * * * *", name="bad", greenlet=True)(lambda: 1 / 0)
    scheduler.start()
    sleep(130)
    newest, *others = outcomes(scheduler.history())
    assert sorted([newest, others[0]]) == [("bad", "failed"), ("good", "succeeded")]
    assert others[1:] == [("good", "succeeded")]
    assert outcomes(scheduler.history("good", limit=1)) == [("good", "succeeded")]
    assert outcomes(scheduler.history(outcome="failed")) == [("bad", "failed")]
    assert outcomes(scheduler.history(until=MIDNIGHT + timedelta(seconds=61))) == [("good", "succeeded")]
    for ask in (scheduler.history, scheduler.last_run):
        with pytest.raises(KeyError, match="no job named 'nobody'"):  # an empty list hid a typo
            ask("nobody")
    scheduler.remove("bad")
    assert len(scheduler.history("bad")) == 1
    assert scheduler.history("bad", outcome="succeeded") == [], "it has a history, though it is gone"
    run = scheduler.last_run("good")
    assert run is not None
    assert run.due == MIDNIGHT + timedelta(minutes=2)
    assert (run.succeeded, run.failed, run.attempts, run.duration, run.exit_code) == (True, False, 1, 2.0, None)
    assert (run.started, run.ended) == (run.due, MIDNIGHT + timedelta(seconds=122))
    failed = scheduler.last_run("bad")
    assert failed.failed
    assert "ZeroDivisionError" in str(failed.reason)
    assert failed.reason.code == "exception"


def test_the_last_run_is_none_that_was_skipped_missed_or_goes_on(
    clock: VirtualClock, make_scheduler: Make, state: Any
) -> None:
    scheduler, _ = make_scheduler(clock=clock, state=state)
    naps = iter([1, 90, 90])
    scheduler.job("* * * * *", name="job", greenlet=True)(lambda: sleep(next(naps)))
    scheduler.start()
    assert scheduler.last_run("job") is None
    sleep(250)
    assert [run.outcome for run in scheduler.history("job")] == [None, "skipped", "succeeded", "succeeded"]
    last = scheduler.last_run("job")
    assert (last.due, last.outcome) == (MIDNIGHT + timedelta(minutes=2), "succeeded")


def test_who_triggered_a_run_and_why_is_in_the_history(clock: VirtualClock, make_scheduler: Make, state: Any) -> None:
    scheduler, recorder = make_scheduler(clock=clock, state=state)
    scheduler.job("@manual", name="job", greenlet=True)(lambda: sleep(60))
    scheduler.start()
    scheduler.trigger("job", who="ann", why="a test")
    scheduler.trigger("job", who="bob")  # is skipped, and has no start
    scheduler.trigger("job")
    sleep(90)
    found = {(str(run.outcome), run.who, run.why) for run in scheduler.history("job")}
    assert found == {("succeeded", "ann", "a test"), ("skipped", "bob", ""), ("skipped", "", "")}
    (started,) = recorder.of("run-started")
    assert (started.who, started.why) == ("ann", "a test")


def test_any_thread_may_ask(make_scheduler: Make, state: Any) -> None:
    scheduler, _ = make_scheduler(state=state)
    scheduler.command("exit 3", "@manual", name="job")
    scheduler.start_thread()
    scheduler.trigger("job").result.get(timeout=PATIENCE)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(scheduler.last_run("job")))
    thread.start()
    thread.join(PATIENCE)
    assert (found[0].outcome, found[0].exit_code, found[0].due) == ("failed", 3, None)
    assert scheduler.history() == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": 0}, "limit is a whole number above 0, not 0"),
        ({"limit": True}, "limit is"),
        ({"outcome": "fialed"}, "there is no outcome 'fialed' .did you mean failed"),
        ({"since": datetime(2026, 1, 1)}, "since must be an aware datetime"),
        ({"since": "-1h"}, "since must be an aware datetime, such as since=datetime.now.UTC. - .*, not '-1h'"),
        ({"until": 1767225600.0}, "until must be an aware datetime, .*, not 1767225600.0"),
    ],
)
def test_wrong_questions_are_refused(make_scheduler: Make, arguments: Any, message: str) -> None:
    scheduler, _ = make_scheduler()
    with pytest.raises(ArgumentError, match=message):
        scheduler.history(**arguments)


def test_a_run_with_codes_of_a_newer_gcron_is_in_the_history(make_scheduler: Make) -> None:
    """One such run made `history()` raise ValueError for all of them."""
    store = MemoryStore(now=lambda: 2.0)
    run = StoredRun("a1", "job", 1.0, "evaporated", "heat", "it was too hot", finished=2.0)
    store.write(Batch(runs=(run,)))
    scheduler, _ = make_scheduler(state=store)
    (found,) = scheduler.history()
    assert (found.run_id, found.outcome, str(found.reason)) == ("a1", "unknown-exit", "it was too hot")
    assert found.reason.code == ""


def test_without_state_the_latest_runs_are_kept_and_nothing_is_written(
    clock: VirtualClock, make_scheduler: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gcron.scheduler.recent._MOST", 10)
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.job("@every 1s", name="job", greenlet=True)(work)
    scheduler.start()
    sleep(30.5)
    runs = scheduler.history(limit=100)
    assert len(runs) == 10
    assert runs[0].due == MIDNIGHT + timedelta(seconds=30)
    assert isinstance(scheduler.store.store, RecentRuns)
    assert list(tmp_path.iterdir()) == []
    scheduler.stop()
    assert len(scheduler.history(limit=100)) == 10
    scheduler.start()
    sleep(1)
    assert scheduler.history(limit=1)[0].due == MIDNIGHT + timedelta(seconds=31)


# -- what is refused ----------------------------------------------------------------------------------------------


def test_a_lambda_needs_a_name(tmp_path: Path, make_scheduler: Make) -> None:
    """All lambdas have one name: each would get the history of another one."""
    scheduler, _ = make_scheduler(state=tmp_path)
    with pytest.raises(JobError, match=r"a lambda has no name .* give the job a name="):
        scheduler.job("@hourly")(lambda: None)
    scheduler.job("@hourly", name="named")(lambda: None)
    scheduler.job("@hourly")(work)
    jobs = [*scheduler.jobs, scheduler.jobs[0]]
    assert [job.name for job in jobs] == ["named", "work", "named"]
    other, _ = make_scheduler()
    nameless = other.add(type(jobs[0])("<lambda>", jobs[0].schedule, PythonCall(work), jobs[0].policy))
    with pytest.raises(JobError, match="a lambda has no name"):
        scheduler.replace([nameless])


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ("", ArgumentError, "state is a directory, 'memory' or a store, not ''"),
        (b"/tmp", TypeError, "state is a directory"),
        (5, TypeError, "state is a directory"),
        ("mysql://host/x", StateError, "give a directory, or memory"),
    ],
)
def test_what_is_no_state_is_refused_at_once(state: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Scheduler(state=state)


def test_a_directory_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path, make_scheduler: Make) -> None:
    (tmp_path / "file").touch()
    scheduler, _ = make_scheduler(state=tmp_path / "file" / "state")
    with pytest.raises(StateError, match=f"history cannot be kept in {tmp_path}/file/state: Not a directory"):
        scheduler.start()
    (tmp_path / "file").unlink()
    scheduler.start()
    assert (tmp_path / "file" / "state" / "lock").exists()


def test_one_directory_has_one_scheduler_at_a_time(tmp_path: Path, make_scheduler: Make) -> None:
    first, _ = make_scheduler(state=tmp_path)
    second, _ = make_scheduler(state=str(tmp_path))
    first.start_thread()
    with pytest.raises(StateError, match=f"another scheduler keeps its state in {tmp_path} .process {os.getpid()}, "):
        second.start_thread()
    with pytest.raises(StateError, match="give this one another directory"):
        second.start()
    first.stop()
    second.start()
    second.stop()
    first.start()


def test_the_history_is_open_from_start_to_stop(tmp_path: Path, make_scheduler: Make) -> None:
    """What happens before the start is written then: nobody has the directory before."""
    scheduler, _ = make_scheduler(state=tmp_path / "state")
    scheduler.command("true", "@manual", name="job")
    with pytest.raises(StateError, match="it is open from the start of the scheduler to its stop"):
        scheduler.history()
    scheduler.trigger("job").result.get(timeout=PATIENCE)
    scheduler.pause("job", who="ann")
    assert not (tmp_path / "state").exists()
    scheduler.start()
    assert outcomes(scheduler.history()) == [("job", "succeeded")]
    scheduler.stop()
    with pytest.raises(StateError):
        scheduler.last_run("job")
    scheduler.start()
    assert outcomes(scheduler.history()) == [("job", "succeeded")]
    assert scheduler.status("job").pause.who == "ann"


def test_a_scheduler_that_never_started_leaves_nothing(tmp_path: Path) -> None:
    with Scheduler(state=tmp_path / "state") as scheduler:
        scheduler.command("true", "@manual", name="job")
        scheduler.pause("job")
        scheduler.remove("job")
    assert not (tmp_path / "state").exists()


def test_a_scheduler_that_never_started_writes_nothing_into_anothers_directory(
    tmp_path: Path, make_scheduler: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """With jobs that run after others, a trigger wrote a run, a session and a chain into the other's database.

    Without the directory, an error said that the store does not work.
    """

    def make(directory: Path) -> Any:
        scheduler, _ = make_scheduler(state=directory)
        scheduler.job("@manual", name="extract", greenlet=True)(lambda: None)
        scheduler.job("@manual", name="load", greenlet=True)(lambda: None)
        scheduler.job("@after extract,load", name="transform", greenlet=True)(lambda: None)
        return scheduler

    def rows() -> list[Any]:
        with closing(sqlite3.connect(tmp_path / "state" / "history.db")) as database:
            questions = ("SELECT name, claimed, chain FROM job", "SELECT job FROM run", "SELECT pid FROM session")
            return [database.execute(question).fetchall() for question in questions]

    owner, other, alone = (make(tmp_path / name) for name in ("state", "state", "none"))
    owner.start()
    owner.history()
    before = rows()
    for scheduler in (other, alone):
        for name in ("extract", "transform"):
            scheduler.trigger(name).result.get(timeout=PATIENCE)
        scheduler.store._recorder.flush(PATIENCE)
        scheduler.stop()
    assert rows() == before
    assert not (tmp_path / "none").exists()
    assert "store" not in caplog.text


class Slow(MemoryStore):
    """Answers the question of the start when it is told to."""

    blocks = True

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()

    def recall(self, jobs: Any) -> Recall:
        self.is_asked.set()
        self.may_answer.wait(PATIENCE)
        return super().recall(jobs)


@pytest.mark.parametrize("answers_first", [True, False])
def test_a_stop_while_the_start_asks_the_store_ends_the_thread(answers_first: bool) -> None:
    """`start_thread` went on with `run`, which saw a scheduler that was not started, and started it again."""
    store = Slow()
    scheduler = Scheduler(state=store, logger=None)
    scheduler.command("true", "@reboot", name="job")
    started: list[str] = []
    scheduler.on("run-started", lambda event: started.append(event.job))
    errors: list[BaseException] = []

    def start() -> None:
        try:
            scheduler.start_thread()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    assert store.is_asked.wait(PATIENCE)
    stopping = threading.Thread(target=scheduler.stop)
    stopping.start()
    if not answers_first:
        until(lambda: scheduler.has_stopped)
    store.may_answer.set()
    stopping.join(PATIENCE)
    thread.join(PATIENCE)
    assert not stopping.is_alive()
    assert not thread.is_alive()
    until(lambda: not [each for each in threading.enumerate() if each.name == "gcron-scheduler"])
    assert (errors, started) == ([], [])
    assert scheduler.has_stopped


def test_a_stop_while_run_asks_the_store_ends_it() -> None:
    store = Slow()
    scheduler = Scheduler(state=store, logger=None)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    assert store.is_asked.wait(PATIENCE)
    scheduler.stop(wait=False)
    store.may_answer.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


# -- over restarts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("catchup", "expected"),
    [
        ("none", [("missed", 5)]),
        ("last", [("succeeded", 1), ("missed", 4)]),
        ("all", [("succeeded", 1)] * 5),
    ],
)
def test_fires_while_the_program_did_not_run(
    clock: VirtualClock, make_scheduler: Make, tmp_path: Path, catchup: Any, expected: list[Any]
) -> None:
    def program() -> Scheduler:
        scheduler, _ = make_scheduler(clock=clock, state=tmp_path)
        scheduler.job("@hourly", greenlet=True, catchup=catchup, start_deadline="1d")(work)
        scheduler.start()
        sleep(1)
        return scheduler

    first = program()
    first.stop()
    clock.jump(5 * 3600 + 60)
    second = program()
    assert [(run.outcome, run.fires) for run in second.history("work")] == expected
    second.stop()
    third = program()
    assert len(third.history("work")) == len(expected), "nothing is handled twice"


def test_a_pause_and_a_silence_outlive_the_program(clock: VirtualClock, make_scheduler: Make, tmp_path: Path) -> None:
    def program() -> Any:
        scheduler, recorder = make_scheduler(clock=clock, state=tmp_path)
        scheduler.job("@hourly", name="paused", greenlet=True)(work)
        scheduler.job("@manual", name="silent", greenlet=True, expect_within="2h")(work)
        scheduler.start()
        return scheduler, recorder

    first, _ = program()
    first.trigger("silent").result.get(timeout=PATIENCE)
    first.pause("paused", until=MIDNIGHT + timedelta(hours=5), who="ann", why="a test")
    first.stop()
    clock.jump(3600)
    second, recorder = program()
    assert second.status("paused").pause.why == "a test"
    sleep(3600 + 60)
    (overdue,) = recorder.of("success-overdue")
    assert (overdue.job, overdue.last_success) == ("silent", MIDNIGHT.timestamp())
    sleep(3 * 3600)
    assert not second.is_paused("paused")


PROGRAM = """
import json, sys
from gcron import Scheduler, sleep

scheduler = Scheduler(state=sys.argv[1], logger=None)


def work():
    print(json.dumps("works"), flush=True)
    sys.stdin.read()


def tell(event):
    print(json.dumps([event.kind, event.job, str(getattr(getattr(event, "result", None), "outcome", ""))]), flush=True)


scheduler.job("@manual")(work)
scheduler.command("exec sleep " + sys.argv[2], "@manual", name="long")
for kind in ("process-started", "run-finished", "fires-missed"):
    scheduler.on(kind, tell)
scheduler.start_thread()
for line in sys.argv[3:]:
    scheduler.trigger(line)
print(json.dumps([[run.job, str(run.outcome), str(run.reason)] for run in scheduler.history()]), flush=True)
sys.stdin.read()
scheduler.stop(0.2)
"""


class Program:
    """A real program with a scheduler, whose state is in `directory`."""

    def __init__(self, directory: Path, nap: str, *triggers: str) -> None:
        command = [sys.executable, "-c", PROGRAM, str(directory / "state"), nap, *triggers]
        self._errors = directory / "errors"
        with self._errors.open("w") as errors:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors)
        self.said: list[Any] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(json.loads(line) for line in self.process.stdout)

    def waits_for(self, *expected: Any) -> None:
        until(lambda: all(each in self.said for each in expected))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()
        return self._errors.read_text()


def test_a_program_that_was_killed_goes_on_with_what_it_left(
    tmp_path: Path, unique: str, marked_processes: Callable[[str], list[int]]
) -> None:
    """The command lives, and is the same run; the function ended with its process."""
    first = Program(tmp_path, unique, "work", "long")
    first.waits_for("works", ["process-started", "long", ""])
    (pid,) = until(lambda: marked_processes(f"sleep {unique}"))
    until(lambda: open_runs(tmp_path) == {"work": None, "long": pid})
    first.kill()
    second = Program(tmp_path, unique)
    try:
        second.waits_for(["run-finished", "work", "lost"])
        listed = until(lambda: [said for said in second.said if said and isinstance(said[0], list)])
        assert ["work", "lost", "the program ended before the function did"] in listed[0]
        assert ["long", "None", ""] in listed[0]
        assert marked_processes(f"sleep {unique}") == [pid]
        psutil.Process(pid).terminate()
        second.waits_for(["run-finished", "long", "unknown-exit"])
    finally:
        with suppress(psutil.Error):
            psutil.Process(pid).kill()
        errors = second.end()
    assert (second.process.returncode, errors) == (0, "")


def open_runs(directory: Path) -> dict[str, int | None]:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(directory / "state" / "history.db")) as connection:
        return dict(connection.execute("SELECT job, pid FROM run WHERE outcome = ''"))
    return {}


def test_a_second_program_is_refused_and_the_lock_ends_with_the_first(tmp_path: Path, unique: str) -> None:
    first = Program(tmp_path, unique)
    first.waits_for([])
    second = Program(tmp_path, unique)
    refused = f"StateError: another scheduler keeps its state in {tmp_path}/state (process {first.process.pid}, "
    assert refused in second.end()
    first.kill()
    third = Program(tmp_path, unique)
    third.waits_for([])
    assert third.end() == ""
    assert third.process.returncode == 0

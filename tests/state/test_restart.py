"""`gcron run` that is killed and started again: processes, history, messages."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.scheduler.history import Pause, RunQuery, StoredRun
from gcron.scheduler.journal import Batch
from gcron.state.sqlite import SqliteStore
from tests.state.conftest import fill
from tests.waiting import until

Run = Callable[..., Any]
Find = Callable[[str], list[int]]


@pytest.fixture(autouse=True)
def _end_what_is_left(marked_processes: Find, unique: str) -> Iterator[None]:
    yield
    for pid in marked_processes(unique):
        with suppress(psutil.Error):
            psutil.Process(pid).kill()


def runs_in(directory: Path) -> list[StoredRun]:
    store = SqliteStore(str(directory))
    try:
        return list(store.runs(RunQuery(limit=1000)).runs)
    finally:
        store.close()


def find_run(state: str) -> StoredRun | None:
    return next(iter(runs_in(Path(state))), None) if (Path(state) / "history.db").exists() else None


def output_of(state: str, run_id: str) -> bytes:
    store = SqliteStore(state)
    try:
        part = store.output(run_id)
        return b"" if part is None else part.data
    finally:
        store.close()


def kill(daemon: Any, state: str) -> None:
    """Kill it once its start is on disk. At the first start of all, that may come after the first processes."""
    until(lambda: (Path(state) / "history.db").exists() and [run for run in runs_in(Path(state)) if run.pid])
    daemon.send(signal.SIGKILL)
    daemon.wait()


def kill_now(daemon: Any) -> None:
    daemon.send(signal.SIGKILL)
    daemon.wait()


def test_a_job_goes_on_as_the_same_run(gcron_run: Run, tmp_path: Path, unique: str, marked_processes: Find) -> None:
    state = str(tmp_path / "state")
    text = f"# gcron: name=long\n@reboot exec sleep {unique}\n# gcron: name=short\n* * * * * true\n"
    first = gcron_run(text, "--state", state)
    first.wait_for(r"long +started \(pid [0-9]+")
    (pid,) = until(lambda: marked_processes(unique))
    (run,) = until(lambda: [run for run in runs_in(Path(state)) if run.pid == pid])
    kill(first, state)
    second = gcron_run(text, "--state", state)
    second.wait_for(f"long +an earlier gcron left it running: pid {pid} .*; it is adopted")
    second.wait_for(f"long +skipped: the run {run.run_id} is still under way")
    assert marked_processes(unique) == [pid]
    psutil.Process(pid).terminate()
    second.wait_for("long +unknown-exit: it ended; the gcron that started it was killed before")
    assert second.stop() == 0
    assert "neither waits" not in second.log
    found = {run.run_id: run for run in runs_in(Path(state))}[run.run_id]
    assert (found.outcome, found.reason_code, found.created, found.pid) == ("unknown-exit", "adopted", run.created, pid)
    assert found.exit_code is None


def test_the_timeout_of_an_adopted_run_ends_its_whole_tree(
    gcron_run: Run, tmp_path: Path, unique: str, marked_processes: Find
) -> None:
    """And nobody knows its exit status. The history and on-failure= had -65, a number of gcron's own for that."""
    state = str(tmp_path / "state")
    options = "timeout=8s kill-after=1s on-failure='echo code=$GCRON_EXIT_CODE.'"
    text = f"# gcron: name=long {options}\n@reboot sleep {unique} & sleep {unique}; true\n"
    first = gcron_run(text, "--state", state)
    first.wait_for("long +started")
    until(lambda: len(marked_processes(f"sleep {unique}")) >= 2)
    kill(first, state)
    second = gcron_run(text, "--state", state)
    second.wait_for("long +an earlier gcron left it running")
    second.wait_for("long +timed-out: still running after 8 s")
    second.wait_for(r"long:on-failure +\| code=\.")
    until(lambda: not marked_processes(unique))
    assert second.stop() == 0
    assert [run.exit_code for run in runs_in(Path(state)) if run.outcome == "timed-out"] == [None]


def test_the_message_of_a_lost_run_has_its_output_and_no_duration(
    gcron_run: Run, tmp_path: Path, unique: str, marked_processes: Find
) -> None:
    """It said that the run took 0.0 s and printed nothing, while the history had its last words."""
    state = str(tmp_path / "state")
    options = "on-failure='echo took=$GCRON_DURATION. bytes=$GCRON_OUTPUT_BYTES \"$(cat)\"'"
    text = f"# gcron: name=long {options}\n@reboot echo step 2 of 3; exec sleep {unique}\n"
    first = gcron_run(text, "--state", state)
    (pid,) = until(lambda: marked_processes(unique))
    until(lambda: (run := find_run(state)) and output_of(state, run.run_id))
    kill(first, state)
    psutil.Process(pid).kill()
    until(lambda: not marked_processes(unique))
    second = gcron_run(text.replace("@reboot", "@manual"), "--state", state)
    second.wait_for(r"long:on-failure +\| took=\. bytes=12 step 2 of 3")
    assert second.stop() == 0
    (lost,) = runs_in(Path(state))
    assert (lost.outcome, lost.duration, lost.output_size) == ("lost", None, 12)


@pytest.mark.parametrize(("orphans", "message"), [("kill", "killed: an earlier gcron"), ("leave", "lost: gcron ended")])
def test_orphans_can_be_killed_or_left(
    gcron_run: Run, tmp_path: Path, unique: str, marked_processes: Find, orphans: str, message: str
) -> None:
    state = str(tmp_path / "state")
    text = f"# gcron: name=long orphans={orphans}\n@manual sleep {unique}\n"
    first = gcron_run(text.replace("@manual", "@reboot"), "--state", state)
    first.wait_for("long +started")
    until(lambda: marked_processes(unique))
    kill(first, state)
    second = gcron_run(text, "--state", state)
    second.wait_for(f"long +{message}")
    if orphans == "kill":
        until(lambda: not marked_processes(unique))
    else:
        assert marked_processes(unique)


def test_a_service_that_lives_is_not_started_beside_itself(
    gcron_run: Run, tmp_path: Path, unique: str, marked_processes: Find
) -> None:
    state = str(tmp_path / "state")
    text = f"# gcron: name=web ready-line=never\n@service exec sleep {unique}\n"
    first = gcron_run(text, "--state", state)
    first.wait_for("web +started")
    (pid,) = until(lambda: marked_processes(unique))
    kill(first, state)
    second = gcron_run(text, "--state", state)
    second.wait_for(f"web +an earlier gcron left it running: pid {pid}")
    assert marked_processes(unique) == [pid]
    psutil.Process(pid).terminate()
    second.wait_for("web +unknown-exit")
    second.wait_for("web +started")
    assert second.stop() == 0
    until(lambda: not marked_processes(unique))


LONG_AND_PAUSED = """\
# gcron: name=backup
@every 1s exec sleep {unique}
# gcron: name=paused
@every 1s exec sleep {unique}0
"""


@pytest.fixture
def killed(gcron_run: Run, small_disk: Path, unique: str, marked_processes: Find) -> int:
    """The process of a run of `backup`, whose gcron was killed; `paused` is paused. The history is on a small disk."""
    text = LONG_AND_PAUSED.format(unique=unique)
    daemon = gcron_run(text.partition("# gcron: name=paused")[0], "--state", str(small_disk / "state"))
    (pid,) = until(lambda: marked_processes(unique))
    store = SqliteStore(str(small_disk / "state"))
    store.write(Batch(pauses={"paused": Pause(time.time())}))
    store.close()
    kill(daemon, str(small_disk / "state"))
    return pid


def test_a_full_disk_at_the_start_makes_no_twin_and_ends_no_pause(
    gcron_run: Run, small_disk: Path, unique: str, marked_processes: Find, killed: int
) -> None:
    """The start asked what was before in a transaction that writes. The disk was full, so it knew nothing: a second
    backup began beside the first one, and a paused job ran."""
    text = LONG_AND_PAUSED.format(unique=unique)
    fill(small_disk / "filler")
    second = gcron_run(text, "--state", str(small_disk / "state"))
    second.wait_for(f"backup +an earlier gcron left it running: pid {killed} .*; it is adopted")
    second.wait_for("backup +skipped: the run")
    second.wait_for("the store does not work: .* full")
    assert marked_processes(unique) == [killed]
    assert marked_processes(f"{unique}0") == []
    (small_disk / "filler").unlink()
    second.wait_for("the store works again")
    until(lambda: [run for run in runs_in(small_disk / "state") if run.outcome == "skipped"])


@pytest.mark.parametrize("has_room", [False, True], ids=["disk-still-full", "disk-has-room"])
@pytest.mark.parametrize("times", [1, 2], ids=["killed-once", "killed-twice"])
def test_a_gcron_that_a_full_disk_kept_off_the_record_leaves_no_twin(
    gcron_run: Run, small_disk: Path, unique: str, marked_processes: Find, times: int, has_room: bool
) -> None:
    """It was killed before there was room to write that it had begun.

    The next one knew of nobody who had been killed, looked for no processes, and began a second backup.
    """
    state = str(small_disk / "state")
    first = gcron_run("# gcron: name=other\n@reboot true\n", "--state", state, "--instance", "full")
    first.wait_for("other +succeeded")
    assert first.stop() == 0
    fill(small_disk / "filler")
    text = f"# gcron: name=backup\n@every 1s exec sleep {unique}\n"
    for _ in range(times):
        unrecorded = gcron_run(text, "--state", state, "--instance", "full")
        unrecorded.wait_for("backup +(started|skipped)")
        (pid,) = until(lambda: marked_processes(unique))
        kill_now(unrecorded)
    if has_room:
        (small_disk / "filler").unlink()
    third = gcron_run(text, "--state", state, "--instance", "full")
    third.wait_for(f"backup +an earlier gcron left it running: pid {pid} .*; it is adopted")
    third.wait_for("backup +skipped: the run")
    assert marked_processes(unique) == [pid]
    os.kill(pid, signal.SIGKILL)


def test_a_history_that_another_process_locks_makes_no_twin_either(
    gcron_run: Run, small_disk: Path, unique: str, marked_processes: Find, killed: int
) -> None:
    """The same happened while another process held the lock of the database for 9 s."""
    text = LONG_AND_PAUSED.format(unique=unique)
    with closing(sqlite3.connect(small_disk / "state" / "history.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        second = gcron_run(text, "--state", str(small_disk / "state"))
        second.wait_for(f"backup +an earlier gcron left it running: pid {killed} .*; it is adopted")
        second.wait_for("backup +skipped: the run")
        second.wait_for("the store does not work: .* locked")
        assert marked_processes(unique) == [killed]
        assert marked_processes(f"{unique}0") == []
        other.execute("ROLLBACK")
        second.wait_for("the store works again")


def test_no_job_runs_twice_however_often_gcron_is_killed(
    gcron_run: Run, tmp_path: Path, unique: str, marked_processes: Find, request: pytest.FixtureRequest
) -> None:
    """Three long jobs; a KILL at any moment, also before their starts are on disk."""
    state = str(tmp_path / "state")
    jobs = ["one", "two", "three"]
    text = "".join(f"# gcron: name={job}\n* * * * * * exec sleep {unique}{jobs.index(job)}\n" for job in jobs)
    text = text.replace("* * * * * *", "@every 1s")
    kill(gcron_run(text, "--state", state), state)
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    for _ in range(5 if request.config.getoption("kills") <= 20 else 20):
        daemon = gcron_run(text, "--state", state)
        daemon.wait_for("3 jobs from")
        time.sleep(chance.uniform(0.0, 1.6))
        kill_now(daemon)
        for job in jobs:
            assert len(marked_processes(f"{unique}{jobs.index(job)}")) <= 1, f"{job} runs twice (seed {seed})"
    daemon = gcron_run(text, "--state", state)
    for job in jobs:
        daemon.wait_for(f"{job} +skipped: the run")
    assert len(marked_processes(unique)) == 3
    until(lambda: sorted(run.job for run in runs_in(Path(state)) if not run.outcome) == sorted(jobs))

"""`gcron run` that is killed and started again: processes, history, messages."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.scheduler.history import RunQuery, StoredRun
from gcron.state.sqlite import SqliteStore
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

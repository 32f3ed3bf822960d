"""`gcron run` and `gcron state` with a history on disk, as a person has them."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gcron.scheduler.history import RunQuery, StoredRun
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece
from gcron.state.sqlite import SqliteStore
from tests.waiting import PATIENCE, until

Run = Callable[..., Any]


def gcron(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
    return subprocess.run(
        [sys.executable, "-m", "gcron", *arguments],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def runs_in(directory: Path) -> list[StoredRun]:
    store = SqliteStore(str(directory))
    try:
        return list(store.runs(RunQuery(limit=1000)).runs)
    finally:
        store.close()


def output_in(directory: Path, run: StoredRun) -> bytes:
    store = SqliteStore(str(directory))
    try:
        part = store.output(run.run_id)
    finally:
        store.close()
    return b"" if part is None else part.data


def test_a_stopped_gcron_has_written_all_of_its_history(gcron_run: Run, tmp_path: Path) -> None:
    daemon = gcron_run(
        "# gcron: name=text\n@reboot echo out; echo err >&2; exit 3\n"
        "# gcron: name=raw output=raw\n@reboot printf 'a\\001b'\n"
        "# gcron: name=discard output=discard\n@reboot echo nobody reads this\n"
        "# gcron: name=little keep-output=10\n@reboot printf 0123456789abcdefghijklmnopqrstuvwxyz\n"
        "# gcron: name=none keep-output=0\n@reboot echo nothing is kept\n"
    )
    daemon.wait_for("text +failed")
    daemon.wait_for("(raw|discard|little|none) +succeeded", 4)
    assert daemon.stop() == 0
    state = tmp_path / "state0"
    runs = {run.job: run for run in runs_in(state)}
    assert {job: run.outcome for job, run in runs.items()} == {
        "text": "failed",
        "raw": "succeeded",
        "discard": "succeeded",
        "little": "succeeded",
        "none": "succeeded",
    }
    assert (runs["text"].exit_code, runs["text"].reason) == (3, "exit status 3")
    assert runs["text"].started is not None
    assert runs["text"].pid is not None
    assert sorted(output_in(state, runs["text"]).split()) == [b"err", b"out"]
    assert output_in(state, runs["raw"]) == b"a\x01b"
    assert output_in(state, runs["discard"]) == b""
    assert output_in(state, runs["little"]) == b"01234"
    assert runs["little"].output_size == 36
    assert not (state / "output" / runs["none"].run_id).exists()
    assert sorted(os.listdir(state)) == ["history.db", "lock", "output"], "the log of the database is in it again"
    assert {path.stat().st_mode & 0o077 for path in state.rglob("*")} == {0}


def test_output_can_be_read_while_the_job_runs(gcron_run: Run, tmp_path: Path, gate: Any) -> None:
    daemon = gcron_run(f"# gcron: name=job\n@reboot echo begins; {gate.wait}; echo ends\n")
    state = tmp_path / "state0"
    daemon.wait_for("begins")
    until(lambda: (state / "output").is_dir() and os.listdir(state / "output"))
    (file,) = (path for path in (state / "output").iterdir() if not path.suffix)
    until(lambda: file.read_text() == "begins\n")
    (run,) = until(lambda: [run for run in runs_in(state) if run.pid])
    assert (run.run_id, run.outcome) == (file.name, "")
    gate.open()
    daemon.wait_for("job +succeeded")
    until(lambda: file.read_text() == "begins\nends\n")


def test_history_outlives_a_kill_and_a_second_gcron_is_refused(gcron_run: Run, tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = gcron_run("# gcron: name=job\n@reboot echo hello\n", "--state", str(state))
    first.wait_for("job +succeeded")
    until(lambda: [run for run in runs_in(state) if run.outcome])
    refused = gcron("run", "--state", str(state), str(tmp_path / "crontab0"))
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("gcron: not started: a gcron runs as crontab0-")
    assert f"(process {first.process.pid}, since 20" in refused.stderr
    assert refused.stderr.count("\n") == 1
    first.send(signal.SIGKILL)
    first.wait()
    second = gcron_run("# gcron: name=job\n@reboot echo hello\n", "--state", str(state))
    second.wait_for("job +succeeded")
    assert second.stop() == 0
    assert [(run.job, run.outcome) for run in runs_in(state)] == [("job", "succeeded")] * 2


@pytest.mark.parametrize("other", [(), ("--instance", "other")], ids=["", "other-name"])
def test_a_second_gcron_on_the_same_crontab_says_that_jobs_run_twice(
    gcron_run: Run, tmp_path: Path, runtime: Path, other: tuple[str, ...]
) -> None:
    """With history in memory there is no lock: everything ran twice without a word."""
    first = gcron_run("@daily true\n", "--state", "memory")
    until(lambda: list(runtime.rglob("instance.json")), "the first one's socket")
    second = gcron_run("@daily true\n", "--state", "memory", *other, str(tmp_path / "crontab0"))
    shared = f"the jobs of {tmp_path / 'crontab0'}, too: each of them runs twice"
    second.wait_for(re.escape(f"(process {first.process.pid}, since 20") + ".*" + re.escape(shared))
    assert "twice" not in first.log


def test_where_nothing_can_be_written_gcron_runs_and_says_so_in_one_line(gcron_run: Run, tmp_path: Path) -> None:
    """A read-only container."""
    if os.geteuid() != 0:
        pytest.skip("needs the right to mount")
    script = f'mount --bind {tmp_path / "ro"} /var/lib && mount -o remount,ro,bind /var/lib && exec "$@"'
    (tmp_path / "ro").mkdir()
    if subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    crontab = tmp_path / "crontab"
    crontab.write_text("# gcron: name=job\n@reboot echo hello\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-m", "gcron", "run", str(crontab)],
            env=environment,
            stdout=log,
        )
    try:
        until(lambda: "succeeded" in (tmp_path / "log").read_text())
        notes = [line for line in (tmp_path / "log").read_text().splitlines() if "memory" in line]
        assert len(notes) == 1
        assert "history is kept in memory only, and is gone when gcron ends (/var/lib/gcron: Read-only file" in notes[0]
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--instance", "a/b"), "'a/b' is a path, and this command wants a name: up to 64 letters, digits, . _ and -"),
        (("--keep-runs", "many"), "keep-runs cannot be 'many' (a whole number, 0 or more)"),
        (("--keep-for", "1x"), "keep-for is not a duration"),
        (("--keep-output", "1Q"), "keep-output"),
    ],
)
def test_wrong_options_are_refused_with_what_would_be_right(options: tuple[str, str], message: str) -> None:
    result = gcron("run", *options, "crontab")
    assert result.returncode == 2
    assert message in result.stderr


# -- gcron state ------------------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A history of three runs, of which two failed."""
    directory = tmp_path / "gcron" / "jobs"
    directory.mkdir(parents=True)
    (directory / "lock").touch()
    store = SqliteStore(str(directory))
    outcomes = ["succeeded", "failed", "failed"]
    times = [1_700_000_000.0 + number for number in range(3)]
    runs = [
        StoredRun(f"run{number}", "job", time, outcome, finished=time, output_size=6)
        for number, (time, outcome) in enumerate(zip(times, outcomes, strict=True))
    ]
    store.write(Batch(runs=tuple(runs)))
    store.write_output([OutputPiece(run.run_id, [b"hello\n"], 0, 1000) for run in runs])
    store.close()
    return directory


def test_state_shows_where_the_history_is_and_how_large(state: Path) -> None:
    result = gcron("state", "--state", str(state))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:3] == [
        f"jobs: {state}",
        "  used by    nobody now",
        "  history    3 runs of 1 job, the oldest of 2023-11-14T22:13:20.000Z",
    ]
    assert result.stdout.splitlines()[4] == "  output     18 bytes"
    record = json.loads(gcron("state", "--state", str(state), "--json").stdout)
    assert (record["runs"], record["jobs"], record["output_bytes"], record["in_use"]) == (3, 1, 18, False)


def test_state_names_the_gcron_that_uses_the_history(gcron_run: Run, tmp_path: Path) -> None:
    daemon = gcron_run("# gcron: name=job\n@reboot echo hello\n")
    daemon.wait_for("job +succeeded")
    until(lambda: (tmp_path / "state0" / "history.db").exists())
    shown = until(lambda: (result := gcron("state", "--state", str(tmp_path / "state0"))).returncode == 0 and result)
    assert f"used by    process {daemon.process.pid}, since 20" in shown.stdout


def test_state_exports_one_object_a_line(state: Path) -> None:
    result = gcron("state", "export", "--state", str(state))
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(record["run_id"], record["outcome"]) for record in records] == [
        ("run0", "succeeded"),
        ("run1", "failed"),
        ("run2", "failed"),
    ]


def test_state_prunes_and_keeps_the_last_failures(state: Path) -> None:
    result = gcron("state", "prune", "--keep-runs", "0", "--state", str(state))
    assert (result.returncode, result.stdout) == (0, "1 run forgotten\n")
    assert sorted(os.listdir(state / "output")) == ["run1", "run2"]
    assert gcron("state", "prune", "--state", str(state)).stdout == "0 runs forgotten\n"


def test_state_compacts(state: Path) -> None:
    with closing(sqlite3.connect(state / "history.db")) as connection:
        connection.execute("CREATE TABLE bulk AS SELECT randomblob(1000000) AS x")
        connection.execute("DROP TABLE bulk")
        connection.commit()
    size = (state / "history.db").stat().st_size
    result = gcron("state", "compact", "--state", str(state))
    assert result.returncode == 0, result.stderr
    assert (state / "history.db").stat().st_size < size / 5


def test_state_check_finds_damage_and_leaves_it_where_it_is(state: Path) -> None:
    assert gcron("state", "check", "--state", str(state)).stdout == "jobs: the history is whole\n"
    path = state / "history.db"
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    result = gcron("state", "check", "--state", str(state))
    assert result.returncode == 1
    assert result.stdout or "malformed" in result.stderr
    assert sorted(path.name for path in state.glob("history.db*")) == ["history.db"]


def test_state_without_a_history_says_so(tmp_path: Path) -> None:
    result = gcron("state", "--state", str(tmp_path / "none"))
    assert (result.returncode, result.stderr) == (1, f"gcron: there is no history in {tmp_path}/none\n")
    (tmp_path / "empty").mkdir()
    result = gcron("state", "--state", str(tmp_path / "empty"))
    assert (result.returncode, result.stderr) == (1, f"gcron: there is no history in {tmp_path}/empty\n")

"""Jobs that run after others, with `gcron run`: as a user sees them, and when gcron is killed."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.scheduler.history import RunQuery, StoredRun
from gcron.state.sqlite import SqliteStore
from tests.waiting import PATIENCE, until

Run = Callable[..., Any]
Find = Callable[[str], list[int]]


class Chain:
    """Gcrons that follow one another on one history, with `extract`, `load` and `transform`."""

    def __init__(self, gcron_run: Run, folder: Path, text: str) -> None:
        self._run = gcron_run
        self.text = text
        self.state = folder / "state"
        self.starts = folder / "starts"
        """A line for each start of `transform`."""
        self.starts.touch()
        self.daemon: Any = None
        self.count = 0

    def start(self) -> None:
        options = ("--state", str(self.state), "--instance", f"chain{self.count}", "--no-watch")
        self.daemon = self._run(self.text, *options)
        self.count += 1
        self.daemon.wait_for("jobs? from")
        until(lambda: self.ask("status", "--names", check=False).returncode == 0)

    def kill(self) -> None:
        self.daemon.send(signal.SIGKILL)
        self.daemon.wait()

    def ask(self, command: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-m", "gcron", command, "--instance", f"chain{self.count - 1}", *words]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def waits(self) -> str:
        waits: str = json.loads(self.ask("status", "transform", "--json").stdout)["waits"]
        return waits

    def runs(self, job: str) -> list[StoredRun]:
        """Oldest first."""
        store = SqliteStore(str(self.state))
        try:
            return list(store.runs(RunQuery(job=job, limit=1000)).runs)[::-1]
        finally:
            store.close()

    def ended(self, job: str, outcome: str = "succeeded") -> None:
        """Wait until the history on disk has that outcome."""
        until(lambda: (self.state / "history.db").exists() and [r for r in self.runs(job) if r.outcome == outcome])

    def lines(self) -> list[str]:
        return self.starts.read_text().splitlines()

    def ends(self, job: str) -> list[float]:
        """When it was about to succeed. The history may not know yet what gcron saw just before it was killed."""
        return [float(line) for line in self.starts.with_name(job).read_text().splitlines()]


def crontab(
    folder: Path, *, extract: str = "true", load: str = "true", when: str = "@manual", options: str = ""
) -> str:
    return (
        f"# gcron: name=extract\n{when} {extract}\n"
        f"# gcron: name=load\n{when} {load}\n"
        f"# gcron: name=transform {options}\n@after extract,load date +\\%s.\\%N >> {folder}/starts\n"
    )


def test_a_chain_as_a_user_sees_it(gcron_run: Run, tmp_path: Path, runtime: Path) -> None:
    chain = Chain(gcron_run, tmp_path, crontab(tmp_path, load=f"test -e {tmp_path}/ready"))
    chain.start()
    chain.ask("trigger", "extract", "--wait")
    assert chain.ask("trigger", "load", "--wait", check=False).returncode == 1
    until(lambda: "load failed at" in chain.waits())
    shown = chain.ask("why", "transform").stdout
    assert re.search(
        r"^transform at .*: waits for load; extract succeeded at \d\d:\d\d; load failed at \d\d:\d\d: exit status 1$",
        shown.replace("\n  ", " ").splitlines()[0],
    ), shown
    assert "Runs after extract and load have each succeeded" in shown
    assert "fires" not in shown
    assert re.search(r"^transform +@after extract,load +- +waits for load$", chain.ask("status").stdout, re.MULTILINE)
    assert re.search(
        r"^next +waits for load; extract succeeded at", chain.ask("status", "transform").stdout, re.MULTILINE
    )
    chain.daemon.send(signal.SIGUSR1)
    chain.daemon.wait_for("chain +transform: waits for load; extract succeeded")
    chain.ask("pause", "transform")
    assert "paused" in chain.ask("status").stdout
    (tmp_path / "ready").touch()
    chain.ask("trigger", "load", "--wait")
    assert "paused: it runs when it is resumed" in chain.ask("why", "transform").stdout
    assert chain.lines() == []
    chain.ask("resume", "transform")
    chain.daemon.wait_for("transform +succeeded")
    assert len(chain.lines()) == 1
    assert chain.waits() == "waits for extract and load"
    assert chain.daemon.stop() == 0


def test_a_reload_with_a_wrong_name_changes_nothing(gcron_run: Run, tmp_path: Path, runtime: Path) -> None:
    chain = Chain(gcron_run, tmp_path, crontab(tmp_path))
    chain.start()
    chain.ask("trigger", "extract", "--wait")
    file = tmp_path / "crontab0"
    file.write_text(chain.text.replace("@after extract,load", "@after extract,laod"))
    refused = chain.ask("reload", check=False)
    assert refused.returncode == 1
    assert "crontab0:6:16: error: @after names 'laod', which does not exist" in refused.stderr
    file.write_text(chain.text.replace("@after extract,load", "@after load,extract").replace("true", "exit 0"))
    assert "changed extract, load, transform" in chain.ask("reload").stdout
    chain.ask("trigger", "load", "--wait")
    chain.daemon.wait_for("transform +succeeded")
    assert len(chain.lines()) == 1


@pytest.mark.realtime
def test_a_kill_between_two_successes_forgets_neither(gcron_run: Run, tmp_path: Path, runtime: Path) -> None:
    chain = Chain(gcron_run, tmp_path, crontab(tmp_path))
    chain.start()
    chain.ask("trigger", "extract", "--wait")
    chain.ended("extract")
    chain.kill()
    chain.start()
    assert chain.waits().startswith("waits for load; extract succeeded at")
    assert chain.lines() == []
    chain.ask("trigger", "load", "--wait")
    chain.daemon.wait_for("transform +succeeded")
    chain.ended("transform")
    chain.kill()
    chain.start()
    assert chain.waits() == "waits for extract and load"
    assert len(chain.lines()) == 1
    chain.ask("trigger", "load", "--wait")
    assert chain.waits().startswith("waits for extract; load succeeded at")


@pytest.mark.realtime
def test_a_kill_between_the_last_success_and_the_start_runs_it_once(
    gcron_run: Run, tmp_path: Path, runtime: Path, unique: str, marked_processes: Find
) -> None:
    """It waits for a place in its group, through two kills. The job in that place is adopted each time."""
    text = "# gcron-group: one limit=1\n" + crontab(tmp_path, options="group=one")
    chain = Chain(gcron_run, tmp_path, f"{text}# gcron: name=other group=one\n@manual exec sleep {unique}\n")
    chain.start()
    chain.ask("trigger", "other")
    (pid,) = until(lambda: marked_processes(unique))
    until(lambda: (chain.state / "history.db").exists() and [run for run in chain.runs("other") if run.pid == pid])
    chain.ask("trigger", "extract", "--wait")
    chain.ask("trigger", "load", "--wait")
    chain.ended("extract")
    chain.ended("load")
    try:
        for _ in range(2):
            chain.daemon.wait_for("transform +waits for its turn in the group one")
            chain.kill()
            assert chain.lines() == []
            chain.start()
        chain.daemon.wait_for("transform +waits for its turn in the group one")
    finally:
        psutil.Process(pid).kill()
    chain.daemon.wait_for("transform +succeeded")
    assert len(chain.lines()) == 1
    chain.ended("transform")
    assert [run.outcome for run in chain.runs("transform")] == ["lost", "lost", "succeeded"]
    chain.kill()
    chain.start()
    assert chain.waits() == "waits for extract and load"
    assert len(chain.lines()) == 1


@pytest.mark.realtime
def test_however_often_gcron_is_killed_no_round_starts_its_job_twice(
    gcron_run: Run, tmp_path: Path, runtime: Path, request: pytest.FixtureRequest
) -> None:
    """Between two starts, each job before it has had a success that ended after the first of them."""
    extract, load = (f"sleep 0.8; date +\\%s.\\%N >> {tmp_path}/{job}" for job in ("extract", "load"))
    chain = Chain(gcron_run, tmp_path, crontab(tmp_path, extract=extract, load=load, when="@every 1s"))
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    for _ in range(4 if request.config.getoption("kills") <= 20 else 30):
        chain.start()
        time.sleep(chance.uniform(0.0, 2.5))
        chain.kill()
    chain.start()
    before = len(chain.lines())
    until(lambda: len(chain.lines()) > before)
    assert chain.daemon.stop() == 0
    starts = [float(line) for line in chain.lines()]
    for job in ("extract", "load"):
        ends = chain.ends(job)
        for first, second in pairwise(starts):
            assert any(first < end < second for end in ends), f"{job} has not succeeded between (seed {seed})"

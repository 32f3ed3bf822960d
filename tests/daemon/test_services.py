"""Services in `gcron run`: log, reload, shutdown and exit status."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Gate
from tests.waiting import takes

Run = Callable[..., Any]
Marked = Callable[[str], list[int]]
DEAF = "trap '' TERM; echo up; while :; do sleep 0.05; done"


def lines_of(log: str) -> list[str]:
    """Return the lines of the log without times and pids."""
    return [re.sub(r"pid \d+", "pid N", line.split("  ", 1)[1]) for line in log.splitlines()]


def test_the_log_shows_the_life_of_services(gcron_run: Run) -> None:
    daemon = gcron_run(
        "# gcron: name=db ready-line=accepting restart-delay=0.2\n"
        "@service echo accepting; exec sleep 60\n"
        "# gcron: name=broken restart-delay=0.1 restart-limit=2 min-uptime=1m\n"
        "@service exit 3\n"
        "# gcron: name=after after=db\n"
        "@reboot true\n"
    )
    daemon.wait_for("after .*succeeded")
    daemon.wait_for("broken .*service failed")
    daemon.send(signal.SIGTERM)
    daemon.wait()
    lines = lines_of(daemon.log)
    assert [line.split(" (after ")[0] for line in lines if line.startswith("broken")] == [
        "broken   started (pid N)",
        "broken   failed: exit status 3",
        "broken   will be started again in 0.10 s (restart 1)",
        "broken   started (pid N)",
        "broken   failed: exit status 3",
        "broken   service failed, and is not started again: given up after 2 short lives in a row: exit status 3",
    ]
    assert [line.split(" (after ")[0] for line in lines if line.startswith("db")] == [
        "db       started (pid N)",
        "db       | accepting",
        "db       ready: ready-line was seen",
        "db       stopped: gcron is told to stop",
    ]
    assert "gcron    SIGTERM: stopping" in lines, "nobody waits for services to finish"


def test_the_json_log_shows_each_state_of_a_service(gcron_run: Run) -> None:
    daemon = gcron_run("# gcron: name=web restart-delay=30\n@service exit 4\n", "--log-format", "json")
    daemon.wait_for("backing-off")
    assert daemon.stop() == 0
    records = [json.loads(line) for line in daemon.log.splitlines()]
    told = [record for record in records if record["event"] == "service-state-changed"]
    levels = [record.pop("level") for record in told]
    assert levels == ["info", "info", "warning", "info"]
    common = {"event": "service-state-changed", "job": "web", "restarts": 0}
    assert [{key: value for key, value in record.items() if key != "time"} for record in told] == [
        {**common, "state": "starting", "reason": "gcron starts it", "reason_code": "startup"},
        {**common, "state": "ready", "reason": "", "reason_code": ""},
        {**common, "state": "backing-off", "reason": "exit status 4", "reason_code": "exit-status", "delay": 30.0},
        {**common, "state": "stopped", "reason": "gcron is told to stop", "reason_code": "shutdown"},
    ]


def test_services_that_obey_the_stop_signal_are_a_clean_end(
    gcron_run: Run, marked_processes: Marked, unique: str
) -> None:
    daemon = gcron_run(f"# gcron: name=web\n@service sleep {unique} & exec sleep {unique}\n")
    daemon.wait_for("web .*started")
    assert daemon.stop() == 0
    assert "web      stopped: gcron is told to stop" in daemon.log
    assert marked_processes(f"sleep {unique}") == []


@pytest.mark.realtime
def test_a_service_that_had_to_be_killed_is_named_and_the_exit_status_is_3(gcron_run: Run) -> None:
    daemon = gcron_run(f"# gcron: name=deaf kill-after=0.3s\n@service {DEAF}\n")
    daemon.wait_for(r"\| up")
    with takes(at_most=0.3 + 4):  # kill-after is 10 s by default
        assert daemon.stop() == 3
    assert daemon.log.splitlines()[-1].endswith("stopped; had to be killed: deaf")


@pytest.mark.realtime
def test_jobs_finish_first_and_a_second_signal_kills_everything(gcron_run: Run) -> None:
    """A service is not even asked to end while a job may need it."""
    says = DEAF.replace("''", "'echo asked'")
    daemon = gcron_run(f"# gcron: name=deaf\n@service {says}\n# gcron: name=job\n@reboot sleep 60\n")
    daemon.wait_for(r"\| up")
    daemon.wait_for("job .*started")
    daemon.send(signal.SIGTERM)
    daemon.wait_for("waiting up to 30 s for job ")
    daemon.send(signal.SIGUSR1)
    daemon.wait_for("service  deaf: ready")  # it has been through the loop since then
    assert "| asked" not in daemon.log
    with takes(at_most=5):
        assert daemon.stop(signal.SIGINT) == 3
    assert "SIGINT: killing job, deaf" in daemon.log


def test_a_service_that_has_failed_can_end_gcron_with_status_5(gcron_run: Run, gate: Gate) -> None:
    """`gcron run` went on, with nothing but jobs that waited for a service that would never be there."""
    daemon = gcron_run(
        f"# gcron: name=web restart=never on-failed=stop\n@service {gate.wait}; exit 3\n"
        f"# gcron: name=job\n@reboot echo up; until grep -q 'web has failed' log0; do sleep 0.02; done; echo done\n",
        cwd=gate.path.parent,
    )
    daemon.wait_for(r"\| up")
    gate.open()
    assert daemon.wait() == 5
    assert "the service web has failed: stopping, waiting up to 30 s for job" in daemon.log
    assert "| done" in daemon.log
    assert daemon.log.splitlines()[-1].endswith("stopped; the service web has failed")


def test_a_reload_does_not_restart_an_unchanged_service(gcron_run: Run, tmp_path: Path) -> None:
    same = "# gcron: name=same\n@service exec sleep 60\n"
    daemon = gcron_run(f"{same}# gcron: name=changed\n@service exec sleep 61\n")
    daemon.wait_for("same .*started")
    (pid,) = map(int, daemon.wait_for(r"changed .*started \(pid (\d+)\)"))
    path = tmp_path / "crontab0"
    path.write_text(f"# a line more\n{same}# gcron: name=changed\n@service exec sleep 62\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_for(r"changed .*started \(pid \d+\)", 2)
    assert not psutil.pid_exists(pid)
    assert "changed  stopped: its definition has changed" in daemon.log
    assert daemon.stop() == 0
    assert len(re.findall("same .*started", daemon.log)) == 1


@pytest.mark.realtime
def test_a_crash_loop_uses_little_cpu_and_few_log_lines(gcron_run: Run) -> None:
    daemon = gcron_run("# gcron: name=web restart-delay=0 min-uptime=0\n@service exit 1\n")
    daemon.wait_for("web .*started")
    process = psutil.Process(daemon.process.pid)
    before = sum(process.cpu_times()[:2])
    lines = len(daemon.log.splitlines())
    began = time.monotonic()
    time.sleep(2)
    seconds = time.monotonic() - began
    used = sum(process.cpu_times()[:2]) - before
    assert len(daemon.log.splitlines()) - lines <= seconds * 10 * 3 + 3
    assert used < 1.0
    assert daemon.stop() == 0

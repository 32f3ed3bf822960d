"""The status that USR1 prints."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE

Run = Callable[..., Any]

TABLE = "# gcron: name=long\n@reboot sleep 1000\n" + "".join(
    f"# gcron: name=yearly{month:02}\n0 0 1 {month} * true\n" for month in range(1, 13)
)


def test_the_text_status_is_one_block(gcron_run: Run) -> None:
    daemon = gcron_run(TABLE)
    ((pid),) = daemon.wait_for(r"started \(pid (\d+)\)")
    daemon.send(signal.SIGUSR1)
    daemon.wait_for("files    ")
    block = daemon.log[daemon.log.index("status: ") :].splitlines()
    assert block[0] == "status: 13 jobs, 1 running"
    texts = [line.split("gcron", 1)[1].strip() for line in block[1:]]
    assert re.fullmatch(rf"running  long: pid {pid}, since \S+Z \(.* s\), attempt 1, run \w+", texts[0])
    following = [re.fullmatch(r"next     (\d{4}-\d\d-01 00:00:00Z)  yearly\d\d", text) for text in texts[1:11]]
    assert all(following)
    assert [found[1] for found in following if found] == sorted(found[1] for found in following if found)
    assert texts[11:] == ["files    as they were at the start"]
    assert daemon.stop(signal.SIGQUIT) == 3


def test_the_json_status_is_one_object(gcron_run: Run) -> None:
    daemon = gcron_run(TABLE, "--log-format", "json")
    ((pid),) = daemon.wait_for(r'"pid":(\d+)')
    daemon.send(signal.SIGUSR1)
    daemon.wait_for('"event":"status".*\n')
    (status,) = [json.loads(line) for line in daemon.log.splitlines() if '"status"' in line]
    (run,) = status["running"]
    assert (run["job"], run["pid"], run["attempt"]) == ("long", int(pid), 1)
    assert len(status["next"]) == 10
    assert [status["jobs"], status["last_reload"], status["reading_since"], status["problem"]] == [13, None, None, None]
    daemon.send(signal.SIGHUP)
    daemon.wait_for("SIGHUP: read again: 0 added")
    daemon.send(signal.SIGUSR1)
    daemon.wait_for('"event":"status".*\n', 2)
    again = json.loads(daemon.log.splitlines()[-1])
    assert again["last_reload"].endswith("Z")
    assert 0 <= run["seconds"] < again["running"][0]["seconds"] < PATIENCE
    assert daemon.stop(signal.SIGQUIT) == 3


SERVICES = (
    "# gcron: name=up\n@service sleep 1000\n# gcron: name=down restart-limit=1 restart-delay=0s\n@service exit 3\n"
)


def test_the_json_status_shows_services_with_their_states(gcron_run: Run) -> None:
    daemon = gcron_run(SERVICES, "--log-format", "json")
    ((pid),) = daemon.wait_for(r'"process-started","job":"up","run_id":"\w+","pid":(\d+)')
    daemon.wait_for('"state":"failed"')
    daemon.send(signal.SIGUSR1)
    daemon.wait_for('"event":"status".*\n')
    (status,) = [json.loads(line) for line in daemon.log.splitlines() if '"event":"status"' in line]
    assert status["running"] == []
    up, down = status["services"]
    assert (up["job"], up["state"], up["restarts"], up["life"]["pid"]) == ("up", "ready", 0, int(pid))
    assert (down["job"], down["state"], down["life"]) == ("down", "failed", None)
    assert down["reason"]
    assert daemon.stop() == 0


def test_the_text_status_shows_services(gcron_run: Run) -> None:
    daemon = gcron_run(SERVICES)
    daemon.wait_for("service failed")
    daemon.send(signal.SIGUSR1)
    daemon.wait_for(r"service  up: \w+.*, since \S+Z, 0 restarts; pid \d+, since")
    daemon.wait_for("service  down: failed: .*, since")
    assert daemon.stop() == 0


def test_the_status_shows_that_the_history_does_not_work_and_the_log_says_so_once(
    gcron_run: Run, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir(0o700)
    (state / "output").touch()  # where a directory is to be
    daemon = gcron_run("# gcron: name=job\n@every 1s echo hello\n", "--state", str(state))
    daemon.wait_for("job +succeeded", 3)
    daemon.send(signal.SIGUSR1)
    daemon.wait_for(r"history  does not work since \S+Z: \w+Error: .*output")
    (state / "output").unlink()
    daemon.wait_for("the store works again")
    assert daemon.log.count("the store does not work") == 1
    count = daemon.log.count("job  ")
    daemon.wait_for("job +succeeded", count + 1)
    assert daemon.stop() == 0

"""The examples for containers and systemd, as far as they can be tried without either."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gcron.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "gcron.service"
    text = (EXAMPLES / "systemd" / "gcron.service").read_text()
    unit.write_text(text.replace("/usr/local/bin/gcron", sys.executable))  # it looks whether the program is there
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_leaves_more_time_than_stopping_takes() -> None:
    text = (EXAMPLES / "systemd" / "gcron.service").read_text()
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(seconds) > 30 + 10 + 5


def test_the_containers_crontab_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--strict", str(EXAMPLES / "container" / "crontab")]) == 0
    assert "2 jobs, 0 errors, 0 warnings" in capsys.readouterr().out


def test_the_containers_command_is_in_the_exec_form() -> None:
    text = (EXAMPLES / "container" / "Dockerfile").read_text()
    command = [
        word for line in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", text, re.MULTILINE) for word in json.loads(line)
    ]
    assert command == ["gcron", "run", "/etc/gcron/crontab"]
    assert f"COPY examples/container/crontab {command[-1]}" in text

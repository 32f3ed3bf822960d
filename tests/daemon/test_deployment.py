"""The examples for containers and systemd, as far as a test can check them without either."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gcron.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["gcron.service", "gcron-hardened.service"])
def test_systemd_accepts_the_unit(tmp_path: Path, name: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / name
    text = (EXAMPLES / "systemd" / name).read_text()
    unit.write_text(
        text.replace("/usr/local/bin/gcron", sys.executable)
    )  # systemd-analyze checks that the program exists
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_hardened_unit_is_the_unit_and_its_restrictions() -> None:
    plain, hardened = (
        (EXAMPLES / "systemd" / name).read_text() for name in ("gcron.service", "gcron-hardened.service")
    )
    service = plain.partition("[Service]")[2].partition("[Install]")[0].strip()
    assert service in hardened


def test_the_unit_allows_more_time_than_a_stop_takes() -> None:
    text = (EXAMPLES / "systemd" / "gcron.service").read_text()
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(seconds) > 30 + 10 + 5


def test_the_crontab_of_the_container_has_no_problems(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--strict", str(EXAMPLES / "container" / "crontab")]) == 0
    assert "2 jobs, 0 errors, 0 warnings" in capsys.readouterr().out


def test_the_command_of_the_container_is_in_exec_form() -> None:
    text = (EXAMPLES / "container" / "Dockerfile").read_text()
    command = [
        word for line in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", text, re.MULTILINE) for word in json.loads(line)
    ]
    assert command == ["gcron", "run", "/etc/gcron/crontab"]
    assert f"COPY examples/container/crontab {command[-1]}" in text


def test_the_user_of_the_container_is_a_number_and_not_root() -> None:
    """With runAsNonRoot Kubernetes refuses `USER nobody`: it cannot know that a name is not root."""
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (EXAMPLES / "container" / "Dockerfile").read_text(), re.MULTILINE)
    assert int(user[0]) > 0
    assert int(user[1]) > 0


def test_all_files_of_the_wheel_reach_the_build_of_the_image() -> None:
    root = EXAMPLES.parent
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    needed = {"pyproject.toml", settings["project"]["readme"], *settings["project"]["license-files"]}
    needed |= set(settings["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
    needed |= {"examples/container/crontab"}
    lines = (EXAMPLES / "container" / "Dockerfile.dockerignore").read_text().splitlines()
    let_through = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert needed == let_through
    assert all((root / name).exists() for name in needed)


def test_the_nodes_of_the_cluster_differ_in_their_name_only() -> None:
    text = (EXAMPLES / "cluster" / "compose.yaml").read_text()
    names = re.findall(r"^      GCRON_NODE: (\w+)$", text, re.MULTILINE)
    assert names == re.findall(r"^  (\w+):\n    <<: \*node$", text, re.MULTILINE) == ["a", "b"]
    assert 'EXTRAS: "[postgres]"' in text
    assert "ARG EXTRAS" in (EXAMPLES / "container" / "Dockerfile").read_text()

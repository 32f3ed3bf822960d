"""The samples of docs/commands.md: each command prints what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gcron.cli.control_options import CONTROL_COMMANDS
from gcron.cli.main import main
from tests.waiting import PATIENCE

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"
TEXT = DOCS.read_text(encoding="utf-8")
SAMPLES = re.findall(r"```console\n\$ gcron ([^\n]*)\n(.*?)```", TEXT, re.DOTALL)
FILES = dict(zip(("jobs.crontab", "wrong.crontab"), re.findall(r"```crontab\n(.*?)```", TEXT, re.DOTALL), strict=True))


def output_of(command: str, directory: Path) -> str:
    arguments, *head = command.split(" | ")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
    result = subprocess.run(
        [sys.executable, "-m", "gcron", *shlex.split(arguments)],
        cwd=directory,
        env={**variables, "TZ": "UTC", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        encoding="utf-8",
    )
    lines = result.stdout.splitlines(keepends=True)
    assert head in ([], ["head -1"])
    return "".join(lines[:1] if head else lines)


@pytest.mark.parametrize(("command", "printed"), SAMPLES, ids=[command for command, _ in SAMPLES])
def test_each_sample_is_what_the_command_prints(command: str, printed: str, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert output_of(command, tmp_path) == printed


COMMANDS = [
    "run",
    "check",
    "edit",
    "list",
    "next",
    "timeline",
    "suggest",
    "explain",
    "exec",
    "notify",
    "state",
    "help",
    *CONTROL_COMMANDS,
]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_and_option_is_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"## gcron {command} " in TEXT
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out.partition("examples:")[0])) - {"--help", "--count"}
    assert {option for option in options if f"`{option}" not in TEXT} == set()

"""Standard streams that are full, closed, or know few characters: no loss is silent, and streams are not mixed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NIGHT = ("--tz", "Europe/Berlin", "--from", "2027-03-28", "--to", "2027-03-28T12:00")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that Linux has")
@pytest.mark.parametrize("arguments", [["--help"], ["next", "--help"], ["help"], ["help", "crontab"]])
def test_help_on_a_full_disk_reports_the_error(tmp_path: Path, arguments: list[str]) -> None:
    """`gcron --help > FILE` on a full disk ended with status 0 and an empty file: argparse ignores the error."""
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "gcron", *arguments], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (result.returncode, result.stderr) == (
        1,
        "gcron: cannot write the output: No space left on device\n",
    )


def test_without_stderr_problems_are_not_printed_to_stdout(tmp_path: Path, write: Callable[..., str]) -> None:
    """With descriptor 2 closed, `print(file=sys.stderr)` was `print(file=None)`, which prints to stdout."""
    write("@daily true\n61 * * * * true\n")
    command = f"exec {sys.executable} -m gcron check crontab 2>&-"
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "crontab: 1 job, 1 error, 0 warnings\n")


def test_in_ascii_our_own_symbols_are_replaced(gcron: Callable[..., Any], write: Callable[..., str]) -> None:
    """An arrow was printed as `\\u2192`, five columns too wide for its table."""
    write(f"# gcron: name={'n' * 40}\n*/20 2 * * * true\n")
    table = gcron("next", *NIGHT, "crontab", **ASCII).stdout
    assert "02:00 > 03:00" in table
    assert "skipped: 02:00 ~ 02:40" in table
    picture = gcron("timeline", *NIGHT, "crontab", **ASCII).stdout
    assert (table + picture).isascii()
    assert "\\u" not in table + picture


def test_in_ascii_other_characters_are_escaped(gcron: Callable[..., Any], write: Callable[..., str]) -> None:
    write("@daily echo % ü\n")
    assert r"@daily echo % \xfc" in gcron("check", "crontab", **ASCII).stderr


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_the_list_of_topics_fits_the_terminal(terminal: Callable[..., bytes], columns: int) -> None:
    lines = terminal("help", COLUMNS=str(columns), LINES="20").decode().splitlines()
    assert max(map(len, lines)) <= max(columns, 30)


@pytest.mark.parametrize("command", ["", "run", "exec", "check", "next", "explain", "timeline", "help", "completion"])
def test_help_of_commands_fits_80_columns(gcron: Callable[..., Any], command: str) -> None:
    """The lines of examples and exit statuses are not wrapped, and were up to 114 columns wide."""
    result = gcron(*command.split(), "--help", COLUMNS="80")
    assert {line for line in result.stdout.splitlines() if len(line) > 80} == set()

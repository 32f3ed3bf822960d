"""`crontab -l | gcron check -`: a crontab can come from a pipe."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcron.crontab.source import MAX_SIZE
from tests.waiting import PATIENCE


def _pipe(data: bytes, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "gcron", *arguments], input=data, cwd=cwd, capture_output=True, timeout=PATIENCE
    )


@pytest.mark.parametrize("command", ["check", "list", "next", "timeline"])
def test_a_dash_means_stdin(command: str, tmp_path: Path) -> None:
    """It was "no such file or directory". Users of cron's spool have no file to name."""
    result = _pipe(b"# gcron: name=backup\n30 2 * * * x\n", command, "-", cwd=tmp_path)

    assert (result.returncode, result.stderr) == (0, b"")
    assert (b"1 job" if command == "check" else b"backup") in result.stdout


def test_problems_of_stdin_are_reported_as_such(tmp_path: Path) -> None:
    result = _pipe(b"61 2 * * * x\n", "check", "-", cwd=tmp_path)

    assert result.returncode == 1
    assert result.stderr.startswith(b"<stdin>:1:1: error: ")


def test_more_than_1_mib_from_stdin_is_refused(tmp_path: Path) -> None:
    result = _pipe(b"#" * (MAX_SIZE + 1), "check", "-", cwd=tmp_path)

    assert result.returncode == 1
    assert b"<stdin>: error: cannot be read: it is larger than 1 MiB" in result.stderr


def test_exec_reads_stdin(tmp_path: Path) -> None:
    result = _pipe(b"30 2 * * * echo done\n", "exec", "-", "1", cwd=tmp_path)

    assert (result.returncode, result.stdout, result.stderr) == (0, b"done\n", b"")


def test_run_reads_stdin_once_and_a_reload_keeps_it(gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    """`generate-crontab | gcron run -` was refused, although nothing needs a file."""
    (tmp_path / "in").write_bytes(b"# gcron: name=piped\n@daily true\n")
    with (tmp_path / "in").open("rb") as stdin:
        daemon = gcron_run("# gcron: name=own\n@daily true\n", "-", stdin=stdin)
    daemon.wait_for("2 jobs from standard input, ")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("SIGHUP: read again: 0 added, 0 changed, 0 removed")
    assert daemon.stop() == 0


def test_an_unreadable_stdin_gives_a_clear_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gcron", "check", "-"]
    with (tmp_path / "written").open("wb") as not_for_reading:
        result = subprocess.run(command, stdin=not_for_reading, cwd=tmp_path, capture_output=True, timeout=PATIENCE)

    assert result.returncode == 1
    assert result.stderr == b"<stdin>: error: cannot be read: bad file descriptor\n"

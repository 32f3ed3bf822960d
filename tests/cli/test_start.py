"""`gcron run` starts quickly: what it does before its first job, and what it does later."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from gcron.cli.main import main
from tests.measuring import unmeasured

# Each takes a millisecond or more, and a crontab of simple lines needs none before its first job.
SLOW = {"croniter", "dataclasses", "inspect", "json", "random", "rich", "shutil", "sqlite3", "tempfile"}


def test_nothing_slow_is_imported_before_the_first_job(write: Callable[..., str], tmp_path: Path) -> None:
    file = write("*/5 3 * * 1-5 true\n# gcron: name=first\n@reboot kill $PPID\n")
    result = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-m",
            "gcron",
            "run",
            "--split-logs",
            "--no-watch",
            "--state",
            "history",
            file,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        env=unmeasured(),
    )
    assert result.returncode == 0
    before, started, _ = result.stderr.partition(" started (pid ")
    assert started
    imported = set(re.findall(r"^import time: .*\| +(\S+)$", before, re.MULTILINE))
    assert {"gcron.cli.main", "gcron.scheduler.scheduler"} <= imported
    assert imported & SLOW == set()
    assert "gcron.scheduler.chains" not in imported, "it is for jobs that run after others"


def test_only_the_command_that_runs_is_made_and_loaded() -> None:
    program = (
        "import sys; from gcron.cli.options import make_parser; make_parser('run');"
        "print([name for name in sys.modules if name.startswith('gcron.cli.')])"
    )
    names = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20).stdout
    assert sorted(re.findall(r"gcron\.cli\.\w+", names)) == [
        "gcron.cli.control_options",
        "gcron.cli.messages",
        "gcron.cli.node_options",
        "gcron.cli.option_values",
        "gcron.cli.options",
        "gcron.cli.parser",
        "gcron.cli.terminal",
    ]


def test_the_garbage_collector_is_on_after_the_start(write: Callable[..., str], tmp_path: Path) -> None:
    """`gcron_boot` turns it off to start sooner."""
    gc.disable()
    try:
        assert main(["run", str(tmp_path / write("61 * * * * x\n"))]) == 1
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()

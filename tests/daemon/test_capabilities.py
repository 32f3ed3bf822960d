"""Which feature needs which capability: the table of docs/security.md, tried without all others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to give up"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv(1)"),
]

NONE = "-all"
USERS = "-all,+setuid,+setgid"
CRONTAB = """
# gcron: name=plain
@manual root echo done
# gcron: name=user cwd=/
@manual nobody echo done as $(id -un)
# gcron: name=urgent nice=-5
@manual root echo done at $(nice)
# gcron: name=slow cwd=/ timeout=0.2s kill-after=1s
@manual nobody sleep 600
"""


def run(job: str, capabilities: str, tmp_path: Path) -> tuple[int, str]:
    """`gcron exec` with no other capabilities than these, and no way to get more."""
    crontab = tmp_path / "crontab"
    crontab.write_text(CRONTAB)
    confined = ["setpriv", "--no-new-privs", "--bounding-set", capabilities, "--inh-caps", NONE]
    gcron = [sys.executable, "-m", "gcron", "exec", "--system", str(crontab), job]
    done = subprocess.run(
        [*confined, *gcron],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("job", "capabilities", "says"),
    [
        ("plain", NONE, "done"),
        ("user", USERS, "done as nobody"),
        ("urgent", f"{NONE},+sys_nice", f"done at {os.nice(0) - 5}"),
    ],
)
def test_a_feature_works_with_its_capabilities_alone(job: str, capabilities: str, says: str, tmp_path: Path) -> None:
    assert run(job, capabilities, tmp_path) == (0, f"{says}\n")


@pytest.mark.parametrize(
    ("job", "capabilities", "says"),
    [
        ("user", NONE, "may not run a job as nobody (CAP_SETUID, CAP_SETGID)"),
        ("user", f"{NONE},+setuid", "may not run a job as nobody (CAP_SETUID, CAP_SETGID)"),
        ("urgent", NONE, "nice=-5"),
    ],
)
def test_without_them_the_run_says_what_is_missing(job: str, capabilities: str, says: str, tmp_path: Path) -> None:
    status, text = run(job, capabilities, tmp_path)
    assert status in (126, 127)
    assert says in text


def test_processes_of_other_users_are_ended_with_the_right_to_signal_them(tmp_path: Path) -> None:
    assert run("slow", f"{USERS},+kill", tmp_path)[0] == 124

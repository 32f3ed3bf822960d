"""Which feature needs which capability: the table of docs/security.md, tried without all others."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.supervise.timing import Timing
from tests.waiting import until

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


def confined(capabilities: str) -> tuple[str, ...]:
    """Starts a program with no other capabilities than these, and no way to get more."""
    return ("setpriv", "--no-new-privs", "--bounding-set", capabilities, "--inh-caps", NONE)


def run(job: str, capabilities: str, tmp_path: Path) -> tuple[int, str]:
    """`gcron exec`, confined to these capabilities."""
    crontab = tmp_path / "crontab"
    crontab.write_text(CRONTAB)
    gcron = [sys.executable, "-m", "gcron", "exec", "--system", str(crontab), job]
    done = subprocess.run(
        [*confined(capabilities), *gcron],
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
        ("urgent", f"{NONE},+sys_nice", f"done at {max(-20, os.nice(0) - 5)}"),
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


@pytest.mark.parametrize("capabilities", [NONE, f"{NONE},+dac_read_search"])
def test_user_crontabs_are_read_with_the_right_to_read_all_files(capabilities: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir(0o755)
    (spool / "nobody").write_text("@daily true\n")
    (spool / "nobody").chmod(0o600)
    os.chown(spool / "nobody", pwd.getpwnam("nobody").pw_uid, 0)
    command = [*confined(capabilities), sys.executable, "-m", "gcron", "check", "--spool", str(spool)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = "1 job, 0 errors, 0 warnings" if capabilities != NONE else "cannot be read: permission denied"
    assert said in done.stdout + done.stderr


# -- CAP_KILL ---------------------------------------------------------------------------------------------------

SLOW = "# gcron: name=slow cwd=/ timeout=0.5s kill-after=0.2s\n@reboot nobody exec sleep {}\n"


def test_processes_of_other_users_are_ended_with_the_right_to_signal_them(tmp_path: Path) -> None:
    assert run("slow", f"{USERS},+kill", tmp_path)[0] == 124


@pytest.mark.realtime
def test_without_the_right_to_signal_them_the_log_names_what_could_not_be_ended(
    gcron_run: Any, marked_processes: Any, unique: str
) -> None:
    """Without CAP_KILL, root itself may not signal another user's process."""
    daemon = gcron_run(
        SLOW.format(unique), "--system", before=confined(USERS), timing=Timing(unkillable_after=0.5), cwd="/"
    )
    try:
        (pid,) = until(lambda: marked_processes(f"sleep {unique}"), "the job")
        daemon.wait_for(rf"slow +timed-out: still running after 0.5 s.*could not be killed.*pid {pid}")
        assert daemon.stop() == 0  # that run was over before
        assert psutil.Process(pid).status() == psutil.STATUS_SLEEPING
    finally:
        for pid in marked_processes(f"sleep {unique}"):
            psutil.Process(pid).kill()


# -- the page ---------------------------------------------------------------------------------------------------


def test_the_table_of_the_page_is_what_is_tried_here() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    table = page.partition("| gcron needs | for |")[2].partition("\n\n")[0]
    needed = [row for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE) if "--" not in row]
    assert needed == [
        "no capability",
        "`CAP_SETUID`, `CAP_SETGID`",
        "`CAP_KILL`",
        "`CAP_SYS_NICE`",
        "`CAP_DAC_READ_SEARCH`",
    ]

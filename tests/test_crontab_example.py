"""crontab.example, which people copy, is valid here and in an ordinary cron."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gcron.crontab import load, parse
from gcron.schedule import EverySchedule

EXAMPLE = Path(__file__).parent.parent / "crontab.example"


def test_the_example_has_no_problems() -> None:
    """Newcomers ran `gcron check crontab.example`, and the example warned about itself."""
    assert load(EXAMPLE).problems == ()


def test_a_job_of_the_example_is_due_within_seconds() -> None:
    heartbeat = next(entry for entry in load(EXAMPLE).entries if entry.name == "heartbeat")

    assert isinstance(heartbeat.schedule, EverySchedule)
    assert heartbeat.schedule.period == 2


@pytest.mark.skipif(shutil.which("crontab") is None, reason="no ordinary cron is installed to ask")
def test_an_ordinary_cron_accepts_the_example() -> None:
    asked = subprocess.run(["crontab", "-n", EXAMPLE], capture_output=True, text=True, check=False)

    assert asked.returncode == 0, asked.stderr


def test_the_target_of_the_example_is_right_when_it_is_not_commented_out() -> None:
    text = EXAMPLE.read_text(encoding="utf-8").replace("## gcron", "# gcron")
    crontab = parse(text)

    assert crontab.problems == ()
    assert [target.name for target in crontab.targets] == ["ops"]
    assert all(entry.policy.notify == ("ops",) for entry in crontab.entries)

"""`gcron messages`, and what `gcron status` says of messages."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

Gcron = Callable[..., subprocess.CompletedProcess[str]]
CRONTAB = """\
# gcron-notify: hook url=http://127.0.0.1:1/SECRET on=failure
# gcron-notify: morning url=https://hooks.example.com/SECRET on=success quiet=08:00-07:59
# gcron-defaults: on-failure=true
# gcron: name=a notify=hook,morning timeout=2h expect-within=25h
@reboot exit 3
# gcron: name=b on-failure='exit 7'
@reboot exit 4
# gcron: name=c
@reboot exit 5
"""


@pytest.fixture
def ask(gcron_run: Callable[..., Any], gcron: Gcron, runtime: Path) -> Callable[..., str]:
    """Start gcron with a crontab; return what asks it."""

    def start(crontab: str) -> Callable[..., str]:
        gcron_run(crontab, "--state", "memory").wait_for("Ctrl-C stops")
        socket = until(lambda: list(runtime.rglob("control.sock")))[0]

        def ask(*words: str) -> str:
            done = gcron(words[0], "--instance", socket.parent.name, *words[1:])
            assert done.returncode == 0, (words, done.stdout, done.stderr)
            return done.stdout

        return ask

    return start


def test_messages_lists_targets_and_the_newest_messages(ask: Callable[..., Callable[..., str]]) -> None:
    asked = ask(CRONTAB)
    until(lambda: (told := asked("messages")) and "given up" in told and "tried again" in told, "both ends")
    text = asked("messages")
    targets, messages = text.split("\n\n")
    assert re.search(
        r"^hook +http://127.0.0.1:1 +0 +1 +0 +- +in \d+\w+ +no connection: Connection refused$", targets, re.MULTILINE
    )
    assert re.search(r"^morning +https://hooks.example.com +0 +0 +0 +-$", targets, re.MULTILINE)
    assert re.search(r"^on-failure commands +of 3 jobs +2 +0 +1 +\d+s +the command failed: exit", targets, re.MULTILINE)
    assert re.search(r"hook +failure: a failed: exit status 3 +tried again +\d+ +no connection", messages)
    assert re.search(r"on-failure commands +failure: b failed: exit status 4 +given up +1 +the command", messages)
    assert re.search(r"on-failure commands +failure: c failed: exit status 5 +delivered +1$", messages, re.MULTILINE)
    told = json.loads(asked("messages", "--json", "-n", "2"))
    assert (len(told["messages"]), len(told["targets"])) == (2, 3)
    assert "SECRET" not in text + json.dumps(told)


def test_status_has_one_line_for_all_commands(ask: Callable[..., Callable[..., str]]) -> None:
    """It had one for each job with `on-failure`: 300 lines before the table."""
    asked = ask(CRONTAB)
    line = r"messages to on-failure commands \(of 3 jobs\): 2 sent, 0 waiting, 1 given up: the command failed: exit st"
    text = until(lambda: (text := asked("status")) and re.search(line, text) and text, "all three")
    assert text.count("on-failure") == 1


def test_status_of_a_job_shows_options_as_people_write_them(ask: Callable[..., Callable[..., str]]) -> None:
    """It was timeout=7200.0."""
    text = ask(CRONTAB)("status", "a")
    assert "timeout=2h" in text
    assert "expect-within=25h" in text
    assert "notify=hook,morning" in text


def test_without_targets_messages_says_how_to_declare_one(ask: Callable[..., Callable[..., str]]) -> None:
    text = ask("# gcron: name=a\n@manual true\n")("messages")
    assert " ".join(text.split()).startswith("no job has a target: # gcron-notify: NAME url=… declares one")

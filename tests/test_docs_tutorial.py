"""The tutorial, followed to the letter: each file is written, each command run, and says what the page says.

Blocks are taken in their order. One of `crontab` is written to the file; in one of `console`, a line that begins with
`$` is a command, `^C` a press of those keys, and all else is printed, as far as it does not depend on the time and the
machine. While `gcron run` runs it may print more than that.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(crontab|console)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")} | {"TZ": "UTC"}
# What differs each time.
VARYING = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00|(?<=pid )\d+|(?<=after )[\d.]+(?= s\))|(?<=next in )\d(?= s;)"
)
PATIENCE = 20.0


def same(line: str) -> str:
    return VARYING.sub("…", line.rstrip())


class Running:
    """`gcron run`, as it is followed in a terminal."""

    def __init__(self, argv: list[str], directory: Path) -> None:
        self.process = subprocess.Popen(
            argv, cwd=directory, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self._lines: Iterator[str] = iter(self.process.stdout)
        self._clock = threading.Timer(PATIENCE, self.process.kill)
        self._clock.start()

    def expect(self, line: str) -> None:
        if line == "^C":
            self.process.send_signal(signal.SIGINT)
            return
        seen = []
        for printed in self._lines:
            seen.append(printed)
            if same(printed) == same(line):
                return
        pytest.fail(f"it never printed {line!r}, but {''.join(seen)}")

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self.process.terminate()
        self.process.wait(10)
        self._clock.cancel()
        assert self.process.stdout is not None
        self.process.stdout.close()


def arguments(command: str) -> list[str]:
    words = shlex.split(command)
    program = words.index("gcron")
    return [*words[:program], sys.executable, "-m", "gcron", *words[program + 1 :]]


def follow(page: str, directory: Path, runs: list[Running]) -> None:
    """Do what it says; the `runs` that begin on the way are the caller's to end."""
    for kind, text in BLOCK.findall(page):
        if kind == "crontab":
            (directory / "jobs").write_text(text)
            continue
        command, lines = None, text.splitlines()
        if lines[0].startswith("$ "):
            command = arguments(lines.pop(0)[2:])
        if command is not None and "run" not in command:
            assert printed_by(command, directory) == lines
            continue
        if command is not None:
            runs.append(Running(command, directory))
        for line in lines:
            runs[-1].expect(line)


def printed_by(command: list[str], directory: Path) -> list[str]:
    done = subprocess.run(
        command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    runs: list[Running] = []
    try:
        follow(PAGE.read_text(encoding="utf-8"), tmp_path, runs)
        assert [running.process.wait(10) for running in runs] == [0, 0, 0]
    finally:
        for running in runs:
            running.end()

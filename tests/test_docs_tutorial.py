"""The tutorial, followed to the letter: each file is written, each command runs on a terminal and prints what is shown.

Blocks are taken in their order. A `crontab` block is written to the file. In a `console` block, a line that begins with
`$` is a command, `^C` is Ctrl-C, and all other lines must be printed; times and process numbers may differ. `gcron run`
may print more lines than the page shows.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from tests.waiting import PATIENCE

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(crontab|console)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
ENVIRONMENT["GCRON_STATE"] = "memory"
# The terminal that the page describes.
ENVIRONMENT |= {"TZ": "UTC", "COLUMNS": "120", "LINES": "40", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
# What differs each time.
VARYING = re.compile(r"^\d\d:\d\d:\d\d|(?<=pid )\d+|(?<=after )[\d.]+(?= s\))|(?<=next in )\d(?= s;)")


def same(line: str) -> str:
    return VARYING.sub("…", line.rstrip())


class OnTerminal:
    """A command that runs on a pseudo-terminal."""

    def __init__(self, argv: list[str], directory: Path, environment: dict[str, str] = ENVIRONMENT) -> None:
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(argv, cwd=directory, env=environment, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._terminal = open(ours, encoding="utf-8")  # noqa: SIM115 - closed by `end`
        self.lines = lines_of(self._terminal)
        self._clock = threading.Timer(PATIENCE, self.process.kill)
        self._clock.start()

    def expect(self, line: str) -> None:
        if line == "^C":
            self.process.send_signal(signal.SIGINT)
            return
        seen = []
        for printed in self.lines:
            seen.append(printed)
            if same(printed) == same(line):
                return
        pytest.fail(f"it never printed {line!r}, but {''.join(seen)}")

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self.process.terminate()
        self.process.wait(PATIENCE)
        self._clock.cancel()
        self._terminal.close()


def lines_of(terminal: TextIO) -> Iterator[str]:
    """The lines printed there, until every process has closed it: Linux reports that as EIO."""
    with suppress(OSError):
        yield from terminal


def arguments(command: str) -> list[str]:
    words = shlex.split(command)
    program = words.index("gcron")
    return [*words[:program], sys.executable, "-m", "gcron", *words[program + 1 :]]


def follow(page: str, directory: Path, runs: list[OnTerminal]) -> None:
    """Do what the page says. The caller ends the `runs` that it starts."""
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
            runs.append(OnTerminal(command, directory))
        for line in lines:
            runs[-1].expect(line)


def printed_by(command: list[str], directory: Path) -> list[str]:
    run = OnTerminal(command, directory)
    try:
        printed = [line.rstrip("\n") for line in run.lines]
        assert run.process.wait(PATIENCE) == 0
    finally:
        run.end()
    return printed


@pytest.mark.realtime
def test_the_tutorial_works_as_written(tmp_path: Path) -> None:
    runs: list[OnTerminal] = []
    try:
        follow(PAGE.read_text(encoding="utf-8"), tmp_path, runs)
        assert [running.process.wait(PATIENCE) for running in runs] == [0, 0, 0]
    finally:
        for running in runs:
            running.end()

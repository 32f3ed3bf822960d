"""The page about two machines, followed on one: its files are written, its commands run, and print what is shown.

A line that begins with `a$` or `b$` is a command on that machine. A block whose command is `^C` or empty goes on with
the gcron that runs there. Numbers and names of hosts may differ.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Database
from tests.test_docs_tutorial import ENVIRONMENT, OnTerminal
from tests.unprivileged import as_user, new_directory
from tests.waiting import until

PAGE = Path(__file__).parent.parent / "docs" / "two-machines.md"
BLOCK = re.compile(r"^```(crontab|console)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
ADDRESS = "postgresql://gcron@database.example.com/gcron"

pytestmark = pytest.mark.realtime


def words(line: str) -> list[str]:
    """The words of a line, with `…` for each number."""
    return re.sub(r"[-+]?\d+(\.\d+)?", "…", line).split()


class Machine:
    """One of the two, with files and a gcron of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        shutil.chown(directory, directory.parent.stat().st_uid, directory.parent.stat().st_gid)
        variables = {"HOME": str(directory), "XDG_RUNTIME_DIR": str(directory), "XDG_STATE_HOME": str(directory)}
        self.environment = {**ENVIRONMENT, **variables}
        del self.environment["GCRON_STATE"]
        self.gcron: OnTerminal | None = None

    def run(self, command: str, lines: list[str]) -> None:
        if command.startswith("gcron run"):
            self.gcron = OnTerminal(self._arguments(command), self.directory, self.environment)
        if command.startswith("gcron run") or command in ("^C", ""):
            assert self.gcron is not None
            if command == "^C":
                self.gcron.process.send_signal(signal.SIGINT)
            for line in lines:
                self._expect(line)
            return
        printed = ""

        def has_printed() -> bool:
            nonlocal printed
            argv = self._arguments(command)
            done = subprocess.run(argv, cwd=self.directory, env=self.environment, capture_output=True, text=True)
            printed = done.stdout + done.stderr
            rows = [words(row) for row in printed.splitlines()]
            return all(any(_fits(words(line), row) for row in rows) for line in lines)

        # The nodes know of one another with their next beats.
        until(has_printed, f"{lines} in {printed}")

    def _expect(self, line: str) -> None:
        assert self.gcron is not None
        seen = []
        for printed in self.gcron.lines:
            seen.append(printed)
            if words(printed) == words(line):
                return
        pytest.fail(f"it never printed {line!r}, but {''.join(seen)}")

    def _arguments(self, command: str) -> list[str]:
        program, *arguments = shlex.split(command)
        assert program == "gcron"
        return [*as_user(), sys.executable, "-m", "gcron", *arguments]


def _fits(wanted: list[str], printed: list[str]) -> bool:
    """Whether all words are the same but the last one, the name of a host, in a row of a node."""
    return wanted == printed or (len(wanted) > 5 and wanted[:-1] == printed[:-1])


@pytest.fixture
def machines() -> Iterator[dict[str, Machine]]:
    """Two machines. Nobody is root there: the history of root is in /var/lib, on this machine."""
    directory = new_directory("machines-")
    made = {name: Machine(directory / name) for name in "ab"}
    yield made
    for machine in made.values():
        if machine.gcron is not None:
            machine.gcron.end()
    shutil.rmtree(directory)


def test_the_page_can_be_followed(machines: dict[str, Machine], postgres: Database) -> None:
    commands = 0
    for kind, text in BLOCK.findall(PAGE.read_text()):
        if kind == "crontab":
            for machine in machines.values():
                (machine.directory / "jobs").write_text(text)
            continue
        first, *lines = text.splitlines()
        name, command = first[0], first[2:].strip()
        machines[name].run(command.replace(ADDRESS, postgres.url), lines)
        commands += 1
    assert commands == 5

"""The how-tos about a gcron that runs: each command is given to a real one, and prints what the page shows.

Blocks are taken in their order. A `crontab` block is written to the file `jobs`, and a gcron is started. In a `console`
block, a line that begins with `$` is a command; the lines after it are all that it prints, up to a line `...`, and the
command `gcron run` prints them among others. Times, ids and the user may differ. Comments say what happens in between:
`<!-- test: night -->`, a history of last night; `<!-- test: kill -->`, the gcron that runs is killed.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from gcron.scheduler.history import StoredRun
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece
from gcron.state.sqlite import SqliteStore
from tests.test_docs_tutorial import ENVIRONMENT, OnTerminal, arguments
from tests.waiting import PATIENCE, until

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("what-happened-last-night", "run-it-now", "after-a-crash-or-a-deploy")
STEP = re.compile(r"^<!-- test: (?P<event>\w+) -->|^```(?P<kind>crontab|console)\n(?P<text>.*?)^```", re.M | re.S)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
LOOKS = ("gcron status", "gcron history", "gcron logs", "gcron why")
# What differs each time, and what takes its place.
VARYING = (
    (r"\b[0-9a-f]{16}\b", "RUN"),
    (r"jobs-[0-9a-f]{8}", "INSTANCE"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?Z?|\d{4}-\d\d-\d\d|\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b\d+(\.\d+)?s\b|\b\d+m\d\ds\b|\b\d+h\d\dm\b|\b\d+[dhm]\b|\b\d+(\.\d+)? s\b", "SPAN"),
    (r"\b\d+(\.\d+)?[KMG]\b", ""),  # the peak of memory, which not every run has
    (r"pid \d+", "pid N"),
    (r"(by|user) [\w ]+(?=:|$)", "by SOMEBODY"),
    (r"\d+ fires", "N fires"),
    (r"(?<=; it was )\d+", "N"),
    (r"(?<= )\.+(?= )", "..."),
    (r"\s+", " "),
)


def same(line: str) -> str:
    for pattern, stands_for in VARYING:
        line = re.sub(pattern, stands_for, line)
    return line.strip()


class Follower:
    """Somebody who does what a page says, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = ENVIRONMENT | {
            "GCRON_STATE": str(directory / "state"),
            "XDG_RUNTIME_DIR": str(directory / "run"),
            "USER": "ann",
        }
        self.gcron: OnTerminal | None = None
        self.checked = 0
        (directory / "run").mkdir(mode=0o700)

    def follow(self, page: str) -> None:
        for step in STEP.finditer(page):
            if step["event"]:
                getattr(self, f"_{step['event']}")()
            elif step["kind"] == "crontab":
                (self.directory / "jobs").write_text(step["text"])
                self._run("gcron run jobs")
            else:
                for command, printed in COMMAND.findall(step["text"]):
                    self._do(command, printed.splitlines())

    def _do(self, command: str, lines: list[str]) -> None:
        self.checked += 1
        if command.startswith("gcron run"):
            self._run(command)
            missing = [same(line) for line in lines]
            seen = []
            assert self.gcron is not None
            for printed in self.gcron.lines:
                seen.append(same(printed))
                missing = [line for line in missing if line != same(printed)]
                if not missing:
                    return
            pytest.fail(f"{missing} are missing in {seen}")
        deadline = time.monotonic() + PATIENCE / 4  # before `OnTerminal` gives up, so that it is gcron that answers
        while (found := self._printed_by(command)) != (shown := [same(line) for line in lines]):
            if lines[-1:] == ["..."] and found[: len(lines) - 1] == shown[:-1]:
                return
            # What was done a moment ago may not be in the history yet. Changes are asked for once.
            if not command.startswith(LOOKS) or time.monotonic() > deadline:
                assert found == shown
            time.sleep(0.2)

    def _printed_by(self, command: str) -> list[str]:
        done = subprocess.run(
            arguments(command),
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            encoding="utf-8",
        )
        return [same(line) for line in done.stdout.splitlines()]

    def _run(self, command: str) -> None:
        self.gcron = OnTerminal(arguments(command), self.directory, self.environment)
        until(lambda: list((self.directory / "run").rglob("instance.json")), "the socket")
        until(lambda: (self.directory / "state" / "history.db").exists(), "the history")

    def _kill(self) -> None:
        """Kill gcron when its runs are on disk, and wait until fires of its job of each second are missed."""
        assert self.gcron is not None
        time.sleep(1.0)
        self.gcron.process.kill()
        self.gcron.end()
        for file in (self.directory / "run").rglob("instance.json"):
            file.unlink()
        time.sleep(3.5)

    def _night(self) -> None:
        """Write the runs of the last days: the last backup has failed, and one report was skipped."""
        state = self.directory / "state"
        state.mkdir(mode=0o700)
        store = SqliteStore(str(state))
        runs = sorted(last_days(datetime.now(UTC)), key=lambda run: run.created)
        store.write(Batch(runs=tuple(runs)))
        failed = [run for run in runs if run.outcome == "failed"]
        text = b"pg_dump: error: could not write to output file: No space left on device\n"
        store.write_output([OutputPiece(run.run_id, [text], 0, 1000) for run in failed])
        store.close()

    def end(self) -> None:
        """Kill all that was started, also what a killed gcron has left running."""
        if self.gcron is not None:
            self.gcron.process.kill()
            self.gcron.end()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("XDG_RUNTIME_DIR") == self.environment["XDG_RUNTIME_DIR"]:
                    process.kill()


NIGHTS = 10


def last_days(now: datetime) -> Iterator[StoredRun]:
    for night in range(NIGHTS):
        last = (("failed", "exit status 1", 1), 12.0) if night == 0 else (WELL, 724.0)
        yield stored("backup", night, before(now, 2, 30) - timedelta(days=night), *last)
        for minute in (0, 20, 40):
            yield stored("poll", 100 + 60 * night + minute, before(now, 2, minute) - timedelta(days=night), WELL, 0.3)
        yield stored("report", 1000 + night, before(now, 9, 0) - timedelta(days=night), WELL, 250.0)


WELL = ("succeeded", "", 0)


def before(now: datetime, hour: int, minute: int) -> datetime:
    """The last time that the clock showed this."""
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today <= now else today - timedelta(days=1)


def stored(job: str, number: int, due: datetime, end: tuple[str, str, int], took: float) -> StoredRun:
    at = due.timestamp()
    outcome, reason, code = end
    return StoredRun(
        f"{number:016x}",
        job,
        at,
        outcome,
        reason=reason,
        reason_code="exit-status",
        fire_at=int(at),
        started=at,
        finished=at + took,
        exit_code=code,
        duration=took,
        cpu_seconds=took / 2,
        max_rss_bytes=42 << 20,
    )


@pytest.mark.realtime
@pytest.mark.parametrize("name", PAGES)
def test_a_how_to_works_as_written(name: str, tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    try:
        follower.follow((DOCS / f"{name}.md").read_text(encoding="utf-8"))
        assert follower.checked >= 5
    finally:
        follower.end()

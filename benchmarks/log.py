"""A job's output into the log: what a daemon takes to read it, make records of it and write them.

    python benchmarks/log.py --impl gcron --only text

Every implementation is a process of its own that runs one shell job, which prints lines of 100 bytes as fast as they
are taken from it. Two marks (files, whose time of change the kernel sets) tell when it began and when all of it was
taken but for what queues hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import harness
from harness import Area, Measure

_A_MEGABYTE = (Measure("a megabyte", "ms"),)
_SIZE = 400_000_000
AREAS = (
    Area("text", "lines of 100 bytes into a log of text, to the null device", _SIZE, _A_MEGABYTE, 1, False),
    Area("text-file", "the same, to a file", _SIZE, _A_MEGABYTE, 1, False),
    Area("json", "the same lines into a log of JSON, to the null device", _SIZE, _A_MEGABYTE, 1, False),
    Area("json-file", "the same, to a file", _SIZE, _A_MEGABYTE, 1, False),
)
# Seconds that the slowest peer may take.
PATIENCE = 120.0
_LINE = "0" * 99


@dataclass(frozen=True, slots=True)
class Daemon:
    """How an implementation is told its job, and how it is started with that file."""

    write: Callable[[str, Path], None]
    command: tuple[str, ...]
    formats: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"text": ()})
    """Its options for each format of log that it has."""


class Areas:
    """The areas, in terms of a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        for format in daemon.formats:
            setattr(self, format, lambda size, format=format: self._to_null(format, size))
            setattr(self, f"{format}_file", lambda size, format=format: self._to_file(format, size))

    def _to_null(self, format: str, size: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return self._seconds(format, size, Path(folder), Path(os.devnull)) / (size / 1e6)

    def _to_file(self, format: str, size: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            seconds = self._seconds(format, size, Path(folder), log) / (size / 1e6)
            harness.check(_count(log, _LINE.encode()) == size // 100, "lines are missing in the log")
            return seconds

    def _seconds(self, format: str, size: int, folder: Path, log: Path) -> float:
        file, begin, end = folder / "job", folder / "begin", folder / "end"
        script = folder / "script"
        script.write_text(
            f"[ -e {begin} ] && exit\n: > {begin}\nyes {_LINE} | head -c {size // 100 * 100}\n: > {end}\n"
        )
        self._daemon.write(f"/bin/sh {script}", file)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*self._daemon.command, *self._daemon.formats[format], file],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | {"TZ": "UTC"},
            )
        try:
            _wait_for(end, process)
        finally:
            process.terminate()
            process.wait(30)
        return end.stat().st_mtime - begin.stat().st_mtime


def _wait_for(mark: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not mark.exists():
        harness.check(process.poll() is None, "the daemon ended")
        harness.check(time.monotonic() < deadline, f"the job was not done within {PATIENCE:g} s")
        time.sleep(0.02)


def _count(log: Path, needle: bytes) -> int:
    with log.open("rb") as lines:
        return sum(needle in line for line in lines)


# -- implementations ----------------------------------------------------------------------------------------


def write_crontab(command: str, file: Path) -> None:
    """As gcron reads it."""
    file.write_text(f"@reboot {command}\n")


def write_seconds(command: str, file: Path) -> None:
    """As supercronic reads it, which has no @reboot: each second, but once at a time."""
    file.write_text(f"* * * * * * * {command}\n")


def write_yaml(command: str, file: Path) -> None:
    """As yacron reads it."""
    file.write_text(f'jobs:\n- name: job\n  schedule: "@reboot"\n  command: "{command}"\n  captureStdout: true\n')


def _gcron() -> Areas:
    formats = {"text": (), "json": ("--log-format", "json")}
    return Areas(Daemon(write_crontab, (sys.executable, "-m", "gcron", "run"), formats))


def _yacron() -> Areas:
    if find_spec("yacron") is None:
        raise ModuleNotFoundError("No module named 'yacron'")
    return Areas(Daemon(write_yaml, (sys.executable, "-m", "yacron", "-c")))


def _supercronic() -> Areas:
    program = shutil.which("supercronic")
    if program is None:
        raise ModuleNotFoundError("no supercronic on the PATH")
    return Areas(Daemon(write_seconds, (program,), {"text": (), "json": ("-json",)}))


PROGRAM = harness.Program("log", AREAS, {"gcron": _gcron, "yacron": _yacron, "supercronic": _supercronic})

if __name__ == "__main__":
    harness.main(PROGRAM)

"""A job's output into the log: how long a daemon takes to read it, make records of it and write them.

    python benchmarks/log.py --impl gcron --only text

Every implementation is a process of its own that runs one shell job, which prints lines of 100 bytes as fast as they
are taken from it. The job leaves two marks when it begins and when all its output has been taken: files, whose time of
change the kernel sets. What the daemon's queues hold then is not waited for.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import daemons
import harness
from daemons import AT_START, EVERY_SECOND, Daemon, Job
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


class Areas:
    """The areas, in terms of a daemon."""

    def __init__(self, daemon: Daemon, **formats: Daemon) -> None:
        """`formats`: the daemon with the options for another format of log than text."""
        for format, daemon_of_format in {"text": daemon, **formats}.items():
            setattr(self, format, lambda size, daemon=daemon_of_format: _to_null(daemon, size))
            setattr(self, f"{format}_file", lambda size, daemon=daemon_of_format: _to_file(daemon, size))


def _to_null(daemon: Daemon, size: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder, "errors")
        seconds = seconds_of_output(daemon, size, Path(folder), Path(os.devnull), errors)
        lost = daemon.notice_of_loss is not None and daemon.notice_of_loss in errors.read_bytes()
        harness.check(not lost, "the daemon says that it threw output away")
        return seconds / (size / 1e6)


def _to_file(daemon: Daemon, size: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        seconds = seconds_of_output(daemon, size, Path(folder), log, log)
        missing = size // 100 - _count(log, _LINE.encode())
        harness.check(missing == 0, f"{missing:,} of {size // 100:,} lines are missing in the log")
        return seconds / (size / 1e6)


def seconds_of_output(daemon: Daemon, size: int, folder: Path, stdout: Path, stderr: Path) -> float:
    """Seconds from the job's first act until all of its output was taken from it."""
    begin, end, jobs, script = folder / "begin", folder / "end", folder / "jobs", folder / "script"
    script.write_text(f"[ -e {begin} ] && exit\n: > {begin}\nyes {_LINE} | head -c {size // 100 * 100}\n: > {end}\n")
    daemon.write([Job(AT_START if daemon.runs_at_start else EVERY_SECOND, f"/bin/sh {script}")], jobs)
    with stdout.open("ab") as out, stderr.open("ab") as errors, daemon.running(jobs, out, errors) as process:
        _wait_for(end, process)
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


def _gcron() -> Areas:
    return _with_json(daemons.gcron(), "--log-format", "json")


def _supercronic() -> Areas:
    return _with_json(daemons.supercronic(), "-json")


def _with_json(daemon: Daemon, *options: str) -> Areas:
    return Areas(daemon, json=replace(daemon, command=(*daemon.command, *options)))


PROGRAM = harness.Program(
    "log",
    AREAS,
    {
        "gcron": _gcron,
        "cronstable": lambda: Areas(daemons.cronstable()),
        "cronstable-uvloop": lambda: Areas(daemons.cronstable_uvloop()),
        "yacron": lambda: Areas(daemons.yacron()),
        "supercronic": _supercronic,
    },
)

if __name__ == "__main__":
    harness.main(PROGRAM)

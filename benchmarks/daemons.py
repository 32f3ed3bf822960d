"""The daemons that are compared: how each is started, and how its jobs are written for it.

It measures nothing: `daemon.py`, `lateness.py`, `log.py` and `imports.py` do.
"""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import IO

AT_START = "@reboot"
EVERY_SECOND = "* * * * * * *"
"""Seconds first, years last."""

HERE = Path(__file__).resolve().parent

# gcron takes a file of at most 1 MiB.
_JOBS_IN_A_FILE = 10_000
# Runs `python -m cronstable` without the event loop that it takes where it finds it.
_WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None; from cronstable.__main__ import main; main()"
# Seconds that a daemon gets to stop.
_STOP_PATIENCE = 30


@dataclass(frozen=True, slots=True)
class Job:
    """A shell command and its schedule: five fields, `AT_START` or `EVERY_SECOND`."""

    schedule: str
    command: str


Write = Callable[[Sequence[Job], Path], None]
"""Writes jobs to a path, in the format of one daemon."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """How one daemon is started, and how its jobs are written for it."""

    command: tuple[str, ...]
    """Its command line. The path of its jobs is appended."""
    write: Write
    write_large: Write | None = None
    """The format that it loads fastest, if that is another one."""
    runs_at_start: bool = True
    """Whether it has `@reboot`."""
    notice_of_loss: bytes | None = None
    """What its standard error says when it has thrown output away."""

    @contextmanager
    def running(
        self, path: Path, stdout: int | IO[bytes] = subprocess.DEVNULL, stderr: int | IO[bytes] = subprocess.DEVNULL
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run it with the jobs at `path`, its clock in UTC; stop it at the end.

        It works in the folder of `path`. In another one, `python -m` would import what lies there.
        """
        process = subprocess.Popen(
            [*self.command, path],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=path.parent,
            env=os.environ | {"TZ": "UTC"},
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def not_due(number: int) -> str:
    """A schedule that is not due today: once a year, half a year from now, at one of 1,440 minutes."""
    month = (datetime.now(UTC).month + 5) % 12 + 1
    return f"{number % 60} {number // 60 % 24} 17 {month} *"


# -- the daemons --------------------------------------------------------------------------------------------


def gcron() -> Daemon:
    _compile_gcron()
    return Daemon((sys.executable, "-m", "gcron", "run"), _write_crontabs)


def _compile_gcron() -> None:
    """Compile a checkout to bytecode, as pip does with what it installs: else each start might do it anew."""
    package = _require("gcron")
    compileall.compile_dir(package, quiet=1)
    compileall.compile_file(package.with_name("gcron_boot.py"), quiet=1)


def apscheduler() -> Daemon:
    _require("apscheduler")
    return Daemon((sys.executable, str(HERE / "daemon_apscheduler.py")), write_crontab)


def yacron() -> Daemon:
    _require("yacron")
    return Daemon((sys.executable, "-m", "yacron", "-c"), _write_yaml)


def cronstable() -> Daemon:
    """As `pip install cronstable` gives it: on asyncio's event loop."""
    return _cronstable("-c", _WITHOUT_UVLOOP)


def cronstable_uvloop() -> Daemon:
    """As `pip install cronstable[speedups]` gives it."""
    return _cronstable("-m", "cronstable")


def _cronstable(*start: str) -> Daemon:
    _require("cronstable")
    # A crontab loads faster, but only YAML captures stdout and knows seconds.
    return Daemon(
        (sys.executable, *start, "-c"), _write_yaml, write_large=write_crontab, notice_of_loss=b"shedding oldest"
    )


def supercronic() -> Daemon:
    program = shutil.which("supercronic")
    if program is None:
        raise ModuleNotFoundError("no supercronic on the PATH")
    return Daemon((program,), write_crontab, runs_at_start=False)


def _require(package: str) -> Path:
    """The folder of an installed package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}")
    return Path(spec.origin).parent


# -- their formats ------------------------------------------------------------------------------------------


def write_crontab(jobs: Sequence[Job], path: Path) -> None:
    """One file, as every cron reads it."""
    lines = (f"{job.schedule}  {job.command.replace('%', chr(92) + '%')}\n" for job in jobs)
    path.write_text("".join(lines))


def _write_crontabs(jobs: Sequence[Job], folder: Path) -> None:
    """A directory of crontabs."""
    folder.mkdir()
    for number, start in enumerate(range(0, len(jobs), _JOBS_IN_A_FILE)):
        write_crontab(jobs[start : start + _JOBS_IN_A_FILE], folder / str(number))


def _write_yaml(jobs: Sequence[Job], path: Path) -> None:
    """As yacron and cronstable read it. Both streams are captured, as gcron does; by default stderr alone is."""
    entries = (
        f'- name: "{number}"\n  schedule: "{job.schedule}"\n  command: {json.dumps(job.command)}\n'
        for number, job in enumerate(jobs)
    )
    path.write_text("defaults:\n  captureStdout: true\n  concurrencyPolicy: Forbid\njobs:\n" + "".join(entries))

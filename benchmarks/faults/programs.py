"""The programs that are tried: how each is installed, and how its jobs are written for it.

gcron runs from this checkout. Each of the others gets a virtual environment of its own, below /tmp.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENVS = Path(tempfile.gettempdir(), "gcron-faults")
MARK = "FAULTS_PLACE"
"""In the environment of a program and of all that it starts: by it they are found, and ended."""

AT_START = "@reboot"
EVERY = "every"
"""As often as the program can: each second, or each minute."""


@dataclass(frozen=True, slots=True)
class Job:
    """A shell command that never runs twice at a time, and whose missed fires are made up where that is an option."""

    name: str
    command: str
    when: str = EVERY
    """`AT_START`, `EVERY`, or the five fields of a crontab."""
    timeout: int | None = None
    """Seconds. KILL follows a second later."""
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A folder for one program and one fault."""

    folder: Path
    data: Path
    """Where its log and its state go."""

    @property
    def zones(self) -> Path:
        """Where a fault puts a time zone of its own."""
        return self.folder / "zoneinfo"

    def stamp(self, name: str) -> str:
        """A shell command that appends the time to a file, which `stamps` reads."""
        return f"date -Iseconds >> {self.folder}/{name}.stamps"

    def stamps(self, name: str) -> list[float]:
        try:
            lines = (self.folder / f"{name}.stamps").read_text().split()
        except FileNotFoundError:
            return []
        return [datetime.fromisoformat(line).timestamp() for line in lines]

    def processes(self) -> Iterator[psutil.Process]:
        """What the program has started, and itself."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == str(self.folder):
                    yield process


class Program:
    """A program with its defaults, but for what a fault asks for."""

    name: str
    packages: tuple[str, ...]
    period = 1
    """Seconds between two runs of a job that is due as often as possible."""
    schedules = True
    broken: str
    """A wrong job, to be appended to the file."""

    def setup(self) -> None:
        subprocess.run([sys.executable, "-m", "venv", VENVS / self.name], check=True)
        subprocess.run([self.tool("pip"), "install", "--quiet", *self.packages], check=True)

    def tool(self, name: str) -> str:
        return str(VENVS / self.name / "bin" / name)

    def is_installed(self) -> bool:
        return Path(self.tool("python")).exists()

    def version(self) -> str:
        code = f"from importlib.metadata import version; print(version({self.packages[0]!r}))"
        return subprocess.run([self.tool("python"), "-c", code], capture_output=True, text=True).stdout.strip()

    def write(self, place: Place, jobs: Sequence[Job], *, state: bool) -> None:
        """Write the file of jobs. With `state`, the program remembers over restarts, where it can."""
        raise NotImplementedError

    def command(self, place: Place, *, state: bool) -> list[str]:
        raise NotImplementedError

    def file(self, place: Place) -> Path:
        return place.folder / "jobs.yaml"

    def reload(self, place: Place) -> None:
        """Do what its manual says after the file was changed. Most programs notice it."""

    def end_of_job(self, place: Place, job: Job) -> None:
        """Do what ends a job, where the program has no time-out."""

    @contextmanager
    def running(self, place: Place, *, state: bool = False, under: Sequence[str] = (), **streams: Any) -> Iterator[Any]:
        """Run it with the file that `write` wrote; end all that it has started, afterwards."""
        process = self.start(place, state=state, under=under, **streams)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for left in place.processes():
                with suppress(psutil.Error):
                    left.kill()

    def start(self, place: Place, *, state: bool, under: Sequence[str] = (), **streams: Any) -> Any:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
        environment |= {MARK: str(place.folder), "TZ": "UTC"}
        if place.zones.exists():
            # For pytz, which yacron uses, and for zoneinfo.
            environment |= {"PYTZ_TZDATADIR": str(place.zones), "PYTHONTZPATH": f"{place.zones}:/usr/share/zoneinfo"}
        if not streams:
            log = (place.folder / "log").open("ab")
            streams = {"stdout": log, "stderr": log}
        return subprocess.Popen(
            [*under, *self.command(place, state=state)],
            stdin=subprocess.DEVNULL,
            cwd=place.folder,
            env=environment,
            start_new_session=True,
            **streams,
        )


class Gcron(Program):
    name = "gcron"
    packages = ("gcron",)
    broken = "61 * * * * true\n"

    def tool(self, name: str) -> str:
        return sys.executable

    def file(self, place: Place) -> Path:
        return place.folder / "crontab"

    def write(self, place: Place, jobs: Sequence[Job], *, state: bool) -> None:
        lines = []
        for job in jobs:
            options = [f"name={job.name}", "catchup=last"]
            options += [f"timeout={job.timeout}s kill-after=1s"] if job.timeout else []
            options += [f"tz={job.zone}"] if job.zone else []
            if job.when == AT_START:
                options.remove("catchup=last")
            when = "@every 1s" if job.when == EVERY else job.when
            lines.append(f"# gcron: {' '.join(options)}\n{when} {job.command}\n")
        self.file(place).write_text("".join(lines))

    def command(self, place: Place, *, state: bool) -> list[str]:
        where = str(place.data / "state") if state else "memory"
        return [sys.executable, "-m", "gcron", "run", "--no-control", "--state", where, str(self.file(place))]


class Yacron(Program):
    """It reads YAML, and looks once a minute. Both streams are captured, as gcron does."""

    name = "yacron"
    packages = ("yacron", "setuptools<81")
    period = 60
    every = "* * * * *"
    catch_up = ""
    broken = '- name: broken\n  command: "true"\n  schedule: "61 * * * *"\n'

    def write(self, place: Place, jobs: Sequence[Job], *, state: bool) -> None:
        lines = ["defaults:\n  captureStdout: true\n  concurrencyPolicy: Forbid\n"]
        lines += [f"state:\n  path: {place.data}/state\n"] if state and self.catch_up else []
        lines.append("jobs:\n")
        for job in jobs:
            when = self.every if job.when == EVERY else job.when
            lines.append(f'- name: {job.name}\n  schedule: "{when}"\n  command: {json.dumps(job.command)}\n')
            lines += [f"  executionTimeout: {job.timeout}\n  killTimeout: 1\n"] if job.timeout else []
            lines += [f"  timezone: {job.zone}\n"] if job.zone else []
            lines += [f"  {self.catch_up}\n"] if state and self.catch_up and job.when != AT_START else []
        self.file(place).write_text("".join(lines))

    def command(self, place: Place, *, state: bool) -> list[str]:
        return [self.tool(self.name), "-c", str(self.file(place))]


class Cronstable(Yacron):
    """It reads nearly the same files, knows seconds, and remembers where it is told to."""

    name = "cronstable"
    packages = ("cronstable",)
    period = 1
    every = "* * * * * * *"
    catch_up = "onMissed: run-once"


class APScheduler(Program):
    """`apscheduler_program.py`: what one writes in order to use it as a cron."""

    name = "APScheduler"
    packages = ("apscheduler<4", "sqlalchemy")
    broken = ""

    def version(self) -> str:
        code = "from importlib.metadata import version; print(version('apscheduler'))"
        return subprocess.run([self.tool("python"), "-c", code], capture_output=True, text=True).stdout.strip()

    def write(self, place: Place, jobs: Sequence[Job], *, state: bool) -> None:
        rows = [[job.name, job.command, job.when, job.timeout, job.zone or "UTC"] for job in jobs]
        self.file(place).write_text(json.dumps(rows))

    def command(self, place: Place, *, state: bool) -> list[str]:
        words = [self.tool("python"), str(HERE / "apscheduler_program.py"), str(self.file(place))]
        return [*words, f"sqlite:///{place.data}/jobs.sqlite"] if state else words


class Supervisord(Program):
    """It has no schedules: a program that sleeps for a second at its end stands for a job that is due often."""

    name = "supervisord"
    period = 3  # it looks for what has ended once a second, and then waits for a second
    packages = ("supervisor", "setuptools<81")
    schedules = False
    broken = "[program:broken]\n"

    def file(self, place: Place) -> Path:
        return place.folder / "supervisord.conf"

    def write(self, place: Place, jobs: Sequence[Job], *, state: bool) -> None:
        text = f"""\
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={place.folder}/pid
[unix_http_server]
file={place.folder}/socket
[supervisorctl]
serverurl=unix://{place.folder}/socket
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
        for job in jobs:
            script = place.folder / f"{job.name}.sh"
            script.write_text(job.command + ("\nsleep 1\n" if job.when == EVERY else "\n"))
            text += f"""\
[program:{job.name}]
command=/bin/sh {script}
autorestart={"true" if job.when == EVERY else "false"}
startsecs=0
stopwaitsecs=1
stopasgroup=true
killasgroup=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
redirect_stderr=true
"""
        self.file(place).write_text(text)

    def command(self, place: Place, *, state: bool) -> list[str]:
        return [self.tool("supervisord"), "-c", str(self.file(place))]

    def _control(self, place: Place, *words: str) -> None:
        log = (place.folder / "log").open("ab")
        command = [self.tool("supervisorctl"), "-c", str(self.file(place)), *words]
        subprocess.run(command, cwd=place.folder, stdout=log, stderr=log, check=False)

    def reload(self, place: Place) -> None:
        self._control(place, "update")

    def end_of_job(self, place: Place, job: Job) -> None:
        self._control(place, "stop", job.name)


PROGRAMS: tuple[Program, ...] = (Gcron(), Cronstable(), Yacron(), APScheduler(), Supervisord())

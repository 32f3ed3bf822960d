"""Several nodes on one machine: real `gcron run` processes, each with a network and a clock of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from tests.cluster.history import Fault, History, JobRules, Mark, Row, read_marks
from tests.cluster.proxy import Proxy
from tests.postgres import Database
from tests.shifted_clock import SettableClock
from tests.unprivileged import as_user, new_directory
from tests.waiting import PATIENCE, until

__all__ = ["CRONTAB", "JOBS", "Node", "Rig"]

# Jobs read this. Each line of theirs is one write(2) to a file that is open with O_APPEND. Nobody shifts the uptime.
_NOTE = """\
note() {
    read -r uptime rest </proc/uptime
    echo "$GCRON_JOB $1 ${GCRON_FIRE_AT:-0} $GCRON_NODE ${GCRON_FENCE:-0} $uptime" >>"$RIG/marks"
}
note begin
"""
CRONTAB = """\
CRON_TZ=UTC
# gcron-file: fields=seconds-first
# gcron: name=tick overlap=allow
* * * * * *  . "$RIG/note"
# gcron: name=long
*/2 * * * * *  . "$RIG/note"; for i in 1 2 3 4 5; do sleep 0.3; note alive; done; note end
# gcron: name=again retry-lost=yes
*/5 * * * * *  . "$RIG/note"; for i in 1 2 3 4 5 6; do sleep 0.5; note alive; done; note end
# gcron: name=watch run-on=one
@service  . "$RIG/note"; while sleep 0.3; do note alive; done
"""
JOBS = (
    JobRules("tick", 1, is_alone=False),
    JobRules("long", 2),
    JobRules("again", 5, is_retried=True),
    JobRules("watch"),
)


class Node:
    """A `gcron run`, as if on a machine of its own."""

    def __init__(self, name: str, directory: Path, logs: Path, database: Database, library: Path, crontab: str) -> None:
        self.name = name
        self.proxy = Proxy(database.server.port)
        self.clock = SettableClock(library, directory / f"{name}.clock")
        self._home = directory / name
        self._home.mkdir()
        shutil.chown(self._home, directory.stat().st_uid, directory.stat().st_gid)
        self._home.chmod(0o700)
        self._crontab = self._home / "crontab"
        self._crontab.write_text(crontab)
        self._log = logs / f"{name}.log"
        self._command = [*as_user(dies_with_us=True), sys.executable, "-m", "gcron", "run", "--log-format", "json"]
        self._command += ["--keep-runs", "100000"]
        self._command += ["--state", database.url_at(self.proxy.port), "--node", name, str(self._crontab)]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "XDG_RUNTIME_DIR": str(self._home),
            "XDG_STATE_HOME": str(self._home),
            "RIG": str(directory),
            **self.clock.variables,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._paused: list[psutil.Process] = []

    @property
    def log(self) -> str:
        """What gcron has written, as JSON lines."""
        return self._log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether gcron lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start gcron."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment, cwd=self._home
            )

    def kill(self) -> None:
        """End gcron alone with SIGKILL, as when it runs out of memory. Its jobs live on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def kill_all(self) -> None:
        """End everything that runs there, as when the machine stops or systemd ends its service."""
        self.kill()
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def stop(self) -> int:
        """End gcron with SIGTERM. Return its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE)

    def pause(self) -> None:
        """Stop all processes of the node, as a hypervisor does with a virtual machine.

        A process in an uninterruptible sleep stops when that ends: gcron, while the child of a start is stopped.
        """
        while found := [process for process in self._processes() if not _is_stopped(process)]:
            for process in found:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGSTOP)
                    self._paused.append(process)

    def resume(self) -> None:
        """End `pause`."""
        for process in self._paused:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        self._paused.clear()

    def end(self) -> None:
        """End everything of this node."""
        self.kill_all()
        self.proxy.close()

    def _processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("HOME") == str(self._home):
                    found.append(process)
        return found


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DISK_SLEEP)
    except psutil.NoSuchProcess:
        return True


class Rig:
    """The nodes, their database, and the file that all jobs append to."""

    def __init__(
        self, database: Database, library: Path, logs: Path, names: Sequence[str] = "abc", crontab: str = CRONTAB
    ) -> None:
        """`library`: the one of `tests/shifted_clock.py`. `logs`: a directory for what the nodes write."""
        self.database = database
        self.logs = logs
        self.directory = new_directory("nodes-")
        self.marks = self.directory / "marks"
        self.marks.touch()
        (self.directory / "note").write_text(_NOTE)
        self.marks.chmod(0o666)
        # The library and the files of clocks are where this user can read them.
        copied = shutil.copy(library, self.directory / "clocks.so")
        self.nodes = {name: Node(name, self.directory, logs, database, Path(copied), crontab) for name in names}

    def start(self) -> None:
        """Start all nodes, and wait until all are in the database, and one has begun to work."""
        for node in self.nodes.values():
            node.start()
            until(partial(self._has_begun, node.name), f"node {node.name}")
        until(lambda: self.lines, "a job")

    def _has_begun(self, name: str) -> bool:
        node = self.nodes[name]
        assert node.is_running, node.log
        there = self.database.sql("select count(*) from pg_tables where tablename = 'incarnation'")
        return there == "1" and self.database.sql(f"select 1 from gcron.incarnation where node = '{name}'") != ""

    @property
    def lines(self) -> list[str]:
        """What jobs have written."""
        return self.marks.read_text().splitlines()

    def begins(self) -> list[Mark]:
        """Starts of jobs so far, at seconds since the machine's boot."""
        return [mark for mark in read_marks(self.lines, 0.0) if mark.verb == "begin"]

    def history(self, begin: float, end: float, faults: Sequence[Fault]) -> History:
        """Return what happened from `begin` to `end`, in seconds of UTC."""
        with open("/proc/uptime") as file:
            since_boot = time.time() - float(file.read().split()[0])
        return History(begin, end, read_marks(self.lines, since_boot), tuple(faults), tuple(self.rows()))

    def rows(self) -> list[Row]:
        """Read what the database says of all runs."""
        text = self.database.sql(
            "select job, coalesce(fire_at, 0), coalesce(last_fire_at, fire_at, 0), node, fence, outcome from gcron.run"
        )
        return [
            Row(job, int(fire_at), int(last), node, int(fence), outcome)
            for job, fire_at, last, node, fence, outcome in (line.split("|") for line in text.splitlines())
        ]

    def end(self) -> None:
        """End everything, and remove all files."""
        for node in self.nodes.values():
            node.resume()
            node.end()
        shutil.rmtree(self.directory)

"""A process tree: one session, everything that came of it, and how to end all of it.

Members are found by what they cannot shed by forking: the run's id in their environment. A signal goes only to a
process whose identity (pid and start time) was just confirmed, so never to one that reuses a pid.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from typing import IO, Any

import psutil

from gcron.greenlet import sleep
from gcron.hub import get_hub
from gcron.supervise.census import RUN_ID, processes_of
from gcron.supervise.command import Command
from gcron.supervise.output import Stream
from gcron.supervise.spawning import start

__all__ = ["ProcessTree", "describe"]

# Seconds between two looks at a dying tree: quick at first, most trees die at once.
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.5
# Seconds after KILL until what still lives counts as unkillable.
_UNKILLABLE_AFTER = 10.0


class ProcessTree:
    """A started command and whatever it starts.

    Raises `OSError` when it cannot be started, `ValueError` when what it is started with is wrong.
    """

    def __init__(self, command: Command, run_id: str, identity: dict[str, str]) -> None:
        self.run_id = run_id
        self.leader = start(command, {**identity, RUN_ID: run_id})
        self.pid = self.leader.pid
        self.was_killed = False
        """Asking was not enough, or was not tried."""
        assert self.leader.stdout is not None
        assert self.leader.stderr is not None
        self.outputs: dict[Stream, IO[Any]] = {"stdout": self.leader.stdout, "stderr": self.leader.stderr}

    def stop(self, stop_signal: signal.Signals, kill_after: float) -> list[psutil.Process]:
        """Ask every member to stop, and kill those that have not after `kill_after` seconds.

        Returns what is left all the same 10 s after that: processes that even KILL does not end.
        """
        self.send(stop_signal)
        self.send(signal.SIGCONT)  # a stopped process would not see the request
        if self._wait_until_gone(kill_after):
            return []
        return self.kill()

    def kill(self) -> list[psutil.Process]:
        """Kill every member, again and again until none is found twice; returns the unkillable ones."""
        self.was_killed = True
        self._wait_until_gone(_UNKILLABLE_AFTER, signal.SIGKILL)
        return self.members()

    def send(self, signum: signal.Signals) -> None:
        """Send `signum` to every member, once."""
        # While the leader's status is not collected, its group's number cannot belong to anybody else.
        grouped = self.leader.poll() is None
        if grouped:
            _send_to_group(self.pid, signum)
        if marked := processes_of(self.run_id):
            get_hub().threadpool.apply(_send_to_each, (marked, signum, self.pid if grouped else None))

    def members(self) -> list[psutil.Process]:
        """Every process of this run that is alive now.

        The leader counts until its status is collected, marked or not: it may have emptied its environment, its
        first thread may have ended before the others, and a debugger may hold it when it is dead.
        """
        others = [process for process in processes_of(self.run_id) if process.pid != self.pid]
        if self.leader.poll() is None:
            with contextlib.suppress(psutil.Error):
                return [psutil.Process(self.pid), *others]
        return others

    def _wait_until_gone(self, seconds: float, signum: signal.Signals | None = None) -> bool:
        """Look until no member is found twice in a row, signalling before each look; False after `seconds`."""
        hub = get_hub()
        deadline = hub.monotonic() + seconds
        pause = _FIRST_LOOK
        empty_looks = 0
        while True:
            if signum is not None:
                self.send(signum)
            empty_looks = 0 if self.members() else empty_looks + 1
            if empty_looks == 2:
                return True
            if hub.monotonic() >= deadline:
                return False
            sleep(min(pause, max(0.001, deadline - hub.monotonic())))
            pause = min(pause * 2, _LONGEST_LOOK)


def _send_to_group(pgid: int, signum: signal.Signals) -> None:
    try:
        os.killpg(pgid, signum)
    except (ProcessLookupError, PermissionError):
        return


def _send_to_each(processes: list[psutil.Process], signum: signal.Signals, signalled_group: int | None) -> None:
    for process in processes:
        try:
            if signalled_group is None or os.getpgid(process.pid) != signalled_group:
                process.send_signal(signum)  # psutil confirms the identity first
        except (psutil.Error, OSError):
            continue


def describe(processes: Iterable[psutil.Process]) -> str:
    """Name processes for people: `pid 123 (sleep), pid 124 (cat, disk-sleep)`."""
    names = []
    for process in processes:
        try:
            names.append(f"pid {process.pid} ({process.name()}, {process.status()})")
        except (psutil.Error, OSError):
            names.append(f"pid {process.pid}")
    return ", ".join(names)

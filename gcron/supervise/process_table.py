"""Which process belongs to which run: snapshots of the process table, shared by all who ask at the same time.

Otherwise a thousand runs that end together would read a thousand processes a thousand times. The reading happens in a
thread that may hang, see `gcron.supervise.process_walk`.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from weakref import WeakKeyDictionary

import psutil

from gcron.frozen import frozen
from gcron.runtime.event import AsyncResult
from gcron.runtime.greenlet import spawn
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.lock import Semaphore
from gcron.supervise.command import RUN_ID
from gcron.supervise.process_walk import Hang, Walker

__all__ = ["ProcessInfo", "ProcessTable", "Snapshot", "describe", "process_table", "signal_each"]

# Seconds for which a snapshot goes on with processes that started meanwhile, while a run is being killed.
_CHASE = 0.3


@frozen
class ProcessInfo:
    """A process as a snapshot found it."""

    pid: int
    identity: psutil.Process | Hang | None
    """Equal in a later snapshot for the same process, and for no other. None: unknown."""
    parent: int
    session: int
    name: str
    state: str
    """As psutil has it: `sleeping`, `disk-sleep`, `zombie`."""
    run_id: str | None = None

    @property
    def is_alive(self) -> bool:
        """False for a zombie: only its exit status is left."""
        return self.state != psutil.STATUS_ZOMBIE

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.name}, {self.state})" if self.name else f"pid {self.pid}"


class Snapshot:
    """The processes that there were."""

    def __init__(self) -> None:
        self.of_pid: dict[int, ProcessInfo] = {}
        self.of_run: defaultdict[str, list[ProcessInfo]] = defaultdict(list)
        self.of_session: defaultdict[int, list[ProcessInfo]] = defaultdict(list)
        self.of_parent: defaultdict[int, list[ProcessInfo]] = defaultdict(list)

    def add(self, process: ProcessInfo) -> None:
        """Enter a process under pid, run, session and parent."""
        self.of_pid[process.pid] = process
        if not process.is_alive or process.pid == os.getpid():
            return
        self.of_session[process.session].append(process)
        self.of_parent[process.parent].append(process)
        if process.run_id is not None:
            self.of_run[process.run_id].append(process)

    def descendants(self, roots: Iterable[ProcessInfo]) -> list[tuple[ProcessInfo, ProcessInfo]]:
        """Children of these processes and theirs, each with its parent."""
        found: list[tuple[ProcessInfo, ProcessInfo]] = []
        seen = {root.pid for root in roots}
        parents = list(roots)
        while parents:
            parent = parents.pop()
            for child in self.of_parent.get(parent.pid, ()):
                if child.pid not in seen:
                    seen.add(child.pid)
                    found.append((child, parent))
                    parents.append(child)
        return found


class ProcessTable:
    """Takes the snapshots for one hub, one at a time.

    A caller who comes while one is taken waits for the next: this one may have passed the caller's process already.
    """

    def __init__(self) -> None:
        self.being_killed: set[str] = set()
        """Ids of runs that are being killed. Their processes are stopped as soon as a snapshot sees them.

        Some programs fork faster than a snapshot is taken, and under a limit each killed process makes room for
        another. A stopped process does not fork, and keeps its place.
        """
        self._next: AsyncResult[Snapshot] | None = None
        self._taking = Semaphore(1)
        self._signalling = Semaphore(4)
        self._readers = Walker[ProcessInfo]()
        self._readers_of_stuck = Walker[ProcessInfo]()
        self._senders = Walker[None]()

    def snapshot(self) -> Snapshot:
        """The processes that there are, by a snapshot that begins after this call."""
        if self._next is None:
            self._next = AsyncResult()
            spawn(self._take)
        return self._next.get()

    def _take(self) -> None:
        with self._taking:
            result, self._next = self._next, None
            assert result is not None
            try:
                result.set(self._take_now())
            except BaseException as error:
                result.set_exception(error)
                if not isinstance(error, Exception):
                    raise

    def _take_now(self) -> Snapshot:
        snapshot = Snapshot()
        for process in self._readers.walk(self._see, _newest_first(self.being_killed)):
            snapshot.add(process)
        stuck = dict(self._readers.stuck)
        for process in self._readers_of_stuck.walk(lambda pid: _see_stuck(pid, stuck[pid]), stuck):
            if self._readers.stuck.get(process.pid) is process.identity:
                snapshot.add(process)
        return snapshot

    def _see(self, pid: int) -> ProcessInfo:
        process = psutil.Process(pid)
        with process.oneshot():
            state, run_id = process.status(), None
            living = process if state != psutil.STATUS_ZOMBIE else _other_thread(pid)
            if living is not None:
                state = living.status()
                with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
                    run_id = living.environ().get(RUN_ID)
            if run_id in self.being_killed:
                _stop(process)
            return ProcessInfo(pid, process, process.ppid(), os.getsid(pid), process.name(), state, run_id)

    def confirm(self, links: Iterable[tuple[ProcessInfo, ProcessInfo]]) -> list[ProcessInfo]:
        """The children of these pairs of child and parent that are still children, and are still the same process."""
        parents = {child.pid: (child, parent) for child, parent in links}

        def check(pid: int) -> ProcessInfo | None:
            child, parent = parents[pid]
            is_child = isinstance(child.identity, psutil.Process) and psutil.Process(pid).ppid() == parent.pid
            # In this order: whatever has the parent's pid now had it when the child named its parent.
            return child if is_child and self._is_the_same(parent) and self._is_the_same(child) else None

        return self._readers.walk(check, parents)

    def signal_each(self, processes: Iterable[ProcessInfo], signum: signal.Signals) -> None:
        """Send `signum` to those of these processes that are still the same, as far as can be known."""
        readable: dict[int, ProcessInfo] = {}
        for process in processes:
            if isinstance(process.identity, psutil.Process):
                readable[process.pid] = process
            else:
                with suppress(OSError):  # nothing is read, so nothing can hang: no thread is needed
                    self._send(process, signum)
        if readable:
            # OSError: no descriptor left to identify a process; the next round signals it.
            with self._signalling, suppress(OSError):
                self._senders.walk(lambda pid: self._send(readable[pid], signum), readable)

    def _send(self, process: ProcessInfo, signum: signal.Signals) -> None:
        with _Handle(process.pid) as handle:
            if self._is_the_same(process):
                handle.send(signum)

    def _is_the_same(self, process: ProcessInfo) -> bool:
        if isinstance(process.identity, psutil.Process):
            return process.identity == psutil.Process(process.pid)
        return process.identity is not None and self._readers.stuck.get(process.pid) is process.identity


_of_hub: WeakKeyDictionary[Hub, ProcessTable] = WeakKeyDictionary()


def process_table() -> ProcessTable:
    """This hub's."""
    return _of_hub.setdefault(get_hub(), ProcessTable())


def signal_each(processes: Iterable[ProcessInfo], signum: signal.Signals) -> None:
    """Send `signum` to those of these processes that are still the same."""
    process_table().signal_each(processes, signum)


def describe(processes: Iterable[ProcessInfo]) -> str:
    """Name processes for people: `pid 123 (sleep, sleeping), pid 124 (cat, disk-sleep)`."""
    return ", ".join(str(process) for process in processes)


def _newest_first(being_killed: set[str]) -> Iterator[int]:
    """Every pid. While a run is being killed, also those that came meanwhile, as long as there are some."""
    began = time.monotonic()
    seen: set[int] = set()
    while new := [pid for pid in psutil.pids() if pid not in seen]:
        seen.update(new)
        yield from reversed(new)
        if not being_killed or time.monotonic() > began + _CHASE:
            return


def _other_thread(pid: int) -> psutil.Process | None:
    """Another thread of a process whose first thread ended: Linux then shows the whole process as a zombie."""
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            if int(thread) != pid:
                return psutil.Process(int(thread))
    return None


def _see_stuck(pid: int, hang: Hang) -> ProcessInfo:
    """What Linux says about a process without taking its locks (proc_pid_status(5))."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="backslashreplace") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    state = "disk-sleep" if fields["State"].startswith("D") else fields["State"].partition("(")[2].rstrip(")")
    return ProcessInfo(pid, hang, int(fields["PPid"]), os.getsid(pid), fields["Name"], state)


def _stop(process: psutil.Process) -> None:
    with _Handle(process.pid) as handle:
        if process == psutil.Process(process.pid):
            handle.send(signal.SIGSTOP)


class _Handle:
    """Holds the process that has a pid now, so that the process identified next is the one that gets the signal."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._pidfd: int | None = None

    def __enter__(self) -> _Handle:
        with suppress(AttributeError, OSError):  # no such call here, or no descriptor left
            self._pidfd = os.pidfd_open(self._pid)
        return self

    def send(self, signum: signal.Signals) -> None:
        if self._pidfd is None:
            os.kill(self._pid, signum)
        else:
            signal.pidfd_send_signal(self._pidfd, signum)

    def __exit__(self, *exc_info: object) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)

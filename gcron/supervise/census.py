"""Who belongs to which run: one look through the process table, shared by all who ask at the same time.

A thousand runs that are ended together would otherwise look a thousand times through a thousand processes. Looking
happens in a thread that may be lost, see `gcron.supervise.sweeping`.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import psutil

from gcron.runtime.event import AsyncResult
from gcron.runtime.greenlet import spawn
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.lock import Semaphore
from gcron.supervise.sweeping import Hang, Sweeper

__all__ = ["RUN_ID", "Census", "Look", "Sighting", "census", "describe", "signal_each"]

RUN_ID = "GCRON_RUN_ID"
"""The variable that marks every process of a run; what a process cannot shed by forking."""

# Seconds for which a look goes on with what was started while it looked, where there is somebody to be killed.
_CHASE = 0.3


@dataclass(frozen=True, slots=True)
class Sighting:
    """A process as a look has found it."""

    pid: int
    identity: psutil.Process | Hang | None
    """Equal to that of a later sighting of the same process. None: it cannot be told."""
    parent: int
    session: int
    name: str
    state: str
    """As psutil has it: `sleeping`, `disk-sleep`, `zombie`."""
    run_id: str | None = None

    @property
    def is_alive(self) -> bool:
        """It is more than an exit status that nobody has collected yet."""
        return self.state != psutil.STATUS_ZOMBIE

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.name}, {self.state})" if self.name else f"pid {self.pid}"


@dataclass(slots=True)
class Look:
    """What one look has found."""

    of_pid: dict[int, Sighting] = field(default_factory=dict)
    of_run: defaultdict[str, list[Sighting]] = field(default_factory=lambda: defaultdict(list))
    of_session: defaultdict[int, list[Sighting]] = field(default_factory=lambda: defaultdict(list))
    of_parent: defaultdict[int, list[Sighting]] = field(default_factory=lambda: defaultdict(list))

    def add(self, sighting: Sighting) -> None:
        """Enter a process under all that it can be asked for by."""
        self.of_pid[sighting.pid] = sighting
        if not sighting.is_alive or sighting.pid == os.getpid():
            return
        self.of_session[sighting.session].append(sighting)
        self.of_parent[sighting.parent].append(sighting)
        if sighting.run_id is not None:
            self.of_run[sighting.run_id].append(sighting)

    def descendants(self, roots: Iterable[Sighting]) -> list[tuple[Sighting, Sighting]]:
        """Children of these processes and theirs, each with its parent."""
        found: list[tuple[Sighting, Sighting]] = []
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


class Census:
    """The looks of one hub, one at a time. Who comes during one waits for the next: it may have been passed already."""

    def __init__(self) -> None:
        self.condemned: set[str] = set()
        """Runs to be killed, whose processes are stopped as soon as they are seen.

        Some fork faster than one can look, and under a limit each one killed makes room for another: who is stopped
        does not fork, and keeps its place.
        """
        self._next: AsyncResult[Look] | None = None
        self._looking = Semaphore(1)
        self._signalling = Semaphore(4)
        self._readers = Sweeper[Sighting]()
        self._readers_of_stuck = Sweeper[Sighting]()
        self._senders = Sweeper[None]()

    def take(self) -> Look:
        """The processes there are, by a look that begins after this call."""
        if self._next is None:
            self._next = AsyncResult()
            spawn(self._look)
        return self._next.get()

    def _look(self) -> None:
        with self._looking:
            result, self._next = self._next, None
            assert result is not None
            try:
                result.set(self._look_now())
            except BaseException as error:
                result.set_exception(error)
                if not isinstance(error, Exception):
                    raise

    def _look_now(self) -> Look:
        look = Look()
        for sighting in self._readers.sweep(self._see, _newest_first(self.condemned)):
            look.add(sighting)
        stuck = dict(self._readers.stuck)
        for sighting in self._readers_of_stuck.sweep(lambda pid: _see_stuck(pid, stuck[pid]), stuck):
            if self._readers.stuck.get(sighting.pid) is sighting.identity:
                look.add(sighting)
        return look

    def _see(self, pid: int) -> Sighting:
        process = psutil.Process(pid)
        with process.oneshot():
            state, run_id = process.status(), None
            living = process if state != psutil.STATUS_ZOMBIE else _other_thread(pid)
            if living is not None:
                state = living.status()
                with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
                    run_id = living.environ().get(RUN_ID)
            if run_id in self.condemned:
                _stop(process)
            return Sighting(pid, process, process.ppid(), os.getsid(pid), process.name(), state, run_id)

    def confirm(self, links: Iterable[tuple[Sighting, Sighting]]) -> list[Sighting]:
        """The children among these pairs of child and parent who are so still, and neither a later process."""
        parents = {child.pid: (child, parent) for child, parent in links}

        def check(pid: int) -> Sighting | None:
            child, parent = parents[pid]
            is_child = isinstance(child.identity, psutil.Process) and psutil.Process(pid).ppid() == parent.pid
            # In this order: who is the parent now has been so when the child was asked for it.
            return child if is_child and self._is_the_same(parent) and self._is_the_same(child) else None

        return self._readers.sweep(check, parents)

    def signal_each(self, sightings: Iterable[Sighting], signum: signal.Signals) -> None:
        """Send `signum` to those of these processes that are the same still, as far as that can be told."""
        readable: dict[int, Sighting] = {}
        for sighting in sightings:
            if isinstance(sighting.identity, psutil.Process):
                readable[sighting.pid] = sighting
            else:
                with suppress(OSError):  # nothing is read, so nothing can hang: here and now
                    self._send(sighting, signum)
        if readable:
            # No descriptor left to look who it is: those are for the next time.
            with self._signalling, suppress(OSError):
                self._senders.sweep(lambda pid: self._send(readable[pid], signum), readable)

    def _send(self, sighting: Sighting, signum: signal.Signals) -> None:
        with _Handle(sighting.pid) as handle:
            if self._is_the_same(sighting):
                handle.send(signum)

    def _is_the_same(self, sighting: Sighting) -> bool:
        if isinstance(sighting.identity, psutil.Process):
            return sighting.identity == psutil.Process(sighting.pid)
        return sighting.identity is not None and self._readers.stuck.get(sighting.pid) is sighting.identity


_of_hub: WeakKeyDictionary[Hub, Census] = WeakKeyDictionary()


def census() -> Census:
    """This hub's."""
    return _of_hub.setdefault(get_hub(), Census())


def signal_each(sightings: Iterable[Sighting], signum: signal.Signals) -> None:
    """Send `signum` to those of these processes that are the same still."""
    census().signal_each(sightings, signum)


def describe(sightings: Iterable[Sighting]) -> str:
    """Name processes for people: `pid 123 (sleep, sleeping), pid 124 (cat, disk-sleep)`."""
    return ", ".join(str(sighting) for sighting in sightings)


def _newest_first(condemned: set[str]) -> Iterator[int]:
    """Every pid. While somebody is condemned, also those that came meanwhile, as long as there are some."""
    began = time.monotonic()
    seen: set[int] = set()
    while new := [pid for pid in psutil.pids() if pid not in seen]:
        seen.update(new)
        yield from reversed(new)
        if not condemned or time.monotonic() > began + _CHASE:
            return


def _other_thread(pid: int) -> psutil.Process | None:
    """Another thread of a process whose first one has ended: Linux shows the whole as a zombie then."""
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            if int(thread) != pid:
                return psutil.Process(int(thread))
    return None


def _see_stuck(pid: int, hang: Hang) -> Sighting:
    """What Linux tells of a process without waiting for its locks (proc_pid_status(5))."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="backslashreplace") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    state = "disk-sleep" if fields["State"].startswith("D") else fields["State"].partition("(")[2].rstrip(")")
    return Sighting(pid, hang, int(fields["PPid"]), os.getsid(pid), fields["Name"], state)


def _stop(process: psutil.Process) -> None:
    with _Handle(process.pid) as handle:
        if process == psutil.Process(process.pid):
            handle.send(signal.SIGSTOP)


class _Handle:
    """Holds on to whatever process has a pid now, so that who is looked at next is who gets the signal."""

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

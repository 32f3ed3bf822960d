"""Which processes there are of each tree, and signals to them: looks at the process table, shared by all who ask.

Otherwise a thousand runs that end together would read a thousand processes a thousand times. All of it happens in a
thread that may hang (`gcron.supervise.scan_thread`).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from gcron.frozen import frozen
from gcron.runtime.event import AsyncResult
from gcron.runtime.greenlet import spawn
from gcron.runtime.hub import Hub, get_hub
from gcron.runtime.lock import Semaphore
from gcron.supervise.membership import Membership, Processes
from gcron.supervise.process_reader import NotReadable, ProcessInfo, Reader, new_reader, send_signal
from gcron.supervise.scan_thread import Guard, ScanThread

__all__ = ["ProcessTable", "Sighting", "process_table"]

# Seconds for which a look goes on with processes that started meanwhile, while a tree is being killed.
_CHASE = 0.3


@frozen
class Sighting:
    """What one look has found of a tree."""

    members: tuple[ProcessInfo, ...]
    unread: tuple[int, ...] = ()
    """Pids of other processes of its user that may be members: to read about them hangs."""


class _Request:
    """What somebody wants of the next look."""

    def __init__(self, membership: Membership, kill: bool) -> None:
        self.membership = membership
        self.kill = kill
        self.answer: AsyncResult[Sighting] = AsyncResult()


class ProcessTable:
    """Looks for one hub, one look at a time.

    A caller who comes during a look waits for the next one: this one may have passed the caller's processes already.
    All methods park, and raise NotReadable when no look can be made.
    """

    def __init__(self, reader: Reader | None = None) -> None:
        self._reader = reader or new_reader()
        self._processes = Processes(self._reader)
        self._scan_thread = ScanThread()
        self._requests: list[_Request] = []
        self._turn = Semaphore(1)

    def prepare(self) -> None:
        """Have the thread for looks: later there may be no room for one. Raises NotReadable when there is none now."""
        self._scan_thread.prepare()

    def look(self, membership: Membership) -> Sighting:
        """Find the members, by a look that begins after this call."""
        return self._ask(_Request(membership, kill=False))

    def kill(self, membership: Membership) -> Sighting:
        """Find the members, and send KILL to them; returns those that there were.

        They are stopped first. Some programs fork faster than a look is made, and under a limit each killed process
        makes room for another. A stopped process does not fork, and keeps its place. All of this is one turn of the
        thread, so that a gcron that is killed itself leaves nobody stopped. Members of a control group are not stopped:
        `Cgroup.kill` ends those that just fork, too.
        """
        return self._ask(_Request(membership, kill=True))

    def send(self, processes: Iterable[ProcessInfo], signums: Sequence[signal.Signals]) -> None:
        """Send each of `signums` to those of these processes that are still the same."""
        chosen = list(processes)

        def send_all(guard: Guard) -> None:
            for signum in signums:
                for process in chosen:
                    send_signal(self._reader, process, signum)

        if chosen:
            with self._turn:
                self._scan_thread.run(send_all)

    # -- looks ----------------------------------------------------------------------------------------------

    def _ask(self, request: _Request) -> Sighting:
        self._requests.append(request)
        if len(self._requests) == 1:
            spawn(self._answer)  # not here: the caller may be killed in the middle
        return request.answer.get()

    def _answer(self) -> None:
        with self._turn:
            requests, self._requests = self._requests, []
            try:
                sightings = self._scan_thread.run(lambda guard: self._look(requests, guard))
            except Exception as error:
                for request in requests:
                    request.answer.set_exception(error)
                if not isinstance(error, NotReadable):
                    raise
            else:
                for request, sighting in zip(requests, sightings, strict=True):
                    if isinstance(sighting, NotReadable):
                        request.answer.set_exception(sighting)
                    else:
                        request.answer.set(sighting)

    def _look(self, requests: Sequence[_Request], guard: Guard) -> list[Sighting | NotReadable]:
        memberships = [request.membership for request in requests]
        if all(membership.was_looked_for for membership in memberships):
            self._processes.forget({pid for membership in memberships for pid in membership.known})
        else:  # who was a stranger to others may be a member of this tree
            self._processes.forget()
        scan = _Scan(self._processes, requests, guard)
        try:
            found = scan.run()
        finally:
            scan.kill()
        for membership in memberships:
            membership.was_looked_for = True
        return found


class _Scan:
    """One look, in the scan thread."""

    def __init__(self, processes: Processes, requests: Sequence[_Request], guard: Guard) -> None:
        self._processes = processes
        self._requests = requests
        self._guard = guard
        self._uids = {request.membership.uid for request in requests}
        killed = [request.membership for request in requests if request.kill]
        self._marks = {(membership.mark, membership.uid) for membership in killed}
        self._doomed: dict[int, ProcessInfo] = {}

    def run(self) -> list[Sighting | NotReadable]:
        """Find all members, and stop those that are to be killed."""
        chase_until = time.monotonic() + _CHASE
        while True:
            self._processes.update(self._guard, self._uids, self._stop_marked)
            found = [self._find(request.membership) for request in self._requests]
            if not self._stop_found(found) or time.monotonic() > chase_until:
                return found

    def kill(self) -> None:
        """Kill those that were stopped, whatever has happened since."""
        for process in self._doomed.values():
            self._send(process, signal.SIGKILL)

    def _find(self, membership: Membership) -> Sighting | NotReadable:
        try:
            found = membership.find(self._processes, self._guard)
        except NotReadable as error:
            if error.may_pass:
                raise
            return error
        others = [self._processes.of_pid.get(pid) for pid in self._guard.unread - found.keys()]
        unread = [process.pid for process in others if process is not None and process.uid == membership.uid]
        return Sighting(tuple(found.values()), tuple(sorted(unread)))

    def _stop_marked(self, process: ProcessInfo, mark: str) -> None:
        if (mark, process.uid) in self._marks and process.pid not in self._doomed:
            self._doomed[process.pid] = process
            self._send(process, signal.SIGSTOP)

    def _stop_found(self, found: list[Sighting | NotReadable]) -> bool:
        """Stop those that were found; False when all of them are stopped already."""
        has_new = False
        for request, sighting in zip(self._requests, found, strict=True):
            for process in sighting.members if request.kill and isinstance(sighting, Sighting) else ():
                if process.pid in self._doomed:
                    continue
                has_new = True
                self._doomed[process.pid] = process
                if process.pid not in request.membership.in_cgroup:
                    self._send(process, signal.SIGSTOP)
        return has_new

    def _send(self, process: ProcessInfo, signum: signal.Signals) -> None:
        send_signal(self._processes.reader, process, signum)


_of_hub: WeakKeyDictionary[Hub, ProcessTable] = WeakKeyDictionary()


def process_table() -> ProcessTable:
    """This hub's."""
    return _of_hub.setdefault(get_hub(), ProcessTable())

"""Which processes belong to a tree. A process is a member if

- it is in the control group of the tree;
- it is in the session of the leader, while there is a leader;
- it has the mark of the tree in its environment, and belongs to the user of the tree: anybody may copy a mark;
- it is a child of a member;
- it was a member at an earlier look.

What was read about a process counts only if the process still has its pid afterwards. For the scan thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from gcron.supervise.cgroup_files import Cgroup
from gcron.supervise.command import MARK
from gcron.supervise.process_reader import Key, NotReadable, ProcessInfo, Reader
from gcron.supervise.scan_thread import Guard

__all__ = ["Membership", "Processes"]


class Processes:
    """All processes that there are, as they were when they were read."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.of_pid: dict[int, ProcessInfo] = {}
        self.of_session: defaultdict[int, list[ProcessInfo]] = defaultdict(list)
        self.of_parent: defaultdict[int, list[ProcessInfo]] = defaultdict(list)
        self.of_mark: defaultdict[tuple[str, int], list[ProcessInfo]] = defaultdict(list)
        """By mark and user. Marks are read of the processes of those users only for whom that was asked."""
        self._marks: dict[int, tuple[Key, str]] = {}

    def forget(self, pids: set[int] | None = None) -> None:
        """Read these processes anew at the next update; None: all of them. Marks stay: they do not change."""
        for pid in self.of_pid.keys() & pids if pids is not None else list(self.of_pid):
            del self.of_pid[pid]

    def update(self, guard: Guard, uids: set[int], on_mark: Callable[[ProcessInfo, str], object]) -> None:
        """Read the processes that are new, and their marks where they belong to one of these users.

        `on_mark` is called for each mark as soon as it is known.
        """
        keys = guard.list_all(self.reader.list_all)
        for pid in self.of_pid.keys() - keys.keys():
            del self.of_pid[pid]
        for pid in self._marks.keys() - keys.keys():
            del self._marks[pid]
        for pid, key in reversed(keys.items()):  # the newest first: they may be about to fork
            process = self.of_pid.get(pid)
            if process is None or process.key != key:
                process = guard.call(self.reader.read, pid)
                if process is None:
                    self.of_pid.pop(pid, None)
                    continue
                self.of_pid[pid] = process
            if process.uid in uids and process.is_alive and self._mark_of(process) is None:
                self._read_mark(guard, process, on_mark)
        self._index()

    def _mark_of(self, process: ProcessInfo) -> str | None:
        """Its mark, empty without one; None when it could not be read yet."""
        key, mark = self._marks.get(process.pid, (None, None))
        return mark if key == process.key else None  # else it is of an earlier process with this pid

    def _read_mark(self, guard: Guard, process: ProcessInfo, on_mark: Callable[[ProcessInfo, str], object]) -> None:
        mark = guard.call(lambda pid: self.reader.variable_of(pid, MARK), process.pid, process.uid)
        if mark is not None and self.reader.is_same(process):
            self._marks[process.pid] = process.key, mark
            if mark:
                on_mark(process, mark)

    def _index(self) -> None:
        for index in (self.of_session, self.of_parent, self.of_mark):
            index.clear()
        for process in self.of_pid.values():
            if process.is_alive:
                self.of_session[process.session].append(process)
                self.of_parent[process.parent].append(process)
                if mark := self._mark_of(process):
                    self.of_mark[mark, process.uid].append(process)


class _Known(NamedTuple):
    process: ProcessInfo
    start: Key
    """None when that could not be read."""


class _Leader(Protocol):
    pid: int
    ended: bool


class Membership:
    """The members of one tree: those of the process `leader`, of `mark`, and of the user `uid`."""

    def __init__(self, leader: _Leader, mark: str, uid: int) -> None:
        self.mark = mark
        self.uid = uid
        self.cgroup: Cgroup | None = None
        self.in_cgroup: set[int] = set()
        """Pids of those that were in the control group at the last look."""
        self.was_looked_for = False
        self._leader = leader
        self._known: dict[int, _Known] = {}

    @property
    def known(self) -> dict[int, ProcessInfo]:
        """Those that the last look has found, by pid."""
        return {pid: known.process for pid, known in self._known.items()}

    def find(self, processes: Processes, guard: Guard) -> dict[int, ProcessInfo]:
        """Find the members among all processes, and remember them. Raises NotReadable when those are not shown.

        The leader is one until its status is collected: it may have emptied its environment, its first thread may have
        ended before the others, and a debugger may hold it when it is dead.
        """
        leader = self._leader.pid
        found = {process.pid: process for process in self._candidates(processes, guard)}
        if self._leader.ended:
            found.pop(leader, None)
        elif leader in processes.of_pid:
            found[leader] = processes.of_pid[leader]
        elif leader in guard.unread:
            found[leader] = ProcessInfo(leader, None, 0, leader, self.uid, "", "")
        else:
            raise NotReadable("the system does not show the processes of this user")
        self._add_children(processes, found)
        self._remember(processes, guard, found)
        return found

    def _candidates(self, processes: Processes, guard: Guard) -> Iterator[ProcessInfo]:
        is_same = processes.reader.is_same
        self.in_cgroup = set() if self.cgroup is None else self.cgroup.pids()
        for pid in self.in_cgroup:
            inside = processes.of_pid.get(pid)
            if inside is not None and inside.is_alive and is_same(inside):
                yield inside
        yield from filter(is_same, processes.of_mark.get((self.mark, self.uid), ()))
        for pid, known in self._known.items():
            again = processes.of_pid.get(pid)
            if again is not None and again.is_alive and _is_known(again, known, processes, guard):
                yield again
        in_session = [process for process in processes.of_session.get(self._leader.pid, ()) if is_same(process)]
        # Only now: until the leader is collected, every process with its session's number belongs to it.
        if not self._leader.ended:
            yield from in_session

    def _add_children(self, processes: Processes, found: dict[int, ProcessInfo]) -> None:
        is_same = processes.reader.is_same
        parents = list(found.values())
        while parents:
            parent = parents.pop()
            for child in processes.of_parent.get(parent.pid, ()):
                # The parent first: if it is still the same, it was when the child named it.
                if child.pid not in found and is_same(parent) and is_same(child):
                    found[child.pid] = child
                    parents.append(child)

    def _remember(self, processes: Processes, guard: Guard, found: dict[int, ProcessInfo]) -> None:
        known = {}
        for pid, process in found.items():
            before = self._known.get(pid)
            if before is not None and before.process.key == process.key:
                known[pid] = _Known(process, before.start)
            else:
                known[pid] = _Known(process, guard.call(processes.reader.start_of, pid, process.uid))
        self._known = known


def _is_known(process: ProcessInfo, known: _Known, processes: Processes, guard: Guard) -> bool:
    if process.key == known.process.key:
        return process.key is not None
    return known.start is not None and guard.call(processes.reader.start_of, process.pid, process.uid) == known.start

"""What a gcron that was killed itself has left behind.

Its runs go on, and the next gcron knows nothing of them: it would run everything twice without a word. Processes that
it had stopped, in order to kill them, are still stopped.
"""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gcron.supervise.cgroup import abandoned_groups
from gcron.supervise.cgroup_files import Cgroup
from gcron.supervise.command import MARK, Maker, instance_digest, maker_of, new_mark
from gcron.supervise.process_reader import ProcessInfo, Reader, describe, new_reader, send_signal
from gcron.supervise.scan_thread import Guard, ScanThread

__all__ = ["find_leftovers"]


def find_leftovers(instance: str, adopted: Collection[str] = ()) -> list[str]:
    """Continue what was stopped, and return a message for each job of this instance that is left. Parks.

    `adopted`: ids of runs that this gcron goes on with. Raises NotReadable when processes are not shown.
    """
    return ScanThread().run(partial(_search, instance_digest(instance), adopted))


class _Leftover(NamedTuple):
    process: ProcessInfo
    job: str
    run_id: str
    instance: str | None
    """None: it has no mark, and neither has any process of its gcron."""


def _search(instance: str, adopted: Collection[str], guard: Guard) -> list[str]:
    reader = new_reader()
    found = list(_find(reader, guard))
    stopped = [each.process for each in found if each.process.state == "stopped"]
    left: defaultdict[str, list[ProcessInfo]] = defaultdict(list)
    for each in found:
        # What a gcron with other crontabs has left is for its successor to name.
        if each.instance in (None, instance) and each.run_id not in adopted:
            left[each.job].append(each.process)
    for process in stopped:
        send_signal(reader, process, signal.SIGCONT)
    messages = [
        f"{job or 'a job'} still runs: a gcron that has ended left {describe(processes)};"
        " this gcron neither waits for it nor ends it"
        for job, processes in sorted(left.items())
    ]
    if stopped:
        messages.append(f"continued {describe(stopped)}: a gcron that has ended had stopped them, to kill them")
    return messages


def _find(reader: Reader, guard: Guard) -> Iterator[_Leftover]:
    """Yield the processes that are left, of any instance."""
    groups = {pid: group for group in abandoned_groups() for pid in Cgroup(group).pids()}
    instances: dict[Path, str] = {}
    unmarked: list[tuple[Path, _Leftover]] = []
    for pid in guard.list_all(reader.list_all):
        process = guard.call(reader.read, pid)
        if process is None or not process.is_alive:
            continue
        group = groups.get(pid)
        # Only of its own user, or in a group of gcron's: anybody may give a process a mark that gcron could have made.
        may_be_marked = group is not None or process.uid == os.getuid()
        mark = _variable_of(reader, guard, process, MARK) if may_be_marked else ""
        maker = _abandoned_maker_of(mark, reader, in_group=group is not None)
        if maker is None and group is None:
            continue
        job, run_id = (_variable_of(reader, guard, process, name) for name in ("GCRON_JOB", "GCRON_RUN_ID"))
        if maker is not None:
            yield _Leftover(process, job, run_id, maker.instance)
            if group is not None and process.uid == os.getuid():
                instances[group] = maker.instance
        elif group is not None:
            unmarked.append((group, _Leftover(process, job, run_id, None)))
    for group, leftover in unmarked:
        yield leftover._replace(instance=instances.get(group))


def _variable_of(reader: Reader, guard: Guard, process: ProcessInfo, name: str) -> str:
    return guard.call(lambda pid: reader.variable_of(pid, name), process.pid, process.uid) or ""


def _abandoned_maker_of(mark: str, reader: Reader, in_group: bool) -> Maker | None:
    """The gcron that has made the mark, if it has ended. `in_group`: the process is in a group that gcron has left."""
    try:
        maker = maker_of(mark)
    except ValueError:
        return None
    if maker.namespace != maker_of(new_mark()).namespace:  # here, somebody else may have its pid
        return maker if in_group else None
    try:
        return maker if str(reader.start_of(maker.pid)) != maker.start else None
    except (FileNotFoundError, ProcessLookupError):
        return maker
    except OSError:
        return None

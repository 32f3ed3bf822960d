"""What a gcron that was killed itself has left behind.

Its runs go on, and the next gcron knows nothing of them: it would run everything twice without a word. Processes that
it had stopped, in order to kill them, are still stopped.
"""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Collection
from functools import partial

from gcron.supervise.cgroup import abandoned_groups
from gcron.supervise.cgroup_files import Cgroup
from gcron.supervise.command import MARK, maker_of, new_mark
from gcron.supervise.process_reader import ProcessInfo, Reader, describe, new_reader, send_signal
from gcron.supervise.scan_thread import Guard, ScanThread

__all__ = ["find_leftovers"]


def find_leftovers(adopted: Collection[str] = ()) -> list[str]:
    """Continue what was stopped, and return a message for each job that is left. Parks.

    `adopted`: ids of runs that this gcron goes on with. Raises NotReadable when processes are not shown.
    """
    return ScanThread().run(partial(_search, adopted))


def _search(adopted: Collection[str], guard: Guard) -> list[str]:
    reader = new_reader()
    found = _find(reader, guard)
    stopped = [process for processes in found.values() for process in processes if process.state == "stopped"]
    left: defaultdict[str, list[ProcessInfo]] = defaultdict(list)
    for (job, run_id), processes in found.items():
        if run_id not in adopted:
            left[job] += processes
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


def _find(reader: Reader, guard: Guard) -> dict[tuple[str, str], list[ProcessInfo]]:
    """The processes that are left, by the name of their job and the id of their run."""
    in_groups = {pid for group in abandoned_groups() for pid in Cgroup(group).pids()}
    found = defaultdict(list)
    for pid in guard.list_all(reader.list_all):
        process = guard.call(reader.read, pid)
        if process is None or not process.is_alive:
            continue
        # Only of its own user: anybody may give a process a mark that gcron could have made.
        is_marked = process.uid == os.getuid() and _is_abandoned(_variable_of(reader, guard, process, MARK), reader)
        if is_marked or pid in in_groups:
            job, run_id = (_variable_of(reader, guard, process, name) for name in ("GCRON_JOB", "GCRON_RUN_ID"))
            found[job, run_id].append(process)
    return found


def _variable_of(reader: Reader, guard: Guard, process: ProcessInfo, name: str) -> str:
    return guard.call(lambda pid: reader.variable_of(pid, name), process.pid, process.uid) or ""


def _is_abandoned(mark: str, reader: Reader) -> bool:
    """Whether the gcron that has made the mark has ended."""
    own_namespace = maker_of(new_mark())[0]
    try:
        namespace, pid, start = maker_of(mark)
        # In another namespace, somebody else has its pid.
        return namespace == own_namespace and str(reader.start_of(pid)) != start
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, ValueError):
        return False

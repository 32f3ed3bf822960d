"""Orphans: runs of a gcron that was killed, whose processes still live. How they are found, and how one is followed.

A run is found by the pid of its leader, where that is on record, or by its mark. A pid alone proves nothing: the
process must have been started before its pid was recorded, in the same boot of the machine.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from resource import struct_rusage

from gcron.frozen import frozen
from gcron.policy import Policy
from gcron.runtime.children import UNKNOWN_STATUS
from gcron.runtime.event import Event
from gcron.runtime.hub import READ, Watch, get_hub
from gcron.schedule.clock import Clock
from gcron.supervise.attempt import Attempt
from gcron.supervise.cgroup import group_of_run
from gcron.supervise.command import MARK, Command, Identity, maker_of, new_mark
from gcron.supervise.events import Emit
from gcron.supervise.outcome import Outcome, Reason, ReasonCode
from gcron.supervise.process_reader import ProcessInfo, Reader, new_reader
from gcron.supervise.process_tree import ProcessTree
from gcron.supervise.scan_thread import Guard, ScanThread
from gcron.supervise.timing import TIMING, Timing

__all__ = ["AdoptedAttempt", "Orphan", "Wanted", "find_orphans"]

# Seconds: a start is counted in hundredths.
_RESOLUTION = 0.02
# Seconds between two looks at a process where the kernel does not report its end.
_LOOK = 0.5


@frozen
class Wanted:
    """A run without an end, as it is on record."""

    run_id: str
    attempt: int
    """0: no process of it is on record."""
    pid: int | None
    pid_since: float | None
    """Seconds since the machine's boot, just after the process was started."""


@frozen
class Orphan:
    """The leader of a run that an earlier gcron started."""

    run_id: str
    job: str
    fire_at: int | None
    attempt: int
    mark: str
    process: ProcessInfo
    since_boot: float
    """Seconds from the machine's boot to its start."""
    node: str = ""
    """The node that started it, where several share the work."""
    fence: int = 0
    """The number of its claim. 0: none."""


def find_orphans(wanted: Sequence[Wanted], makers: Collection[int]) -> Mapping[str, Orphan]:
    """The leaders that still live, by the id of their run: of these runs, and of any run of a dead gcron.

    That gcron has to be in `makers`, which are pids in this boot of the machine, or to be of the same instance: a full
    disk may have kept it off the record. Parks. Raises NotReadable when processes are not shown.
    """
    if not hasattr(os, "sysconf") or "SC_CLK_TCK" not in os.sysconf_names or not os.path.exists("/proc/self/stat"):
        return {}
    return ScanThread().run(_Search(wanted, makers).run)


class _Search:
    def __init__(self, wanted: Sequence[Wanted], makers: Collection[int]) -> None:
        self._wanted = {each.run_id: each for each in wanted}
        self._by_pid = {each.pid: each for each in wanted if each.pid is not None}
        self._makers = makers
        self._reader = new_reader()

    def run(self, guard: Guard) -> dict[str, Orphan]:
        found: dict[str, Orphan] = {}
        for orphan in self._orphans(guard):
            other = found.get(orphan.run_id)
            # The leader is older than a daemon that it has started in a session of its own.
            if other is None or (orphan.attempt, -orphan.since_boot) > (other.attempt, -other.since_boot):
                found[orphan.run_id] = orphan
        return found

    def _orphans(self, guard: Guard) -> Iterator[Orphan]:
        own = os.getuid()
        for pid in guard.list_all(self._reader.list_all):
            on_record = self._by_pid.get(pid)
            process = guard.call(self._reader.read, pid)
            # Marks count only of gcron's own user: anybody may give a process a mark that gcron could have made.
            if process is None or not process.is_alive or process.session != pid:
                continue
            if on_record is None and process.uid != own:
                continue
            orphan = self._read(guard, process)
            if orphan is not None and self._is_ours(orphan, on_record):
                yield orphan if on_record is None else _as_recorded(orphan, on_record)

    def _read(self, guard: Guard, process: ProcessInfo) -> Orphan | None:
        def variable(name: str) -> str:
            return guard.call(lambda pid: self._reader.variable_of(pid, name), process.pid, process.uid) or ""

        start = guard.call(self._reader.start_of, process.pid, process.uid)
        run_id, mark, fire_at, attempt = map(variable, ("GCRON_RUN_ID", MARK, "GCRON_FIRE_AT", "GCRON_ATTEMPT"))
        if start is None or not self._reader.is_same(process):
            return None
        since_boot = start / os.sysconf("SC_CLK_TCK")
        number = int(attempt) if attempt.isdigit() else 1
        due = int(fire_at) if fire_at.isdigit() else None
        fence = variable("GCRON_FENCE")
        claim = int(fence) if fence.isdigit() else 0
        job, node = variable("GCRON_JOB"), variable("GCRON_NODE")
        return Orphan(run_id, job, due, number, mark, process, since_boot, node, claim)

    def _is_ours(self, orphan: Orphan, on_record: Wanted | None) -> bool:
        if on_record is not None and on_record.pid_since is not None:
            return orphan.since_boot <= on_record.pid_since + _RESOLUTION
        wanted = self._wanted.get(orphan.run_id)
        if wanted is not None and wanted.pid is not None and orphan.attempt <= wanted.attempt:
            return False  # the leader is gone, and this is something that it has left behind
        return _is_of(orphan.mark, self._makers, self._reader)


def _as_recorded(orphan: Orphan, on_record: Wanted) -> Orphan:
    """It may have emptied its environment."""
    return (
        orphan
        if orphan.run_id == on_record.run_id
        else Orphan(on_record.run_id, "", None, on_record.attempt, "", orphan.process, orphan.since_boot)
    )


def _is_of(mark: str, makers: Collection[int], reader: Reader) -> bool:
    """Whether one of these gcrons, or one of this instance, has made the mark, and has ended."""
    try:
        maker = maker_of(mark)
    except ValueError:
        return False
    own = maker_of(new_mark())
    is_of_instance = own.instance != "" and maker.instance == own.instance  # programs have none
    if maker.namespace != own.namespace or not (maker.pid in makers or is_of_instance):
        return False
    try:
        return str(reader.start_of(maker.pid)) != maker.start
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False


class _Stranger:
    """A leader that is no child of gcron: its end can be learnt, but not its exit status."""

    script = ""
    usage: struct_rusage | None = None

    def __init__(self, process: ProcessInfo) -> None:
        self.pid = process.pid
        self.ended = False
        self._process = process
        self._reader = new_reader()
        self._at_end: list[Callable[[], object]] = []
        self._over = Event()
        self._pidfd: int | None = None
        self._watch: Watch | None = None
        with suppress(AttributeError, OSError):  # no such call here, or no descriptor left; or it has just ended
            self._pidfd = os.pidfd_open(process.pid)
        # In this order: if it is still the same, then the descriptor, which is older, is for it.
        if not self._reader.is_same(process):
            self._end()
        elif self._pidfd is not None:
            self._watch = get_hub().io.watch(self._pidfd, READ, self._end)
        else:
            self._look_again()

    def poll(self) -> int | None:
        """`UNKNOWN_STATUS` once it has ended; None before."""
        if not self.ended and self._has_gone():
            self._end()
        return UNKNOWN_STATUS if self.ended else None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end. False after `timeout` seconds."""
        self._over.wait(timeout)
        return self.ended

    def at_end(self, function: Callable[[], object]) -> None:
        """Call `function()` when it has ended."""
        if self.ended:
            get_hub().call_soon(function)
        else:
            self._at_end.append(function)

    def _has_gone(self) -> bool:
        if self._pidfd is None:
            return not self._reader.is_same(self._process)
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def _look_again(self) -> None:
        if self.poll() is None:
            get_hub().call_later(_LOOK, self._look_again)

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = True
        if self._pidfd is not None:
            if self._watch is not None:
                get_hub().io.release(self._watch)
            os.close(self._pidfd)
            self._pidfd = None
        self._over.set()
        for function in self._at_end:
            function()


class AdoptedAttempt(Attempt):
    """The rest of an attempt that an earlier gcron began: its `timeout` goes on, and its tree can be ended."""

    _is_under_way = True

    def __init__(
        self,
        orphan: Orphan,
        command: Command,
        policy: Policy,
        identity: Identity,
        emit: Emit,
        clock: Clock,
        timing: Timing = TIMING,
        sweep: bool = False,
    ) -> None:
        super().__init__(command, policy, identity, emit, clock, timing, sweep)
        self._orphan = orphan
        self._age = max(0.0, clock.monotonic() - orphan.since_boot)

    def _start(self) -> ProcessTree | None:
        process = self._orphan.process
        tree = ProcessTree(_Stranger(process), self._identity, process.uid, self._timing)
        tree.use_cgroup(group_of_run(self._identity.run_id))
        return tree

    def _announce(self, tree: ProcessTree, now: float, since_boot: float) -> None:
        self._notice(f"an earlier gcron left it running: {self._orphan.process}; it is adopted")

    def _verdict(self, code: int | None, tree: ProcessTree) -> tuple[Outcome, Reason]:
        if self._stopped is None and code == UNKNOWN_STATUS:
            text = "it ended; the gcron that started it was killed before, so its exit status is not known"
            return Outcome.UNKNOWN_EXIT, Reason(ReasonCode.ADOPTED, text)
        return super()._verdict(code, tree)

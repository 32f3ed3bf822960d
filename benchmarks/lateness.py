"""Lateness: how long after its second a job starts, and what waiting for it costs.

    python benchmarks/lateness.py --impl gcron --only calls

Each start is compared with its second. The program fails when a start is early, double or missing.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import daemons
import harness
from daemons import EVERY_SECOND, Daemon, Job, not_due
from harness import Area, Measure

_LATENESS = (Measure("median", "ms"), Measure("p99", "ms"), Measure("worst", "ms"))
HANDFUL = 5
MANY = 10_000

AREAS = (
    Area("calls", f"{HANDFUL} Python jobs of every second for 30 s", 30, _LATENESS, 1, warm_up=False),
    Area("calls-among-many", f"the same among {MANY:,} jobs", 30, _LATENESS, 1, warm_up=False),
    Area("process", "one shell job of every second for 30 s", 30, _LATENESS, 1, warm_up=False),
    # A whole minute: some do their housekeeping once in one.
    Area("idle", f"{MANY:,} jobs, none due: CPU in a minute", 60, (Measure("cpu", "ms"),), 1, warm_up=False),
)

# Seconds until the first start that counts: reading and planning 10,000 jobs is over by then.
SETTLING = 5.0
# The same for `idle`. gcron reads files once more after 10 s if they were written just before it read them.
IDLE_SETTLING = 15.0

Action = str | Callable[[], None]
"""A shell command, or a function."""


class Session(Protocol):
    """An implementation at work."""

    def start(self, every_second: Sequence[Action], others: int) -> None:
        """Begin to run these each second, among so many that are not due."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def stop(self) -> None:
        """Run no more."""

    def cpu(self) -> float:
        """Seconds of CPU used so far."""


class Peer:
    """The areas, in terms of a session."""

    def __init__(self, session: Callable[[], Session]) -> None:
        self._session = session

    def calls(self, seconds: int, others: int = 0) -> tuple[float, ...]:
        starts: list[list[float]] = [[] for _ in range(HANDFUL)]
        settled = self._run([_stamp_into(instants) for instants in starts], others, seconds)
        return _lateness(starts, settled)

    def calls_among_many(self, seconds: int) -> tuple[float, ...]:
        return self.calls(seconds, MANY)

    def process(self, seconds: int) -> tuple[float, ...]:
        with tempfile.NamedTemporaryFile("r") as stamps:
            settled = self._run([f"date +%s.%N >> {stamps.name}"], 0, seconds)
            return _lateness([[float(line) for line in stamps]], settled)

    def idle(self, seconds: int) -> float:
        with self._started([], MANY, IDLE_SETTLING) as session:
            begin = session.cpu()
            session.wait(seconds)
            return (session.cpu() - begin) * 60 / seconds

    def _run(self, actions: Sequence[Action], others: int, seconds: int) -> float:
        """Run them, and return the instant from which the starts count."""
        with self._started(actions, others, SETTLING) as session:
            settled = time.time()
            session.wait(seconds + 0.5)  # however the clock stands just now, so many seconds begin
        return settled

    @contextmanager
    def _started(self, actions: Sequence[Action], others: int, settling: float) -> Iterator[Session]:
        session = self._session()
        session.start(actions, others)
        try:
            session.wait(settling)
            yield session
        finally:
            session.stop()


def _stamp_into(instants: list[float]) -> Callable[[], None]:
    return lambda: instants.append(time.time())


def _lateness(starts: Sequence[Sequence[float]], settled: float) -> tuple[float, ...]:
    """Median, 99th percentile and worst of all jobs' starts since `settled`."""
    late = []
    for instants in starts:
        counted = [instant for instant in instants if instant >= settled]
        seconds = [round(instant) for instant in counted]
        harness.check(len(seconds) == len(set(seconds)), "a second has two starts")
        harness.check(seconds == list(range(seconds[0], seconds[-1] + 1)), "a second has no start")
        late += [instant - second for instant, second in zip(counted, seconds, strict=True)]
    harness.check(min(late) >= 0, "a start is early")
    late.sort()
    return late[len(late) // 2], late[len(late) * 99 // 100], late[-1]


def _own_cpu() -> float:
    return time.process_time()


# -- implementations ----------------------------------------------------------------------------------------


class Gcron:
    """The library, in this process."""

    def start(self, every_second: Sequence[Action], others: int) -> None:
        from gcron import Scheduler

        self._scheduler = Scheduler()
        for number, action in enumerate(every_second):
            if isinstance(action, str):
                self._scheduler.command(action, EVERY_SECOND, name=str(number))
            else:
                self._scheduler.job(EVERY_SECOND, name=str(number), greenlet=True)(action)
        for number in range(others):
            self._scheduler.job(not_due(number), name=f"other-{number}", greenlet=True)(_nothing)
        self._scheduler.start()

    def wait(self, seconds: float) -> None:
        import gcron

        gcron.sleep(seconds)

    def stop(self) -> None:
        self._scheduler.stop()

    cpu = staticmethod(_own_cpu)


class Process:
    """A daemon with a file of jobs, and its log on the null device. It has no Python jobs."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def start(self, every_second: Sequence[Action], others: int) -> None:
        jobs = [Job(EVERY_SECOND, str(action)) for action in every_second]
        jobs += [Job(not_due(number), "true") for number in range(others)]
        write = self._daemon.write_large if others and self._daemon.write_large else self._daemon.write
        self._stack = ExitStack()
        path = Path(self._stack.enter_context(tempfile.TemporaryDirectory()), "jobs")
        write(jobs, path)
        self._process = self._stack.enter_context(self._daemon.running(path))

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def stop(self) -> None:
        self._stack.close()
        harness.check(self._process.returncode == 0, "the daemon failed")

    def cpu(self) -> float:
        # Linux's name of the CPU clock of another process. What `ps` shows goes in steps of 10 ms.
        return time.clock_gettime((~self._process.pid << 3) | 2)


class APScheduler:
    """A background thread that hands the jobs to a pool of threads."""

    def start(self, every_second: Sequence[Action], others: int) -> None:
        from apscheduler.schedulers.background import BackgroundScheduler
        from apscheduler.triggers.cron import CronTrigger

        self._scheduler = BackgroundScheduler(timezone="UTC")
        for action in every_second:
            self._scheduler.add_job(_callable(action), CronTrigger(second="*", timezone="UTC"))
        for number in range(others):
            self._scheduler.add_job(_nothing, CronTrigger.from_crontab(not_due(number), "UTC"))
        self._scheduler.start()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def stop(self) -> None:
        self._scheduler.shutdown()

    cpu = staticmethod(_own_cpu)


def _nothing() -> None:
    return


def _callable(action: Action) -> Callable[[], Any]:
    if isinstance(action, str):
        return lambda: subprocess.run(action, shell=True, check=True)
    return action


class CommandsOnly:
    """The areas of an implementation without Python jobs."""

    def __init__(self, peer: Peer) -> None:
        self.process = peer.process
        self.idle = peer.idle


def _commands_only(daemon: Daemon) -> CommandsOnly:
    return CommandsOnly(Peer(lambda: Process(daemon)))


def _apscheduler() -> Peer:
    import apscheduler  # noqa: F401 - or it is not installed

    return Peer(APScheduler)


PROGRAM = harness.Program(
    "lateness",
    AREAS,
    {
        "gcron": lambda: Peer(Gcron),
        "gcron-run": lambda: _commands_only(daemons.gcron()),
        "apscheduler": _apscheduler,
        "cronstable": lambda: _commands_only(daemons.cronstable()),
        "cronstable-uvloop": lambda: _commands_only(daemons.cronstable_uvloop()),
    },
)

if __name__ == "__main__":
    harness.main(PROGRAM)

"""`gcron run` from its first to its last moment: jobs in, signals, log, exit status.

The scheduler does the work. `Daemon` composes it with a store, the log, the reloader and further parts, none of which
knows another.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Protocol

from gcron.daemon.dispositions import hand_down_defaults
from gcron.daemon.formats.format import Level
from gcron.daemon.log import Log, LogSettings
from gcron.daemon.lost_limits import report_limits
from gcron.daemon.reloading import Reloader
from gcron.daemon.sd_notify import Notifier
from gcron.daemon.self_check import SelfCheck
from gcron.daemon.status import status_fields, status_lines
from gcron.daemon.stop_signals import StopRequests
from gcron.daemon.terminal import Terminal
from gcron.daemon.watching import FileWatch, Snapshot
from gcron.frozen import frozen
from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, spawn, spawn_later
from gcron.runtime.hub import SignalHandler, get_hub
from gcron.schedule.clock import Clock, SystemClock
from gcron.scheduler import Job, Run, Scheduler, SchedulerEvent, ServiceStateChanged, StopReport, Store
from gcron.scheduler.watchdog import Blocker
from gcron.supervise.cgroup import remove_cgroups, use_cgroups
from gcron.supervise.command import use_instance
from gcron.supervise.leftovers import find_leftovers
from gcron.supervise.process_reader import NotReadable
from gcron.supervise.run_state import RunState
from gcron.supervise.timing import TIMING, Timing
from gcron.wording import describe_span

__all__ = [
    "EXIT_CLEAN",
    "EXIT_CONFIGURATION",
    "EXIT_JOBS_KILLED",
    "EXIT_LEFT_BEHIND",
    "EXIT_SERVICE_FAILED",
    "GRACE",
    "GRACE_OF_INIT",
    "WATCHDOG",
    "Daemon",
    "MakePart",
    "Part",
    "Settings",
]

EXIT_CLEAN = 0
EXIT_CONFIGURATION = 1
EXIT_JOBS_KILLED = 3
"""Jobs had to be killed."""
EXIT_LEFT_BEHIND = 4
"""Something that cannot be killed is left; the log names it."""
EXIT_SERVICE_FAILED = 5
"""A service with `on-failed=stop` was given up."""
GRACE = 30.0
"""Seconds that running jobs may take to finish, if nobody says otherwise."""
GRACE_OF_INIT = 8.0
"""The same for process 1: `docker stop` waits 10 s before it kills a container."""
WATCHDOG = 1.0
"""Seconds after which the log names what blocks the loop, if nobody says otherwise."""
# Seconds from the start to a look at what an earlier gcron has left, so that it delays no first fire.
_LOOK_AFTER = 0.5


class Part(Protocol):
    """Something beside the scheduler: it watches files, or answers requests."""

    def start(self) -> None:
        """Begin; returns at once. The scheduler has started."""

    def stop(self) -> None:
        """End, within seconds. The jobs have ended."""


MakePart = Callable[["Daemon"], Part]


@frozen
class Settings:
    """What the command line decides."""

    log: LogSettings
    grace: float = GRACE
    """Seconds that running jobs may take to finish once gcron is told to stop."""
    remark: str = ""
    """What the greeting adds."""
    notes: Sequence[str] = ()
    """What is to be said at the start, besides the greeting."""
    watchdog: float | None = WATCHDOG
    """Seconds after which the log names what blocks the loop; None: it does not."""
    instance: str = ""
    """The name of the instance: it tells what an earlier gcron has left of these crontabs from what others have."""


class Daemon:
    """Runs `jobs` in the foreground until a signal says stop.

    `reload` reads them again: it is called in a thread, and returns the jobs or raises with all that is wrong. `watch`
    says when to call it, besides signals; `seen` is how it found the files before `jobs` were read. `left_out` names
    what of them is not used, though the rest is. `store`: what remembers; nothing does by default. `parts` are
    made with the daemon, started in order and stopped in reverse.
    `timing`: for tests.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        settings: Settings,
        origin: str,
        reload: Callable[[], Sequence[Job]],
        watch: FileWatch | None = None,
        seen: Snapshot | None = None,
        *,
        left_out: Callable[[], str] = str,
        store: Store | None = None,
        parts: Sequence[MakePart] = (),
        timing: Timing = TIMING,
    ) -> None:
        self._settings = settings
        self._timing = timing
        self._origin = origin
        self._clock = SystemClock()
        self._log = Log(settings.log, self._clock)
        watchdog, on_block = settings.watchdog, self._report_block
        self._scheduler = Scheduler(
            logger=None, watchdog=watchdog, on_block=on_block, clock=self._clock, state=store, timing=timing
        )
        self._scheduler.on("*", self._log.tell)
        self._scheduler.on("service-state-changed", self._on_service)
        self._scheduler.replace(jobs)
        self._stopper: Greenlet | None = None
        self._asked_to_stop = Flag()
        self._stop_requests = StopRequests()
        self._terminal = Terminal()
        self._notifier = Notifier()
        self._reloader = Reloader(
            self._scheduler, reload, self._report_reload, self._clock, watch, seen, self._notifier, left_out
        )
        self_check = SelfCheck(self._scheduler, self._log, self._reloader, self._notifier)
        self._parts: list[Part] = [self_check, self._reloader, *(make(self) for make in parts)]
        self._handlers: list[SignalHandler] = []

    @property
    def scheduler(self) -> Scheduler:
        """What runs the jobs."""
        return self._scheduler

    @property
    def reloader(self) -> Reloader:
        """What reads the files again."""
        return self._reloader

    @property
    def dropped_lines(self) -> int:
        """How many lines the log has lost."""
        return self._log.dropped_lines

    def say(self, text: str, level: Level = "info") -> None:
        """Write a message into the log."""
        self._log.say(text, level)

    def run(self) -> int:
        """Run until told to stop; returns the exit status. Signals are ignored from then on, until `close`."""
        signals = get_hub().signals
        self._handlers = [
            signals.handle(signal.SIGTERM, self._on_stop, signal.SIGTERM, self._settings.grace),
            signals.handle(signal.SIGINT, self._on_stop, signal.SIGINT, self._settings.grace),
            signals.handle(signal.SIGQUIT, self._on_stop, signal.SIGQUIT, 0.0),
            signals.handle(signal.SIGHUP, self._on_hang_up),
            signals.handle(signal.SIGUSR2, self._reloader.ask, "SIGUSR2"),
            signals.handle(signal.SIGUSR1, self._report_status),
        ]
        # Only now: earlier signals were held back until there are handlers (gcron_boot.py).
        hand_down_defaults()
        use_cgroups(self._log.processes)
        report_limits(self._scheduler.jobs, self._log)  # before anything is in the way of preparing the kernel
        self.follow_reloads(lambda problem: report_limits(self._scheduler.jobs, self._log))
        use_instance(self._settings.instance)
        self._scheduler.start(grace=self._settings.grace)
        for part in self._parts:
            part.start()
        self._log.say(self._greeting())
        for note in self._settings.notes:
            self._log.say(note)
        self._notifier.ready()
        spawn_later(_LOOK_AFTER, self._report_leftovers)
        self._asked_to_stop.wait()
        assert self._stopper is not None
        report: StopReport = self._stopper.get()
        for part in reversed(self._parts):
            part.stop()
        remove_cgroups()
        status = self._farewell(report)
        self._log.close(self._timing.last_log)
        return status

    def close(self) -> None:
        """Give the signals back to the program that this is a part of."""
        for handler in self._handlers:
            handler.cancel()

    @property
    def clock(self) -> Clock:
        """The machine's."""
        return self._clock

    def show(self, event: SchedulerEvent) -> None:
        """Write an event into the log that is none of the scheduler's: of a command that a message runs."""
        self._log.tell(event)

    def follow_reloads(self, follower: Callable[[str], object]) -> None:
        """Call `follower` after each reload, with what is wrong with the files; empty when they are right."""
        self._reloader.followers.append(follower)

    def _report_leftovers(self) -> None:
        """Warn of what an earlier gcron of this instance has left running."""
        try:
            messages = find_leftovers(self._settings.instance, {run.run_id for run in self._scheduler.running()})
        except NotReadable as error:
            messages = [f"cannot look for processes that an earlier gcron has left: {error}"]
        for message in messages:
            self._log.say(message, "warning")

    def _report_block(self, blocker: Blocker, seconds: float) -> None:
        """Write what blocks the loop, while it does: in the thread of the watchdog. A sink takes records from any."""
        self._log.say(blocker.describe(seconds), "warning")

    # -- while it runs --------------------------------------------------------------------------------------

    def _report_status(self) -> None:
        now = self._clock.now()
        fields = status_fields(now, self._scheduler, self._reloader)
        self._log.report("status", fields, status_lines(now, self._scheduler, self._reloader))

    def _report_reload(self, text: str, level: Level = "info", **fields: object) -> None:
        lines = text.splitlines()
        self._log.report("reload", {"message": lines[0], **fields}, lines, level)

    # -- stopping -------------------------------------------------------------------------------------------

    def _on_stop(self, signum: signal.Signals, grace: float) -> None:
        if self._stop_requests.is_echo(signum):
            return
        if self._stopper is None:
            self._stop(signum.name, grace)
            return
        if alive := _names(self._scheduler.running()):
            self._log.say(f"{signum.name}: killing {alive}")
        spawn(self._scheduler.kill)

    def _on_hang_up(self) -> None:
        if not self._terminal.has_just_gone():
            self._reloader.ask("SIGHUP")
        elif self._stopper is None:  # else it came twice: from the shell, and from the kernel
            self._stop("SIGHUP, because the terminal has gone away", self._settings.grace)

    def _on_service(self, event: ServiceStateChanged) -> None:
        """Stop with the scheduler if it stops because of this service (`on-failed=stop`)."""
        if self._stopper is None and self._scheduler.failed_service == event.job:
            self._stop(f"the service {event.job} has failed", self._settings.grace)

    def _stop(self, why: str, grace: float) -> None:
        running = self._running_jobs()
        patience = f"waiting up to {grace:g} s" if grace else "with no grace"
        rest = f", {patience} for {running} (once more: kill now)" if running else ""
        self._log.say(f"{why}: stopping{rest}")
        self._notifier.stopping()
        self._log.stop_blocking()
        self._stopper = spawn(self._scheduler.stop, grace)
        self._asked_to_stop.set()

    def _running_jobs(self) -> str:
        """The jobs that may finish. Services never would: they are asked to end when no job needs them any more."""
        services = self._scheduler.services
        running = [run for run in self._scheduler.running() if run.state in (RunState.RUNNING, RunState.STOPPING)]
        return _names([run for run in running if run.has_begun and run.job not in services])

    def _farewell(self, report: StopReport) -> int:
        if report.left_behind:
            self._log.say("stopped; could not be killed: " + "; ".join(report.left_behind), "error")
            return EXIT_LEFT_BEHIND
        if report.killed:
            self._log.say("stopped; had to be killed: " + ", ".join(report.killed), "error")
            return EXIT_SERVICE_FAILED if self._scheduler.failed_service else EXIT_JOBS_KILLED
        if self._scheduler.failed_service:
            self._log.say(f"stopped; the service {self._scheduler.failed_service} has failed", "error")
            return EXIT_SERVICE_FAILED
        self._log.say("stopped")
        return EXIT_CLEAN

    def _greeting(self) -> str:
        count = len(self._scheduler.jobs)
        text = f"{count} job{'' if count == 1 else 's'} from {self._origin}"
        due = self._scheduler.next_due()
        if due is not None:
            text += f", the next in {describe_span(due.timestamp() - self._clock.now())}"
        return text + self._settings.remark + "; Ctrl-C stops"


def _names(runs: Sequence[Run]) -> str:
    """The names of their jobs, each once."""
    return ", ".join(dict.fromkeys(run.job for run in runs))

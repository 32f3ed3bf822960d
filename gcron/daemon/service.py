"""`gcron run` from its first to its last moment: jobs in, signals, log, exit status.

The scheduler does the work; here it is given a log to speak to and is told when to stop.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gcron.clock import SystemClock
from gcron.daemon.dispositions import hand_down_defaults
from gcron.daemon.formats import Format
from gcron.daemon.sink import Sink
from gcron.event import Event as Flag
from gcron.greenlet import Greenlet, spawn
from gcron.hub import get_hub
from gcron.lock import Semaphore
from gcron.scheduler import Event, Job, JobOutput, Scheduler, StopReport

__all__ = ["EXIT_CLEAN", "EXIT_CONFIGURATION", "EXIT_JOBS_KILLED", "EXIT_LEFT_BEHIND", "Service", "Settings"]

EXIT_CLEAN = 0
EXIT_CONFIGURATION = 1
EXIT_JOBS_KILLED = 3
"""Jobs had to be killed."""
EXIT_LEFT_BEHIND = 4
"""Something that cannot be killed is left; the log names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decides."""

    format: Format
    log_fd: int = 1
    grace: float = 30.0
    """Seconds that running jobs may take to finish once gcron is told to stop."""


class Service:
    """Runs `jobs` in the foreground until a signal says stop.

    `reload` reads them anew: called in a thread, it returns the jobs or raises with all that is wrong.
    """

    def __init__(
        self, jobs: Sequence[Job], settings: Settings, origin: str, reload: Callable[[], Sequence[Job]]
    ) -> None:
        self._settings = settings
        self._format = settings.format
        self._origin = origin
        self._reload = reload
        self._clock = SystemClock()
        self._sink = Sink(settings.log_fd, self._describe_drop)
        self._scheduler = Scheduler(clock=self._clock)
        self._scheduler.on("*", self._log)
        for job in jobs:
            self._scheduler.add(job)
        self._stopper: Greenlet | None = None
        self._asked_to_stop = Flag()
        self._reloading = Semaphore(1)

    def run(self) -> int:
        """Run until told to stop; returns the exit status."""
        hand_down_defaults()
        signals = get_hub().signals
        handlers = [
            signals.handle(signal.SIGTERM, self._on_stop, "SIGTERM", self._settings.grace),
            signals.handle(signal.SIGINT, self._on_stop, "SIGINT", self._settings.grace),
            signals.handle(signal.SIGQUIT, self._on_stop, "SIGQUIT", 0.0),
            signals.handle(signal.SIGHUP, spawn, self._reload_jobs, "SIGHUP"),
            signals.handle(signal.SIGUSR2, spawn, self._reload_jobs, "SIGUSR2"),
            signals.handle(signal.SIGUSR1, self._tell_status),
        ]
        self._scheduler.start()
        self._say(self._greeting())
        self._asked_to_stop.wait()
        assert self._stopper is not None
        report: StopReport = self._stopper.get()
        status = self._farewell(report)
        self._sink.close()
        for handler in handlers:
            handler.cancel()
        return status

    # -- while it runs --------------------------------------------------------------------------------------

    def _reload_jobs(self, name: str) -> None:
        # Reading may block, and must not disturb what runs; one reload at a time, or an older one could win.
        with self._reloading:
            try:
                jobs = get_hub().threadpool.apply(self._reload)
            except Exception as error:
                self._say(f"{name}: nothing is changed, for what was read is wrong:\n{error}", bad=True)
                return
            added, changed, removed = self._scheduler.replace(jobs)
        self._say(f"{name}: read again: {added} added, {changed} changed, {removed} removed")

    def _tell_status(self) -> None:
        due = self._scheduler.next_due()
        following = "nothing is due" if due is None else f"the next is due at {due:%Y-%m-%d %H:%M:%SZ}"
        self._say(f"running: {self._running() or 'nothing'}; {following}")

    # -- stopping -------------------------------------------------------------------------------------------

    def _on_stop(self, name: str, grace: float) -> None:
        if self._stopper is not None:
            if running := self._running():
                self._say(f"{name} again: killing {running}")
            spawn(self._scheduler.kill)
            return
        running = self._running()
        wait = f", waiting up to {grace:g} s for {running} (once more: kill now)" if running else ""
        self._say(f"{name}: stopping{wait}")
        self._stopper = spawn(self._scheduler.stop, grace)
        self._asked_to_stop.set()

    def _running(self) -> str:
        return ", ".join(run.job_name for run in self._scheduler.running())

    def _farewell(self, report: StopReport) -> int:
        if report.left_behind:
            self._say("stopped; could not be killed: " + "; ".join(report.left_behind), bad=True)
            return EXIT_LEFT_BEHIND
        if report.killed:
            self._say("stopped; had to be killed: " + ", ".join(report.killed), bad=True)
            return EXIT_JOBS_KILLED
        self._say("stopped")
        return EXIT_CLEAN

    # -- the log --------------------------------------------------------------------------------------------

    def _log(self, event: Event) -> None:
        record = self._format.event(event)
        if isinstance(event, JobOutput):
            self._sink.write_output(record)
        elif record:
            self._sink.write(record)

    def _say(self, text: str, bad: bool = False) -> None:
        for line in text.splitlines():
            self._sink.write(self._format.message(self._clock.now(), line, bad))

    def _describe_drop(self, lines: int, size: int) -> bytes:
        text = f"lost {lines} lines of this log ({size} bytes): it was not read, or there was no room for it"
        return self._format.message(self._clock.now(), text, bad=True)

    def _greeting(self) -> str:
        count = len(self._scheduler.jobs)
        text = f"{count} job{'' if count == 1 else 's'} from {self._origin}"
        due = self._scheduler.next_due()
        if due is not None:
            text += f", the next in {max(0.0, due.timestamp() - self._clock.now()):.0f} s"
        return text + "; Ctrl-C stops"

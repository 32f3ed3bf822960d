"""`gcron exec`: one job, now, in the foreground, as the scheduler would run it."""

from __future__ import annotations

import argparse
import signal
import sys

from gcron.cli.files import load_or_complain
from gcron.cli.messages import say
from gcron.crontab import JobNotFound, find_job
from gcron.daemon.dispositions import hand_down_defaults
from gcron.daemon.sink import Outlets
from gcron.escaping import escape
from gcron.frozen import replace
from gcron.policy.services import is_service, without_useless
from gcron.runtime.event import Event
from gcron.runtime.greenlet import GreenletExit, spawn
from gcron.runtime.hub import get_hub
from gcron.runtime.waiting import wait
from gcron.schedule.clock import SystemClock
from gcron.scheduler.job import Job, job_of
from gcron.supervise.attempt import Attempt
from gcron.supervise.cgroup import remove_cgroups, use_cgroups
from gcron.supervise.cgroup_limits import report_once
from gcron.supervise.command import Command, Identity, new_run_id
from gcron.supervise.events import JobEvent, Notice, RawOutput
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult

__all__ = ["main"]

# As in timeout(1), env(1), nice(1): statuses that are not the job's.
_TIMED_OUT = 124
_OUR_OWN_FAILURE = 125
_CANNOT_START = 126
_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
# Seconds for the rest of the output after a stop signal, in case nobody reads it.
_OUTPUT_MAY_TAKE = 1.0


def main(options: argparse.Namespace) -> int:
    """Run the job to its end; returns its exit status."""
    loaded = load_or_complain(options)
    if loaded is None:
        return _OUR_OWN_FAILURE  # not 1, as in other commands: that may be the job's status
    try:
        entry = find_job(options.job, loaded.entries)
    except JobNotFound as error:
        say(error.message)
        return _OUR_OWN_FAILURE
    return _Foreground(job_of(entry, trusted_owners=frozenset(options.trust_owner))).run()


class _Foreground:
    """One attempt of `job`; its output is passed through."""

    def __init__(self, job: Job) -> None:
        assert isinstance(job.action, Command)
        self._job = job
        self._policy = replace(without_useless(job) if is_service(job) else job.policy, output="raw")
        identity = Identity(job.name, new_run_id())
        sweep = is_service(job)
        self._attempt = Attempt(job.action, self._policy, identity, self._take, SystemClock(), sweep=sweep)
        # A reader may take all the time that it wants: `gcron exec FILE JOB | less`.
        self._outlets = Outlets(lambda lines, size: b"", on_stall="block")
        self._stop_signal: signal.Signals | None = None
        """The first stop signal that gcron got."""
        self._stopping = Event()
        self._is_over = False

    def run(self) -> int:
        """Run the job to its end; returns its exit status, or gcron's if it has none."""
        for signum in _STOP:
            if signal.getsignal(signum) is not signal.SIG_IGN:  # under nohup, or behind `&` in a script
                get_hub().signals.handle(signum, self._on_stop, signum)
        hand_down_defaults()
        self._prepare_limits()
        result = self._attempt.perform()
        remove_cgroups()
        self._is_over = True
        self._finish_output()
        return self._conclude(result)

    def _prepare_limits(self) -> None:
        """Use control groups if the job has limits that only they can keep, and say which cannot be kept."""
        assert isinstance(self._job.action, Command)
        if self._job.action.cgroup_limits:
            use_cgroups()
        if problem := report_once(self._job.name, self._job.action.cgroup_limits):
            self._say(problem)

    def _on_stop(self, signum: signal.Signals) -> None:
        again = self._stop_signal is not None
        self._stop_signal = self._stop_signal or signum
        self._outlets.stop_blocking()
        self._stopping.set()
        self._attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, signum.name), now=again)

    # -- the end --------------------------------------------------------------------------------------------

    def _finish_output(self) -> None:
        wait([spawn(self._outlets.close, None), self._stopping], count=1)
        if self._stopping.is_set():
            self._outlets.close(_OUTPUT_MAY_TAKE)

    def _conclude(self, result: RunResult) -> int:
        """Return the exit status; what it cannot say is printed."""
        if result.left_behind:
            self._say(f"could not be killed: {result.left_behind}")
        status = self._status(result)
        if self._outlets.lost and self._stop_signal is None:
            self._say(f"{self._outlets.lost} bytes of its output are lost: they could not be written")
            return status or _OUR_OWN_FAILURE
        return status

    def _status(self, result: RunResult) -> int:
        is_plain = result.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)
        if not is_plain or result.reason.code is ReasonCode.OUT_OF_MEMORY:
            self._say(f"{result.outcome}: {result.reason}")
        if result.outcome is Outcome.TIMED_OUT:
            return _TIMED_OUT
        if result.outcome is Outcome.KILLED and self._stop_signal is not None:
            return 128 + self._stop_signal
        if result.outcome is Outcome.START_FAILED:
            return result.exit_code or _CANNOT_START
        code = result.exit_code
        if code is None:
            return _OUR_OWN_FAILURE
        return code if code >= 0 else 128 - code

    def _say(self, text: str) -> None:
        print(f"gcron: {escape(f'{self._job.name}: {text}')}", file=sys.stderr)

    # -- its events -----------------------------------------------------------------------------------------

    def _take(self, event: JobEvent) -> None:
        if isinstance(event, RawOutput):
            self._pass_through(event)
        elif isinstance(event, Notice) and not self._is_over:  # gcron does not wait for what remaining processes print
            self._say(event.text)

    def _pass_through(self, event: RawOutput) -> None:
        """Write it. If nobody reads any more (`| head`), close the job's pipe: the job gets SIGPIPE, as in a shell."""
        sink = self._outlets.stdout if event.stream == "stdout" else self._outlets.stderr
        if sink.is_off:
            raise GreenletExit
        sink.write_output(event.data)

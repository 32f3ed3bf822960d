"""`Scheduler`: the front door to jobs.

Each method only calls the room that does the work; this module is longer than most because it documents much. How a
scheduler starts and stops is in `lifecycle.py`, what it can be asked in `queries.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from gcron.crontab import load
from gcron.errors import JobError, StateError
from gcron.frozen import replace
from gcron.policy import OPTIONS
from gcron.policy.keywords import CommandOptions, FunctionOptions, ServiceOptions
from gcron.policy.options import Scope
from gcron.policy.services import is_service
from gcron.schedule.factories import Days, Moment
from gcron.scheduler.events import JobPaused, Notice, asked_words
from gcron.scheduler.history import Pause
from gcron.scheduler.job import Job, jobs_of
from gcron.scheduler.job_table import Replaced
from gcron.scheduler.lifecycle import Stoppable
from gcron.scheduler.other_words import METHODS
from gcron.scheduler.owner import OwnerThread
from gcron.scheduler.python_jobs import (
    When,
    check_not_past,
    checked_jobs,
    command_job,
    function_job,
    function_policy,
    limited_when,
    schedule_of,
)
from gcron.scheduler.queries import Queries
from gcron.supervise.outcome import Reason, ReasonCode
from gcron.supervise.python_call import PythonCall
from gcron.supervise.run import Run

if TYPE_CHECKING:
    from gcron.scheduler.messages import ProgramMessenger

__all__ = ["Scheduler", "When"]

Function = TypeVar("Function", bound=Callable[..., Any])


class _Serving:
    """Stops something in the scheduler's thread."""

    def __init__(self, owner: OwnerThread, served: Stoppable, serving: list[Stoppable]) -> None:
        self._owner = owner
        self._served = served
        self._serving = serving

    def stop(self) -> None:
        """End it; does nothing when it has ended."""
        self._owner.call(self._stop)

    def _stop(self) -> None:
        if self._served in self._serving:
            self._serving.remove(self._served)
            self._served.stop()


class Scheduler(Queries):
    """Runs jobs when they are due.

    `timezone`: of schedules that name none (an IANA name or a tzinfo; the machine's by default). `threads`: how many
    Python jobs run at once, apart from services and from jobs with `greenlet=True`. `logger`: of `logging`, or its
    name; it gets failures as errors (with traceback or output), what is late or missed as warnings, and all other runs
    as DEBUG; None: none. `watchdog`: the seconds after which it names what blocks the scheduler's thread; None: no
    watchdog. `on_block`: what its thread then calls, with what it found and the seconds so far; by default the logger.
    `state`: where it remembers runs, pauses and claims over restarts (docs/library.md): a directory, which it has for
    itself from start to stop, `memory`, `postgresql://…`, which several programs share, or a store; by default nothing
    outlives the process. `node`, `labels`, `on_store_down`: for a shared state, as the options of `gcron run`
    (docs/several-machines.md). `clock` and `timing`: for tests.

    It belongs to the thread that starts it. From then on any thread may call any method but `start`, `start_thread`
    and `run`: the call is made in the scheduler's thread, and the caller waits for it. Before the start, one thread at
    a time may call methods. As a context manager it stops at the end of the block.
    """

    # -- making jobs ----------------------------------------------------------------------------------------

    def command(
        self,
        command: str,
        schedule: When,
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes | None = None,
        tz: str | tzinfo | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        except_on: Days | None = None,
        now: bool = False,
        **options: Unpack[CommandOptions],
    ) -> Job:
        """Add a shell command.

        `env`: variables beside those of this program. `stdin`: what the command reads; nothing by default. `tz`,
        `start`, `end`, `except_on` and `now` are those of `cron()`. Raises ScheduleError, PolicyError, JobError for an
        option that means nothing here, JobExistsError, TypeError.

        Options:
        """
        when = limited_when(schedule, tz=tz, start=start, end=end, except_on=except_on, now=now)
        return self.add(command_job(command, when, name, options, self._timezone, env, stdin))

    def service(
        self,
        command: str,
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes | None = None,
        tz: str | tzinfo | None = None,
        **options: Unpack[ServiceOptions],
    ) -> Job:
        """Add a shell command that is kept running (docs/services.md). The rest is as for `command`.

        Options:
        """
        return self.add(
            command_job(command, limited_when("@service", tz=tz), name, options, self._timezone, env, stdin)
        )

    def job(
        self,
        schedule: When,
        *,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        greenlet: bool = False,
        tz: str | tzinfo | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        except_on: Days | None = None,
        now: bool = False,
        **options: Unpack[FunctionOptions],
    ) -> Callable[[Function], Function]:
        """Decorator: call the function with `args` and `kwargs` when `schedule` says, in a thread.

        A coroutine (`async def`) is run by asyncio in that thread. After its `timeout` it is cancelled, and has
        `kill_after` for its clean-up. Any other thread goes on after its `timeout`, and the run is over.

        `greenlet`: call it in a greenlet of the scheduler's thread instead. The function must then wait by gcron's own
        means (`gcron.sleep`, `gcron.socket`), because others run only while it waits. Its `timeout` ends it there.

        `tz`, `start`, `end`, `except_on` and `now` are those of `cron()`. Raises as `command`; TypeError also for a
        generator, and for a function that does not take the arguments.

        Options:
        """
        when = limited_when(schedule, tz=tz, start=start, end=end, except_on=except_on, now=now)
        policy = function_policy(options)
        arguments = tuple(args), dict(kwargs or {})

        def add(function: Function) -> Function:
            call = PythonCall(function, *arguments, greenlet=greenlet)
            self.add(function_job(call, when, name, policy, self._timezone))
            return function

        return add

    def load_crontab(self, path: str | os.PathLike[str]) -> list[Job]:
        """Add the jobs of a crontab file, or none when anything is wrong.

        Raises CrontabError for what is wrong in the file, ValueError when the name of one of its jobs is taken.
        """
        taken = [job.name for job in self.jobs]
        jobs = jobs_of(load(path, timezone=self._timezone, taken=taken), self._table.group_limits)
        self._owner.call(self._add, jobs)
        return jobs

    def add(self, job: Job) -> Job:
        """Add a job; raises ValueError when its name is taken, TypeError when it is no `Job`."""
        self._owner.call(self._add, checked_jobs([job]))
        return job

    def _add(self, jobs: Sequence[Job]) -> None:
        if self._stopping and not self.has_stopped:
            raise StateError("the scheduler is stopping")
        now = self._clock.now()
        for job in jobs:
            check_not_past(job.schedule, now)
        self._check_names(jobs)
        self._table.add(jobs)
        if self._watch.is_started and not self._stopping:
            for job in jobs:
                if job.starts_when_added and job.policy.enabled:
                    self._runs.start(job, None)

    def _check_names(self, jobs: Iterable[Job]) -> None:
        if self._state.is_named and any(job.name == "<lambda>" for job in jobs):
            raise JobError("a lambda has no name by which its history is found after a restart: give the job a name=")

    def group(self, name: str, *, limit: int) -> None:
        """Let at most `limit` runs of the jobs with `group=name` go on at once; again: with another limit.

        A group is declared before the jobs in it. Raises ValueError when the limit is less than 1.
        """
        self._owner.call(self._groups.declare, name, limit)

    def notify(
        self,
        target: str | None = None,
        *,
        on: str | Iterable[str] | None = None,
        name: str | None = None,
        **settings: Any,
    ) -> None:
        """Send messages to a URL: `mailto:ops@example.com`, `https://…`, `slack://…` (docs/notifications.md).

            scheduler.notify("slack://${TOKEN}", on=("failure", "recovery"))

        They are about all jobs, or with a `name` about those with `notify=name`. `on`: which messages, by default
        failure, recovery, overdue, service. `settings`: `quiet`, `ping_style`, `secret_file`, `body_file`, and
        the first time `mailer` (what sends mail) and `notify_keep` (how long a message is tried; a day by default).
        Without a target, only what the jobs themselves ask for is obeyed: MAILTO, `notify=` and `on-failure=` of
        crontabs, `on_failure` and its like. Before the first call, nothing is sent. With a `state` that is a directory,
        what is not delivered is tried again after a restart.

        Raises ValueError for what is wrong.
        """
        self._owner.call(self._notify, target, on, name, settings)

    def _notify(self, url: str | None, on: object, name: str | None, settings: dict[str, Any]) -> None:
        mailer, keep = settings.pop("mailer", None), settings.pop("notify_keep", None)
        if self._messenger is None:
            from gcron.notify.library import make_messenger  # an exception in pyproject.toml

            self.use_messenger(make_messenger(self, self._clock, mailer, keep))
        if url is not None:
            cast("ProgramMessenger", self._messenger).add_url(
                url, name, {**settings, **({} if on is None else {"on": on})}
            )

    # -- changing them --------------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        """Remove a job: a run of it may finish, a service is ended. Raises KeyError when there is none of that name."""
        self._owner.call(self._remove, name)

    def _remove(self, name: str) -> None:
        self._table.remove(name)
        self._pauses.forget(name)

    def replace(self, jobs: Iterable[Job]) -> Replaced:
        """Make `jobs` the whole table; returns the names of those that were added, changed and removed.

        Runs under way go on, a job whose schedule is as before keeps its due instant, and one that is paused stays so;
        a service that has changed is ended and started again, one that is removed is ended. Raises ValueError, and
        changes nothing, when two jobs have one name, `after` names something other than a service, or a group is not
        declared or has two limits.
        """
        jobs = checked_jobs(jobs)
        self._check_names(jobs)
        return self._owner.call(self._table.replace, jobs)

    def reschedule(self, name: str, schedule: When) -> Job:
        """Let a job be due by another schedule from now on; runs under way go on. Returns the job as it is now.

        Raises KeyError when there is none of that name, ScheduleError, ValueError for a service.
        """
        found = schedule_of(schedule, self._timezone, name)
        check_not_past(found, self._clock.now())
        return self._owner.call(self._table.reschedule, name, found)

    def pause(self, name: str, *, until: datetime | None = None, who: str = "", why: str = "") -> None:
        """Let a job not be due until `until`, or until `resume`; runs under way go on, and `trigger` works.

        Instants in the pause are no fires: they neither run later nor count as missed. The pause outlasts `replace`
        and `reschedule`, but not `remove`. A second pause changes when the first one ends. `who` and `why` are for the
        log and the history. Raises KeyError, ValueError for a service and for an `until` without a time zone.
        """
        if until is not None and until.tzinfo is None:
            raise JobError("until must be an aware datetime: give it a tzinfo")
        self._owner.call(self._pause, name, None if until is None else until.timestamp(), who, why)

    def _pause(self, name: str, until: float | None, who: str, why: str) -> None:
        pause = Pause(self._clock.now(), until, who, why)
        before = None if self._table.pause(name) else self._pauses.get(name)
        if before is not None and replace(before, since=pause.since) == pause:
            return
        self._pauses.add(name, pause)
        self._runs.tell(JobPaused(pause.since, name, until, who, why))

    def resume(self, name: str, *, who: str = "") -> None:
        """Let a job be due again, from now on; one that is not paused goes on. Raises KeyError.

        A job that runs after others runs at once if all of them have succeeded meanwhile. `who` is for the log.
        """
        self._owner.call(self._resume, name, who)

    def trigger(self, name: str, *, who: str = "", why: str = "") -> Run:
        """Run a job now, whatever its schedule. A service is started unless it lives; returns its present run.

        While a run of the job is under way, `overlap` decides, as for a fire: the run that is returned starts, waits,
        replaces the other one, or has ended as `skipped`. `who` and `why` go into the log and the history. Raises
        KeyError when there is none of that name, StateError once `stop` has been called.
        """
        return self._owner.call(self._trigger, name, who, why)

    def _trigger(self, name: str, who: str, why: str) -> Run:
        job = self._table.get(name)
        if self._stopping:
            raise StateError("the scheduler has stopped, or is stopping")
        self._owner.claim()
        run = self._start_now(job)
        if not run.has_begun:  # else it is the present life of a service
            run.who, run.why = who, why
        if (who or why) and run.outcome is None:  # a skipped one has its notice from `Runs`, before its end
            self._runs.tell(Notice(self._clock.now(), name, run.run_id, asked_words("triggered", who, why)))
        return run

    def _start_now(self, job: Job) -> Run:
        return self._services.trigger(job.name) if is_service(job) else self._overlap.trigger(job)

    def stop_service(self, name: str, why: str = "stopped on request") -> None:
        """End a service and do not start it again, until `trigger` or `restart_service`; returns at once.

        Raises KeyError when there is none of that name, ValueError for a job that is no service.
        """
        self._owner.call(self._stop_service, name, Reason(ReasonCode.STOP_REQUESTED, why))

    def _stop_service(self, name: str, reason: Reason) -> None:
        self._checked_service(name)
        self._services.stop_one(name, reason)

    def restart_service(self, name: str, why: str = "restarted on request") -> None:
        """End the present life of a service, if it has one, and start it again; returns at once.

        Raises as `stop_service`, StateError once `stop` has been called.
        """
        self._owner.call(self._restart_service, name, Reason(ReasonCode.TRIGGERED, why))

    def _restart_service(self, name: str, reason: Reason) -> None:
        self._checked_service(name)
        if self._stopping:
            raise StateError("the scheduler has stopped, or is stopping")
        self._owner.claim()
        self._services.restart(name, reason)

    def _checked_service(self, name: str) -> None:
        if not is_service(self._table.get(name)):
            raise JobError(f"{name!r} is a job with a schedule, no service")

    # -- answering ------------------------------------------------------------------------------------------

    def serve_control(self, path: str | os.PathLike[str]) -> Stoppable:
        """Answer `gcron status --socket PATH` and the like at a Unix socket; the `stop` of what is returned ends that.

        It ends with the scheduler, too. Only root and the user of this program may ask. Call it after the start. Raises
        OSError when it cannot listen.
        """
        from gcron.control.socket import serve_control  # an exception in pyproject.toml

        made: Stoppable = self._owner.call(serve_control, self, os.fspath(path))
        self._serving.append(made)
        return _Serving(self._owner, made, self._serving)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = f": use {METHODS[name]}" if name in METHODS else ""
            raise AttributeError(f"a Scheduler has no {name!r}{hint}")

    def __repr__(self) -> str:
        state = "stopped" if self.has_stopped else "stopping" if self._stopping else "started"
        if not self._watch.is_started and not self._stopping:
            state = "not started"
        return f"<Scheduler: {len(self._table.jobs)} jobs, {len(self._runs.running())} running, {state}>"


def _name_inherited() -> None:
    """Have errors of calls name the class that programs know, and not the one that it inherits a method from."""
    for base in Scheduler.__mro__[1:-1]:
        for name, method in vars(base).items():
            while isinstance(method, FunctionType):
                method.__qualname__ = f"Scheduler.{name}"
                method = getattr(method, "__wrapped__", None)


def _list_options(method: Callable[..., Any], scopes: Iterable[Scope]) -> None:
    """Complete the docstring of a method by the options that it takes, from the table of them."""
    rows = [row for row in OPTIONS.values() if row.scope in scopes]
    lines = [f"            {row.attribute} ({row.default or 'none'}): {row.help}\n" for row in rows]
    if method.__doc__ is not None:  # python -OO
        method.__doc__ = method.__doc__.rstrip() + "\n\n" + "".join(lines)


_name_inherited()
_list_options(Scheduler.command, ("every job", "scheduled jobs", "processes"))
_list_options(Scheduler.service, ("every job", "services", "processes"))
_list_options(Scheduler.job, ("every job", "scheduled jobs", "services"))

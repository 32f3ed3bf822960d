"""`gcron run`: the main job."""

from __future__ import annotations

import argparse
import gc
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from gcron.cli.files import Crontabs
from gcron.cli.messages import RecordStream, complain, machine_format, say
from gcron.cli.node_options import is_shared, node_name, shows_password
from gcron.cli.terminal import is_terminal, wants_colour
from gcron.cli.times import TimeError
from gcron.control.part import ControlPart
from gcron.crontab import CrontabError, Loaded, Problem
from gcron.crontab.naming import Named
from gcron.daemon.daemon import EXIT_CONFIGURATION, GRACE, GRACE_OF_INIT, Daemon, MakePart, Settings
from gcron.daemon.formats.text import TextFormat
from gcron.daemon.log import LogSettings
from gcron.daemon.log_files import start_log_writers
from gcron.daemon.notifying import Notifying
from gcron.daemon.watching import FileWatch
from gcron.errors import StateError
from gcron.notify.mailer import Mailer, default_mailer, read_mailer
from gcron.scheduler.job import Job, job_of
from gcron.state.opening import Opened, Sharing, open_store
from gcron.state.places import instance_name
from gcron.state.rules import KEEP, Keep
from gcron.supervise.command import Command
from gcron.supervise.start_script import DEFAULT_SHELL, arguments
from gcron.supervise.timing import TIMING, Timing
from gcron.wording import plural
from gcron_boot import has_init

if TYPE_CHECKING:
    from gcron.daemon.log_writer import LogWriter

__all__ = ["main"]


def main(options: argparse.Namespace, timing: Timing = TIMING) -> int:
    """Run the jobs of the files until a signal stops gcron; returns the exit status. `timing`: for tests."""
    if (format := machine_format(options.log_format)) is not None:
        sys.stderr = RecordStream(format)
    writers = _start_log_writers(options, timing)
    status = _run(options, timing, writers)
    for writer in writers:
        writer.close(timing.last_log)
    return status


def _start_log_writers(options: argparse.Namespace, timing: Timing) -> list[LogWriter]:
    try:
        return start_log_writers(timing.next_log_writer)
    except OSError as error:
        text = f"no process for the log can be started ({os.strerror(error.errno or 0)}): if its file hangs, gcron does"
        say(text, "warning", options.log_format)
        return []


def _run(options: argparse.Namespace, timing: Timing, writers: Sequence[LogWriter]) -> int:
    made = _make_daemon(options, timing, writers)
    _let_go_of_stdin()
    # The collector is off until here (gcron_boot.py). What was read stays, so it need never look through it again:
    # that would delay fires.
    gc.freeze()
    gc.enable()
    if made is None:
        return EXIT_CONFIGURATION
    daemon, opened = made
    try:
        return daemon.run()
    finally:
        opened.close()


def _let_go_of_stdin() -> None:
    """Read the null device from now on, if standard input is a file.

    The child of each start closes its copy of it before it executes a program. On a file system that does not answer
    that takes as long as it likes (close(2)), and gcron waits for the child.
    """
    with suppress(OSError):  # it may be closed
        if stat.S_ISREG(os.fstat(0).st_mode):
            null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            os.dup2(null, 0)
            os.close(null)


def _make_daemon(
    options: argparse.Namespace, timing: Timing, writers: Sequence[LogWriter]
) -> tuple[Daemon, Opened] | None:
    """Return the daemon and its store; if something is wrong, print it all and return None."""
    crontabs = Crontabs(options)
    watch = None if options.no_watch else FileWatch(crontabs.watched)
    seen = None if watch is None else watch.look()  # before they are read: what changes from now on is a change
    files = [path for path in crontabs.paths if not os.path.isdir(path)]
    try:
        loaded = crontabs.load()
    except TimeError as error:
        say(str(error), "error", options.log_format)
        return None
    complain(loaded.errors if sys.stderr.isatty() else _without_lines(loaded.errors), options.log_format)
    if warnings := len(loaded.problems) - len(loaded.errors):
        them = "it" if warnings == 1 else "them"
        text = f"{plural(warnings, 'warning')}; run `{crontabs.check_command}` to see {them}"
        say(text, "warning", options.log_format)
    if loaded.errors:
        text = f"not started: {plural(len(loaded.errors), 'error')}; `{crontabs.check_command}` shows the lines"
        say(text, "error", options.log_format)
        return None
    try:
        opened = _open_store(options)
    except StateError as error:
        say(f"not started: {error}", "error", options.log_format)
        return None
    try:
        pages = [] if options.http is None else [_pages(options, opened)]
        pages += [] if options.metrics_file is None else [_metrics_file(options)]
    except ValueError as error:
        opened.close()
        say(f"not started: {error}", "error", options.log_format)
        return None
    jobs = _make_jobs(loaded, crontabs)
    if lame := _jobs_without_shell(jobs):
        say(
            f"there is no {DEFAULT_SHELL}: {lame} of {plural(len(jobs), 'job')} cannot start",
            "warning",
            options.log_format,
        )
    limit = options.record_limit
    format = machine_format(options.log_format, limit) or _text_format(loaded, jobs, limit)
    if watch is not None:
        watch.paths = tuple(crontabs.watched)

    def read_again() -> list[Job]:
        try:
            again = _read_again(crontabs, files)
        finally:
            if watch is not None:
                watch.paths = tuple(crontabs.watched)
        if isinstance(format, TextFormat):
            format.timezone = again.timezone
        return _make_jobs(again, crontabs)

    def left_out() -> str:
        return str(CrontabError(_without_lines(crontabs.left_out)))

    log = LogSettings(format, split=options.split_logs, on_stall=options.on_stall, writers=writers)
    settings = _settings(options, log, (opened.note,) if opened.note else ())
    mailer = default_mailer() if options.mailer is None else read_mailer(options.mailer)
    if problem := _problem_of(mailer):
        say(f"--mailer: {problem}, so no mail can be sent", "warning", options.log_format)
    owners = crontabs.trusted_owners
    keep = options.notify_keep
    notifying = partial(Notifying, mailer=mailer, zone=loaded.timezone, trusted_owners=owners, keep=keep)
    parts: list[MakePart] = [notifying]
    if not options.no_control:
        parts.append(partial(_control_part, options))
    parts += pages
    origin = str(crontabs)
    daemon = Daemon(
        jobs,
        settings,
        origin,
        read_again,
        watch,
        seen,
        left_out=left_out,
        store=opened.store,
        parts=parts,
        timing=timing,
    )
    return daemon, opened


def _control_part(options: argparse.Namespace, daemon: Daemon) -> ControlPart:
    crontabs = [*options.files, *options.spool]
    say = partial(daemon.say, level="error")
    return ControlPart(daemon.scheduler, _instance(options), crontabs, daemon.reloader, say)


def _pages(options: argparse.Namespace, opened: Opened) -> MakePart:
    """Listen, and return what makes the part that answers. Raises HttpError. Loaded only if somebody wants pages."""
    from gcron.web.address import bind
    from gcron.web.part import WebPart
    from gcron.web.settings import HttpSettings
    from gcron.web.token import keep_token, new_token, read_token_file

    if options.http_token_file is not None:
        token = read_token_file(options.http_token_file)
    else:
        token = new_token() if opened.place is None else keep_token(opened.place.directory)
    hosts = frozenset(options.http_host)
    settings = HttpSettings(options.http_anonymous, options.http_prefix, hosts, options.http_proxy)
    bound = bind(options.http)

    def make(daemon: Daemon) -> WebPart:
        return WebPart(
            _described(options, daemon),
            bound,
            token,
            settings,
            lambda: daemon.dropped_lines,
            shows_token=options.http_token_file is None,
            has_place=not options.no_control,
            say=daemon.say,
            complain=partial(daemon.say, level="error"),
        )

    return make


def _metrics_file(options: argparse.Namespace) -> MakePart:
    """Return what makes the part that writes the metrics. Raises HttpError."""
    from gcron.web.metrics_file import MetricsFile, check_metrics

    check_metrics(options.metrics_file)

    def make(daemon: Daemon) -> MetricsFile:
        complain = partial(daemon.say, level="error")
        path = os.path.abspath(options.metrics_file)
        return MetricsFile(_described(options, daemon), path, lambda: daemon.dropped_lines, complain)

    return make


def _described(options: argparse.Namespace, daemon: Daemon) -> Any:
    """Return this gcron as the parts that answer know it."""
    from gcron.control.instance import Instance

    clock = daemon.clock
    crontabs = (*options.files, *options.spool)
    return Instance(daemon.scheduler, _instance(options), crontabs, daemon.reloader, clock.now(), clock)


def _instance(options: argparse.Namespace) -> str:
    return options.instance or instance_name([*options.files, *options.spool])


def _open_store(options: argparse.Namespace) -> Opened:
    keep = Keep(
        KEEP.runs if options.keep_runs is None else options.keep_runs,
        KEEP.age if options.keep_for is None else options.keep_for,
        KEEP.output if options.keep_output is None else options.keep_output,
    )
    if not is_shared(options):
        return open_store(options.state, _instance(options), keep)
    try:
        node = node_name(options.node)
    except ValueError as error:
        raise StateError(str(error)) from None
    if shows_password(options):
        text = "the password in --state can be seen by others (ps): give the URL in GCRON_STATE, or use PGPASSFILE"
        say(text, "warning", options.log_format)
    sharing = Sharing(node, frozenset(options.labels), options.on_store_down or "skip", options.instance)
    return open_store(options.state, _instance(options), keep, sharing)


def _settings(options: argparse.Namespace, log: LogSettings, notes: Sequence[str]) -> Settings:
    grace, remark = options.grace, ""
    if grace is None and has_init():
        grace = GRACE_OF_INIT
        remark = f"; as process 1, jobs have {GRACE_OF_INIT:g} s to finish at a stop (--grace)"
    grace = GRACE if grace is None else grace
    return Settings(log, grace, remark, notes, options.watchdog, _instance(options))


def _text_format(loaded: Loaded, jobs: list[Job], limit: int) -> TextFormat:
    text = TextFormat(loaded.timezone, colour=wants_colour(), full_date=not is_terminal(), limit=limit)
    text.fit([job.name for job in jobs])
    return text


def _read_again(crontabs: Crontabs, files: list[str]) -> Loaded:
    """Read the crontabs. `files`: the paths that were no directories at the start.

    Raises CrontabError or TimeError with all that is wrong.
    """
    # A mount that fails leaves an empty directory in the place of a file. That would pass for a cron.d without jobs.
    replaced = [path for path in files if os.path.isdir(path)]
    if replaced:
        message = "cannot be read: it is a directory now, and was a file"
        raise CrontabError([Problem(path, 0, 0, 0, "error", message) for path in replaced])
    loaded = crontabs.load()
    if loaded.errors:
        raise CrontabError(loaded.errors if is_terminal() else _without_lines(loaded.errors))
    return loaded


def _without_lines(problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems for a log. A line of a crontab may hold a password, and a log is kept, and read by others."""
    return [problem._replace(source_line="") for problem in problems]


def _problem_of(mailer: Mailer | None) -> str:
    """Say what of a mailer is not there now. It may be there when a mail is sent, so gcron starts."""
    if mailer is None:
        return ""
    if mailer.program:
        return "" if os.access(mailer.program, os.X_OK) else f"{mailer.program} is no program that can be run"
    is_there = not mailer.password_file or os.access(mailer.password_file, os.R_OK)
    return "" if is_there else f"the password file {mailer.password_file} is not there, or cannot be read"


def _jobs_without_shell(jobs: Sequence[Job]) -> int:
    """Return how many jobs need a /bin/sh that is not there, as in a container without a shell."""
    if os.access(DEFAULT_SHELL, os.X_OK):
        return 0
    return sum(isinstance(job.action, Command) and arguments(job.action)[0] == DEFAULT_SHELL for job in jobs)


def _make_jobs(loaded: Loaded, crontabs: Crontabs) -> list[Job]:
    limits, targets = loaded.group_limits, loaded.targets
    jobs = [job_of(entry, limits, crontabs.trusted_owners, targets) for entry in loaded.entries]
    crontabs.forget_entries(lambda: map(_named, jobs))
    return jobs


def _named(job: Job) -> Named:
    assert isinstance(job.action, Command), "it is from a crontab"
    return Named(job.name, job.source.rpartition(":")[0], job.action.text, job.owner)

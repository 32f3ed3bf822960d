"""`gcron run`: the main job."""

from __future__ import annotations

import argparse
import gc
import os
import shlex
import sys
from functools import partial

from gcron.cli.files import complain, load_files, plural
from gcron.cli.terminal import is_terminal, wants_colour
from gcron.cli.times import TimeError, read_zone
from gcron.crontab import CrontabError, Loaded, LoadSettings, Problem, load_all
from gcron.daemon.daemon import EXIT_CONFIGURATION, Daemon, Settings
from gcron.daemon.formats.format import Format
from gcron.daemon.formats.text import TextFormat
from gcron.daemon.log import LogSettings
from gcron.daemon.watching import FileWatch
from gcron.scheduler.job import Job, job_of
from gcron.supervise.timing import TIMING, Timing

__all__ = ["main"]


def main(options: argparse.Namespace, timing: Timing = TIMING) -> int:
    """Run the jobs of the files until a signal stops gcron; returns the exit status. `timing`: for tests."""
    daemon = _make_daemon(options, timing)
    # The collector is off until here (gcron_boot.py). What was read stays, so it need never look through it again:
    # that would delay fires.
    gc.freeze()
    gc.enable()
    return EXIT_CONFIGURATION if daemon is None else daemon.run()


def _make_daemon(options: argparse.Namespace, timing: Timing) -> Daemon | None:
    """Return the daemon; if something is wrong, print it all and return None."""
    watch = None if options.no_watch else FileWatch(options.files)
    seen = None if watch is None else watch.look()  # before they are read: what changes from now on is a change
    files = [path for path in options.files if not os.path.isdir(path)]
    try:
        loaded = load_files(options)
    except TimeError as error:
        print(f"gcron: {error}", file=sys.stderr)
        return None
    complain(loaded.errors)
    if warnings := len(loaded.problems) - len(loaded.errors):
        check = shlex.join(["gcron", "check", *(["--system"] if options.system else []), *options.files])
        them = "it" if warnings == 1 else "them"
        print(f"gcron: {plural(warnings, 'warning')}; run `{check}` to see {them}", file=sys.stderr)
    if loaded.errors:
        print(f"gcron: not started: {plural(len(loaded.errors), 'error')}", file=sys.stderr)
        return None
    jobs = [job_of(entry, loaded.group_limits) for entry in loaded.entries]
    log = LogSettings(_make_format(options, loaded, jobs), split=options.split_logs, on_stall=options.on_stall)
    read_again = partial(_read_again, options.files, files, options.system, options.tz)
    settings = Settings(log, grace=options.grace)
    return Daemon(jobs, settings, ", ".join(options.files), read_again, watch, seen, timing=timing)


def _make_format(options: argparse.Namespace, loaded: Loaded, jobs: list[Job]) -> Format:
    if options.log_format == "json":
        from gcron.daemon.formats.json import JsonFormat

        return JsonFormat(options.record_limit)
    if options.log_format == "logfmt":
        from gcron.daemon.formats.logfmt import LogfmtFormat

        return LogfmtFormat(options.record_limit)
    text = TextFormat(loaded.timezone, colour=wants_colour(), full_date=not is_terminal(), limit=options.record_limit)
    text.fit([job.name for job in jobs])
    return text


def _read_again(paths: list[str], files: list[str], system: bool, timezone: str | None) -> list[Job]:
    """Return the jobs to run from now on. `files`: the paths that were no directories at the start.

    Raises CrontabError or ValueError with all that is wrong.
    """
    # A mount that fails leaves an empty directory in the place of a file. That would pass for a cron.d without jobs.
    replaced = [path for path in files if os.path.isdir(path)]
    if replaced:
        message = "cannot be read: it is a directory now, and was a file"
        raise CrontabError([Problem(path, 0, 0, 0, "error", message) for path in replaced])
    loaded = load_all(paths, LoadSettings(system, read_zone(timezone), check_users=True))
    if loaded.errors:
        raise CrontabError(loaded.errors)
    return [job_of(entry, loaded.group_limits) for entry in loaded.entries]

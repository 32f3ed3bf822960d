"""The files that a command was given: read with progress and stdin, and complained about."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from gcron.cli.moments import read_zone
from gcron.cli.progress import with_progress
from gcron.crontab import Entry, Loaded, LoadSettings, Problem, load_all, render_all
from gcron.crontab.source import MAX_SIZE, unreadable
from gcron.policy import closest

__all__ = ["complain", "describe_unknown_job", "load_files", "plural"]

# `gcron run` reads its files again and again, which stdin cannot be.
_READING_STDIN = {"check", "next", "timeline"}


def load_files(options: argparse.Namespace) -> Loaded:
    """Load the files of a command line. Files that cannot be read are problems, too.

    Raises MomentError if `--tz` or TZ is wrong.
    """
    settings = LoadSettings(
        system=options.system,
        timezone=read_zone(options.tz),
        check_options=options.command != "next",  # when something is due does not depend on whether we can run it
        check_users=options.command == "run",
    )
    read_stdin = _read_stdin if options.command in _READING_STDIN else None
    return load_all(with_progress(options.files, "reading"), settings, read_stdin)


def complain(problems: Sequence[Problem]) -> None:
    """Print problems for people on stderr."""
    if problems:
        print(render_all(problems), file=sys.stderr)


def describe_unknown_job(name: str, entries: Sequence[Entry]) -> str:
    """Return what is wrong with a job's name, and which one was probably meant, with its place."""
    message = f"there is no job named {name!r}"
    by_name = {entry.name: entry for entry in entries}
    close = closest(name, by_name)
    if close is not None:
        return f"{message}; did you mean {close!r}? ({by_name[close].path}:{by_name[close].line})"
    shown = ", ".join(list(by_name)[:10]) or "none"
    return f"{message}; known are {shown}" + (f" and {len(entries) - 10} more" if len(entries) > 10 else "")


def plural(count: int, noun: str) -> str:
    """Return `1 error`, `2 errors`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _read_stdin() -> bytes:
    """Read what `crontab -l` pipes to us, up to the size of the largest file that is read."""
    try:
        with open(0, "rb", closefd=False) as stdin:
            data = stdin.read(MAX_SIZE + 1)
    except OSError as error:
        raise unreadable("<stdin>", os.strerror(error.errno or 0).lower()) from None
    if len(data) > MAX_SIZE:
        raise unreadable("<stdin>", "it is larger than 1 MiB")
    return data

"""The crontab files of a command line: reads them, standard input too, and shows progress and problems on stderr."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from gcron.cli.times import read_zone
from gcron.crontab import Entry, Loaded, LoadSettings, Problem, load_all, render_all
from gcron.crontab.source import MAX_SIZE, unreadable
from gcron.policy import closest

__all__ = ["complain", "describe_unknown_job", "load_files", "plural", "with_progress"]

_Item = TypeVar("_Item")

# `gcron run` reads its files more than once, which is impossible with stdin.
_READING_STDIN = {"check", "next", "timeline"}
_MOST_NAMES = 10
# Seconds until progress is shown. Most commands are done by then.
_PATIENCE = 0.5
_CLEAR_LINE = "\r\x1b[K"


def load_files(options: argparse.Namespace) -> Loaded:
    """Load the files of a command line. Files that cannot be read are problems, too.

    Raises TimeError if `--tz` or TZ is wrong.
    """
    settings = LoadSettings(
        system=options.system,
        timezone=read_zone(options.tz),
        check_options=options.command != "next",  # when something is due does not depend on whether we can run it
        check_users=options.command == "run",
    )
    read_stdin = _read_stdin if options.command in _READING_STDIN else None
    return load_all(with_progress(options.files, "reading"), settings, read_stdin)


def _read_stdin() -> bytes:
    try:
        with open(0, "rb", closefd=False) as stdin:
            data = stdin.read(MAX_SIZE + 1)
    except OSError as error:
        raise unreadable("<stdin>", os.strerror(error.errno or 0).lower()) from None
    if len(data) > MAX_SIZE:
        raise unreadable("<stdin>", "it is larger than 1 MiB")
    return data


def with_progress(items: Sequence[_Item], doing: str) -> Iterator[_Item]:
    """Yield the items. If that takes long and stderr is a terminal, show there how many are done: `reading 3/40`."""
    since = time.monotonic()
    shown = False
    try:
        for done, item in enumerate(items):
            if time.monotonic() - since > _PATIENCE and sys.stderr.isatty():
                shown = True
                print(f"{_CLEAR_LINE}gcron: {doing} {done}/{len(items)}", end="", file=sys.stderr, flush=True)
            yield item
    finally:
        if shown:
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)


def complain(problems: Sequence[Problem]) -> None:
    """Print problems for people on stderr."""
    if problems:
        print(render_all(problems), file=sys.stderr)


def describe_unknown_job(name: str, entries: Sequence[Entry]) -> str:
    """Return that there is no job of this name, and the nearest name with its place, or some names."""
    message = f"there is no job named {name!r}"
    by_name = {entry.name: entry for entry in entries}
    close = closest(name, by_name)
    if close is not None:
        return f"{message}; did you mean {close!r}? ({by_name[close].path}:{by_name[close].line})"
    more = len(entries) - _MOST_NAMES
    known = ", ".join(list(by_name)[:_MOST_NAMES]) or "none"
    return f"{message}; known are {known}" + (f" and {more} more" if more > 0 else "")


def plural(count: int, noun: str) -> str:
    """Return `1 error`, `2 errors`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")

"""The crontabs of a command line: reads them, once or again, and shows progress on stderr."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from gcron.cli.messages import complain, say
from gcron.cli.node_options import is_shared
from gcron.cli.times import TimeError, read_zone
from gcron.crontab import Loaded, LoadSettings, Problem, load_all
from gcron.crontab.naming import Named
from gcron.crontab.source import MAX_SIZE, unreadable
from gcron.escaping import escape_line

__all__ = ["Crontabs", "Progress", "load_or_complain", "with_progress"]

_Item = TypeVar("_Item")

_STDIN = "-"
_LOCALTIME = "/etc/localtime"
# When something is due does not depend on whether its options are right.
_ONLY_TIMES = {"list", "next", "timeline"}
# Seconds until progress is shown, and between two looks at the clock. Most commands are done before.
_PATIENCE = 0.5
_PAUSE = 0.1
_CLEAR_LINE = "\r\x1b[K"


class Crontabs:
    """The crontabs that a command line names.

    `load` may be called again: standard input is read once, and made-up names stay as they were.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.paths: list[str] = options.files
        self.spools: tuple[str, ...] = options.spool
        self.trusted_owners: frozenset[int] = frozenset(options.trust_owner)
        self._system: bool = options.system
        self._timezone: str | None = options.tz
        self._timezone_from: str = options.variables.get("tz", "--tz")
        self._checks_options = options.command not in _ONLY_TIMES
        self._checks_users = options.command == "run"
        self._is_shared = is_shared(options)
        self._names_mailer = getattr(options, "mailer", None) is not None  # not all commands have that option
        self._stdin: bytes | None = None
        self._calendars: tuple[str, ...] = ()
        self._previous: Loaded | None = None

    def load(self) -> Loaded:
        """Read them. Files that cannot be read are problems, too. Raises TimeError if `--tz` or TZ is wrong."""
        settings = LoadSettings(
            system=self._system,
            timezone=read_zone(self._timezone, self._timezone_from),
            check_options=self._checks_options,
            check_users=self._checks_users,
            spools=self.spools,
            trusted_owners=self.trusted_owners,
            names_mailer=self._names_mailer,
            is_shared=self._is_shared,
        )
        paths = with_progress(self.paths, "reading") if self._previous is None else self.paths
        loaded = load_all(paths, settings, self._read_stdin, self._previous)
        self._calendars = loaded.calendars
        if not loaded.errors:
            self._previous = loaded
        return loaded

    def forget_entries(self, named: Callable[[], Iterable[Named]]) -> None:
        """Let go of the entries of the last load, which take much memory; `named` says what its jobs are called."""
        if self._previous is not None:
            self._previous = self._previous.without_entries(named)

    @property
    def left_out(self) -> tuple[Problem, ...]:
        """What is wrong in the user crontabs that the last `load` without errors has left out."""
        previous = self._previous
        return tuple(problem for problem in previous.problems if problem.path in previous.left_out) if previous else ()

    @property
    def watched(self) -> list[str]:
        """The paths whose change calls for another `load`: those of the last one, calendars included."""
        files = [path for path in self.paths if path != _STDIN]
        machine = [_LOCALTIME] if self._timezone is None and "TZ" not in os.environ else []
        return [*files, *self.spools, *self._calendars, *machine]

    @property
    def check_command(self) -> str:
        """The command that shows all problems of these crontabs."""
        words = ["gcron", "check"]
        for spool in self.spools:
            words += ["--spool", spool]
        for owner in sorted(self.trusted_owners):
            words += ["--trust-owner", str(owner)]
        if self._is_shared:
            words += ["--state", "postgresql://"]
        return shlex.join([*words, *(["--system"] if self._system else []), *self.paths])

    def __str__(self) -> str:
        names = ["standard input" if path == _STDIN else path for path in self.paths]
        return ", ".join([*names, *self.spools])

    def _read_stdin(self) -> bytes:
        if self._stdin is None:
            if sys.stdin is not None and sys.stdin.isatty():
                say("reads a crontab from the terminal; Ctrl-D ends it", "info")
            self._stdin = _read_all_of_stdin()
        return self._stdin


def load_or_complain(options: argparse.Namespace) -> Loaded | None:
    """Load the crontabs of a command line; None if they have errors, which are printed."""
    crontabs = Crontabs(options)
    try:
        loaded = crontabs.load()
    except TimeError as error:
        say(str(error))
        return None
    if loaded.errors:
        complain(loaded.errors)
        return None
    if loaded.left_out:
        files = ", ".join(loaded.left_out)
        say(f"left out because of errors: {files}; run `{crontabs.check_command}` to see them", "warning")
    return loaded


def _read_all_of_stdin() -> bytes:
    try:
        with open(0, "rb", closefd=False) as stdin:
            data = stdin.read(MAX_SIZE + 1)
    except OSError as error:
        raise unreadable("<stdin>", os.strerror(error.errno or 0).lower()) from None
    if len(data) > MAX_SIZE:
        raise unreadable("<stdin>", "it is larger than 1 MiB")
    return data


# -- progress -----------------------------------------------------------------------------------------------------


class Progress:
    """A line on stderr that shows how far something is. Only if it takes long, and stderr is a terminal.

    As a context manager it clears the line at the end.
    """

    def __init__(self) -> None:
        self._next_look = time.monotonic() + _PATIENCE
        self._is_shown = False

    def show(self, *words: object) -> None:
        """Show how far it is. Most calls do nothing, and are quick."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _PAUSE
        if sys.stderr is not None and sys.stderr.isatty():
            self._is_shown = True
            print(f"{_CLEAR_LINE}gcron: {escape_line(' '.join(map(str, words)))}", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._is_shown:
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)


def with_progress(items: Sequence[_Item], doing: str) -> Iterator[_Item]:
    """Yield the items. If that takes long and stderr is a terminal, show there how many are done: `reading 3/40`."""
    with Progress() as progress:
        for done, item in enumerate(items):
            progress.show(doing, f"{done}/{len(items)}")
            yield item

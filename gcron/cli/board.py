"""The plain board of `gcron top`: the tables of `gcron status`, drawn again and again by rich."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gcron.cli.columns import Column, format_columns
from gcron.cli.following import Follower, View
from gcron.cli.standing import head, worst_first
from gcron.cli.status import JOB_COLUMNS, SERVICE_COLUMNS, job_row, service_row
from gcron.cli.table import shorten
from gcron.cli.talking import colour
from gcron.cli.terminal import wants_colour, width, wrap
from gcron.wording import plural

__all__ = ["draw", "show_board"]

_SECOND = 1.0
# Lines of a table above its rows: an empty one, and the titles.
_ABOVE = 2
_QUIT = (b"q", b"Q")
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SIGNALS = (*_ENDS, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)

Record = dict[str, Any]


def show_board(follower: Follower, hint: str) -> int:
    """Show the board until q or a signal; return the exit status. `hint`: for its last line."""
    with _Terminal() as terminal:
        foot = "   ".join(filter(None, ["q ends" if terminal.has_keys else "Ctrl-C ends", hint]))
        follower.start(terminal.wake)
        try:
            while True:
                terminal.show(draw(follower.view, terminal.height, foot))
                status = terminal.wait(_SECOND)
                if status is not None:
                    return status
        finally:
            follower.stop()


# -- what is shown ------------------------------------------------------------------------------------------------


def draw(view: View, height: int, foot: str) -> list[str]:
    """Return the lines of the board, as many as `height` at most; the last one is `foot`."""
    now = view.now()
    jobs = worst_first([job for job in view.jobs if "service" not in job], now)
    services = worst_first([job for job in view.jobs if "service" in job], now)
    lines = [colour(line, name) if name else line for text, name in head(view) for line in wrap(text)]
    room = height - len(lines) - 1
    for_services = min(len(services) + _ABOVE, room // 3)
    if for_services <= _ABOVE:
        for_services = 0
    lines += _table(JOB_COLUMNS, jobs, lambda job: job_row(job, now), room - for_services, "job")
    lines += _table(SERVICE_COLUMNS, services, lambda job: service_row(job, now), height - len(lines) - 1, "service")
    lines = lines[: height - 1]
    return [*lines, *[""] * (height - 1 - len(lines)), colour(shorten(foot, width()), "dim")]


def _table(
    columns: Sequence[Column], jobs: Sequence[Record], row: Callable[[Record], list[str]], room: int, noun: str
) -> list[str]:
    """An empty line, the titles, and the rows for which there is room."""
    most = room - _ABOVE
    if not jobs or most <= 0:
        return []
    shown = jobs if len(jobs) <= most else jobs[: max(1, most - 1)]
    more = [f"and {plural(len(jobs) - len(shown), noun)} more"] if len(shown) < min(len(jobs), most) else []
    return ["", *format_columns(columns, [row(job) for job in shown]), *more]


# -- the terminal -------------------------------------------------------------------------------------------------


class _Terminal:
    """The terminal while the board has it. Every way out of the `with` block gives it back as it was.

    Signals are only noted, and acted upon between two pictures: no picture is left half drawn.
    """

    def __init__(self) -> None:
        console = Console(
            file=sys.stdout,
            force_terminal=True,
            no_color=not wants_colour(),
            color_system="standard" if wants_colour() else None,
            highlight=False,
        )
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._keys = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._settings = None if self._keys is None else termios.tcgetattr(self._keys)
        self._awake, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._signals: list[int] = []
        self._handlers: dict[int, Any] = {}

    @property
    def has_keys(self) -> bool:
        """Whether somebody can press keys."""
        return self._keys is not None

    @property
    def height(self) -> int:
        """In lines."""
        return self._live.console.size.height

    def __enter__(self) -> _Terminal:
        self._handlers = {signum: signal.signal(signum, self._note) for signum in _SIGNALS}
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            self._take()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._give_back()
        finally:
            signal.set_wakeup_fd(-1)
            for signum, handler in self._handlers.items():
                signal.signal(signum, handler)
            # The pipe stays open as long as the process: a thread may still call `wake`.

    def wake(self) -> None:
        """Let `wait` return; for any thread."""
        with suppress(BlockingIOError):
            os.write(self._wake, b"\0")

    def show(self, lines: Sequence[str]) -> None:
        """Show these lines instead of those before."""
        self._live.update(Text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop"), refresh=True)

    def wait(self, seconds: float) -> int | None:
        """Wait so long, or until something happens; return the exit status when that is the end."""
        keys = [] if self._keys is None else [self._keys]
        ready, _, _ = select.select([self._awake, *keys], [], [], seconds)
        if self._awake in ready:
            os.read(self._awake, 4096)
        if self._keys in ready:
            pressed = os.read(self._keys, 100) if self._keys is not None else b""
            if pressed[:1] in _QUIT:
                return 0
            if not pressed:
                self._keys = None  # nobody is there any more
        return self._obey()

    def _obey(self) -> int | None:
        while self._signals:
            signum = self._signals.pop(0)
            if signum in _ENDS:
                return 128 + signum
            if signum == signal.SIGTSTP:
                self._suspend()
            elif signum == signal.SIGCONT:
                self._give_back()  # whoever stopped us may have changed the terminal
                self._take()
        return None

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._signals.append(signum)

    def _suspend(self) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # returns when somebody continues us
        signal.signal(signal.SIGTSTP, self._note)
        self._signals = [signum for signum in self._signals if signum in _ENDS]
        self._take()

    def _take(self) -> None:
        if self._keys is not None:
            tty.setcbreak(self._keys)  # Ctrl-C and Ctrl-Z stay signals
        self._live.start()

    def _give_back(self) -> None:
        try:
            self._live.stop()
        finally:
            if self._settings is not None:
                with suppress(termios.error):  # it has gone away
                    termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._settings)

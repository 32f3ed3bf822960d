"""Showing a long text a page at a time, by the program that the user likes for it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys

__all__ = ["page"]

_DEFAULT = "less"
# As git does: end at once when it is short, pass colours on, leave the text on the screen.
_LESS = "FRX"


def page(text: str) -> None:
    """Show `text` by $PAGER (`less` where it is not set); print it where it fits, or where there is no pager."""
    command = _command()
    if command is None or not sys.stdin.isatty() or text.count("\n") < shutil.get_terminal_size().lines:
        print(text, end="")
        return
    environment = {"LESS": _LESS, **os.environ}
    sys.stdout.flush()
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, encoding="utf-8") as pager:
        # Ctrl-C is for the pager, which has the terminal until it ends.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            pager.communicate(text)  # one that ends before it has read all is no error
        finally:
            signal.signal(signal.SIGINT, before)


def _command() -> list[str] | None:
    try:
        command = shlex.split(os.environ.get("PAGER", _DEFAULT))
    except ValueError:
        return None
    if not command or shutil.which(command[0]) is None:
        return None
    return command

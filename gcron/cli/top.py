"""`gcron top`: the board of `gcron status`, live; with Textual, a screen with keys."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec

from gcron.cli.following import Follower
from gcron.cli.talking import REFUSED, talk
from gcron.cli.terminal import is_terminal
from gcron.control.client import Client

__all__ = ["main"]

_HINT = "more with keys (runs, output, trigger, pause, stop): pip install 'gcron[tui]'"


def main(options: argparse.Namespace) -> int:
    """Show the board until somebody ends it."""
    if not is_terminal() or os.environ.get("TERM", "dumb") == "dumb":
        print("gcron: top needs a terminal; `gcron status` prints the same table once", file=sys.stderr)
        return REFUSED
    return talk(options, lambda client: _show(client, options.plain))


def _show(client: Client, plain: bool) -> int:
    follower = Follower(client)
    has_textual = find_spec("textual") is not None
    if has_textual and not plain and _can_draw():
        from gcron.cli.tui.app import show_screen

        return show_screen(client, follower)
    from gcron.cli.board import show_board

    return show_board(follower, "" if has_textual else _HINT)


def _can_draw() -> bool:
    """Whether Textual can: it reads keys from stdin, and draws frames in UTF-8 on stderr."""
    return sys.stdin.isatty() and sys.stderr.isatty() and sys.stderr.encoding.lower().replace("-", "") == "utf8"

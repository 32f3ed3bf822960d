"""`gcron top` with Textual: the application."""

from __future__ import annotations

import asyncio
import signal

from textual.app import App
from textual.binding import Binding
from textual.message import Message

from gcron.cli.following import Follower
from gcron.cli.tui.dialogs import Help
from gcron.cli.tui.jobs import JobsScreen
from gcron.cli.tui.screen import BoardScreen
from gcron.cli.tui.session import Session, send
from gcron.control.client import Client

__all__ = ["TopApp", "show_screen"]

_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_CTRL_C = 128 + signal.SIGINT


def show_screen(client: Client, follower: Follower) -> int:
    """Show the screen until somebody ends it; return the exit status."""
    app = TopApp(client, follower)
    status = app.run()
    return (app.return_code or 0) if status is None else status


class Looked(Message):
    """There is a new view."""


class TopApp(App[int]):
    """The screens of one gcron."""

    TITLE = "gcron top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "end(0)", "Quit"),
        Binding("ctrl+c", f"end({_CTRL_C})", "Quit", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, priority=True),
    ]

    def __init__(self, client: Client, follower: Follower) -> None:
        super().__init__()
        self._follower = follower
        self._session = Session(client, follower)

    def on_mount(self) -> None:
        """See `App`."""
        loop = asyncio.get_running_loop()
        for signum in _ENDS:
            loop.add_signal_handler(signum, self.action_end, 128 + signum)
        self.push_screen(JobsScreen(self._session))
        self._follower.start(lambda: send(self, Looked()))
        self.set_interval(1.0, self._show)

    def on_unmount(self) -> None:
        """See `App`."""
        self._follower.stop()

    def on_looked(self, looked: Looked) -> None:
        """Show the new view."""
        self._show()

    def _show(self) -> None:
        for screen in reversed(self.screen_stack):  # also below a dialog
            if isinstance(screen, BoardScreen):
                screen.show_view()
                return

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def action_end(self, status: int) -> None:
        """End the application with this exit status."""
        self.exit(status)

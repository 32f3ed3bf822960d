"""What the screens have in common: the head, the line of messages, and the keys that change something."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Footer, Static

from gcron.cli.acting import describe_pause, describe_resume, describe_stop, describe_trigger
from gcron.cli.tui.dialogs import Question
from gcron.cli.tui.session import Said, Session
from gcron.control.client import Client
from gcron.escaping import escape, escape_line
from gcron.wording import plural

__all__ = ["BoardScreen"]

# Seconds after which a message goes: later, it would be taken for how things stand.
_SAID_FOR = 20.0

Record = dict[str, Any]


class BoardScreen(Screen[None]):
    """A head, what a subclass shows, the last message, and the keys."""

    DEFAULT_CSS = """
    BoardScreen .head { height: auto; padding: 0 1 1 1; }
    BoardScreen .said { height: auto; max-height: 3; padding: 0 1; }
    BoardScreen Table, BoardScreen Log { height: 1fr; background: $background; scrollbar-size-horizontal: 0; }
    """
    BINDINGS = [
        Binding("t", "trigger", "Trigger"),
        Binding("p", "pause", "Pause"),
        Binding("s", "stop", "Stop"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._head = Static(classes="head")
        self._drawn_head: list[tuple[str, str]] = []
        self._said = Static(classes="said")
        self._forgetting: Timer | None = None

    def body(self) -> Widget:
        """What is between head and messages."""
        raise NotImplementedError

    def head(self) -> list[tuple[str, str]]:
        """The lines of the head, each with its style; empty for none."""
        raise NotImplementedError

    def chosen_job(self) -> str | None:
        """The job that the keys are about."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        yield self._head
        yield self.body()
        yield self._said
        yield Footer()

    def on_mount(self) -> None:
        """See `Screen`."""
        self.show_view()

    def show_view(self) -> None:
        """Show how gcron stands now. A subclass shows its own part, too."""
        lines = self.head()
        if lines != self._drawn_head:  # to draw it costs more than all the rest
            self._drawn_head = lines
            self._head.update(Text("\n").join(Text(escape(text), style) for text, style in lines))

    def on_said(self, said: Said) -> None:
        """Show what came of something."""
        self._said.update(Text(escape(said.text), "red" if said.is_error else ""))
        if self._forgetting is not None:
            self._forgetting.stop()
        self._forgetting = self.set_timer(_SAID_FOR, lambda: self._said.update(""))

    # -- keys ---------------------------------------------------------------------------------------------------

    def action_trigger(self) -> None:
        """Run the job now."""
        if (name := self.chosen_job()) is not None:
            self.session.act(self, lambda client: describe_trigger(client.post("jobs", name, "trigger")))

    def action_pause(self) -> None:
        """Pause the job, or resume it."""
        if (name := self.chosen_job()) is not None:
            self.session.act(self, lambda client: _pause_or_resume(client, name))

    def action_stop(self) -> None:
        """Ask, then end the runs of the job, or the service."""
        name = self.chosen_job()
        job = None if name is None else self.session.job(name)
        if name is None or job is None:
            return
        if "service" not in job and not job["running"]:
            self.on_said(Said(f"{name}: no run is under way"))
            return
        self.ask_and_stop(_question(job), "jobs", name)

    def ask_and_stop(self, question: str, *what: str) -> None:
        """Ask, then stop a job or a run."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.session.act(self, lambda client: describe_stop(client.post(*what, "stop")))

        self.app.push_screen(Question(question), answered)


def _pause_or_resume(client: Client, name: str) -> str:
    if client.get("jobs", name)["paused"]:
        return describe_resume(client.post("jobs", name, "resume"), was_paused=True)
    return describe_pause(client.post("jobs", name, "pause"))


def _question(job: Record) -> str:
    name = escape_line(job["job"])
    if "service" in job:
        return f"Stop the service {name}?\nIt stays so until it is triggered or restarted."
    runs = plural(len(job["running"]), "run")
    return f"Stop {name}?\n{runs} under way would be ended with all its processes, as at a time-out."

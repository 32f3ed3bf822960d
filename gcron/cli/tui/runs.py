"""The runs of a job, and the output of a run."""

from __future__ import annotations

from threading import Thread
from typing import Any

from textual.binding import Binding
from textual.widget import Widget
from textual.widgets import DataTable, Log

from gcron.cli.logs import pieces_of, readable
from gcron.cli.status import RUN_COLUMNS, job_row, run_row
from gcron.cli.talking import local_time, reason_of, seconds_since, span, style_of, word_of
from gcron.cli.tui.screen import BoardScreen
from gcron.cli.tui.session import Answered, Said, Session, send, start
from gcron.cli.tui.table import Table
from gcron.cli.tui.tail import MOST_LINES, Tail
from gcron.control.client import Client, NoGcron, Refused
from gcron.escaping import escape_line

__all__ = ["RunsScreen"]

_MOST_RUNS = 200
# Seconds between two looks for new output. One message for each piece would be more than the screen can show: keys and
# signals would wait behind them, and the queue would take all memory.
_LOOK_EVERY = 0.2
# `back` beside `escape`: keys of terminals and of people who read pages.
_BACK = Binding("escape,backspace,left", "app.pop_screen", "Back", key_display="esc")

Record = dict[str, Any]


class _Runs(Table):
    BINDINGS = [Binding("enter", "select_cursor", "Output", key_display="enter")]


class RunsScreen(BoardScreen):
    """The runs of one job, the newest first."""

    BINDINGS = [_BACK]

    def __init__(self, session: Session, job: str) -> None:
        super().__init__(session)
        self._job = job
        self._known: Record | None = None
        """The job as it was when its runs were asked for."""
        self._question: Thread | None = None
        self._runs: list[Record] = []
        self._table = _Runs(RUN_COLUMNS)

    def body(self) -> Widget:
        """See `BoardScreen`."""
        return self._table

    def on_mount(self) -> None:
        """See `Screen`."""
        super().on_mount()
        self._table.focus()

    def chosen_job(self) -> str | None:
        """See `BoardScreen`."""
        return self._job

    def head(self) -> list[tuple[str, str]]:
        """See `BoardScreen`."""
        job = self.session.job(self._job)
        if job is None:
            return [(self._job, "bold"), ("this job has gone", "red")]
        return [(self._job, "bold"), (_sentence(job, self.session.view.now()), "")]

    def show_view(self) -> None:
        """See `BoardScreen`."""
        super().show_view()
        if self._question is not None and self._question.is_alive():
            return  # gcron may hang: one more question each second would make one more thread each
        job = self.session.job(self._job)
        if job != self._known or any(run["state"] != "ended" for run in self._runs):
            self._known = job
            self._question = self.session.ask(self, self._ask)

    def _ask(self, client: Client) -> list[Record]:
        runs: list[Record] = client.get("jobs", self._job, "runs", limit=_MOST_RUNS)["runs"]
        return runs

    def on_answered(self, answered: Answered) -> None:
        """Show the runs."""
        self._runs = answered.answer
        self._table.fill({run["run_id"]: run_row(run) for run in self._runs})

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Show the output of the run."""
        run = next((run for run in self._runs if run["run_id"] == self._table.chosen), None)
        if run is not None:
            self.app.push_screen(_OutputScreen(self.session, run))


def _sentence(job: Record, now: str) -> str:
    """A job in a line: its schedule, and how it stands."""
    _, schedule, last, ago, took, _, due = job_row(job, now)
    words = [schedule]
    if "service" in job:
        words.append(job["service"]["state"])
    elif job["running"]:
        words.append(f"{last} for {took}")
    elif ago:
        words.append(f"{last} {ago} ago, took {took}")
    if due not in ("", "-"):
        words.append(f"next {due}" if due.startswith("in ") else due)
    if job["overdue"]:
        words.append("overdue")
    return ", ".join(words)


class _OutputScreen(BoardScreen):
    """What one run prints, as it comes."""

    BINDINGS = [
        _BACK,
        Binding("end,G", "end", "End", key_display="end"),
        Binding("home,g", "home", "Begin", show=False),
    ]

    def __init__(self, session: Session, run: Record) -> None:
        super().__init__(session)
        self._record = run
        self._output = Log(max_lines=MOST_LINES)
        self._tail = Tail()
        self._client = session.another_client()
        self._is_open = True

    def body(self) -> Widget:
        """See `BoardScreen`."""
        return self._output

    def on_mount(self) -> None:
        """See `Screen`."""
        super().on_mount()
        self._output.focus()
        self.set_interval(_LOOK_EVERY, self._show_output)
        start(self._read)

    def on_unmount(self) -> None:
        """See `Screen`."""
        self._is_open = False
        self._client.hang_up()

    def chosen_job(self) -> str | None:
        """See `BoardScreen`."""
        return str(self._record["job"])

    def head(self) -> list[tuple[str, str]]:
        """See `BoardScreen`."""
        run = self._record
        title = (f"{run['job']}  run {run['run_id']}", "bold")
        if run["outcome"]:
            word = word_of(run["outcome"])
            parts = [word, reason_of(run), f"took {span(run['duration'])}" if run["duration"] is not None else ""]
            text = f"{local_time(run['created'])}  {', '.join(filter(None, parts))}"
            return [title, (text, style_of(word))]
        for_so_long = span(seconds_since(run["started"] or run["created"], self.session.view.now()))
        return [title, (f"{local_time(run['created'])}  {run['state']} for {for_so_long}", "bold")]

    def action_stop(self) -> None:
        """Ask, then end this run."""
        if self._record["outcome"]:
            self.on_said(Said("this run has ended"))
            return
        what = "It would be ended with all its processes, as at a time-out."
        question = f"Stop this run of {escape_line(self._record['job'])}?\n{what}"
        self.ask_and_stop(question, "runs", self._record["run_id"])

    def action_end(self) -> None:
        """Go to the end, and stay there while more comes."""
        self._output.scroll_end(animate=False)

    def action_home(self) -> None:
        """Go to the beginning."""
        self._output.scroll_home(animate=False)

    # -- reading ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """In a thread of its own: collect what the run prints, and send how it ended."""
        ended: list[Record] = []
        try:
            for text in readable(pieces_of(self._client, self._record["run_id"], ended)):
                if not self._is_open:
                    return
                self._tail.add(text)
        except (NoGcron, Refused, KeyError) as error:
            if self._is_open:
                send(self, Said(str(error), is_error=True))
        if ended:
            send(self, Answered(ended[0]))

    def _show_output(self) -> None:
        text, is_cut = self._tail.take()
        if is_cut:
            self._output.clear()
            self._output.write_line("[older output is not shown here]")
        if text:
            follows = is_cut or self._output.is_vertical_scroll_end  # not when somebody has scrolled back to read
            self._output.write(text, scroll_end=follows)

    def on_answered(self, answered: Answered) -> None:
        """Show that the run has ended."""
        self._show_output()
        self._record = answered.answer
        if not self._output.line_count:
            what = "nothing of it is kept" if self._record["output_bytes"] else "it printed nothing"
            self._output.write(f"({what})")
        self.show_view()

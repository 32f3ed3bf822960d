"""The first screen: all jobs and services, the worst first."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.widget import Widget
from textual.widgets import DataTable, Footer, Input

from gcron.cli.standing import head, worst_first
from gcron.cli.status import JOB_COLUMNS, SERVICE_COLUMNS, job_row, service_row, strip
from gcron.cli.talking import style_of
from gcron.cli.tui.runs import RunsScreen
from gcron.cli.tui.screen import BoardScreen
from gcron.cli.tui.session import Session
from gcron.cli.tui.table import Table
from gcron.wording import plural

__all__ = ["JobsScreen"]

# More would take a noticeable part of each second.
_MOST_ROWS = 500

Record = dict[str, Any]


def _style(cell: str) -> str:
    return style_of(cell) or SERVICE_COLUMNS[1].style(cell)


# One table has both: a service's state is in the place of the last outcome, its restarts in that of the next fire.
_COLUMNS = tuple(
    column._replace(
        style=_style if column.title == "LAST" else column.style,
        narrowest=len("99 restarts") if column.title == "NEXT" else column.narrowest,
    )
    for column in JOB_COLUMNS
)


class _Jobs(Table):
    BINDINGS = [Binding("enter", "select_cursor", "Runs", key_display="enter")]


class JobsScreen(BoardScreen):
    """A table of all jobs, of which a filter may leave some."""

    DEFAULT_CSS = """
    JobsScreen Input { padding: 0 1; }
    """
    BINDINGS = [
        # With priority: otherwise keys that come together with this one are already on their way to the table.
        Binding("slash", "filter", "Filter", priority=True),
        Binding("escape", "clear_filter", "All jobs", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._table = _Jobs(_COLUMNS)
        self._filter = Input(placeholder="a part of the name", compact=True, select_on_focus=False)
        self._filter.display = False

    def body(self) -> Widget:
        """See `BoardScreen`."""
        return self._table

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        yield self._head
        yield self._table
        yield self._said
        yield self._filter
        yield Footer()

    def on_mount(self) -> None:
        """See `Screen`."""
        super().on_mount()
        self._table.focus()

    def head(self) -> list[tuple[str, str]]:
        """See `BoardScreen`."""
        lines = head(self.session.view)
        left = len(self._matching())
        if self._filter.value:
            lines.append((f"{plural(left, 'job')} with {self._filter.value!r} in the name; esc shows all", "yellow"))
        if left > _MOST_ROWS:
            lines.append((f"the first {_MOST_ROWS} of {left}; / finds the others", "yellow"))
        return lines

    def chosen_job(self) -> str | None:
        """See `BoardScreen`."""
        return self._table.chosen

    def show_view(self) -> None:
        """See `BoardScreen`."""
        super().show_view()
        now = self.session.view.now()
        self._table.fill({job["job"]: _row(job, now) for job in self._matching()[:_MOST_ROWS]})

    def _matching(self) -> list[Record]:
        part = self._filter.value.casefold()
        view = self.session.view
        return worst_first((job for job in view.jobs if part in job["job"].casefold()), view.now())

    # -- keys ---------------------------------------------------------------------------------------------------

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Show the runs of the job."""
        if (name := self._table.chosen) is not None:
            self.app.push_screen(RunsScreen(self.session, name))

    def action_filter(self) -> None:
        """Let a part of a name be typed."""
        self._filter.display = True
        self.set_focus(self._filter)  # at once: the next key belongs to it, and must trigger nothing

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """See `DOMNode`: in the filter, the key of the filter is a character."""
        return action != "filter" or self.focused is not self._filter

    def action_clear_filter(self) -> None:
        """Show all jobs."""
        self._filter.value = ""
        self._leave_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the jobs that are left."""
        self.show_view()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the table, with the filter."""
        self._leave_filter()

    def _leave_filter(self) -> None:
        self.set_focus(self._table)
        self._filter.display = False


def _row(job: Record, now: str) -> list[str]:
    if "service" not in job:
        return job_row(job, now)
    name, state, since, restarts, _ = service_row(job, now)
    lives = "" if restarts == "0" else plural(int(restarts), "restart")
    return [name, job["schedule"], state, since, "", strip(job["recent"]), lives]

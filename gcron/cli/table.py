"""The table of `gcron next`: columns if the terminal has room for them, else one or two lines a fire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gcron.cli.terminal import wants_colour, width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["Row", "print_rows"]

_WIDEST = 1000
_MARK_STYLE = "yellow"


class Row(NamedTuple):
    """The cells of a fire, or of times that a clock change skips."""

    when: str
    offset: str
    zone: str
    relative: str
    job: str
    schedule: str
    mark: str


def print_rows(title: Sequence[str], rows: Sequence[Row], several_zones: bool, is_now: bool) -> None:
    """Print the lines of the title and the rows. `is_now`: the relative times count from now."""
    # Slow to import, and only needed here.
    from rich.console import Console

    console = Console(width=width(), highlight=False, no_color=not wants_colour(), soft_wrap=False)
    with console.capture() as captured:
        table = _table(rows, several_zones, is_now)
        natural = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
        if natural > console.width:
            _print_lines(console, rows, several_zones)
        else:
            console.print(table)
    # Not printed by rich itself, which fills up lines with blanks and ends the program when the reader is gone. It also
    # flushes stdout while it captures: so the title is printed after it.
    print("\n".join([*title, *(line.rstrip() for line in captured.get().splitlines())]))


def _table(rows: Sequence[Row], several_zones: bool, is_now: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold" if wants_colour() else "")
    table.add_column("when", no_wrap=True)
    table.add_column("offset", no_wrap=True)
    if several_zones:
        table.add_column("zone", overflow="fold")
    table.add_column("in" if is_now else "after", no_wrap=True)
    table.add_column("job", overflow="fold")
    table.add_column("schedule", overflow="fold")
    table.add_column("", overflow="fold")
    for row in rows:
        zone = [row.zone] if several_zones else []
        cells = [row.when, row.offset, *zone, row.relative.removeprefix("in "), row.job, row.schedule]
        style = _MARK_STYLE if row.mark and wants_colour() else ""
        table.add_row(*map(Text, cells), Text(row.mark, style=style))
    return table


def _print_lines(console: Console, rows: Sequence[Row], several_zones: bool) -> None:
    """One or two lines a fire, for terminals on which columns would break in the middle of words."""
    from rich.text import Text

    for row in rows:
        when = " ".join(filter(None, (row.when, row.offset, row.zone if several_zones else "")))
        what = "  ".join(filter(None, (row.job, row.relative)))
        line = Text(f"{when}  {what}")
        if line.cell_len > console.width:
            line = Text(f"{when}\n  {what}")
        console.print(line)
        if row.mark:
            console.print(Text(f"  {row.mark}", style=_MARK_STYLE if wants_colour() else ""))

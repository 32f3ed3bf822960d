"""Tables that fit the terminal: columns become narrower, then the least important ones are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gcron.cli.table import cell_width, shorten
from gcron.cli.talking import colour
from gcron.cli.terminal import width
from gcron.escaping import escape_line

__all__ = ["Column", "clean", "fit", "format_columns", "print_columns", "with_nodes"]

_GAP = 2


class Column(NamedTuple):
    """A column: its title, the narrowest that it may be, and how soon it is left out (0: never; 1: first)."""

    title: str
    narrowest: int
    leaves: int = 0
    style: Callable[[str], str] = lambda cell: ""
    """The colour of a cell with this text; empty for none."""


def print_columns(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print the titles and the rows."""
    for line in format_columns(columns, rows):
        print(line)


def format_columns(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines that `print_columns` prints."""
    rows = clean(rows)
    widths = fit(columns, rows, width())
    titles = colour(_line(columns, [column.title for column in columns], widths), "bold")
    return [titles, *(_line(columns, row, widths, coloured=True) for row in rows)]


def with_nodes(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], runs: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[Column], Sequence[Sequence[str]]]:
    """Add a column with the node of each run before the last column, if any of them has one."""
    if not any("node" in run for run in runs):
        return columns, rows
    node = Column("NODE", 4, leaves=6)
    cells = [[*row[:-1], run.get("node", ""), row[-1]] for row, run in zip(rows, runs, strict=True)]
    return [*columns[:-1], node, columns[-1]], cells


def clean(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the rows with cells of one line each, that a terminal may show."""
    return [[escape_line(cell).expandtabs(1) for cell in row] for row in rows]


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> dict[int, int]:
    """Return the width of each column that is shown, by its index. The rows are clean."""
    natural = [
        max([len(column.title), *(cell_width(row[index]) for row in rows)]) for index, column in enumerate(columns)
    ]
    kept = [index for index in range(len(columns)) if natural[index]]
    for _ in columns:
        narrowest = {index: min(natural[index], columns[index].narrowest) for index in kept}
        if sum(narrowest.values()) + _GAP * (len(kept) - 1) <= room:
            break
        leaving = [index for index in kept if columns[index].leaves]
        if not leaving:
            break
        kept.remove(min(leaving, key=lambda index: columns[index].leaves))
    widths = {index: min(natural[index], columns[index].narrowest) for index in kept}
    spare = room - sum(widths.values()) - _GAP * (len(kept) - 1)
    # The widest gap between what a column wants and what it has is closed first.
    while spare > 0 and (wanting := [index for index in kept if widths[index] < natural[index]]):
        widths[max(wanting, key=lambda index: natural[index] - widths[index])] += 1
        spare -= 1
    return widths


def _line(columns: Sequence[Column], row: Sequence[str], widths: dict[int, int], coloured: bool = False) -> str:
    return (" " * _GAP).join(_cells(columns, row, widths, coloured)).rstrip()


def _cells(columns: Sequence[Column], row: Sequence[str], widths: dict[int, int], coloured: bool) -> Iterator[str]:
    for index, size in widths.items():
        cell = shorten(row[index], size)
        cell += " " * (size - cell_width(cell))
        style = columns[index].style(row[index]) if coloured else ""
        yield colour(cell, style) if style else cell

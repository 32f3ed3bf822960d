"""Tables of jobs: in columns if the terminal has room for them, else one or a few lines a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap

from gcron.cli.terminal import is_terminal, wants_colour, width
from gcron.escaping import escape
from gcron.frozen import frozen

__all__ = ["Table", "cell_width", "shorten"]

_GAP = "  "
# Names and places are shortened to this many columns before the table is given up.
_LEAST = 12


@frozen
class Table:
    """Rows of cells; the last cell of a row is a remark. A column without a cell is not shown."""

    columns: tuple[str, ...]
    """Their titles; that of the remarks is empty."""
    as_lines: Callable[[Sequence[str]], list[str]]
    """Makes lines of a row, without its remark, where there is no room for columns."""
    flexible: tuple[str, ...] = ()
    """The columns that may be shortened."""

    def print(self, rows: Sequence[Sequence[str]]) -> None:
        """Print the titles and the rows, or the lines of the rows."""
        rows = [[escape(" ".join(cell.split())) for cell in row] for row in rows]  # a tab would be several columns wide
        widths = self._widths(rows)
        if widths is None:
            self._print_lines(rows)
            return
        print(_emphasized(_line(self.columns, widths), "1"))
        for row in rows:
            remark = _emphasized(row[-1], "33")
            print(f"{_line(row[:-1], widths[:-1])}{_GAP}{remark}".rstrip() if remark else _line(row, widths))

    def _widths(self, rows: Sequence[Sequence[str]]) -> list[int] | None:
        """Return the width of each column, 0 if it is not shown; None if they do not fit."""
        widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
        widths = [max(size, cell_width(title)) if size else 0 for title, size in zip(self.columns, widths, strict=True)]
        excess = sum(widths) + len(_GAP) * (sum(map(bool, widths)) - 1) - width()
        if excess <= 0 or not is_terminal():
            return widths
        flexible = [index for index, title in enumerate(self.columns) if title in self.flexible]
        while excess > 0 and flexible:
            widest = max(flexible, key=lambda index: widths[index])
            if widths[widest] <= _LEAST:
                return None
            widths[widest] -= 1
            excess -= 1
        return widths if excess <= 0 else None

    def _print_lines(self, rows: Sequence[Sequence[str]]) -> None:
        for row in rows:
            first, *others = self.as_lines(row)
            lines = [*wrap(first, width(), subsequent_indent="  "), *_indented(*others)]
            print("\n".join([*lines, *(_emphasized(line, "33") for line in _indented(row[-1]))]))


def shorten(text: str, size: int) -> str:
    """Return the text with its middle left out if it is more than `size` columns wide: beginning and end tell most."""
    if cell_width(text) <= size:
        return text
    head, tail = text[: size - 1 - (size - 1) // 2], text[len(text) - (size - 1) // 2 :]
    while cell_width(head) + 1 + cell_width(tail) > size:  # characters of two columns
        head, tail = head[:-1], tail[1:]
    return f"{head}…{tail}"


def _indented(*lines: str) -> list[str]:
    found = [wrap(line, width(), initial_indent="  ", subsequent_indent="    ") for line in lines if line]
    return [piece for pieces in found for piece in pieces]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = [shorten(cell, size) for cell, size in zip(cells, widths, strict=True) if size]
    sizes = [size for size in widths if size]
    padded = [cell + " " * (size - cell_width(cell)) for cell, size in zip(shown, sizes, strict=True)]
    return _GAP.join(padded).rstrip()


def _emphasized(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if text and wants_colour() else text


def cell_width(text: str) -> int:
    """Return the columns that a terminal takes for the text."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # slow to import

    return cell_len(text)

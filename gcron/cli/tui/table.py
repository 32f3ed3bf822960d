"""A table that fits the screen as `gcron status` does, and stays where it is when its content changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text
from textual import events
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from gcron.cli.columns import Column, clean, fit
from gcron.cli.table import shorten

__all__ = ["Table"]

# Blanks at both sides of each cell, of which the first and the last are outside of the columns.
_PADDING = 1


class Table(DataTable[Text]):
    """Rows with a key each; the cursor stays on its key."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__(cursor_type="row", cell_padding=_PADDING)
        self._titles = columns
        self._wanted_rows: Mapping[str, Sequence[str]] = {}
        self._drawn: dict[str, list[Text]] = {}
        self._drawn_widths: dict[int, int] = {}

    @property
    def chosen(self) -> str | None:
        """The key of the row with the cursor."""
        keys = list(self._drawn)
        return keys[self.cursor_row] if self.cursor_row < len(keys) else None

    def fill(self, content: Mapping[str, Sequence[str]]) -> None:
        """Show these rows, in this order."""
        self._wanted_rows = content
        room = self.size.width - 2 * _PADDING
        if room <= 0:
            return  # not on the screen yet: `on_resize` comes
        rows = clean(list(content.values()))
        widths = fit(self._titles, rows, room)
        cells = [self._cells(row, widths) for row in rows]
        shown = dict(zip(content, cells, strict=True))
        if widths == self._drawn_widths and list(shown) == list(self._drawn):
            self._update(shown)
        else:
            self._replace(shown, widths)
        self._drawn, self._drawn_widths = shown, widths

    def on_resize(self, event: events.Resize) -> None:
        """See `Widget`."""
        self.fill(self._wanted_rows)

    def _cells(self, row: Sequence[str], widths: Mapping[int, int]) -> list[Text]:
        styles = ((shorten(row[index], size), self._titles[index].style(row[index])) for index, size in widths.items())
        return [Text(cell, style, no_wrap=True) for cell, style in styles]

    def _update(self, shown: Mapping[str, Sequence[Text]]) -> None:
        for number, (key, cells) in enumerate(shown.items()):
            for column, (cell, before) in enumerate(zip(cells, self._drawn[key], strict=True)):
                if (cell.plain, cell.style) != (before.plain, before.style):
                    self.update_cell_at(Coordinate(number, column), cell)

    def _replace(self, shown: Mapping[str, Sequence[Text]], widths: Mapping[int, int]) -> None:
        chosen, first = self.chosen, self.scroll_y
        self.clear(columns=True)
        for index, size in widths.items():
            self.add_column(self._titles[index].title, width=size, key=str(index))
        for key, cells in shown.items():
            self.add_row(*cells, key=key)
        if chosen is not None and chosen in shown:
            self.move_cursor(row=list(shown).index(chosen), animate=False, scroll=False)
            self.scroll_to(y=first, animate=False)

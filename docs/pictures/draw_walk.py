"""Draw the picture of docs/architecture.md: the way of one fire through the floors, as an SVG.

python docs/pictures/draw_walk.py
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from pathlib import Path

TARGET = Path(__file__).with_name("walk.svg")

# From the top, with a tint each.
FLOORS = [
    ("5", "application", "#f3e8d2"),
    ("4", "scheduler", "#dfe9f5"),
    ("3", "supervision", "#e3f0df"),
    ("2", "crontab, schedule", "#f5e1e1"),
    ("1", "runtime", "#ececec"),
]
# In the order of the walk: the floor, the column, the module, and what it makes of the fire.
STATIONS = [
    ("2", 0, "crontab/", "lines to entries"),
    ("4", 0, "job.py, job_table.py", "entries to jobs"),
    ("4", 1, "watch.py, claims.py", "due, and claimed"),
    ("4", 2, "overlap.py", "start, wait, skip"),
    ("4", 3, "runs.py", "waits, begins"),
    ("3", 3, "attempt.py", "one process"),
    ("3", 4, "process_tree.py", "its processes"),
    ("3", 5, "output.py", "what they print"),
    ("3", 6, "outcome.py", "how it ended"),
    ("4", 6, "events.py", "observers"),
    ("5", 6, "daemon/log.py", "the log"),
]
LEFT, COLUMN, BAND, WIDE, HIGH = 132, 152, 86, 138, 50
GROUND = "runtime/hub.py: the loop. Every wait on the floors above ends there"


def left_of(column: int) -> int:
    """The left edge of a column."""
    return LEFT + 8 + column * COLUMN


def top_of(floor: str) -> int:
    """The upper edge of a floor's band."""
    return 8 + [number for number, _, _ in FLOORS].index(floor) * BAND


def text(x: float, y: float, words: str, size: int, weight: str = "normal") -> str:
    """One line of words."""
    return f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}">{escape(words)}</text>'


def band(number: str, name: str, tint: str, width: int) -> str:
    """A floor."""
    y = top_of(number)
    ground = f'<rect x="8" y="{y}" width="{width - 16}" height="{BAND - 6}" rx="6" fill="{tint}"/>'
    return ground + text(20, y + 36, f"floor {number}", 13, "bold") + text(20, y + 54, name, 12)


def box(step: int, floor: str, column: int, module: str, does: str) -> str:
    """A module on the way."""
    x, y = left_of(column), top_of(floor) + 15
    frame = f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="4" fill="#fff" stroke="#555"/>'
    return frame + text(x + 7, y + 20, f"{step} {module}", 12, "bold") + text(x + 7, y + 38, does, 12)


def arrow(before: tuple[str, int], after: tuple[str, int]) -> str:
    """From one module to the next: sideways on a floor, straight up or down between two."""
    x1, y1 = left_of(before[1]), top_of(before[0]) + 15
    x2, y2 = left_of(after[1]), top_of(after[0]) + 15
    if y1 == y2:
        start, end = (x1 + WIDE, y1 + HIGH // 2), (x2 - 2, y2 + HIGH // 2)
    else:
        down = y2 > y1
        middle = x1 + WIDE // 2
        start, end = (middle, y1 + HIGH if down else y1), (middle, y2 - 2 if down else y2 + HIGH + 2)
    return f'<path d="M{start[0]} {start[1]} L{end[0]} {end[1]}" stroke="#333" fill="none" marker-end="url(#tip)"/>'


def draw() -> str:
    """The whole picture."""
    width = left_of(7) + 8
    height = top_of("1") + BAND + 2
    places = [(floor, column) for floor, column, _, _ in STATIONS]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" fill="#111">',
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">'
        '<path d="M0 0 L7 3 L0 6 z" fill="#333"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *(band(number, name, tint, width) for number, name, tint in FLOORS),
        text(left_of(0), top_of("1") + 45, GROUND, 12),
        *(box(step, *station) for step, station in enumerate(STATIONS, 1)),
        *(arrow(before, after) for before, after in pairwise(places)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(draw(), encoding="utf-8")

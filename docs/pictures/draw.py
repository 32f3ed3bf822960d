"""Draw what a real `gcron` prints on a terminal, as two SVGs: all of it, and `gcron status` alone.

    python docs/pictures/draw.py

It runs `gcron run crontab.example` for a few seconds, `gcron status` beside it, then Ctrl-C, and `gcron timeline`, each
on a pseudo-terminal.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COLUMNS, LINES = 100, 30
# Seconds until `gcron status`, and until Ctrl-C.
ASK_AFTER, RUN_FOR = 6.0, 12.0
# Fonts of the reader's own: a picture that fetches one from elsewhere shows none without a network.
STYLE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
        line-height: {line_height}px; font-variant-east-asian: full-width; }}
    .{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix" xml:space="preserve">
    {matrix}
    </g>
    </g>
</svg>
"""
THEME = TerminalTheme(
    (30, 33, 38),
    (208, 212, 220),
    [
        (90, 95, 105),
        (235, 105, 100),
        (120, 200, 120),
        (230, 190, 90),
        (110, 160, 240),
        (200, 140, 230),
        (90, 200, 210),
        (208, 212, 220),
    ],
)


def main() -> None:
    """Record the commands and write the pictures."""
    with ThreadPoolExecutor() as pool:
        running = pool.submit(_recorded, ["run", "crontab.example"], RUN_FOR)
        time.sleep(ASK_AFTER)
        _recorded(["trigger", "backup", "--wait"])
        _recorded(["pause", "refresh", "--for", "2h"])
        status = _recorded(["status"])
    shown = [("run crontab.example", running.result()), ("status     # in a second terminal", status)]
    shown.append(("timeline crontab.example", _recorded(["timeline", "crontab.example"])))
    _draw("run", shown)
    _draw("status", [("status", status)])


def _draw(name: str, shown: list[tuple[str, str]]) -> None:
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
    for command, printed in shown:
        console.print(Text(f"$ gcron {command}", style="bold"))
        console.print(Text.from_ansi(printed))
        console.print()
    picture = console.export_svg(title="gcron", theme=THEME, code_format=STYLE, unique_id=f"gcron-{name}")
    (HERE / f"{name}.svg").write_text(re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE))


def _recorded(arguments: list[str], seconds: float | None = None) -> str:
    """What the command prints on a terminal; after `seconds` it gets Ctrl-C."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
    environment |= {"GCRON_STATE": "memory", "XDG_RUNTIME_DIR": _place()}  # apart from what else runs here
    process = subprocess.Popen(
        [sys.executable, "-m", "gcron", *arguments],
        cwd=ROOT,
        env=environment | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    if seconds is not None:
        threading.Timer(seconds, process.send_signal, (signal.SIGINT,)).start()
    data = b"".join(_blocks(ours))
    process.wait()
    return data.decode().replace("\r\n", "\n").rstrip("\n")


@cache
def _place() -> str:
    return tempfile.mkdtemp(prefix="gcron-picture-")


def _blocks(descriptor: int) -> list[bytes]:
    blocks = []
    while True:
        try:
            blocks.append(os.read(descriptor, 65536))
        except OSError:  # the other side is closed
            os.close(descriptor)
            return blocks


if __name__ == "__main__":
    main()

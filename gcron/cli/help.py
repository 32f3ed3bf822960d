"""`gcron help`: the documentation in the terminal.

There is one text: the pages of docs/. A wheel has a copy of them; a checkout reads them in docs/.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gcron.cli.terminal import WIDEST_TEXT, is_terminal, wants_colour, width
from gcron.policy import closest

__all__ = ["Topic", "find_topics", "main", "read_topic"]

_IN_WHEEL = Path(__file__).with_name("pages")
_PAGES = _IN_WHEEL if _IN_WHEEL.is_dir() else Path(__file__).parents[2] / "docs"

_HEADING = re.compile(r"(#{1,6}) +(?:\d+\. )?(.*)")
_FENCE = "```"
# Markup for Sphinx: a table of contents, a framed note, a comment, a link target.
_MARKUP = re.compile(r"^```\{.*?^```\n|^:::.*?\n|^<!--.*?-->\n|^\(\S+\)=\n", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)\n*")
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)]*)\)")


class Topic(NamedTuple):
    """A page of the documentation, or its part below `heading`. `summary`: one line about it."""

    name: str
    page: str
    heading: str
    summary: str

    @property
    def is_part(self) -> bool:
        """Whether it is not the whole page."""
        return self.name != self.page


# Numbers in front of headings do not count. An empty heading is the text above the first section.
_PARTS = (
    Topic("fields", "crontab", "Fields", "what may stand in the five fields, and the nicknames"),
    Topic("options", "crontab", "Directives", "# gcron: name=… timeout=… and all the others"),
    Topic("clock-changes", "crontab", "When an entry fires", "what daylight saving time does to an entry"),
    Topic("exit-codes", "commands", "Exit statuses", "what the exit statuses of commands mean"),
    Topic("outcomes", "running", "Outcomes", "succeeded, failed, timed-out, skipped, missed…"),
    Topic("jobs", "running", "What a job sees", "its environment, user, directory and limits"),
    Topic("timeouts", "running", "The end of a run", "how a whole process tree is ended"),
    Topic("policies", "running", "Attempts and delays", "retries, overlap, groups, catchup, alarms"),
    Topic("output", "running", "Output", "what becomes of what jobs print"),
    Topic("signals", "running", "Signals, stopping, reloading", "TERM, INT, QUIT, HUP, USR1, USR2, and stopping"),
    Topic("socket", "control", "The socket", "where gcron listens for commands, and who may use it"),
    Topic("files", "crontab", "Reading the file", "which files are taken, and which are refused"),
)
# For contributors, or only useful in a browser.
_NOT_FOR_TERMINALS = {"index", "architecture", "library"}


def main(options: argparse.Namespace) -> int:
    """Show a topic, or the list of them; returns 2 if there is no such topic."""
    topics = find_topics()
    if options.topic is None:
        print(_list(list(topics.values())))
        return 0
    known = _find_commands() | topics
    topic = known.get(options.topic.lower())
    if topic is None:
        close = closest(options.topic.lower(), known)
        hint = f"; did you mean {close!r}?" if close else ""
        print(f"gcron: there is no help on {options.topic!r}{hint} (gcron help lists the topics)", file=sys.stderr)
        return 2
    text = read_topic(topic)
    if not is_terminal():
        print(text, end="")  # Markdown is readable as it is, and can be searched
    elif options.no_pager:
        print(_render(text), end="")
    else:
        _page(_render(text))
    return 0


# -- the documentation --------------------------------------------------------------------------------------------


def find_topics() -> dict[str, Topic]:
    """Return all topics by name: first the parts of pages, then the pages."""
    topics = {part.name: part for part in _PARTS if _path(part.page).is_file()}
    for page in sorted(path.stem for path in _PAGES.glob("*.md")):
        if page not in _NOT_FOR_TERMINALS:
            title = next((heading for _, _, heading in _headings(_read_page(page))), page)
            topics.setdefault(page, Topic(page, page, "", title))
    return topics


def _find_commands() -> dict[str, Topic]:
    """Return what the documentation has on each command of gcron, by its name."""
    headings = (heading for _, _, heading in _headings(_read_page("commands")) if heading.startswith("gcron "))
    return {name: Topic(name, "commands", heading, "") for heading in headings for name in heading.split()[1:2]}


def read_topic(topic: Topic) -> str:
    """Return the text of a topic as plain Markdown, without pictures; a link gives the topic to ask for."""
    text = _read_page(topic.page)
    if topic.is_part:
        text = _part(text, topic.heading) or text
    text = _PICTURE.sub("", _MARKUP.sub("", text))
    return _LINK.sub(lambda link: _reference(link[1], link[2]), text).strip() + "\n"


def _path(page: str) -> Path:
    return _PAGES / f"{page}.md"


def _read_page(page: str) -> str:
    return _path(page).read_text(encoding="utf-8")


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the position of each heading of a page, its depth (1 is the title), and its text."""
    start, is_code = 0, False
    for line in text.splitlines(keepends=True):
        if line.startswith(_FENCE):
            is_code = not is_code
        elif not is_code and (heading := _HEADING.match(line)):
            yield start, len(heading[1]), heading[2].strip()
        start += len(line)


def _part(text: str, title: str) -> str:
    """Return the part of a page below a heading, up to the next one of that depth; for "", the text above them all."""
    headings = list(_headings(text))
    if not title:
        return text[: next((start for start, depth, _ in headings if depth > 1), None)]
    for index, (start, depth, heading) in enumerate(headings):
        if heading == title:
            return text[start : next((end for end, other, _ in headings[index + 1 :] if other <= depth), None)]
    return ""


def _reference(text: str, target: str) -> str:
    """Return a link in words: nobody can click it here."""
    page = Path(target.partition("#")[0]).stem
    if not _path(page).is_file() or page in _NOT_FOR_TERMINALS:
        return text
    return f"{text} (`gcron help {page}`)"


# -- on a terminal ------------------------------------------------------------------------------------------------


def _list(topics: list[Topic]) -> str:
    columns = min(width(), WIDEST_TEXT)
    names = max(len(topic.name) for topic in topics)
    lines = {topic: f"  {topic.name:<{names}}  {_shorten(topic.summary, columns - names - 4)}" for topic in topics}
    parts = [line for topic, line in lines.items() if topic.is_part]
    pages = [line for topic, line in lines.items() if not topic.is_part]
    head = "gcron help TOPIC shows one of these; gcron COMMAND --help shows the options of a command."
    return "\n".join([textwrap.fill(head, columns), "", "parts:", *parts, "", "whole pages:", *pages])


def _shorten(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 1)].rstrip() + "…"


def _render(text: str) -> str:
    """Return a topic with headings, tables and paragraphs made for this terminal."""
    # Slow to import, and only needed here.
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    theme = Theme({"markdown.code": "cyan", "markdown.h1": "bold", "markdown.h2": "bold underline"})
    console = Console(
        theme=theme,
        width=min(width(), WIDEST_TEXT),
        force_terminal=wants_colour(),
        no_color=not wants_colour(),
        color_system="standard" if wants_colour() else None,
        highlight=False,
    )
    with console.capture() as capture:
        # This theme keeps the background of the terminal for code.
        console.print(Markdown(text, code_theme="ansi_dark", hyperlinks=False))
    # rich fills lines up with blanks, and puts empty lines around code that already has some.
    lines = [line.rstrip() for line in capture.get().splitlines()]
    kept = (line for line, before in zip(lines, ["", *lines], strict=False) if line or before)
    return "".join(f"{line}\n" for line in kept)


def _page(text: str) -> None:
    """Show a text with $PAGER (`less` by default); print it if it fits, or if there is no pager."""
    try:
        command = shlex.split(os.environ.get("PAGER", "less"))
    except ValueError:
        command = []
    fits = text.count("\n") < shutil.get_terminal_size().lines
    if fits or not sys.stdin.isatty() or not command or shutil.which(command[0]) is None:
        print(text, end="")
        return
    # As git does: less ends at once if the text is short, passes colours on, and leaves the text on the screen.
    environment = {"LESS": "FRX", **os.environ}
    sys.stdout.flush()
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, encoding="utf-8") as pager:
        # Ctrl-C is for the pager, which has the terminal until it ends.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            pager.communicate(text)  # it is no error if the pager ends before it has read everything
        finally:
            signal.signal(signal.SIGINT, before)

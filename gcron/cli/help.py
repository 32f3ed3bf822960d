"""`gcron help`: the documentation, in the terminal."""

from __future__ import annotations

import argparse
import sys
import textwrap

from gcron.cli.pager import page
from gcron.cli.terminal import is_terminal, wants_colour, width
from gcron.cli.topics import Topic, find_commands, find_topics, read_topic
from gcron.policy import closest

__all__ = ["main"]

# Longer lines are hard to read, however wide the terminal is.
_WIDEST = 100


def main(options: argparse.Namespace) -> int:
    """Show a topic, or the list of them; returns 2 when there is no such topic."""
    topics = find_topics()
    if options.topic is None:
        print(_list(list(topics.values())))
        return 0
    known = find_commands() | topics
    topic = known.get(options.topic.lower())
    if topic is None:
        print(f"gcron: {_describe_unknown(options.topic, known)}", file=sys.stderr)
        return 2
    text = read_topic(topic)
    if not is_terminal():
        print(text, end="")  # Markdown reads well as it is, and can be searched
        return 0
    rendered = _render(text)
    if options.no_pager:
        print(rendered, end="")
    else:
        page(rendered)
    return 0


def _list(topics: list[Topic]) -> str:
    column = max(len(topic.name) for topic in topics)
    room = min(width(), _WIDEST) - column - 4
    lines = {topic: f"  {topic.name:<{column}}  {_shorten(topic.summary, room)}" for topic in topics}
    parts = [line for topic, line in lines.items() if topic.is_part]
    pages = [line for topic, line in lines.items() if not topic.is_part]
    head = "gcron help TOPIC shows one of these; gcron COMMAND --help has the options of a command."
    head = textwrap.fill(head, room + column + 4)
    return "\n".join([head, "", "parts:", *parts, "", "whole pages:", *pages])


def _shorten(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 1)].rstrip() + "…"


def _describe_unknown(name: str, topics: dict[str, Topic]) -> str:
    close = closest(name.lower(), topics)
    meant = f"; did you mean {close!r}?" if close else ""
    return f"there is no help on {name!r}{meant} (gcron help lists the topics)"


def _render(text: str) -> str:
    """A topic with headings, tables and paragraphs made for this terminal."""
    # Slow to import, and only needed here.
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    theme = Theme({"markdown.code": "cyan", "markdown.h1": "bold", "markdown.h2": "bold underline"})
    console = Console(
        theme=theme,
        width=min(width(), _WIDEST),
        force_terminal=wants_colour(),
        no_color=not wants_colour(),
        color_system="standard" if wants_colour() else None,
        highlight=False,
    )
    with console.capture() as capture:
        # Without a theme of its own, code keeps the background of the terminal.
        console.print(Markdown(text, code_theme="ansi_dark", hyperlinks=False))
    return _without_gaps(capture.get())


def _without_gaps(rendered: str) -> str:
    """rich fills lines up with blanks, and code comes with empty lines beyond those of the paragraphs around it."""
    lines = [line.rstrip() for line in rendered.splitlines()]
    kept = (line for line, before in zip(lines, ["", *lines], strict=False) if line or before)
    return "".join(f"{line}\n" for line in kept)

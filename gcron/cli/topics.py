"""What `gcron help` knows: the pages of docs/, and the parts of them that have a name of their own.

There is one text, that of docs/. A wheel carries a copy of it; in a checkout it is read where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Topic", "find_commands", "find_topics", "read_topic"]

_OF_WHEEL = Path(__file__).with_name("pages")
_PAGES = _OF_WHEEL if _OF_WHEEL.is_dir() else Path(__file__).parents[2] / "docs"

_HEADING = re.compile(r"(#{1,6}) +(?:\d+\. )?(.*)")
_FENCE = "```"
# What is for the pages' own machinery: a table of contents, a note with a frame, a comment, a target.
_MACHINERY = re.compile(r"^```\{.*?^```\n|^:::.*?\n|^<!--.*?-->\n|^\(\S+\)=\n", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)\n*")
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)]*)\)")


@dataclass(frozen=True)
class Topic:
    """Something to ask for: a page, or the part of it below `heading`. `summary` is a line on what it is about."""

    name: str
    page: str
    heading: str
    summary: str

    @property
    def is_part(self) -> bool:
        """True when it is not all of its page."""
        return self.name != self.page


# Numbers in front of headings do not count. An empty heading stands for what is above the first section.
_PARTS = (
    Topic("fields", "crontab", "Fields", "what may stand in the five fields, and the nicknames"),
    Topic("options", "crontab", "Directives", "# gcron: name=… timeout=… and all the others"),
    Topic("clock-changes", "crontab", "When an entry fires", "what daylight saving time does to an entry"),
    Topic("exit-codes", "commands", "", "what holds for all commands, and their exit statuses"),
    Topic("outcomes", "running", "Outcomes", "succeeded, failed, timed-out, skipped, missed…"),
    Topic("jobs", "running", "What a job sees", "its environment, user, directory and limits"),
    Topic("timeouts", "running", "The end of a run", "how a whole process tree is ended"),
    Topic("policies", "running", "Attempts and delays", "retries, overlap, groups, catchup, alarms"),
    Topic("output", "running", "Output", "what becomes of what jobs print"),
    Topic("signals", "running", "Signals, stopping, reloading", "TERM, INT, QUIT, HUP, USR1, USR2, and stopping"),
    Topic("files", "crontab", "Reading the file", "which files are taken, and which are refused"),
)
# For who changes gcron, or finds the way in a browser.
_NOT_FOR_TERMINALS = {"index", "architecture", "library"}


def find_topics() -> dict[str, Topic]:
    """All topics by name: first the parts of pages, then the pages."""
    topics = {part.name: part for part in _PARTS if _path(part.page).is_file()}
    for page in sorted(path.stem for path in _PAGES.glob("*.md")):
        if page not in _NOT_FOR_TERMINALS:
            topics.setdefault(page, Topic(page, page, "", _title(page)))
    return topics


def find_commands() -> dict[str, Topic]:
    """What the documentation has on each command of gcron, by its name."""
    headings = (heading for _, _, heading in _headings(_read_page("commands")) if heading.startswith("gcron "))
    return {name: Topic(name, "commands", heading, "") for heading in headings for name in heading.split()[1:2]}


def read_topic(topic: Topic) -> str:
    """The text of a topic as plain Markdown: links say which topic to ask for, pictures are left out."""
    text = _read_page(topic.page)
    if topic.is_part:
        text = _part(text, topic.heading) or text
    text = _PICTURE.sub("", _MACHINERY.sub("", text))
    return _LINK.sub(lambda link: _reference(link[1], link[2]), text).strip() + "\n"


def _path(page: str) -> Path:
    return _PAGES / f"{page}.md"


def _read_page(page: str) -> str:
    return _path(page).read_text(encoding="utf-8")


def _title(page: str) -> str:
    return next((text for _, _, text in _headings(_read_page(page))), page)


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Where the headings of a page begin, how deep they are (1 is the title), and what they say."""
    start, is_code = 0, False
    for line in text.splitlines(keepends=True):
        if line.startswith(_FENCE):
            is_code = not is_code
        elif not is_code and (heading := _HEADING.match(line)):
            yield start, len(heading[1]), heading[2].strip()
        start += len(line)


def _part(text: str, title: str) -> str:
    """The part of a page below one heading, up to the next one that is as high; what is above them all for ""."""
    headings = list(_headings(text))
    if not title:
        return text[: next((start for start, depth, _ in headings if depth > 1), None)]
    for index, (start, depth, heading) in enumerate(headings):
        if heading == title:
            return text[start : next((end for end, other, _ in headings[index + 1 :] if other <= depth), None)]
    return ""


def _reference(text: str, target: str) -> str:
    """What a link becomes where nobody can click it."""
    page = Path(target.partition("#")[0]).stem
    if not _path(page).is_file() or page in _NOT_FOR_TERMINALS:
        return text
    return f"{text} (`gcron help {page}`)"

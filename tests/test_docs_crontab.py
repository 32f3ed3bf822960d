"""Each crontab in the documentation is valid, and fires as its comments say.

In a `crontab` block, a comment `#=` lists the next fires of the entry above it, from NOW on. A `text` block after it
lists all problems of the crontab. A crontab without such a block has no problems.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from gcron.crontab import Entry, machine, parse, render
from gcron.crontab.target import VARIABLE

DOCS = Path(__file__).parent.parent / "docs"
PAGES = (
    "chains.md",
    "crontab.md",
    "coming-from-cron.md",
    "coming-from-supercronic.md",
    "faq.md",
    "keep-jobs-from-piling-up.md",
    "notifications.md",
    "replace-cron.md",
    "run-as-another-user.md",
    "services.md",
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
BLOCK = re.compile(r"^```crontab( system)?\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(?P<theirs>[^`|]+)` \| `(?P<line>[^`|]+)` \| (?P<fires>\d{4}[^|]*) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    place: str
    text: str
    problems: str
    system: bool


def examples() -> Iterator[Example]:
    for page in PAGES:
        text = (DOCS / page).read_text()
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            yield Example(f"{page}:{line}", block[2], block[3] or "", block[1] is not None)


def fires(entry: Entry, count: int) -> str:
    """Return the next fires as the pages write them, in the zone of the schedule."""
    return ", ".join(written(fire) for fire in islice(entry.schedule.fires(NOW), count)) or "never by the clock"


def written(fire: datetime) -> str:
    return f"{fire:%Y-%m-%d %H:%M}" + (f":{fire:%S}" if fire.second else "")


@pytest.fixture(autouse=True)
def _machine_sends_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SENDMAIL", sys.executable)


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.place)
def test_each_crontab_in_the_documentation_does_what_the_page_says(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in re.findall(VARIABLE, example.text):
        monkeypatch.setenv(name, "x")
    crontab = parse(example.text, "crontab", system=example.system, now=NOW.timestamp())
    entries = {entry.line: entry for entry in crontab.entries}

    assert "".join(f"{render(problem)}\n" for problem in crontab.problems) == example.problems
    for number, line in enumerate(example.text.splitlines(), 1):
        if line.startswith("#= "):
            said = line.removeprefix("#= ")
            assert said == fires(entries[number - 1], said.count(",") + 1)


def test_the_translated_schedules_fire_as_the_page_says() -> None:
    rows = list(ROW.finditer((DOCS / "coming-from-cron.md").read_text()))

    assert len(rows) > 10
    for row in rows:
        (entry,) = parse(row["line"] + " job", now=NOW.timestamp()).entries
        assert (row["line"], row["fires"]) == (row["line"], fires(entry, row["fires"].count(",") + 1))


def test_the_pages_have_examples() -> None:
    assert len(list(examples())) > 20

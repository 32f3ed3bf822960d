"""The README, the page of the installation and the index: their samples work, and what they name exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from gcron import __version__
from gcron.crontab import parse
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALL = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    found = re.search(rf"^```{kind}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_crontab_of_the_readme_has_no_problems() -> None:
    (entry,) = parse(block("crontab"), "crontab").entries
    assert parse(block("crontab"), "crontab").problems == ()
    assert entry.name == "backup"


def test_the_program_of_the_readme_adds_its_jobs() -> None:
    program = block("python")
    assert program.endswith("scheduler.run()\n")
    shows = program.replace("scheduler.run()", "print([job.name for job in scheduler.jobs])")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", shows], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.stdout, done.stderr) == ("['backup', 'refresh']\n", "")


def test_each_test_that_the_readme_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", README)
    assert len(named) == 5
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_what_the_readme_links_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_each_page_is_in_the_table_of_contents() -> None:
    """Sphinx names pages that are in none; this one finds pages of which the index names no way to them, too."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert {page for page in pages if not re.search(rf"^{page}$", index, re.MULTILINE)} == set()


def test_the_page_of_the_installation_shows_this_version_and_all_extras() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    assert f"$ gcron --version\ngcron {__version__}\n" in INSTALL
    assert set(re.findall(r"^\| `'\.\[(\w+)\]'`", INSTALL, re.MULTILINE)) == extras - {"dev", "docs"}

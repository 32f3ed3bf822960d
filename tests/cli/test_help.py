"""`gcron help`: pages of docs/ and parts of them, on a terminal and in a pipe."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcron.cli.help import Topic, find_topics, read_topic
from gcron.policy import OPTIONS

DOCS = Path(__file__).parents[2] / "docs"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
ASKED_FOR = {"crontab", "options", "policies", "timeouts", "services", "signals", "exit-codes", "environment", "files"}


def test_help_lists_each_topic_on_one_line(gcron: Callable[..., Any]) -> None:
    result = gcron("help")
    assert (result.returncode, result.stderr) == (0, "")
    assert set(re.findall(r"^  (\S+) +\S", result.stdout, re.MULTILINE)) == set(find_topics())
    assert set(find_topics()) >= ASKED_FOR


@pytest.mark.parametrize("topic", find_topics().values(), ids=list(find_topics()))
def test_each_topic_is_a_part_of_the_documentation(topic: Topic) -> None:
    """This fails when a heading in docs/ is renamed and its topic is not."""
    text = read_topic(topic)
    first = text.partition("\n")[0]
    assert first.startswith("#")
    assert topic.heading in first
    assert first in (DOCS / f"{topic.page}.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) > 3


def test_a_topic_ends_where_the_next_heading_begins() -> None:
    signals = read_topic(find_topics()["signals"])
    assert "USR1" in signals
    assert "GCRON_FIRE_AT" not in signals


def test_a_comment_in_a_crontab_sample_is_not_a_heading() -> None:
    """`# gcron: …` in a code block looks like a heading, and would end the topic."""
    options = read_topic(find_topics()["options"])
    named = {name.partition("-")[0] if name.startswith("rlimit-") else name for name in OPTIONS}
    assert {name for name in named if f"`{name}" not in options} == set()


def test_links_name_topics_and_markup_is_removed() -> None:
    for topic in find_topics().values():
        text = re.sub(r"```.*?```|`[^`]*`|\(https?:[^)]*\)", "", read_topic(topic), flags=re.DOTALL)
        assert ".md)" not in text
        assert "{toctree}" not in text
        assert "<!--" not in text
    assert "`gcron help services`" in read_topic(find_topics()["running"])


def test_each_command_is_a_topic(gcron: Callable[..., Any]) -> None:
    shown = gcron("help", "timeline").stdout
    assert shown.startswith("## gcron timeline ")
    assert "gcron explain EXPR" not in shown
    assert gcron("help", "time").returncode == 2


def test_help_in_a_pipe_is_markdown(gcron: Callable[..., Any]) -> None:
    result = gcron("help", "crontab")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == read_topic(find_topics()["crontab"])


@pytest.mark.parametrize(("asked", "meant"), [("singals", "signals"), ("timeout", "timeouts"), ("Crontabs", "crontab")])
def test_an_unknown_topic_gets_a_suggestion(gcron: Callable[..., Any], asked: str, meant: str) -> None:
    result = gcron("help", asked)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"did you mean '{meant}'?" in result.stderr


def test_help_fits_the_width_of_the_terminal(terminal: Callable[..., bytes]) -> None:
    shown = terminal("help", "--no-pager", "options", COLUMNS="60", LINES="20").decode()
    assert "\x1b[" in shown
    lines = ESCAPES.sub("", shown).replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 60
    assert not any("| --- |" in line for line in lines)


def test_help_without_colour_has_no_escape_sequence(terminal: Callable[..., bytes]) -> None:
    assert b"\x1b" not in terminal("help", "--no-pager", "signals", NO_COLOR="1")
    assert b"\x1b" not in terminal("help", "--no-pager", "signals", TERM="dumb")


def test_a_long_topic_goes_through_the_pager(terminal: Callable[..., bytes]) -> None:
    number = r"awk '{n++} END {print \"lines:\", n}'".replace(r"\"", '"')
    assert re.search(rb"lines: \d{3}", terminal("help", "crontab", PAGER=number))
    assert b"lines:" not in terminal("help", "files", PAGER=number, LINES="50")
    assert b"lines:" not in terminal("help", "crontab", PAGER=number, GCRON_NO_PAGER="yes")


@pytest.mark.parametrize("pager", ["", "'", "no-such-pager -R", "cat"])
def test_without_a_usable_pager_the_topic_is_printed(terminal: Callable[..., bytes], pager: str) -> None:
    assert b"Directives" in terminal("help", "crontab", PAGER=pager)


def test_a_pager_that_reads_nothing_is_not_an_error(terminal: Callable[..., bytes]) -> None:
    assert terminal("help", "crontab", PAGER="true") == b""


def test_help_has_the_statuses_of_the_commands_for_a_gcron_that_runs(gcron: Callable[..., Any]) -> None:
    """The statuses 3 and 4 were only there as `run` means them, and `gcron state --help` spoke of FILEs it has not."""
    text = " ".join(gcron("--help").stdout.split())
    assert "gcron status show how" in text
    assert "3 no gcron to talk to; 4 there is no such job" in text
    assert "Of run: 3 jobs had to be killed" in text
    assert "FILE" not in gcron("state", "--help").stdout

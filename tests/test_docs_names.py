"""The names in the documentation exist: options of commands, modules of docs/architecture.md, and tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gcron.cli.main import main

ROOT = Path(__file__).parent.parent
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}
ARCHITECTURE = PAGES["architecture.md"]
COMMANDS = (
    *("run", "check", "next", "timeline", "explain", "exec", "notify", "state"),
    *("status", "top", "history", "messages", "logs", "why", "trigger", "stop", "pause", "resume", "restart", "reload"),
)
CALL = re.compile(rf"gcron ({'|'.join(COMMANDS)})\b([^`\n|;]*)")


def options_of(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))


@pytest.mark.parametrize("command", COMMANDS)
def test_options_in_command_lines_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = options_of(command, capsys)
    used = {
        (page, option)
        for page, text in PAGES.items()
        for name, rest in CALL.findall(text)
        if name == command
        for option in re.findall(r"--[a-z][a-z-]*", rest)
    }

    assert {(page, option) for page, option in used if option not in known} == set()


def test_command_lines_with_options_are_found() -> None:
    assert sum("--" in rest for text in PAGES.values() for _, rest in CALL.findall(text)) > 10


def names(pattern: str) -> set[str]:
    return set(re.findall(pattern, ARCHITECTURE))


@pytest.mark.parametrize("name", sorted(names(r"`((?:[a-z_]+/)*[a-z_]+\.py)`")))
def test_each_file_named_in_the_architecture_exists(name: str) -> None:
    where = ROOT if name.startswith(("tests/", "gcron_boot")) else ROOT / ("tests" if "test_" in name else "gcron")
    found = list(where.glob(name)) or list(where.rglob(name))

    assert found, f"{name} is not below {where}"


NAMED_TESTS = {
    (page, name)
    for page in ("architecture.md", "security.md")
    for name in re.findall(r"`(?:tests/[\w/]+\.py: )?(test_[a-z0-9_]+)`", PAGES[page])
}


@pytest.mark.parametrize(("page", "name"), sorted(NAMED_TESTS))
def test_each_test_named_as_a_proof_exists(page: str, name: str) -> None:
    assert any(f"def {name}(" in path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("page", ["architecture.md", "security.md"])
def test_each_file_of_tests_named_as_a_proof_exists(page: str) -> None:
    named = set(re.findall(r"`(tests/[\w/]+(?:\.py)?)`", PAGES[page]))
    assert named
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_the_architecture_names_files() -> None:
    assert len(names(r"`((?:[a-z_]+/)*[a-z_]+\.py)`")) > 40

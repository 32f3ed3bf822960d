"""Each program in examples/ runs, and prints what its docstring says."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

EXAMPLES = Path(__file__).parent.parent / "examples"


PRINTS = "\n\nPrints:\n"


def promised_output(path: Path) -> list[str] | None:
    """Return the lines that the docstring promises; None when it promises none."""
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring is not None
    _, found, lines = docstring.partition(PRINTS)
    return textwrap.dedent(lines).splitlines() if found else None


PROMISING = sorted(path.name for path in EXAMPLES.glob("*.py") if promised_output(path) is not None)


@pytest.mark.parametrize("name", PROMISING)
def test_each_example_prints_what_its_docstring_says(name: str) -> None:
    assert output_of(name) == promised_output(EXAMPLES / name)


def output_of(name: str) -> list[str]:
    finished = subprocess.run(
        [sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert finished.stderr == ""
    assert finished.returncode == 0
    return finished.stdout.splitlines()


@pytest.mark.realtime
def test_the_example_with_a_subprocess_prints_while_it_waits() -> None:
    lines = output_of("cron_beside_subprocess.py")

    assert lines[-1] == "Linux"
    assert set(lines[:-1]) == {"cron"}
    # It prints at the start and then every 0.2 s for at least a second. A blocked loop would print once.
    assert len(lines) - 1 >= 3


def test_the_example_with_a_scheduler_prints_the_outcomes() -> None:
    lines = output_of("scheduler_in_a_program.py")

    assert "broken: failed" in lines
    assert "broken: exit status 3" in lines
    assert "refresh: succeeded" in lines

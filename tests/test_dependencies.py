"""What gcron needs: each package has bounds on both sides."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
EXTRAS = [
    line for name, lines in PROJECT["optional-dependencies"].items() if name not in ("dev", "docs") for line in lines
]


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *EXTRAS])
def test_each_dependency_has_bounds(line: str) -> None:
    """`greenlet`, `psutil`, `rich` and `inotify_simple` had no upper one: a new major version could break gcron."""
    if line == "tzdata":  # data: its versions are years, and an old one is as good as that of an old system
        return
    assert ">=" in line
    assert "<" in line.replace("<=", "<")

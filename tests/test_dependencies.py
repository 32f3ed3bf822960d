"""What gcron needs: bounds on both sides of each package, and imports that the linter sees."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
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


def test_the_import_linter_sees_all_imports_below_the_application() -> None:
    """`gcron.scheduler` reached up to state, control and notify by `import_module("gcron.…")`.

    The linter and mypy saw nothing of that. Now these imports are in functions, and pyproject.toml names each of them.
    """
    application = {"cli", "daemon"}
    modules = [path.relative_to(ROOT) for path in (ROOT / "gcron").glob("*/**/*.py")]
    below = [path for path in modules if path.parts[1] not in application]
    assert len(below) > 200
    hidden = [str(path) for path in below if "import_module" in (ROOT / path).read_text(encoding="utf-8")]
    assert not hidden

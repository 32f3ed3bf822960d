"""docs/api lists each name of the package with its module, and documents each public module."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import gcron

API = Path(__file__).parent.parent / "docs" / "api"
ROOMS = re.findall(r"^\| \[(gcron\.[a-z]+)\]\([a-z]+\.md\) \| (.*) \|$", (API / "index.md").read_text(), re.MULTILINE)
NAMES = {name: room for room, names in ROOMS for name in re.findall(r"`(\w+)`", names)}
PAGES = "".join(page.read_text() for page in API.glob("*.md"))
PUBLIC = (
    "errors event exceptions greenlet hub local lock pool queue schedule scheduler select socket subprocess testing"
    " threadpool timeout util wsgi"
)


def test_all_names_of_the_package_are_listed() -> None:
    assert NAMES.keys() == set(gcron.__all__) - {"__version__"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_of_the_package_is_that_of_its_module(name: str) -> None:
    assert getattr(import_module(NAMES[name]), name) is getattr(gcron, name)


@pytest.mark.parametrize("module", PUBLIC.split())
def test_each_public_module_is_documented(module: str) -> None:
    assert f".. automodule:: gcron.{module}\n" in PAGES

"""`gcron state` with several histories."""

from __future__ import annotations

import json
import sqlite3
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gcron.cli.state import main
from gcron.scheduler.history import StoredRun
from gcron.scheduler.journal import Batch
from gcron.state.places import DATABASE, LOCK, open_place
from gcron.state.sqlite import SqliteStore


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of three histories; the first is of an older gcron, and nobody runs it."""
    monkeypatch.setattr("gcron.cli.state.state_home", lambda: str(tmp_path))
    for name in ("abandoned", "jobs", "other"):
        (tmp_path / name).mkdir()
        store = SqliteStore(str(tmp_path / name))
        store.write(Batch(runs=(StoredRun("run0", "job", 1.0, "succeeded", finished=1.0),)))
        store.close()
        (tmp_path / name / LOCK).touch()
    with closing(sqlite3.connect(tmp_path / "abandoned" / DATABASE)) as connection:
        connection.execute("PRAGMA user_version = 1")
    return tmp_path


@pytest.fixture
def in_use(home: Path) -> Iterator[None]:
    place = open_place(str(home / "jobs"), "jobs")
    yield
    place.close()


def options(action: str = "show", *, as_json: bool = False) -> Namespace:
    return Namespace(action=action, json=as_json, state=None, instance=None)


def test_an_older_history_does_not_hide_the_others(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After an upgrade, a history that no gcron runs any more stays as it was. `gcron state` showed nothing but it."""
    assert main(options()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"abandoned: {home}/abandoned/history.db is of an older gcron")
    assert [line for line in lines if not line.startswith("  ")][1:] == [
        "",
        f"jobs: {home}/jobs",
        "",
        f"other: {home}/other",
    ]
    assert main(options(as_json=True)) == 0
    old, *others = map(json.loads, capsys.readouterr().out.splitlines())
    assert "older gcron" in old["problem"]
    assert [record["runs"] for record in others] == [1, 1]


def test_it_is_an_error_when_the_only_history_cannot_be_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = options()
    found.instance = "abandoned"
    assert main(found) == 1
    assert "is of an older gcron" in capsys.readouterr().err


@pytest.mark.usefixtures("in_use")
def test_check_takes_the_history_in_use(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gcron state check` refused, also when only one of the histories was that of a running gcron."""
    assert main(options("check")) == 0
    assert capsys.readouterr().out == "jobs: the history is whole\n"


@pytest.mark.usefixtures("in_use")
def test_what_changes_a_history_needs_its_name(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options("prune")) == 1
    assert capsys.readouterr().err == (
        "gcron: there are 3 histories: abandoned, jobs (in use), other: name one, such as"
        " `gcron state prune --instance jobs`\n"
    )


def test_check_without_a_history_in_use_lists_them(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options("check")) == 1
    assert "abandoned, jobs, other: name one" in capsys.readouterr().err

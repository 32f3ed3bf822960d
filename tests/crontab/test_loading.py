"""Crontabs that run together: `load_all` reads, parses and checks them, and raises for nothing that is in them."""

from __future__ import annotations

import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gcron.crontab import CrontabError, Loaded, LoadSettings, load_all
from gcron.crontab.source import unreadable

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "good": "# gcron-group: db limit=2\n# gcron: group=db name=backup\n30 2 * * * backup\n",
        "twice": "# gcron: name=backup\n@daily dump\n",
        "wrong": "61 * * * * a\n# gcron: after=nobody\n@daily b\n",
        "useless": "# gcron: restart=never\n@daily c\n",
        "waits": "# gcron: after=nobody group=none\n@daily d\n",
        "system": "@daily nobody e\n",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    (tmp_path / "empty").mkdir()
    return tmp_path


def loaded(folder: Path, *names: str, settings: LoadSettings | None = None) -> Loaded:
    return load_all([str(folder / name) for name in names], settings or LoadSettings())


def messages(found: Loaded) -> list[str]:
    return [f"{Path(problem.path).name}:{problem.line}: {problem.message}" for problem in found.problems]


def test_entries_groups_and_zone_of_all_files_are_in_the_result(folder: Path) -> None:
    found = loaded(folder, "good", "useless", settings=LoadSettings(timezone="Europe/Berlin"))

    assert [entry.name for entry in found.entries] == ["backup", "c"]
    assert found.group_limits == {"db": 2}
    assert found.timezone == BERLIN
    assert found.entries[0].schedule.zone.tz is BERLIN
    assert found.errors == ()


def test_problems_are_those_of_paths_then_of_files_then_between_files(folder: Path) -> None:
    assert messages(loaded(folder, "twice", "wrong", "missing", "empty", "good")) == [
        "missing:0: cannot be read: no such file or directory",
        "empty:0: holds no crontab: names with a dot or a ~, or # in front, are passed over, as in cron.d",
        "wrong:1: 61 is out of range in the minute field",
        f"good:3: the name 'backup' is taken by {folder / 'twice'}:2",
    ]


def test_services_and_groups_are_checked_only_where_all_lines_are_right(folder: Path) -> None:
    """A service or a group in a wrong line would be reported as missing, too."""
    assert messages(loaded(folder, "waits")) == [
        "waits:2: after= names 'nobody', which does not exist",
        "waits:2: there is no group none",
    ]
    assert messages(loaded(folder, "waits", "wrong")) == ["wrong:1: 61 is out of range in the minute field"]


def test_options_services_and_groups_need_not_be_checked(folder: Path) -> None:
    settings = LoadSettings(check_options=False)

    assert messages(loaded(folder, "useless", "waits")) != []
    assert messages(loaded(folder, "useless", "waits", settings=settings)) == []


@pytest.mark.parametrize(("uid", "errors"), [(0, 0), (12345, 1)])
def test_lines_of_others_are_errors_where_they_shall_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, uid: int, errors: int
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)

    assert loaded(folder, "system", settings=LoadSettings(system=True)).errors == ()
    assert len(loaded(folder, "system", settings=LoadSettings(system=True, check_users=True)).errors) == errors


def test_stdin_is_read_where_it_may_be(folder: Path) -> None:
    found = load_all(["-", str(folder / "good")], LoadSettings(), lambda: b"@hourly poll\n61 * * * * a\n")

    assert [(entry.name, entry.path) for entry in found.entries] == [
        ("poll", "<stdin>"),
        ("backup", str(folder / "good")),
    ]
    assert [problem.path for problem in found.errors] == ["<stdin>"]
    assert messages(load_all(["-"], LoadSettings())) == ["-:0: cannot be read: no such file or directory"]


def test_stdin_that_cannot_be_read_is_a_problem() -> None:
    def fail() -> bytes:
        raise unreadable("<stdin>", "it is larger than 1 MiB")

    assert messages(load_all(["-"], LoadSettings(), fail)) == ["<stdin>:0: cannot be read: it is larger than 1 MiB"]


def test_an_unknown_zone_is_the_callers_error(folder: Path) -> None:
    with pytest.raises(ValueError, match="Mars"):
        loaded(folder, "good", settings=LoadSettings(timezone="Mars/Olympus"))


def test_an_error_names_all_its_problems(folder: Path) -> None:
    error = CrontabError(loaded(folder, "wrong", "missing").errors)

    assert str(error).count(": error: ") == 2

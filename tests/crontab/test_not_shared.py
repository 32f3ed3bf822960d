"""What several machines cannot share is an error with its place, and names are the same on each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcron.crontab import Loaded, LoadSettings, load_all, render


def loaded(path: Path, text: str, previous: Loaded | None = None, *, is_shared: bool = True) -> Loaded:
    path.write_text(text)
    return load_all([str(path)], LoadSettings(is_shared=is_shared), previous=previous)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("# gcron: overlap=queue\n@daily one\n", ":2:1:", "overlap=queue is not offered"),
        ("# gcron: overlap=replace\n@daily one\n", ":2:1:", "overlap=replace is not offered"),
        ("# gcron: catchup=all\n@daily one\n", ":2:1:", "catchup=all is not offered"),
        ("# gcron-group: g limit=1\n# gcron: group=g\n@daily one\n", ":3:1:", "group= is not offered"),
        ("@daily one\n@after one two\n", ":2:1:", "@after is not offered"),
        ("@daily one\n# gcron: run-on=every\n  @after one two\n", ":3:3:", "or one before it"),
        ("# gcron: overlap=queue run-on=label:gpu\n@daily one\n", ":2:1:", "overlap=queue is not offered"),
        ("@daily one\n@hourly one\n", ":2:1:", "the name 'one-2' depends on other lines"),
    ],
)
def test_what_machines_cannot_share_is_an_error_with_its_place(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    (problem,) = loaded(tmp_path / "crontab", text).errors
    assert words in problem.message
    assert f"crontab{place} error:" in render(problem)
    assert problem.hint
    assert loaded(tmp_path / "crontab", text, is_shared=False).errors == ()


@pytest.mark.parametrize(
    "text",
    [
        "# gcron: overlap=allow retry-lost=yes catchup=last\n@daily one\n",
        "# gcron-group: g limit=1\n# gcron: group=g overlap=queue run-on=every\n@daily one\n",
        "# gcron: run-on=every\n@daily one\n# gcron: run-on=every\n@after one two\n",
        "@service serve\n@reboot prepare\n# gcron: run-on=one name=other\n@service serve\n",
        "# gcron: name=a\n@daily one\n# gcron: name=b\n@hourly one\n",
    ],
)
def test_what_each_machine_has_for_itself_is_no_error(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path / "crontab", text).problems == ()


def test_a_reload_gives_the_names_of_a_start(tmp_path: Path) -> None:
    """A machine that reloaded and one that restarted must claim the fires of the changed line by one name."""
    path = tmp_path / "crontab"
    before = loaded(path, "@daily backup --fast\n")
    after = loaded(path, "@daily backup --slow\n", before)
    assert [entry.name for entry in after.entries] == ["backup"]
    alone = loaded(path, "@daily backup --slow\n", before, is_shared=False)
    assert [entry.name for entry in alone.entries] == ["backup-2"]

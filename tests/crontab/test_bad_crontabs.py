"""Bad crontabs as files, each named for what is wrong with it, beside the expected messages."""

from pathlib import Path

import pytest

from gcron.crontab import parse, render

BAD = sorted((Path(__file__).parent / "bad").glob("*.crontab"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_crontab_has_the_expected_problems(path: Path) -> None:
    crontab = parse(path.read_bytes(), path.name)

    shown = "\n".join(map(render, crontab.problems)) + "\n"

    assert shown == path.with_suffix(".expected").read_text()


def test_each_expected_text_has_its_crontab() -> None:
    expected = (Path(__file__).parent / "bad").glob("*.expected")

    assert sorted(path.stem for path in expected) == sorted(path.stem for path in BAD)

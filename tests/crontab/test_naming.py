"""Names of jobs that give none: what one can type, unique among the files, and kept by a reload."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from gcron.crontab import Loaded, LoadSettings, load_all, parse
from gcron.policy import is_name


def names(text: str) -> list[str]:
    return [entry.name for entry in parse(text).entries]


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def write(*texts: str) -> list[str]:
    """Write the texts into files named 0, 1, …"""
    for number, text in enumerate(texts):
        Path(str(number)).write_text(text)
        Path(str(number)).chmod(0o644)
    return [str(number) for number in range(len(texts))]


def load(*texts: str, previous: Loaded | None = None) -> Loaded:
    """Load the texts as files, after a load with this result."""
    loaded = load_all(write(*texts), LoadSettings(), None, previous)
    assert loaded.errors == ()
    return loaded


def names_of(loaded: Loaded) -> list[str]:
    return [entry.name for entry in loaded.entries]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("backup", "backup"),
        ("/usr/bin/pg_dump orders | gzip > /backup/orders.gz", "pg_dump"),
        ("cd /srv && php artisan schedule:run", "php-artisan"),
        ("«é» x", "é"),
        ('"/opt/a b/c"', "c"),
        ("a" * 50, "a" * 32),
        ("/x/" + "y-" * 300, "y-" * 15 + "y"),
        ("./", "job-f71f"),
        ("$(cat /x)", "job-59e0"),
        ("[ -x /a ]", "job-9835"),
    ],
)
def test_names_never_change(command: str, name: str) -> None:
    """Golden: whoever changes how names are made takes their history from all jobs."""
    assert names(f"@daily {command}\n") == [name]
    assert is_name(name)


def test_jobs_of_one_program_are_counted() -> None:
    assert names("0 1 * * * /a/x\n0 1 * * * x --all\n0 2 * * * x\n") == ["x", "x-2", "x-3"]


def test_a_name_does_not_depend_on_the_schedule_or_on_other_programs() -> None:
    (alone,) = names("0 1 * * * run --fast\n")

    assert names("0 1 * * * other\n5 5 * * * run --fast\n")[1] == alone


def test_a_given_name_wins_over_a_made_up_one_above_it() -> None:
    assert names("0 1 * * * a\n# gcron: name=a\n0 2 * * * b\n") == ["a-2", "a"]


def test_a_program_whose_name_ends_in_a_number_shares_no_name() -> None:
    assert names("@daily x\n@daily x-2\n@daily x\n@daily x-2\n") == ["x", "x-2", "x-3", "x-2-2"]


def test_the_same_command_in_two_files_has_two_names() -> None:
    """The same unnamed command in two files of cron.d: "the name … is taken", and gcron did not start."""
    assert names_of(load("@daily /a/x\n@daily x\n", "@daily x\n", "@daily x\n")) == ["x", "x-2", "x-3", "x-4"]


def test_a_given_name_of_a_later_file_is_left_to_it() -> None:
    assert names_of(load("@daily x\n", "# gcron: name=x\n@daily y\n")) == ["x-2", "x"]


def test_only_given_names_collide() -> None:
    files = write("# gcron: name=x\n@daily a\n", "# gcron: name=x\n@daily b\n", "@daily x\n")

    loaded = load_all(files, LoadSettings())

    assert [entry.name for entry in loaded.entries] == ["x", "x", "x-2"]
    assert [(problem.path, problem.message) for problem in loaded.errors] == [("1", "the name 'x' is taken by 0:2")]


def test_names_that_a_program_has_taken_are_not_made_up() -> None:
    """Two `load_crontab` of files with the same command raised "there is a job named …"."""
    assert [entry.name for entry in parse("@daily x\n", taken=["x", "x-2"]).entries] == ["x-3"]


def test_an_edit_never_renames_jobs_of_files_before() -> None:
    before = names_of(load("@daily x\n@daily x --b\n", "@daily x --c\n"))
    after = names_of(load("@daily x\n@daily x --b\n", "@daily x --a\n@daily x --c\n@daily y\n"))

    assert after[:2] == before[:2]


def test_a_reload_keeps_the_names_of_commands_that_are_still_there() -> None:
    """A line above the others renamed all of them: a pause, an `overlap=skip` or a history was another job's."""
    first = load("@daily x --a\n@daily x --b\n", "@daily x --c\n")

    after = names_of(load("@daily x --new\n@hourly x --b\n@daily x --a\n", "@daily x --c\n", previous=first))

    assert after == ["x-4", "x-2", "x", "x-3"]


def test_a_new_command_does_not_get_the_name_of_one_that_went() -> None:
    first = load("@daily x --a\n@daily x --b\n")

    assert names_of(load("@daily x --b\n@daily x --c\n", previous=first)) == ["x-2", "x-3"]


def test_a_line_that_lost_its_name_is_named_anew() -> None:
    first = load("# gcron: name=nightly\n@daily x\n")

    assert names_of(load("@daily x\n", previous=first)) == ["x"]


def test_a_given_name_is_not_kept_from_its_job() -> None:
    first = load("@daily x\n")

    assert names_of(load("@daily x\n# gcron: name=x\n@daily y\n", previous=first)) == ["x-2", "x"]


def test_equal_commands_keep_their_order() -> None:
    first = load("@daily x\n@hourly x\n@weekly x\n")

    assert names_of(load("@daily x\n@hourly x\n@weekly x\n@daily x\n", previous=first)) == ["x", "x-2", "x-3", "x-4"]


def test_names_are_unique_and_kept_whatever_is_edited() -> None:
    """A model: any edit of any file leaves unique names, and changes no name of a command that is still in its file."""
    draw = random.Random(20260301)
    lines = [f"@daily {program} --{n}\n" for program in ("x", "x-2", "cd /a && y", "$(z)") for n in range(4)]
    lines += [f"# gcron: name={name}\n@daily x\n" for name in ("x", "x-3", "y")]
    previous: Loaded | None = None
    for _ in range(200):
        given = draw.sample(lines[-3:], 3)
        texts = [
            "".join(draw.sample(lines[:-3], draw.randrange(8))) + given[n][: draw.choice([0, 99])] for n in range(3)
        ]
        loaded = load(*texts, previous=previous)
        entries = loaded.entries
        by_name = {entry.name: entry for entry in entries}
        assert len(by_name) == len(entries)
        given_now = {name for text in texts for name in re.findall("name=([^\\n]*)", text)}
        kept = {(entry.path, entry.command): entry.name for entry in entries if entry.command != "x"}
        for entry in () if previous is None else previous.entries:
            if entry.command != "x" and (entry.path, entry.command) in kept and entry.name not in given_now:
                assert kept[entry.path, entry.command] == entry.name
        previous = loaded


def test_h_does_not_move_when_a_number_in_a_name_changes() -> None:
    """`H` is drawn for the command of a job without a name: a new line above moved all jobs of its program."""
    first, second = parse("H H * * * x --a\nH H * * * x --b\n").entries
    *_, moved_first, moved_second = parse("@daily x\nH H * * * x --a\nH H * * * x --b\n").entries

    assert (moved_first.name, moved_second.name) == ("x-2", "x-3")
    assert (moved_first.schedule, moved_second.schedule) == (first.schedule, second.schedule)
    assert first.schedule != second.schedule


def test_names_stay_when_only_the_jobs_of_the_last_load_are_known() -> None:
    """100,000 entries took 18 MB for ever, only so that a reload knew the names."""
    first = load("@daily backup a\n@daily backup b\n@daily name=backup\n", "@daily backup c\n")
    known = list(first.named)
    slim = first.without_entries(lambda: known)
    assert slim.entries == ()
    texts = ["@daily backup b\n", "@daily backup d\n@daily backup c\n"]
    again = load_all(write(*texts), LoadSettings(), None, slim)
    assert names_of(again) == names_of(load(*texts, previous=first)) != names_of(load(*texts))

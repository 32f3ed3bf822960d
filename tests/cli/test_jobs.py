"""Jobs in lists: `gcron list`, `gcron next` without options, and the names by which commands find a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Gcron = Callable[..., Any]
Write = Callable[..., str]
JOBS = """\
# gcron: name=backup description="all of it"
30\t2  * * *   pg_dump
@reboot        warm-up
# gcron: name=web
@service       exec gunicorn
# gcron: name=hand
@manual        deploy
# gcron: name=off enabled=no
@daily         true
# gcron: name=over end=2020-01-01
@daily         true
# gcron: name=again after-end=5m
* * * * *      poll
# gcron: name=then
@after backup,hand tell
"""
WITHOUT_FIRE = {
    "warm-up": "at start",
    "web": "service",
    "hand": "by hand",
    "off": "off",
    "over": "never",
    "again": "after runs",
    "then": "after jobs",
}


def test_list_has_one_line_for_each_job(gcron: Gcron, write: Write) -> None:
    result = gcron("list", write(JOBS))

    assert (result.returncode, result.stderr) == (0, "")
    title, head, first, *others = result.stdout.splitlines()
    assert title == "times of UTC"
    assert head.split() == ["job", "schedule", "next", "line"]
    assert first.split()[:6] == ["backup", "30", "2", "*", "*", "*"]
    assert first.endswith(" 02:30  crontab:2")
    assert {line.split()[0] for line in others} == WITHOUT_FIRE.keys()
    for line in others:
        assert f"  {WITHOUT_FIRE[line.split()[0]]}  " in line


def test_list_json_has_an_object_for_each_job(gcron: Gcron, write: Write) -> None:
    backup, *others = map(json.loads, gcron("list", "--json", write(JOBS)).stdout.splitlines())

    assert backup.pop("at").endswith("T02:30:00Z")
    assert backup.pop("local").endswith("T02:30:00+00:00")
    assert backup == {
        "job": "backup",
        "schedule": "30 2 * * *",
        "user": None,
        "file": "crontab",
        "line": 2,
        "timezone": "UTC",
        "limits": "",
        "enabled": True,
        "description": "all of it",
        "reason": "",
    }
    assert {record["job"]: bool(record["reason"]) for record in others} == dict.fromkeys(WITHOUT_FIRE, True)


def test_list_shows_the_users_of_a_system_crontab_and_a_spool(gcron: Gcron, write: Write, tmp_path: Path) -> None:
    write("@daily nobody a\n")
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "root").write_text("@weekly b\n")
    (spool / "root").chmod(0o600)
    result = gcron("list", "--json", "--system", "crontab", "--spool", "spool")
    found = {record["job"]: (record["user"], record["file"]) for record in map(json.loads, result.stdout.splitlines())}

    assert found == {"a": ("nobody", "crontab"), "root:b": ("root", "spool/root")}


def test_no_jobs_are_no_empty_table(gcron: Gcron, write: Write) -> None:
    assert gcron("list", write("")).stdout == "no jobs\n"


# -- next ---------------------------------------------------------------------------------------------------------


def test_next_shows_one_line_a_job_and_names_those_without_a_fire(gcron: Gcron, write: Write) -> None:
    """`gcron next` of ten jobs was ten lines of the one that runs each minute."""
    result = gcron("next", write("# gcron: name=beat\n* * * * * true\n" + JOBS))
    lines = result.stdout.splitlines()

    assert [line.split("  ")[0] for line in lines[:2]] == ["times of UTC", "when"]
    assert ["beat" in line for line in lines[2:4]] == [True, False]
    assert "backup" in lines[3]
    assert lines[4] == "no fire by the clock:"
    assert [line.split()[0] for line in lines[5:]] == list(WITHOUT_FIRE)
    assert "  off is switched off (enabled=no)" in lines
    assert "  web is kept running, not started by the clock" in lines


def test_next_all_shows_the_sequence(gcron: Gcron, write: Write) -> None:
    write("# gcron: name=beat\n* * * * * true\n@daily x\n")

    assert len([line for line in gcron("next", "--all", "crontab").stdout.splitlines() if "beat" in line]) >= 9


def test_a_tab_in_a_schedule_does_not_break_the_table(gcron: Gcron, write: Write) -> None:
    """The tabs of a line went into the column: rows of five lines."""
    result = gcron("next", write("30\t2\t*\t*\t*\tbackup\n"))

    assert "\t" not in result.stdout
    assert "30 2 * * *" in result.stdout.splitlines()[2]


def test_next_shows_file_and_user_where_there_are_several(gcron: Gcron, write: Write) -> None:
    write("@daily root a\n@daily nobody b\n", "one")
    write("@daily root c\n", "two")
    lines = gcron("next", "--system", "one", "two").stdout.splitlines()
    alone = gcron("next", "--system", "two").stdout.splitlines()

    assert lines[1].split() == ["when", "offset", "in", "job", "schedule", "user", "line"]
    assert [line.split()[-2:] for line in lines[2:]] == [["root", "one:1"], ["nobody", "one:2"], ["root", "two:1"]]
    assert alone[1].split() == ["when", "offset", "in", "job", "schedule"]


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("job", ["backup-orders", "orders", "ORD", "crontab:2", "./crontab:2", "2"])
def test_a_job_is_found_by_name_part_and_place(gcron: Gcron, write: Write, job: str) -> None:
    """`exec` wanted the whole name; made-up names ended in six hexadecimal digits."""
    write("# gcron: name=backup-orders\n@daily echo done\n# gcron: name=backup-users\n@daily false\n")
    shown = gcron("next", "--job", job, "--json", "-n", "1", "crontab")

    assert json.loads(shown.stdout)["job"] == "backup-orders"
    assert gcron("exec", "crontab", job).stdout == "done\n"
    assert gcron("explain", "crontab", job).stdout.startswith("backup-orders (crontab:2)\n")


def test_a_part_of_two_names_is_refused_with_both(gcron: Gcron, write: Write) -> None:
    write("# gcron: name=backup-orders\n@daily echo done\n# gcron: name=backup-users\n@daily false\n")
    result = gcron("exec", "crontab", "backup")

    assert (result.returncode, result.stdout) == (125, "")
    assert "2 names have that part: backup-orders (crontab:2), backup-users (crontab:4)" in result.stderr

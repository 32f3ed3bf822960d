"""`find_job`: by name, by place, by a part of a name; and what is said when that is no job or several."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from gcron.crontab import JobNotFound, find_job, parse


class Job(NamedTuple):
    name: str
    path: str
    line: int


JOBS = [
    Job("backup", "/etc/crontab", 3),
    Job("backup-2", "/etc/cron.d/db", 3),
    Job("pg_dump", "/etc/cron.d/db", 7),
    Job("12", "jobs/crontab", 1),
    Job("db:vacuum", "jobs/crontab", 12),
]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("backup", "backup"),
        ("backup-2", "backup-2"),
        ("pg", "pg_dump"),
        ("DUMP", "pg_dump"),
        ("vac", "db:vacuum"),
        ("db:vacuum", "db:vacuum"),
        ("/etc/crontab:3", "backup"),
        ("db:3", "backup-2"),
        ("cron.d/db:7", "pg_dump"),
        ("./jobs/crontab:12", "db:vacuum"),
        ("jobs/crontab:1", "12"),
        ("12", "12"),
    ],
)
def test_a_job_is_found(text: str, name: str) -> None:
    assert find_job(text, JOBS).name == name


def test_a_line_alone_is_a_place_where_there_is_one_file() -> None:
    assert find_job("3", [job for job in JOBS if job.path == "/etc/cron.d/db"]).name == "backup-2"


@pytest.mark.parametrize(
    ("text", "message", "candidates"),
    [
        (
            "back",
            "'back' is not one job: 2 names have that part: backup (/etc/crontab:3), backup-2 (/etc/cron.d/db:3)",
            ("backup", "backup-2"),
        ),
        ("bakcup", "there is no job 'bakcup'; did you mean backup (/etc/crontab:3)?", ("backup",)),
        (
            "3",
            "there is no job '3'; the jobs are backup (/etc/crontab:3), backup-2 (/etc/cron.d/db:3), "
            "pg_dump (/etc/cron.d/db:7), 12 (jobs/crontab:1), db:vacuum (jobs/crontab:12)",
            ("backup", "backup-2", "pg_dump", "12", "db:vacuum"),
        ),
        ("crontab:2", None, None),
        ("", None, None),
        ("tab:3", None, None),
    ],
)
def test_no_job_or_several_is_an_error_with_candidates(
    text: str, message: str | None, candidates: tuple[str, ...] | None
) -> None:
    with pytest.raises(JobNotFound) as caught:
        find_job(text, JOBS)

    assert message is None or str(caught.value) == message
    assert candidates is None or caught.value.candidates == candidates


def test_few_of_many_candidates_are_shown() -> None:
    with pytest.raises(JobNotFound, match=r"and 90 more$"):
        find_job("x", [Job(f"x-{number:02}", "crontab", number) for number in range(100)])


def test_there_may_be_no_jobs_at_all() -> None:
    with pytest.raises(JobNotFound, match="there are no jobs at all"):
        find_job("x", [])


def test_entries_are_found() -> None:
    entries = parse("@daily a\n\n@daily b\n", "crontab").entries

    assert find_job("3", entries) is entries[1]
    assert find_job("crontab:1", entries) is entries[0]

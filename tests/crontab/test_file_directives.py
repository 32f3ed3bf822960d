"""`# gcron-file:` and `# gcron-group:`: what a file declares for itself; and what is warned about."""

from datetime import UTC, datetime

import pytest

from gcron.crontab import Crontab, Group, parse

NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()


def errors(text: str) -> list[str]:
    return [f"{problem.line}: {problem.message}" for problem in parse(text).errors]


def warnings(text: str) -> list[str]:
    return [problem.message for problem in parse(text, now=NOW).warnings]


def first_fire(crontab: Crontab) -> str:
    assert crontab.errors == ()
    fire = crontab.entries[0].schedule.next_after(int(NOW))
    assert fire is not None
    return f"{datetime.fromtimestamp(fire, UTC):%F %T}"


@pytest.mark.parametrize(
    ("fields", "schedule", "fire"),
    [
        ("seconds-first", "10 5 4 * * *", "2026-06-01 04:05:10"),
        ("seconds-last", "5 4 * * * 10", "2026-06-01 04:05:10"),
        ("year-last", "5 4 * * * 2027", "2027-01-01 04:05:00"),
        ("seconds-first+year", "10 5 4 * * * 2027", "2027-01-01 04:05:10"),
    ],
)
def test_a_file_may_declare_its_fields(fields: str, schedule: str, fire: str) -> None:
    crontab = parse(f"# gcron-file: fields={fields}\n{schedule} 7 backup\n")

    assert first_fire(crontab) == fire
    assert [entry.command for entry in crontab.entries] == ["7 backup"]


def test_a_user_stands_after_the_declared_fields() -> None:
    (entry,) = parse("# gcron-file: fields=seconds-first\n0 5 4 * * * root backup\n", system=True).entries

    assert (entry.schedule_text, entry.user, entry.command) == ("0 5 4 * * *", "root", "backup")


def test_seven_fields_need_no_declaration() -> None:
    assert first_fire(parse("10 5 4 ? * * 2027 backup\n")) == "2027-01-01 04:05:10"


def test_nicknames_do_not_change_with_the_fields() -> None:
    assert first_fire(parse("# gcron-file: fields=seconds-first\n@daily backup\n")) == "2026-06-02 00:00:00"


def test_too_few_fields_name_what_the_file_declared() -> None:
    assert errors("# gcron-file: fields=year-last\n5 4 * * *\n") == [
        "2: a schedule has 6 fields in a file with fields=year-last, here are 5"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# gcron-file: fields=six\n", ["1: fields cannot be 'six'"]),
        ("# gcron-file: timeout=5s\n", ["1: unknown option 'timeout'"]),
        ("# gcron-file: fields=year-last\n# gcron-file: fields=year-last\n", ["2: fields is given twice"]),
        ("@daily a\n# gcron-file: fields=year-last\n", ["2: fields must stand above the first entry"]),
        ("# gcron-group: db\n", ["1: the group db has no limit"]),
        ("# gcron-group: limit=2\n", ["1: a group needs a name"]),
        ("# gcron-group:\n", ["1: a group needs a name"]),
        ("# gcron-group: db limit=0\n", ["1: limit cannot be '0'"]),
        ("# gcron-group: db limit=1\n# gcron-group: db limit=2\n", ["2: the group db is declared in line 1"]),
    ],
)
def test_a_wrong_declaration_is_an_error(text: str, expected: list[str]) -> None:
    assert errors(text) == expected


def test_groups_are_in_the_result() -> None:
    crontab = parse("# gcron-group: db limit=2\n# gcron: group=db\n@daily a\n")

    assert crontab.groups == (Group("db", 2, 1),)
    assert crontab.entries[0].policy.group == "db"
    assert crontab.problems == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@daily -n a\n", ["-n has no effect without MAILTO"]),
        ("-@daily a\n", ["the leading - has no effect here"]),
        ('MAILTO=""\nMAILTO=\nRANDOM_DELAY=5\n', []),
    ],
)
def test_what_has_an_effect_only_in_cron_is_warned_about(text: str, expected: list[str]) -> None:
    """Accepted and ignored without a word, each of these was a promise that nobody kept."""
    assert warnings(text) == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 0 0 1 1 ? 2026", ["this schedule is over: it never fires again"]),
        ("0 0 0 1 1 ? 2027", []),
        ("0 0 0 1 1 ? *", []),
    ],
)
def test_a_schedule_of_past_years_is_warned_about(schedule: str, expected: list[str]) -> None:
    assert warnings(f"{schedule} a\n") == expected

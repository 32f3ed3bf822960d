"""What lines mean: assignments, entries, percent signs, text from other systems."""

import pytest

from gcron.crontab import Entry, parse


def one(text: str | bytes, *, system: bool = False) -> Entry:
    crontab = parse(text, system=system)
    assert crontab.errors == ()
    (entry,) = crontab.entries
    return entry


def messages(text: str | bytes) -> list[str]:
    return [problem.message for problem in parse(text).problems]


def test_an_entry_has_schedule_and_command() -> None:
    entry = one("*/5 *\t* * *   echo  hello \n")

    assert (entry.schedule_text, entry.command) == ("*/5 *\t* * *", "echo  hello ")


def test_a_last_line_without_newline_counts() -> None:
    assert one("0 3 * * * backup").command == "backup"


def test_line_numbers_count_all_lines() -> None:
    assert one("# one\n\nA=1\n0 3 * * * backup\n").line == 4


def test_blank_lines_and_comments_make_no_entries() -> None:
    assert parse(" \t\n\n# comment\n   # 0 3 * * * backup\n").entries == ()


def test_a_trailing_backslash_belongs_to_the_command() -> None:
    crontab = parse("0 3 * * * a \\\n0 4 * * * b\n")

    assert [entry.command for entry in crontab.entries] == ["a \\", "b"]
    (warning,) = crontab.problems  # who writes one mostly means a second line of the command
    assert (warning.severity, warning.line, warning.column) == ("warning", 1, 13)
    assert "does not continue the line" in warning.message


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b c  ", "b c"),
        ("  A\t=\tb", "b"),
        ("A=", ""),
        ("A=''", ""),
        ("A=' b '  ", " b "),
        ('A="it\'s"', "it's"),
        ("A=b'c'", "b'c'"),
        ("A=a\\nb", "a\\nb"),
        ("A=b=c", "b=c"),
        ('"A" = b', "b"),
        ("A=b # c", "b # c"),
    ],
)
def test_an_assignment_has_the_quoting_of_cronie(line: str, value: str) -> None:
    assert dict(one(f"{line}\n0 3 * * * x\n").environment) == {"A": value}


def test_an_assignment_holds_for_the_entries_below_it() -> None:
    entries = parse("0 1 * * * a\nA=1\n0 2 * * * b\nA=2\nB=3\n0 3 * * * c\n").entries

    assert [dict(entry.environment) for entry in entries] == [{}, {"A": "1"}, {"A": "2", "B": "3"}]


def test_entries_between_two_assignments_share_one_environment() -> None:
    first, second = parse("A=1\n0 1 * * * a\n0 2 * * * b\n").entries

    assert first.environment is second.environment


def test_cron_tz_sets_the_zone_by_position_and_its_empty_value_ends_it() -> None:
    text = "0 1 * * * a\nCRON_TZ=Asia/Tokyo\n0 1 * * * b\nCRON_TZ=\n0 1 * * * c\n"

    assert [entry.tz for entry in parse(text).entries] == [None, "Asia/Tokyo", None]


def test_cron_tz_moves_the_schedule() -> None:
    here, there = parse("0 9 * * * a\nCRON_TZ=Asia/Tokyo\n0 9 * * * b\n", timezone="UTC").entries

    assert (here.schedule.next_after(0), there.schedule.next_after(0)) == (9 * 3600, 24 * 3600)


def test_tz_reaches_the_job_only() -> None:
    entry = one("TZ=Asia/Tokyo\n0 9 * * * a\n")

    assert (entry.tz, entry.environment["TZ"]) == (None, "Asia/Tokyo")


def test_the_default_zone_is_the_callers() -> None:
    (entry,) = parse("0 9 * * * a\n", timezone="Asia/Tokyo").entries

    assert entry.schedule.next_after(0) == 24 * 3600


def test_an_unknown_default_zone_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match="Mars"):
        parse("", timezone="Mars/Olympus")


def test_random_delay_delays_each_job_by_its_own_minutes() -> None:
    lines = "".join(f"0 9 * * * job-{number}\n" for number in range(300))
    above, *below = parse(f"0 9 * * * above\nRANDOM_DELAY=20\n{lines}", timezone="UTC").entries

    nine = 9 * 3600
    assert above.schedule.next_after(0) == nine
    delays = [(entry.schedule.next_after(0) or 0) - nine for entry in below]
    assert set(delays) == {60 * minutes for minutes in range(21)}, "each number of minutes is some job's"
    again = parse(f"RANDOM_DELAY=20\n{lines}", timezone="UTC").entries
    assert [entry.schedule for entry in again] == [entry.schedule for entry in below], "and stays its own"


def test_random_delay_ends_where_it_is_set_to_nothing() -> None:
    entries = parse("RANDOM_DELAY=59\n0 9 * * * a\nRANDOM_DELAY=\n0 9 * * * a\n@reboot b\n", timezone="UTC").entries

    assert [entry.schedule.next_after(0) == 9 * 3600 for entry in entries] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("cat", "cat", None),
        ("cat%hello", "cat", b"hello\n"),
        ("cat%a%b%", "cat", b"a\nb\n"),
        ("cat%", "cat", b""),
        ("date +\\%Y", "date +%Y", None),
        ("a\\%b%c\\%d", "a%b", b"c%d\n"),
        ("a\\\\%b", "a\\\\", b"b\n"),
        ("a%b\\\\%c", "a", b"b\\%c\n"),
        ("'a%b'", "'a", b"b'\n"),
        ("a\\nb", "a\\nb", None),
    ],
)
def test_percent_signs_mean_what_they_mean_in_cronie(text: str, command: str, stdin: bytes | None) -> None:
    entry = one(f"0 3 * * * {text}\n")

    assert (entry.command, entry.stdin) == (command, stdin)


def test_a_bare_percent_is_warned_about_at_its_column() -> None:
    problems = parse("0 3 * * * date +%Y\\%m%d\n").problems

    assert [(problem.severity, problem.column) for problem in problems] == [("warning", 17)]


def test_minus_n_asks_for_mail_on_failure() -> None:
    entry = one("0 3 * * * -n backup --all\n")

    assert (entry.mail_on_failure, entry.command) == (True, "backup --all")


def test_a_leading_minus_is_quiet() -> None:
    entry = one("-0 3 * * * backup\n")

    assert (entry.quiet, entry.schedule_text, entry.command) == (True, "0 3 * * *", "backup")


def test_a_system_crontab_has_a_user_column() -> None:
    entry = one("0 3 * * * root -n /usr/bin/backup\n", system=True)

    assert (entry.user, entry.command, entry.mail_on_failure) == ("root", "/usr/bin/backup", True)


def test_an_unknown_user_is_reported_at_its_column_and_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(name: str) -> None:
        asked.append(name)
        raise KeyError(name)

    monkeypatch.setattr("pwd.getpwnam", look_up)
    crontab = parse("0 3 * * *  rooot  a rooot\n@daily\trooot\tb\n", system=True)

    assert [(problem.severity, problem.line, problem.column) for problem in crontab.problems] == [
        ("warning", 1, 12),
        ("warning", 2, 8),
    ]
    assert asked == ["rooot"]
    assert len(crontab.entries) == 2


def test_a_path_in_the_user_column_is_an_error() -> None:
    (problem,) = parse("0 3 * * * /usr/bin/backup --all\n", system=True).problems

    assert (problem.severity, problem.column) == ("error", 11)


def test_a_program_named_like_a_user_is_no_user() -> None:
    assert messages("0 3 * * * git fetch\n") == []


def test_nicknames_and_every_are_schedules() -> None:
    texts = [entry.schedule_text for entry in parse("@daily a\n@every 90s b\n@service c d\n").entries]

    assert texts == ["@daily", "@every 90s", "@service"]


def test_carriage_returns_are_dropped_with_one_warning() -> None:
    crontab = parse(b"A=1\r\n0 3 * * * backup\r\n")

    assert len(crontab.warnings) == 1
    assert crontab.entries[0].command == "backup"


def test_a_byte_order_mark_is_dropped_with_a_warning() -> None:
    crontab = parse(b"\xef\xbb\xbf0 3 * * * backup\n")

    assert (len(crontab.warnings), len(crontab.entries)) == (1, 1)


def test_bytes_that_are_not_utf_8_reach_the_command_as_they_are() -> None:
    entry = one(b"0 3 * * * echo \xe9\n")

    assert entry.command.encode("utf-8", "surrogateescape") == b"echo \xe9"


def test_bytes_that_are_not_utf_8_reach_the_input_as_they_are() -> None:
    assert one(b"0 3 * * * cat%\xe9\n").stdin == b"\xe9\n"


def test_a_binary_file_is_one_error() -> None:
    assert len(parse(bytes(range(256)) * 100).problems) == 1


def test_all_errors_of_a_file_come_at_once_and_good_entries_remain() -> None:
    crontab = parse("61 * * * * a\n0 3 * * * good\n0 25 * * * b\n=x\n")

    assert [problem.line for problem in crontab.errors] == [1, 3, 4]
    assert [entry.name for entry in crontab.entries] == ["good"]


def test_errors_are_limited_in_number() -> None:
    errors = parse("61 * * * * a\n" * 5000).errors

    assert len(errors) == 1001
    assert "too many errors" in errors[-1].message


def test_a_schedule_with_h_is_each_jobs_own() -> None:
    entries = parse("h h * * * a\n" + "H H * * * b\n" + "h h * * * c\n", timezone="UTC").entries

    assert len({entry.schedule.next_after(0) for entry in entries}) == 3

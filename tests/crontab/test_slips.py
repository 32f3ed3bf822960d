"""What people write by mistake, and what gcron once made of it. The messages are in `bad/`."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from gcron.crontab import Crontab, LoadSettings, load, load_all, parse
from gcron.crontab.machine import MAX_ARGUMENT, check_user


def messages(crontab: Crontab) -> list[str]:
    return [f"{problem.line}: {problem.severity}: {problem.message}" for problem in crontab.problems]


@pytest.mark.parametrize("command", ['printf "\x1b[31m"', "\x1b\x1b\x1b\x07", 'printf "\x1b[31mred\x1b[0m\x07"'])
def test_colours_in_a_short_file_do_not_make_it_binary(command: str) -> None:
    """`@daily printf "ESC[31m"` was "not a crontab: 2 of its 29 bytes are control characters"."""
    crontab = parse(f"@daily {command}\n")

    assert crontab.problems == ()
    assert crontab.entries[0].command == command


@pytest.mark.parametrize("size", [60, 200, 5000])
def test_what_is_no_text_is_still_one_error(size: int) -> None:
    data = bytes(1 + 89 * number % 255 for number in range(size))

    (problem,) = parse(data).problems

    assert problem.message.startswith("not a crontab: ")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("@daily *run", "a command cannot begin with *"),
        ("*/10 * * * * *run", "a command cannot begin with *"),
        ("*/10 * * * * */run now", "a command cannot begin with *"),
        ("0 3 * * * -n -n run", "a second option before the command"),
        ("0 3 * * * -n -x run", "a second option before the command"),
        ("0 3 * * * -n -", "a second option before the command"),
    ],
)
def test_what_cronie_refuses_before_a_command_is_refused(line: str, error: str) -> None:
    """`@daily *run` ran `*run`, and `-n -n run` ran `-n run`: cronie takes neither."""
    crontab = parse(line + "\n")

    assert messages(crontab) == [f"1: error: {error}"]
    assert crontab.entries == ()


def test_the_caret_of_an_option_is_under_the_option() -> None:
    """The caret of "-n has no effect here" stood under the command."""
    (problem,) = parse("* * * * *  -n  run\n").problems

    assert (problem.column, problem.end_column) == (12, 14)


@pytest.mark.parametrize("blank", ["\xa0", "\u2003", "\u200b", "\ufeff"])
def test_what_only_looks_like_a_blank_is_named(blank: str) -> None:
    r"""A no-break space, as web pages have them, was `'*\xa0*' is not a minute`: nobody saw what was wrong."""
    (problem,) = parse(f"0 3{blank}* * * * backup\n").problems

    assert problem.column == 4
    assert problem.message.startswith(f"U+{ord(blank):04X} (")
    assert "is part of the field" in problem.message


@pytest.mark.parametrize(
    "line",
    [
        "1 5 cron.daily run-parts /etc/cron.daily",
        "7\t25\tcron.weekly\tnice run-parts /x",
        "30 70 backup ./backup --all",
    ],
)
def test_a_line_of_an_anacrontab_is_recognized(line: str) -> None:
    """Somebody who checked /etc/anacrontab read that 'cron.daily' is not a day of month."""
    assert messages(parse(line + "\n")) == ["1: error: a line of an anacrontab, not of a crontab"]


@pytest.mark.parametrize("line", ["1 5 L-99 * * run", "1 5 jan * * run", "1 70 1 1 * run", "1 5 x * * run"])
def test_another_wrong_line_is_not_taken_for_one_of_an_anacrontab(line: str) -> None:
    (message,) = messages(parse(line + "\n"))

    assert "anacrontab" not in message


def test_an_error_elsewhere_in_the_line_is_not_explained_away() -> None:
    (problem,) = parse("61 3 * * * echo 10\xa0€\n").problems

    assert problem.message == "61 is out of range in the minute field"


def test_several_bare_percents_are_one_warning_a_line() -> None:
    """Three lines of `date +%Y-%m-%d` had twelve warnings, and hid the one that mattered."""
    crontab = parse("@daily date +%Y-%m-%d\n" * 3 + "@daily cat%hello\n" + "@daily a" + "%" * 300_000 + "\n")

    assert [problem.line for problem in crontab.problems] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("name", "guess"), [("rt", None), ("amavis", None), ("rooot", "root"), ("nobdy", "nobody")])
def test_a_user_is_guessed_only_when_the_name_is_very_near(name: str, guess: str | None) -> None:
    """For `rt` gcron asked "did you mean root?", and for `amavis` "did you mean mail?"."""
    hint = check_user(name)

    assert hint is not None
    assert ("did you mean" in hint) == (guess is not None)
    assert guess is None or guess in hint


@pytest.mark.parametrize("directive", ["# gcron: name=a user=nosuch", "# gcron-defaults: umask=022  user='nosuch'"])
def test_an_unknown_user_of_a_directive_is_warned_about_at_its_place(directive: str) -> None:
    """`gcron check` warned of the user column alone. With `user=nosuch`, each run failed to start."""
    (problem,) = parse(f"{directive}\n@daily x\n").problems

    assert (problem.severity, problem.message) == ("warning", "there is no user 'nosuch' on this machine")
    assert (problem.line, problem.column) == (1, directive.index("user=") + len("user=") + 1)
    assert problem.end_column == len(directive) + 1


@pytest.mark.parametrize("user", ["root", "4242", "0"])
def test_a_user_that_is_there_or_a_number_is_fine(user: str) -> None:
    assert parse(f"# gcron: user={user}\n@daily x\n").problems == ()


def test_where_no_account_can_be_read_no_user_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an image without /etc/passwd, gcron would say of each user that there is none."""
    monkeypatch.setattr(pwd, "getpwall", list)
    assert parse("# gcron: user=nosuch\n@daily x\n").problems == ()


def test_a_command_that_no_system_starts_is_refused() -> None:
    """A command of 200 KB passed `gcron check`; each of its runs failed with "argument list too long" (execve(2))."""
    fits, too_long = "a" * MAX_ARGUMENT, "é" * (MAX_ARGUMENT // 2 + 1)

    crontab = parse(f"@daily {fits}\n@daily {too_long}\nA={fits[2:]}\nB={fits}\n")

    assert messages(crontab) == [
        f"2: error: the command is longer than {MAX_ARGUMENT} bytes, and the system refuses to start it",
        f"4: error: the variable is longer than {MAX_ARGUMENT} bytes, and the system refuses to start jobs with it",
    ]


def test_an_env_file_is_looked_for_beside_its_crontab(tmp_path: Path) -> None:
    """`env-file=secrets` was read from gcron's working directory, so the same crontab worked or failed by `cd`."""
    text = "# gcron: env-file=secrets\n@daily a\n# gcron-defaults: env-file=/etc/secrets\n@daily b\n"
    path = tmp_path / "crontab"
    path.write_text(text)
    path.chmod(0o644)

    assert [entry.policy.env_file for entry in load(path).entries] == [str(tmp_path / "secrets"), "/etc/secrets"]
    assert parse(text, "crontab").entries[0].policy.env_file == "secrets"


def test_a_file_that_a_directory_passes_over_is_named(tmp_path: Path) -> None:
    """`gcron check jobs` said "1 job" where a second one stood in jobs/my.job."""
    for name in ("good", "my.job", "your~job", "left.rpmsave", "x.dpkg-old", "off.disabled", ".placeholder", "#e#"):
        (tmp_path / name).write_text("@daily a\n")
        (tmp_path / name).chmod(0o644)

    loaded = load_all([str(tmp_path)], LoadSettings())

    assert [entry.path for entry in loaded.entries] == [str(tmp_path / "good")]
    assert [(Path(problem.path).name, problem.severity) for problem in loaded.problems] == [
        ("my.job", "warning"),
        ("your~job", "warning"),
    ]

"""Typing errors of newcomers get an answer that helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Gcron


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("chek", "crontab"), "invalid choice: 'chek'; did you mean check?"),
        (("frobnicate",), "invalid choice: 'frobnicate' (choose from run, exec, check, "),
        (("next", "crontab", "--jsn"), "unrecognized arguments: --jsn; did you mean --json?"),
        (("next", "crontab", "--form=now"), "unrecognized arguments: --form=now; did you mean --from?"),
        (("run", "crontab", "--log-format", "jsn"), "invalid choice: 'jsn'; did you mean json?"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(gcron: Gcron, arguments: tuple[str, ...], meant: str) -> None:
    """`gcron chek` printed the list of all commands, and a wrong option only the usage of `gcron`."""
    result = gcron(*arguments)

    assert result.returncode == 2
    assert meant in result.stderr


def test_a_wrong_option_shows_the_usage_of_its_command(gcron: Gcron) -> None:
    """It showed the usage of `gcron`, which names no option of `gcron next`."""
    result = gcron("next", "crontab", "--jsn")

    assert result.stderr.startswith("usage: gcron next [-h]")


@pytest.mark.parametrize("job", [("backup",), ("back",), ("2",), ("my tab:2",), ("--job", "backup")])
def test_explain_takes_a_file_and_a_job(gcron: Gcron, write: Callable[..., str], job: tuple[str, ...]) -> None:
    """It said that a schedule has five fields and needs quotes, and nothing about the file."""
    result = gcron("explain", write("# gcron: name=backup\n0 3 * * * x\n@daily y\n", "my tab"), *job)

    assert (result.returncode, result.stderr) == (0, "")
    assert "At 03:00 every day." in result.stdout


def test_explain_of_a_file_with_several_jobs_asks_for_one(gcron: Gcron, write: Callable[..., str]) -> None:
    result = gcron("explain", write("0 3 * * * x\n@daily y\n", "my tab"))

    assert result.returncode == 1
    assert result.stderr == "gcron: that is a file: name one of its jobs, too (`gcron list 'my tab'` lists them)\n"


def test_a_directory_whose_files_are_all_skipped_is_warned_about(gcron: Gcron, tmp_path: Path) -> None:
    """`gcron check jobs` reported no problem, although it skipped `jobs/backup.cron` because of the dot."""
    (tmp_path / "jobs").mkdir()

    empty = gcron("check", "jobs")
    (tmp_path / "jobs" / "backup").write_text("0 3 * * * x\n")
    right = gcron("check", "jobs")
    (tmp_path / "jobs" / "backup.cron").write_text("0 3 * * * x\n")
    passed_over = gcron("check", "jobs")

    assert (empty.returncode, right.returncode, passed_over.returncode) == (0, 0, 0)
    assert empty.stderr.startswith("jobs: warning: holds no crontab: names with a dot")
    assert empty.stdout == "jobs: 0 jobs, 0 errors, 1 warning\n"
    assert (right.stdout, right.stderr) == ("jobs: 1 job, 0 errors, 0 warnings\n", "")
    assert passed_over.stderr.startswith("jobs/backup.cron: warning: is passed over")
    assert passed_over.stdout == "jobs: 1 job, 0 errors, 1 warning\n"


def test_a_wrong_time_zone_names_the_variable_or_option(gcron: Gcron) -> None:
    """`gcron explain` said "unknown time zone 'Mars'", but not where Mars came from."""
    assert gcron("explain", "@daily", TZ="Mars").stderr.startswith("gcron: TZ: unknown time zone 'Mars'")
    assert gcron("explain", "@daily", "--tz", "Mars").stderr.startswith("gcron: --tz: unknown time zone 'Mars'")


def test_a_wrong_time_zone_is_not_an_exit_status_of_the_job(gcron: Gcron, write: Callable[..., str]) -> None:
    """`gcron exec` ended with 1, which may be the status of a job. Its own failures are 125."""
    file = write("# gcron: name=backup\n@manual true\n")

    assert gcron("exec", file, "backup", TZ="Mars").returncode == 125


def test_explain_of_a_whole_line_asks_for_the_schedule_alone(gcron: Gcron) -> None:
    """For a line of a crontab it only said "'echo' is not a day of week; write 0 to 7"."""
    result = gcron("explain", "*/5 * * * * echo hi")
    dated = gcron("explain", "0 2 * * * 2027")

    assert result.returncode == 1
    assert result.stderr.endswith("  hint: give the schedule alone: gcron explain '*/5 * * * *'\n")
    assert "give the schedule alone" not in dated.stderr


def test_help_on_a_mistyped_command_suggests_the_right_one(gcron: Gcron) -> None:
    """Only topics were suggested, and none is similar to `chek`."""
    assert "there is no help on 'chek'; did you mean 'check'?" in gcron("help", "chek").stderr


def test_each_wrong_command_line_names_the_help(gcron: Gcron) -> None:
    """`gcron` alone said that a COMMAND is required, but not which commands there are."""
    assert gcron().stderr.endswith("required: COMMAND (see gcron --help)\n")
    assert gcron("run").stderr.endswith("required: FILE (see gcron run --help)\n")


def test_run_names_the_check_command_that_shows_its_warnings(gcron: Gcron, write: Callable[..., str]) -> None:
    """It said "`gcron check` tells them", which is not a complete command line."""
    result = gcron("run", write("USER=ops\n@daily x\n61 * * * * y\n", "my tab"))

    assert "gcron: warning: 1 warning; run `gcron check 'my tab'` to see it\n" in result.stderr

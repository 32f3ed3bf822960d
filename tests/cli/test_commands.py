"""`check`, `next`, `run` and their options, as users type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcron.variables import NO_SETTINGS
from tests.waiting import PATIENCE

Gcron = Callable[..., Any]
Write = Callable[..., str]
Terminal = Callable[..., bytes]


@pytest.mark.parametrize("arguments", [("-h",), ("run", "-h"), ("check", "--help"), ("next", "-h"), ("--version",)])
def test_help_and_version_are_printed(gcron: Gcron, arguments: tuple[str, ...]) -> None:
    result = gcron(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "gcron" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required: COMMAND"),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
        (("run",), "required: FILE"),
        (("run", "--grace", "soon", "x"), "'soon' is not a duration"),
        (("run", "--grace=-1", "x"), "argument --grace"),
        (("run", "--log-format", "xml", "x"), "invalid choice: 'xml'"),
        (("next", "-n", "0", "x"), "'0' is not a number from 1 on"),
        (("next", "-n", "9" * 5000, "x"), "argument -n/--count"),
        (("check", "--frob", "x"), "unrecognized arguments: --frob"),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_a_reason(gcron: Gcron, arguments: tuple[str, ...], message: str) -> None:
    result = gcron(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["run", "check", "next"])
@pytest.mark.parametrize(
    ("arguments", "variables", "source"),
    [(("--tz", "Mars/Olympus"), {}, "--tz"), ((), {"TZ": "Mars/Olympus"}, "TZ"), ((), {"TZ": "CET-1CEST,M3"}, "TZ")],
)
def test_an_unknown_time_zone_is_named(
    gcron: Gcron, write: Write, command: str, arguments: tuple[str, ...], variables: dict[str, str], source: str
) -> None:
    write("@daily true\n")
    result = gcron(command, *arguments, "crontab", **variables)
    assert result.returncode == 1
    assert result.stderr.startswith(f"gcron: {source}: ")
    assert (variables.get("TZ") or "Mars/Olympus") in result.stderr
    assert "Traceback" not in result.stderr


# -- the environment --------------------------------------------------------------------------------------------


def test_the_command_line_overrides_options_from_the_environment(gcron: Gcron, write: Write) -> None:
    write("@hourly true\n")
    assert len(gcron("next", "crontab", GCRON_COUNT="3", GCRON_JSON="yes").stdout.splitlines()) == 3
    assert len(gcron("next", "-n", "2", "crontab", GCRON_COUNT="3", GCRON_JSON="1").stdout.splitlines()) == 2
    assert "+09:00" in gcron("next", "--json", "crontab", GCRON_TZ="Asia/Tokyo").stdout
    assert not gcron("next", "crontab", GCRON_JSON="no").stdout.startswith("{")


@pytest.mark.parametrize(
    ("command", "variable", "value", "message"),
    [
        ("run", "GCRON_LOG_FORMAT", "xml", "GCRON_LOG_FORMAT: invalid choice: 'xml'"),
        ("run", "GCRON_GRACE", "soon", "GCRON_GRACE: 'soon' is not a duration"),
        ("next", "GCRON_COUNT", "many", "GCRON_COUNT: 'many' is not a number"),
        ("check", "GCRON_JSON", "perhaps", "GCRON_JSON: cannot be 'perhaps': yes or no"),
    ],
)
def test_a_bad_variable_is_named_and_affects_no_other_command(
    gcron: Gcron, write: Write, command: str, variable: str, value: str, message: str
) -> None:
    write("@daily true\n")
    result = gcron(command, "crontab", **{variable: value})
    assert result.returncode == 2
    assert message in result.stderr
    assert gcron("--version", **{variable: value}).returncode == 0


@pytest.mark.parametrize("command", ["run", "state"])
def test_a_path_in_gcron_instance_is_refused_in_one_line(gcron: Gcron, write: Write, command: str) -> None:
    """The usage of twenty lines hid it. `status` takes the path of a crontab there, so people have one."""
    result = gcron(command, *(["crontab"] if command == "run" else []), GCRON_INSTANCE="/etc/crontab")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"gcron {command}: error: GCRON_INSTANCE: '/etc/crontab' is a path, and this command wants a name: up to 64 "
        f"letters, digits, . _ and - (see gcron {command} --help)\n"
    )


def test_variables_of_a_job_are_not_read_as_options(gcron: Gcron, write: Write) -> None:
    write("@daily true\n")
    result = gcron("next", "crontab", GCRON_JOB="the job around", GCRON_RUN_ID="x", GCRON_ATTEMPT="1")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_gcron_in_an_on_failure_command_takes_no_variable_for_a_setting(gcron: Gcron, write: Write) -> None:
    """It warned twelve times that GCRON_MARK and others are no settings, and `gcron history` listed no runs but those
    of GCRON_OUTCOME. Each gcron in a job warned of GCRON_MARK."""
    write("@daily true\n")
    result = gcron("history", "--state=memory", **dict.fromkeys(NO_SETTINGS, "succeeded"))
    assert "setting" not in result.stderr
    assert "GCRON_OUTCOME" not in result.stderr

    result = gcron("next", "crontab", **dict.fromkeys(NO_SETTINGS, "succeeded"))
    assert (result.returncode, result.stderr) == (0, "")


# -- check ------------------------------------------------------------------------------------------------------


def test_check_json_prints_one_object_for_each_problem(gcron: Gcron, write: Write) -> None:
    write("61 * * * * true\n@daily date +%s\n")
    result = gcron("check", "--json", "crontab", "missing")
    problems = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(p["path"], p["line"], p["severity"]) for p in problems if p["severity"] == "error"] == [
        ("missing", 0, "error"),
        ("crontab", 1, "error"),
    ]
    assert result.returncode == 1
    assert result.stderr == ""


def test_warnings_are_printed_and_the_exit_status_is_0(gcron: Gcron, write: Write) -> None:
    write("@daily date +%s\n")
    result = gcron("check", "crontab")
    assert result.returncode == 0
    assert "warning" in result.stderr
    assert result.stdout == "crontab: 1 job, 0 errors, 1 warning\n"


# -- next -------------------------------------------------------------------------------------------------------


def test_next_lists_the_fires_of_all_jobs_in_order(gcron: Gcron, write: Write) -> None:
    write("# gcron: name=a\n0 * * * * true\n# gcron: name=b\n30 * * * * true\n# gcron: enabled=no\n* * * * * off\n")
    result = gcron("next", "-n", "4", "--json", "crontab")
    fires = [json.loads(line) for line in result.stdout.splitlines()]
    assert sorted({fire["job"] for fire in fires}) == ["a", "b"]
    assert [fire["at"] for fire in fires] == sorted(fire["at"] for fire in fires)
    only = gcron("next", "-n", "4", "--json", "--job", "b", "crontab").stdout
    assert {json.loads(line)["job"] for line in only.splitlines()} == {"b"}


def test_next_lists_the_known_jobs_for_an_unknown_name(gcron: Gcron, write: Write) -> None:
    write("# gcron: name=a\n@daily true\n")
    result = gcron("next", "--job", "x", "crontab")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "gcron: there is no job 'x'; the jobs are a (crontab:2)\n"


def test_a_table_in_a_pipe_is_neither_cut_nor_coloured(gcron: Gcron, write: Write) -> None:
    name = "n" * 100
    write(f"# gcron: name={name}\n@hourly true\n# gcron: name=b\n@hourly true\n")
    result = gcron("next", "-n", "2", "crontab", COLUMNS="40", FORCE_COLOR="")
    lines = result.stdout.splitlines()
    assert len(lines) == 4  # the zone, the titles, two fires
    assert name in lines[2]
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("count", ["1", "50000"])
@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_next_exits_with_0_when_its_reader_has_gone(
    write: Write, tmp_path: Path, count: str, json_option: list[str]
) -> None:
    """Without PYTHONUNBUFFERED, rich flushed the title and ended the program with status 1."""
    if count == "50000" and not json_option:
        count = "500"
    write("@every 1s true\n")
    read, out = os.pipe()
    os.close(read)
    with os.fdopen(out, "wb") as closed:
        result = subprocess.run(
            [sys.executable, "-m", "gcron", "next", "-n", count, *json_option, "crontab"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )
    assert result.stderr == b""
    assert result.returncode == 0


# -- colours ----------------------------------------------------------------------------------------------------


RUN = '# gcron: name=job\n@reboot echo out; echo err >&2; exit 1\n@reboot sleep 0.2; echo eno""ugh\n'


@pytest.mark.parametrize("command", ["run", "next"])
def test_output_on_a_terminal_is_coloured(write: Write, terminal: Terminal, command: str) -> None:
    write(RUN if command == "run" else "@daily enough\n")
    assert b"\x1b[" in terminal(command, "crontab")


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("command", ["run", "next", "check"])
def test_with_no_color_there_is_no_escape_sequence(
    write: Write, terminal: Terminal, command: str, variables: dict[str, str]
) -> None:
    write(RUN if command == "run" else "@daily enough\n")
    assert b"\x1b" not in terminal(command, "crontab", **variables)


def test_escape_sequences_of_a_job_do_not_reach_the_terminal(write: Write, terminal: Terminal) -> None:
    write("@reboot printf '\\033[2J\\033]0;owned\\007\\n'; printf 'a\\bb\\n'; sleep 0.2; echo eno''ugh\n")
    shown = terminal("run", "crontab", NO_COLOR="1")
    assert b"\x1b" not in shown
    assert b"\\x1b[2J\\x1b]0;owned\\x07" in shown
    assert b"a\\x08b" in shown


# -- run --------------------------------------------------------------------------------------------------------


def test_each_line_of_the_json_log_is_json(gcron_run: Callable[..., Any]) -> None:
    daemon = gcron_run(
        "# gcron: name=talks\n"
        '@reboot echo \'{"level": "info", "n": 1}\'; printf \'\\377\\000\\033[0m\\n\'; echo \'{"n": NaN}\'; exit 3\n'
        "# gcron: name=long timeout=1s\n@reboot sleep 50\n"
        "# gcron: name=broken shell=/no/shell\n@reboot true\n",
        env={**os.environ, "GCRON_LOG_FORMAT": "json"},
    )
    daemon.wait_for('"outcome":"timed-out"')
    assert daemon.stop() == 0
    records = [json.loads(line, parse_constant=pytest.fail) for line in daemon.log.splitlines()]
    lines = [record["line"] for record in records if record["event"] == "output" and record["job"] == "talks"]
    assert lines == ['{"level": "info", "n": 1}', "\\xff\x00\x1b[0m", '{"n": NaN}']
    ends = {record["job"]: record for record in records if record["event"] == "run-finished"}
    assert (ends["talks"]["outcome"], ends["talks"]["exit_code"]) == ("failed", 3)
    assert (ends["broken"]["outcome"], ends["broken"]["exit_code"]) == ("start-failed", None)
    assert ends["long"]["reason"] == "still running after 1 s"
    assert [record["event"] for record in records if record.get("job") == "talks"][:2] == [
        "run-started",
        "process-started",
    ]

"""Wrong crontabs: a clear error, the right exit status, and no traceback."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMANDS = ("run", "check", "next")
Gcron = Callable[..., Any]
Write = Callable[..., str]


def make_file(kind: str, path: Path) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "binary":
        path.write_bytes(bytes(range(256)) * 100)
    elif kind == "line that is none":
        path.write_text("@daily true\nthis is no line\n")
    elif kind == "a gigabyte":
        with path.open("wb") as file:
            file.truncate(1 << 30)
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    else:
        assert kind == "missing"


KINDS = ("missing", "fifo", "device", "binary", "line that is none", "a gigabyte", "dangling link")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_not_a_crontab_is_refused(gcron: Gcron, tmp_path: Path, command: str, kind: str) -> None:
    make_file(kind, tmp_path / "crontab")
    result = gcron(command, "crontab")
    assert result.returncode == 1
    assert "crontab" in result.stderr
    assert "error: " in result.stderr
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr + result.stdout
    if command == "run":
        assert result.stderr.splitlines()[-1].startswith("gcron: not started: ")


def test_an_empty_file_is_valid(gcron: Gcron, write: Write) -> None:
    write("")
    assert gcron("check", "crontab").stdout == "crontab: 0 jobs, 0 errors, 0 warnings\n"
    assert gcron("next", "crontab").stdout == "nothing is ever due\n"
    assert gcron("next", "--json", "crontab").stdout == ""


def test_the_problems_of_all_files_are_reported_together(gcron: Gcron, write: Write) -> None:
    write("61 * * * * true\n", "one")
    write("@daily true\n", "two")
    result = gcron("check", "one", "missing", "two")
    assert result.returncode == 1
    assert "one:1:1: error" in result.stderr
    assert "missing: error: cannot be read: no such file" in result.stderr
    assert result.stdout == "one, missing, two: 1 job, 2 errors, 0 warnings\n"


def test_a_name_used_twice_is_reported_with_both_places(gcron: Gcron, write: Write) -> None:
    write("# gcron: name=backup\n@daily true\n", "one")
    write("\n# gcron: name=backup\n@daily false\n", "two")
    for command in COMMANDS:
        result = gcron(command, "one", "two")
        assert result.returncode == 1
        assert "two:3:1: error: the name 'backup' is taken by one:2" in result.stderr


def test_a_directory_stands_for_its_files(gcron: Gcron, write: Write, tmp_path: Path) -> None:
    (tmp_path / "cron.d").mkdir()
    write("@daily echo a\n", "cron.d/a")
    write("@daily echo b\n", "cron.d/b")
    write("rubbish\n", "cron.d/c.rpmsave")
    assert gcron("check", "cron.d").stdout == "cron.d: 2 jobs, 0 errors, 0 warnings\n"


def test_after_must_name_a_service_that_exists(gcron: Gcron, write: Write) -> None:
    """The check covers all files of the command line."""
    write("# gcron: name=cache\n@service redis\n# gcron: name=daily\n@daily true\n", "one")
    write("# gcron: after=cache\n@daily true a\n", "good")
    write("# gcron: after=cahce\n@daily true b\n\n# gcron: after=cache,daily\n@hourly true c\n", "bad")
    assert gcron("check", "one", "good").returncode == 0
    for command in ("run", "check"):
        result = gcron(command, "one", "bad")
        assert result.returncode == 1
        assert "bad:2:1: error: after= names 'cahce', which does not exist" in result.stderr
        assert "hint: did you mean cache?" in result.stderr
        assert "bad:5:1: error: after= names 'daily', which is neither a service nor a @reboot job" in result.stderr
    # The fires can be listed all the same.
    assert gcron("next", "one", "bad").returncode == 0


def test_services_that_wait_for_each_other_are_refused(gcron: Gcron, write: Write) -> None:
    services = [f"# gcron: name={name} after={after}\n@service true\n" for name, after in ("ab", "bc", "cb")]
    write("".join(services))
    result = gcron("check", "crontab")
    assert result.returncode == 1
    assert "error: services wait for one another: " in result.stderr
    assert "b after c" in result.stderr
    assert "c after b" in result.stderr


def test_a_service_with_an_error_is_not_reported_as_missing(gcron: Gcron, write: Write) -> None:
    write("# gcron: name=cache restart=sometimes\n@service redis\n# gcron: after=cache\n@daily true\n")
    result = gcron("check", "crontab")
    assert "restart cannot be 'sometimes'" in result.stderr
    assert "after=" not in result.stderr


def test_options_without_effect_are_warned_about(gcron: Gcron, write: Write) -> None:
    write("# gcron: overlap=queue timeout=5m\n@service redis\n# gcron-defaults: restart=never\n" + "@daily true\n" * 9)
    result = gcron("check", "crontab")
    assert (result.returncode, result.stdout) == (0, "crontab: 10 jobs, 0 errors, 2 warnings\n")
    assert "crontab:2:1: warning: overlap=, timeout= means nothing to a service" in result.stderr
    assert "crontab:4:1: warning: restart= means nothing to a job that is no service" in result.stderr


def test_check_reports_unknown_users_of_a_system_crontab(gcron: Gcron, write: Write) -> None:
    write("@daily root true\n0 5 * * *  no-such-user  true\n@daily roott true\n")
    result = gcron("check", "--system", "crontab")
    assert (result.returncode, result.stdout) == (0, "crontab: 3 jobs, 0 errors, 2 warnings\n")
    assert result.stderr == (
        "crontab:2:12: warning: there is no user 'no-such-user' on this machine\n"
        "    0 5 * * *  no-such-user  true\n"
        "               ^^^^^^^^^^^^\n"
        "  hint: cron leaves the line out where there is no such user\n"
        "crontab:3:8: warning: there is no user 'roott' on this machine\n"
        "    @daily roott true\n"
        "           ^^^^^\n"
        "  hint: did you mean root?\n"
    )
    assert gcron("check", "--system", "--strict", "crontab").returncode == 1


@pytest.fixture
def not_root(tmp_path: Path) -> tuple[tuple[str, ...], str]:
    """Return a command that starts gcron without root, and the name of its user."""
    if os.geteuid() != 0:
        return (), pwd.getpwuid(os.geteuid()).pw_name
    # Keep the right to read this checkout, wherever it is.
    rights = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    return ("setpriv", "--reuid", "daemon", "--regid", "daemon", "--clear-groups", *rights), "daemon"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("@daily {own} true\n@daily nobody true\n", ["--system"]),
        ("# gcron: user={own}\n@daily true\n# gcron: user=nobody\n@daily true\n", []),
        ("# gcron: user={own}\n@daily nobody true\n# gcron: user=nobody\n@daily {own} true\n", ["--system"]),
    ],
)
def test_without_root_a_crontab_with_other_users_is_refused(
    gcron_run: Callable[..., Any], not_root: tuple[tuple[str, ...], str], text: str, options: list[str]
) -> None:
    """A `user=` directive overrides the column."""
    before, own = not_root
    daemon = gcron_run(text.format(own=own), *options, before=before)
    assert daemon.wait() == 1
    message = f"runs as nobody, which only root can have it do; this gcron runs as {own}"
    assert f":1: error: {message}\n  hint: run gcron as root, or as nobody" in daemon.errors
    assert daemon.errors.count("error: ") == 1
    assert "gcron: not started: 1 error; `gcron check " in daemon.errors


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run the lines of all")
def test_root_runs_the_jobs_of_all_users_in_a_system_crontab(gcron_run: Callable[..., Any]) -> None:
    daemon = gcron_run(
        "MARK=from-the-crontab\n"
        "@reboot root echo one=$(id -un)=$MARK\n"
        "@reboot daemon echo two=$(id -un)=$(id -gn)=$MARK=$HOME\n"
        "# gcron: user=nobody cwd=/\n@reboot daemon echo three=$(id -un)\n"
        "@reboot no-such-user echo never\n",
        "--system",
    )
    daemon.wait_for("one=root=from-the-crontab$")
    daemon.wait_for(f"two=daemon=daemon=from-the-crontab={pwd.getpwnam('daemon').pw_dir}$")
    daemon.wait_for("three=nobody$")
    daemon.wait_for("cannot start: there is no user no-such-user")
    assert daemon.stop() == 0


def test_jobs_of_the_own_user_run(gcron_run: Callable[..., Any]) -> None:
    own = pwd.getpwuid(os.geteuid()).pw_name
    daemon = gcron_run(f"@reboot {own} echo it is $((20 + 3))\n", "--system")
    daemon.wait_for("it is 23")
    assert daemon.stop() == 0


def test_a_file_name_that_is_not_utf_8_is_escaped(gcron: Gcron, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).write_text("@daily true\n")
    result = gcron("check", name, LC_ALL="C.UTF-8")
    assert (result.returncode, result.stdout) == (0, "caf\\xe9: 1 job, 0 errors, 0 warnings\n")

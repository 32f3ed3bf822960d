"""What commands say of settings, zones and crontabs that are wrong: for people, and as records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Gcron = Callable[..., Any]
Write = Callable[..., str]


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# -- settings in the environment ----------------------------------------------------------------------------------


def test_an_unknown_variable_is_warned_about(gcron: Gcron, write: Write) -> None:
    """`GCRON_GRASE=5` was ignored in silence: the grace was 30 s."""
    write("@daily true\n")
    result = gcron("next", "crontab", GCRON_GRASE="5", GCRON_GRACE="5", GCRON_FIRE_AT="1")

    assert result.returncode == 0
    message = "the variable GCRON_GRASE is no setting of gcron; did you mean GCRON_GRACE?"
    assert result.stderr == f"gcron: warning: {message}\n"


@pytest.mark.parametrize("command", ["run", "check", "list", "next", "timeline", "explain"])
def test_a_wrong_zone_is_blamed_on_its_variable(gcron: Gcron, write: Write, command: str) -> None:
    """`GCRON_TZ=Mars` was blamed on `--tz`, which nobody had given."""
    write("@daily true\n")
    argument = "@daily" if command == "explain" else "crontab"

    assert gcron(command, argument, GCRON_TZ="Mars").stderr.startswith("gcron: GCRON_TZ: unknown time zone 'Mars'")
    assert gcron(command, argument, "--tz", "Mars", GCRON_TZ="Mars").stderr.startswith("gcron: --tz: unknown")


# -- records ------------------------------------------------------------------------------------------------------


def test_errors_at_the_start_are_records(gcron: Gcron, write: Write) -> None:
    """With `--log-format json`, what was wrong at the start was plain text: collectors lost it."""
    write("61 * * * * echo s3cret\n")
    result = gcron("run", "--log-format", "json", "crontab", GCRON_GRASE="5")
    warning, problem, end = records(result.stderr)

    assert (result.returncode, result.stdout) == (1, "")
    assert (warning["event"], warning["level"]) == ("message", "warning")
    assert "GCRON_GRASE" in warning["message"]
    assert (problem["event"], problem["level"], problem["place"]) == ("crontab-problem", "error", "crontab:1:1")
    assert "s3cret" not in result.stderr
    assert (end["level"], end["message"][:20]) == ("error", "not started: 1 error")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("--grase", "5", "crontab"), 2), (("--grace", "soon", "crontab"), 2), ((), 2), (("--tz", "Mars", "crontab"), 1)],
)
@pytest.mark.parametrize("log_format", ["json", "logfmt"])
def test_a_wrong_command_line_is_a_record(
    gcron: Gcron, write: Write, arguments: tuple[str, ...], status: int, log_format: str
) -> None:
    write("@daily true\n")
    result = gcron("run", *arguments, GCRON_LOG_FORMAT=log_format)

    assert (result.returncode, result.stdout) == (status, "")
    (line,) = result.stderr.splitlines()
    assert '"level":"error"' in line or " level=error " in line


def test_warnings_at_the_start_are_records(gcron_run: Callable[..., Any]) -> None:
    daemon = gcron_run("@daily date +%s\n", "--log-format", "json")
    daemon.wait_for("Ctrl-C stops")
    assert daemon.stop() == 0
    (warning,) = records(daemon.errors)
    assert (warning["level"], warning["message"][:9]) == ("warning", "1 warning")
    assert [record["level"] for record in records(daemon.log)] == ["info"] * 3


def test_a_missing_shell_is_said_at_the_start(gcron: Gcron, write: Write, tmp_path: Path) -> None:
    """In an image without /bin/sh, each run failed, one after the other, and the start looked fine."""
    write("@daily true\n# gcron: name=web\n@service exec web\n")
    program = (
        "import os, sys\n"
        "real = os.access\n"
        "os.access = lambda path, *rest, **more: path != '/bin/sh' and real(path, *rest, **more)\n"
        "import gcron_boot\n"
        "sys.exit(gcron_boot.main())\n"
    )
    (tmp_path / "without_shell.py").write_text(program)
    with subprocess.Popen(
        [sys.executable, "without_shell.py", "run", "crontab"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "2 jobs from" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    assert errors == "gcron: warning: there is no /bin/sh: 2 of 2 jobs cannot start\n"


# -- taking over cron ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads the crontabs of others")
def test_run_reads_system_crontabs_and_a_spool(gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    """`/var/spool/cron/crontabs` could not be read: each file had a dot, or another owner, or no user column."""
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "nobody").write_text("# gcron: cwd=/\n@reboot echo $(id -un) from the spool\n")
    os.chown(spool / "nobody", 65534, 0)
    (spool / "nobody").chmod(0o600)
    crontab = "# gcron: cwd=/\n@reboot nobody echo $(id -un) from the table\n"
    daemon = gcron_run(crontab, "--system", "--spool", str(spool))
    daemon.wait_for(r"nobody:echo +\| nobody from the spool")
    daemon.wait_for(r"echo +\| nobody from the table")
    (spool / "nobody").write_text("@reboot echo again\n# gcron: name=more\n@daily true\n")
    daemon.wait_for("read again: 2 added, 0 changed, 1 removed")
    assert daemon.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root refuses the files of others")
def test_root_reads_the_files_of_a_trusted_owner(gcron: Gcron, write: Write, tmp_path: Path) -> None:
    """A crontab in a bind mount belonged to uid 1000, and root had no way to say that this is right."""
    write("@daily echo done\n")
    os.chown(tmp_path / "crontab", 1000, 1000)

    assert "belongs to" in gcron("check", "crontab").stderr
    for arguments, variables in ((("--trust-owner", "1000"), {}), ((), {"GCRON_TRUST_OWNER": "1000,1001"})):
        result = gcron("exec", *arguments, "crontab", "1", **variables)
        assert (result.stdout, result.stderr) == ("done\n", "")
    wrong = gcron("check", "--trust-owner", "bob", "crontab")
    assert (wrong.returncode, "'bob' is not the id of a user" in wrong.stderr) == (2, True)


def test_made_up_names_stay_over_a_reload(gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    """A line above took the name `sleep` from a job that ran: its run was that of a removed job."""
    daemon = gcron_run("@every 1h sleep 60 # one\n", "--no-watch")
    daemon.wait_for("Ctrl-C stops")
    (tmp_path / "crontab0").write_text("@every 2h sleep 60 # two\n@every 1h sleep 60 # one\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("read again: 1 added, 0 changed, 0 removed")
    assert daemon.stop() == 0


def test_a_new_zone_of_the_machine_holds_from_the_next_reload(gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    """/etc/localtime was read once: after a change, an edit and HUP kept the old zone."""
    zone = tmp_path / "localtime"
    zone.symlink_to("/usr/share/zoneinfo/UTC")
    crontab = "# gcron: name=noon\n0 12 * * * true\n"
    daemon = gcron_run(crontab, "--no-watch", env={**os.environ, "TZ": f":{zone}"})
    daemon.wait_for(r"\+00:00 +gcron +1 job")
    zone.unlink()
    zone.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    daemon.send(signal.SIGHUP)
    daemon.wait_for(r"\+09:00 +gcron +SIGHUP: read again: 0 added, 1 changed, 0 removed")
    daemon.send(signal.SIGUSR1)
    daemon.wait_for(r"next +\S+ 03:00:00Z  noon")
    assert daemon.stop() == 0

"""Commands: arguments, variables, standard input."""

from __future__ import annotations

import os
import subprocess

import pytest

from gcron.supervise.command import Command, environment, open_stdin
from gcron.supervise.start_script import ScriptMessages, arguments, needs_start_script, why_refused


def test_the_shell_is_that_of_the_option_or_of_the_crontab_or_sh() -> None:
    variables = {"SHELL": "/bin/bash"}
    assert arguments(Command("x", shell="/bin/zsh", environment=variables)) == ["/bin/zsh", "-c", "x"]
    assert arguments(Command("x", environment=variables)) == ["/bin/bash", "-c", "x"]
    assert arguments(Command("x")) == ["/bin/sh", "-c", "x"]


@pytest.mark.parametrize("name", ["plain", "with space", "-", "-L", "$(x)", "a'b"])
def test_a_directory_with_any_name_is_entered(tmp_path: os.PathLike[str], name: str) -> None:
    path = os.path.join(tmp_path, name)
    os.mkdir(path)
    for cwd in (path, name):
        # With CDPATH, cd would look for a bare name elsewhere.
        result = subprocess.run(
            arguments(Command("pwd", cwd=cwd)), cwd=tmp_path, env={**os.environ, "CDPATH": "/"}, capture_output=True
        )
        assert result.stdout.decode() == path + "\n"


def test_jobs_get_no_settings_of_gcron_and_cannot_fake_their_identity() -> None:
    inherited = {b"PATH": b"/bin", b"GCRON_GRACE": b"5", b"GCRON_TOKEN": b"secret", b"X": b"inherited"}
    command = Command("x", environment={"X": "crontab", "Y": "crontab", "GCRON_JOB": "fake"})
    assert environment(command, {"GCRON_JOB": "real"}, inherited, {"Y": "file", "GCRON_JOB": "fake"}) == {
        b"PATH": b"/bin",
        b"X": b"crontab",
        b"Y": b"file",
        b"GCRON_JOB": b"real",
    }


def test_standard_input_is_a_file_at_its_beginning() -> None:
    assert open_stdin(Command("x")) is None
    file = open_stdin(Command("x", stdin=b"one\ntwo\xff"))
    assert file is not None
    with file:
        assert file.read() == b"one\ntwo\xff"


def test_a_command_without_special_options_needs_no_start_script() -> None:
    for command in (Command("x"), Command("x", umask=0, nice=-1, env_file="/e", shell="/usr/bin/zsh")):
        assert not needs_start_script(command)
        assert arguments(command)[1:] == ["-c", "x"]
    for command in (
        Command("x", cwd="/"),
        Command("x", nice=1),
        Command("x", limits=(("rlimit_cpu", 1),)),
        Command("x", shell="/home/user/bin/zsh"),
        Command("x", shell="zsh"),
    ):
        assert needs_start_script(command)
    assert needs_start_script(Command("x"), home="/")


@pytest.mark.parametrize(
    ("code", "output", "reason"),
    [
        (126, b"gcron-start: there is no directory /x\n", "there is no directory /x"),
        (127, b"gcron-start: 9: exec: /x: not found\n", "exec: /x: not found (or what its first line names)"),
        (126, b"gcron-start: line 12: ulimit: no\nother\ngcron-start: rlimit\n", "ulimit: no; rlimit"),
        (126, b"gcron-start: caf\xe9\n", "caf\\xe9"),
        (1, b"gcron-start: there is no directory /x\n", ""),
        (126, b"gcron-start-of-another-run: there is no directory /x\n", ""),
        (126, b"x gcron-start: there is no directory /x\n", ""),
        (126, b"", ""),
        (None, b"gcron-start: x\n", ""),
    ],
)
def test_messages_of_the_start_script_are_not_confused_with_output_of_the_job(
    code: int | None, output: bytes, reason: str
) -> None:
    messages: list[str] = []
    script = ScriptMessages("gcron-start", lambda message, is_note: messages.append(message))
    # A message may come in pieces.
    rest = script.take(output[:20]) + script.take(output[20:])
    script.finish()
    assert why_refused(code, messages) == reason
    assert rest == b"".join(line for line in output.splitlines(True) if not line.startswith(b"gcron-start: "))

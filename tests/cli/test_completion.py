"""`gcron completion`: the words that a shell offers after it has read the script."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE

_COMPLETE = """
source ./script
COMP_WORDS=({words})
COMP_CWORD={index}
"$(complete -p gcron | sed 's/.*-F \\([^ ]*\\).*/\\1/')" gcron "{last}" "{before}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def complete(gcron: Callable[..., Any], tmp_path: Path) -> Callable[..., set[str]]:
    (tmp_path / "script").write_text(gcron("completion", "bash").stdout)
    (tmp_path / "jobs.crontab").write_text("@daily x\n")

    def complete(*words: str) -> set[str]:
        program = _COMPLETE.format(
            words=" ".join(map(repr, words)), index=len(words) - 1, last=words[-1], before=words[-2]
        )
        result = subprocess.run(
            ["bash", "--norc", "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return {word.strip() for word in result.stdout.split()}

    return complete


def test_bash_completes_commands_options_and_files(complete: Callable[..., set[str]]) -> None:
    assert complete("gcron", "ex") >= {"explain"}
    assert complete("gcron", "run", "--gr") == {"--grace"}
    assert complete("gcron", "run", "--log-format", "j") == {"json"}
    assert "jobs.crontab" in complete("gcron", "check", "jo")
    assert complete("gcron", "help", "sig") == {"signals"}


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed here")
def test_zsh_accepts_the_completion_script(gcron: Callable[..., Any]) -> None:
    script = gcron("completion", "zsh").stdout
    assert subprocess.run(["zsh", "-n"], input=script, text=True, timeout=PATIENCE).returncode == 0


def test_an_unknown_shell_is_refused(gcron: Callable[..., Any]) -> None:
    result = gcron("completion", "powershell")
    assert result.returncode == 2
    assert "bash" in result.stderr

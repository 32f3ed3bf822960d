"""`gcron edit`: what replaces the crontab, and that nothing that somebody typed is lost."""

from __future__ import annotations

import os
import pty
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Gcron = Callable[..., Any]
OLD = "# gcron: name=old\n@daily true\n"


@pytest.fixture
def crontab(tmp_path: Path) -> Path:
    path = tmp_path / "crontab"
    path.write_text(OLD)
    return path


def copies(directory: Path) -> list[Path]:
    return sorted(directory.glob(".*.edit"))


def test_a_right_copy_replaces_the_file_and_keeps_owner_and_mode(gcron: Gcron, crontab: Path) -> None:
    crontab.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(crontab, 0, 4)
    before = crontab.stat()
    result = gcron("edit", "crontab", EDITOR="sed -i s/old/new/")

    assert (result.returncode, result.stderr) == (0, f"gcron: {crontab}: replaced\n")
    assert crontab.read_text() == OLD.replace("old", "new")
    after = crontab.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert after.st_ino != before.st_ino, "it was replaced in one step"
    assert copies(crontab.parent) == []


@pytest.mark.parametrize("editor", ["true", "touch"])
def test_an_unchanged_copy_changes_nothing(gcron: Gcron, crontab: Path, editor: str) -> None:
    before = crontab.stat()
    result = gcron("edit", "crontab", EDITOR=editor)

    assert (result.returncode, result.stderr) == (0, f"gcron: {crontab}: no changes\n")
    assert (crontab.stat().st_ino, crontab.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert copies(crontab.parent) == []


def test_visual_is_preferred_and_a_link_stays_a_link(gcron: Gcron, crontab: Path) -> None:
    (crontab.parent / "link").symlink_to("crontab")

    assert gcron("edit", "link", VISUAL="sed -i s/old/new/", EDITOR="false").returncode == 0
    assert (crontab.parent / "link").is_symlink()
    assert "name=new" in crontab.read_text()


def test_a_new_file_is_for_its_owner_alone(gcron: Gcron, tmp_path: Path) -> None:
    assert gcron("edit", "new", EDITOR="echo '@daily true' >").returncode == 0
    assert (tmp_path / "new").read_text() == "@daily true\n"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


@pytest.mark.parametrize("editor", ["nosuch-editor", "false"])
def test_an_editor_that_fails_leaves_no_copy_without_changes(gcron: Gcron, crontab: Path, editor: str) -> None:
    """With EDITOR=nosuch, each try left a copy, and said "your changes are in" it."""
    result = gcron("edit", "crontab", EDITOR=editor)
    assert result.returncode == 1
    assert result.stderr.endswith("; nothing was changed\n")
    assert copies(crontab.parent) == []


def test_an_editor_that_fails_after_a_change_loses_nothing(gcron: Gcron, crontab: Path) -> None:
    result = gcron("edit", "crontab", EDITOR="sh -c 'echo changed > $0; exit 1'")
    (copy,) = copies(crontab.parent)
    assert result.stderr.endswith(f"; your changes are in {copy}\n")
    assert copy.read_text() == "changed\n"


def test_a_wrong_copy_is_shown_and_kept_if_nobody_can_answer(gcron: Gcron, crontab: Path) -> None:
    """`crontab -e` with an editor of one's own wrote a typo straight into the file that root runs."""
    result = gcron("edit", "crontab", EDITOR="echo '61 * * * * true' >")
    (copy,) = copies(crontab.parent)

    assert result.returncode == 1
    assert result.stderr.startswith(f"{crontab}:1:1: error: ")
    assert result.stderr.endswith(f"gcron: {crontab} is not changed; your changes are in {copy}\n")
    assert crontab.read_text() == OLD
    assert copy.read_text() == "61 * * * * true\n"


def test_an_editor_that_fails_changes_nothing_and_the_copy_stays(gcron: Gcron, crontab: Path) -> None:
    result = gcron("edit", "crontab", EDITOR="sh -c 'echo changed > $0; exit 3'")
    (copy,) = copies(crontab.parent)

    assert (result.returncode, crontab.read_text(), copy.read_text()) == (1, OLD, "changed\n")
    assert "ended with status 3" in result.stderr


def test_a_change_under_the_editor_is_shown_and_kept(gcron: Gcron, crontab: Path) -> None:
    """Two people edited one file: the second to save undid the work of the first, and nobody noticed."""
    result = gcron("edit", "crontab", EDITOR=f'sh -c \'echo "@weekly theirs" >> {crontab}; echo "@daily mine" >> $0\'')
    (copy,) = copies(crontab.parent)

    assert result.returncode == 1
    assert f"{crontab} has changed while you edited it" in result.stderr
    assert "\n+@weekly theirs\n" in result.stderr
    assert crontab.read_text() == OLD + "@weekly theirs\n"
    assert copy.read_text() == OLD + "@daily mine\n"


@pytest.mark.parametrize(
    ("answers", "status", "content", "left"),
    [(b"e\n", 0, "@weekly right\n", 0), (b"d\n", 1, OLD, 0), (b"what\nk\n", 1, OLD, 1), (b"\x04", 1, OLD, 1)],
)
def test_a_wrong_copy_is_offered_again(
    gcron: Gcron, crontab: Path, answers: bytes, status: int, content: str, left: int
) -> None:
    """The first time the editor writes a wrong line, the second time a right one."""
    main, side = pty.openpty()
    editor = "if test -e once; then echo '@weekly right' > $1; else touch once; echo '61 * * * * x' > $1; fi; :"
    (crontab.parent / "editor").write_text(editor)
    os.write(main, answers)
    result = subprocess.run(
        [sys.executable, "-m", "gcron", "edit", "crontab"],
        cwd=crontab.parent,
        env={**os.environ, "EDITOR": "sh ./editor", "VISUAL": ""},
        stdin=side,
        capture_output=True,
        timeout=60,
        text=True,
    )
    os.close(main)
    os.close(side)

    assert result.returncode == status
    assert "[e]dit again, [d]iscard the changes, or [k]eep the copy? " in result.stderr
    assert crontab.read_text() == content
    assert len(copies(crontab.parent)) == left


def test_ctrl_c_at_the_question_names_the_copy_that_is_kept(crontab: Path) -> None:
    """It ended without a word, and what somebody had typed was in a file whose name they never saw."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gcron", "edit", "crontab"],
        cwd=crontab.parent,
        env={**os.environ, "EDITOR": "sh -c 'echo \"61 * * * * x\" > $1' edit", "VISUAL": ""},
        stdin=side,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stderr is not None
    said = b""
    while not said.endswith(b"eep the copy? "):
        said += process.stderr.read(1) or pytest.fail(said.decode())
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    os.close(main)
    os.close(side)
    (copy,) = copies(crontab.parent)

    assert process.returncode == 130
    assert rest.decode() == f"\ngcron: {crontab} is not changed; your changes are in {copy}\n"
    assert (crontab.read_text(), copy.read_text()) == (OLD, "61 * * * * x\n")


def test_a_directory_that_cannot_be_written_is_said_before_the_editor_starts(gcron: Gcron) -> None:
    result = gcron("edit", "/proc/version", EDITOR="touch ran")

    assert result.returncode == 1
    assert "are made beside it" in result.stderr
    assert not Path("ran").exists()

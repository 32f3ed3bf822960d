"""What others decide reaches a terminal as text, and never as a command to it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from gcron.cli import columns, logs
from gcron.cli.columns import Column, print_columns
from gcron.cli.terminal import print_wrapped
from gcron.escaping import escape, escape_line

Gcron = Callable[..., subprocess.CompletedProcess[str]]
NASTY = "\x1b[31m\x9b31m\u202e\u2028\udcff"
SHOWN = r"\x1b[31m\x9b31m\u202e\u2028\xff"


def test_what_a_terminal_acts_upon_is_escaped_and_all_else_stays() -> None:
    assert escape(f"é日\t\n{NASTY}") == f"é日\t\n{SHOWN}"
    assert escape_line("a\nb") == r"a\x0ab"


def test_output_on_a_terminal_has_no_c1_controls_and_no_changes_of_direction(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """`gcron logs` escaped C0 and DEL only: U+009B, which begins a command as ESC [ does, and U+202E passed."""
    monkeypatch.setattr(logs, "is_terminal", lambda: True)
    text = "\x9b31m\u202e é".encode() + b"\xff\n"

    def bytewise() -> Iterator[bytes]:  # a character may be split between two pieces
        yield from (text[index : index + 1] for index in range(len(text)))
        yield "é".encode()[:1]

    logs.write_output(bytewise())
    assert capfdbinary.readouterr().out.decode() == "\\x9b31m\\u202e é\\xff\n\\xc3\n"


def test_output_that_is_no_terminal_keeps_its_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.write_output([b"\x9b\xff\x1b", b"\xc3"])
    assert capfdbinary.readouterr().out == b"\x9b\xff\x1b\xc3"


def test_wrapped_text_is_escaped_and_its_colour_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    """`gcron why` and `gcron next` printed what gcron answered, and names, as they were."""
    print_wrapped(f"history: {NASTY}", paint=lambda line: f"<{line}>")
    assert capsys.readouterr().out == f"<history: {SHOWN}>\n"


@pytest.mark.parametrize("command", ["check", "list", "next", "timeline"])
def test_names_of_files_are_escaped(gcron: Gcron, write: Callable[..., str], command: str) -> None:
    """`gcron check` and `gcron list` printed ESC of the name of a file: a terminal did what the name said."""
    name = write("* * * * * true\n", "tab\x1b[31m\x9b\u202eé")
    other = write("* * * * * true\n", "other")
    done = gcron(command, name, other, PYTHONUTF8="1")
    assert done.returncode == 0, done.stderr
    assert r"tab\x1b[31m\x9b\u202eé" in done.stdout
    assert not set("\x1b\x9b\u202e") & set(done.stdout + done.stderr)
    missing = gcron(command, "no\x1b[31m", PYTHONUTF8="1")
    assert "\x1b" not in missing.stdout + missing.stderr


def test_columns_are_aligned_by_the_columns_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Widths were counted in characters: a job with a Japanese name, two columns each, moved the rest of its row."""
    from rich.cells import cell_len

    rows = [["日本語のジョブ", "ok"], ["backup", "ok"]]
    print_columns((Column("JOB", 6), Column("LAST", 4)), rows)
    lines = capsys.readouterr().out.splitlines()
    assert {cell_len(line[: line.index(word)]) for line, word in zip(lines, ("LAST", "ok", "ok"), strict=True)} == {16}
    monkeypatch.setattr(columns, "width", lambda: 14)
    print_columns((Column("JOB", 6), Column("LAST", 4)), rows)
    lines = capsys.readouterr().out.splitlines()
    assert "…" in lines[1]
    assert max(map(cell_len, lines)) <= 14
    assert {cell_len(line[: line.index(word)]) for line, word in zip(lines, ("LAST", "ok", "ok"), strict=True)} == {10}

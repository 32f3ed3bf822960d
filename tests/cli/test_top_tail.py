"""The end of a run's output, as `gcron top` keeps it."""

from __future__ import annotations

from gcron.cli.tui.tail import MOST_LINES, Tail


def test_text_comes_out_as_it_went_in() -> None:
    tail = Tail()
    for text in ("", "one\ntw", "o\n\n", "a\u2028b\rc"):
        tail.add(text)
    assert tail.take() == ("one\ntwo\n\na\u2028b\rc", False)
    assert tail.take() == ("", False)


def test_only_the_last_lines_are_kept() -> None:
    tail = Tail()
    for number in range(MOST_LINES + 2):
        tail.add(f"{number}\n")
    text, is_cut = tail.take()
    assert is_cut
    assert text.splitlines() == [str(number) for number in range(2, MOST_LINES + 2)]
    tail.add("more\n")
    assert tail.take() == ("more\n", False)


def test_only_the_last_mebibyte_is_kept() -> None:
    tail = Tail()
    tail.add(("x" * 900 + "\n") * 2000)
    text, is_cut = tail.take()
    assert is_cut
    assert 1024 * 1024 - 1000 < len(text) <= 1024 * 1024


def test_a_line_without_an_end_is_broken() -> None:
    """`yes | tr -d '\\n'` made one line of all its output; each new piece was added to it."""
    tail = Tail()
    for _ in range(9):
        tail.add("x" * 300)
    tail.add("x" * 2500 + "\n")
    text, _ = tail.take()
    assert max(map(len, text.split("\n"))) <= 1000
    assert text.replace("\n", "") == "x" * (9 * 300 + 2500)
    tail.add("x" * 1000 + "\n" + "y" * 1000)
    tail.add("\n")
    assert tail.take() == ("x" * 1000 + "\n" + "y" * 1000 + "\n", False), "an end that comes late adds no empty line"

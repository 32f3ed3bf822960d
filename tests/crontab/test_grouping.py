"""The groups of several files together."""

from __future__ import annotations

from gcron.crontab import find_group_mistakes, group_limits, parse, render


def test_a_group_of_one_file_holds_for_all() -> None:
    files = [parse("# gcron-group: db limit=2\n", "a"), parse("# gcron: group=db\n@daily true\n", "b")]

    assert list(find_group_mistakes(files)) == []
    assert group_limits(files) == {"db": 2}


def test_the_same_limit_twice_is_no_mistake_another_one_is() -> None:
    texts = ("# gcron-group: db limit=2\n", "# gcron-group: db limit=2\n", "\n# gcron-group: db limit=3\n")
    files = [parse(text, path) for path, text in zip("abc", texts, strict=True)]

    assert [render(problem) for problem in find_group_mistakes(files)] == [
        "c:2:1: error: the group db has limit=2 in a:1\n  hint: give it one limit, or another name"
    ]
    assert len(list(find_group_mistakes([files[0]], {"db": 5}))) == 1


def test_a_group_that_nobody_declares_is_told_once_a_file_with_the_nearest() -> None:
    text = "# gcron-group: database limit=1\n# gcron-defaults: group=databse\n@daily a\n@daily b\n"

    assert [render(problem) for problem in find_group_mistakes([parse(text, "a")])] == [
        "a:3:1: error: there is no group databse\n"
        "  hint: did you mean database?; or declare it: # gcron-group: databse limit=1"
    ]

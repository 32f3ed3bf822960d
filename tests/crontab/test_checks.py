"""What is found across files that are loaded together: names, options, services, groups, users."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from gcron.crontab import Entry, Problem, find_group_mistakes, group_limits, parse, render
from gcron.crontab.checks import find_lines_of_others, find_taken_names, find_useless_options, find_wrong_after


def entries(**texts: str) -> list[Entry]:
    """The entries of files, by their paths."""
    return [entry for path, text in texts.items() for entry in parse(text, path).entries]


def shown(problems: Iterable[Problem]) -> list[str]:
    return [render(problem) for problem in problems]


# -- names ------------------------------------------------------------------------------------------------------------


def test_a_name_that_another_file_has_is_an_error_with_both_places() -> None:
    found = find_taken_names(entries(a="@daily backup\n", b="\n@hourly backup\n", c="@hourly other\n"))

    assert shown(found) == ["b:2:1: error: the name 'backup' is taken by a:1\n  hint: give one of them another name="]


# -- options ----------------------------------------------------------------------------------------------------------


def test_an_option_that_means_nothing_is_a_warning() -> None:
    text = "# gcron: restart=never timeout=1m\n@daily job\n# gcron: retries=3 min-uptime=1m\n@service serve\n"

    assert shown(find_useless_options(entries(a=text))) == [
        "a:2:1: warning: restart= means nothing to a job that is no service\n  hint: it is ignored",
        "a:4:1: warning: retries= means nothing to a service\n  hint: it is ignored",
    ]


def test_useless_defaults_are_reported_once() -> None:
    text = "# gcron-defaults: timeout=1h restart=never\n" + "@daily job\n@service serve\n" * 3

    assert len(list(find_useless_options(entries(a=text)))) == 2


# -- services ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# gcron: after=cache\n@daily job\n# gcron: name=cache\n@service serve\n", []),
        (
            "# gcron: after=cach\n@daily job\n# gcron: name=cache\n@service serve\n",
            ["a:2:1: error: after= names 'cach', which does not exist\n  hint: did you mean cache?"],
        ),
        (
            "# gcron: after=other\n@daily job\n@daily other\n",
            [
                "a:2:1: error: after= names 'other', which is neither a service nor a @reboot job\n"
                "  hint: only those can be waited for"
            ],
        ),
        (
            "# gcron: name=a after=b\n@service serve\n# gcron: name=b after=a\n@service serve\n",
            ["a:2:1: error: services wait for one another: a after b after a\n  hint: leave one of these after= out"],
        ),
        (
            "# gcron: ready-line=up output=raw\n@service serve\n",
            [
                "a:2:1: error: ready-line= never sees a line with output=raw\n"
                "  hint: say output=lines, or ask with ready-when="
            ],
        ),
    ],
)
def test_waiting_for_what_never_comes_is_an_error(text: str, expected: list[str]) -> None:
    assert shown(find_wrong_after(entries(a=text))) == expected


# -- groups -----------------------------------------------------------------------------------------------------------


def test_a_group_of_one_file_holds_for_all() -> None:
    files = [parse("# gcron-group: db limit=2\n", "a"), parse("# gcron: group=db\n@daily true\n", "b")]

    assert list(find_group_mistakes(files)) == []
    assert group_limits(files) == {"db": 2}


def test_a_group_with_the_same_limit_twice_is_right_and_with_another_limit_wrong() -> None:
    texts = ("# gcron-group: db limit=2\n", "# gcron-group: db limit=2\n", "\n# gcron-group: db limit=3\n")
    files = [parse(text, path) for path, text in zip("abc", texts, strict=True)]

    assert shown(find_group_mistakes(files)) == [
        "c:2:1: error: the group db has limit=2 in a:1\n  hint: give it one limit, or another name"
    ]
    assert len(list(find_group_mistakes([files[0]], {"db": 5}))) == 1


def test_a_group_that_is_not_declared_is_reported_once_a_file_with_the_nearest_one() -> None:
    text = "# gcron-group: database limit=1\n# gcron-defaults: group=databse\n@daily a\n@daily b\n"

    assert shown(find_group_mistakes([parse(text, "a")])) == [
        "a:3:1: error: there is no group databse\n"
        "  hint: did you mean database?; or declare it: # gcron-group: databse limit=1"
    ]


# -- users ------------------------------------------------------------------------------------------------------------

SYSTEM = "0 1 * * * root a\n0 2 * * * kim b\n0 3 * * * pat c\n# gcron: user=1000\n0 4 * * * pat d\n"


def test_lines_of_other_users_are_errors_without_root() -> None:
    found = list(find_lines_of_others(parse(SYSTEM, "a", system=True).entries, 1000, "kim"))

    assert [(problem.line, problem.message) for problem in found] == [
        (1, "runs as root, which only root can have it do; this gcron runs as kim"),
        (3, "runs as pat, which only root can have it do; this gcron runs as kim"),
    ]
    assert [problem.hint for problem in found] == [
        "run gcron as root",
        "run gcron as root, or as pat with the lines of that user alone",
    ]


def test_root_runs_lines_of_all_users() -> None:
    assert list(find_lines_of_others(parse(SYSTEM, "a", system=True).entries, 0, "root")) == []

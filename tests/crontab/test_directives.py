"""`# gcron:` comments: which entry they are for, how values are written, names."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from gcron.crontab import parse
from gcron.crontab.directive import split_words, unquote
from gcron.crontab.problem import LineError
from gcron.policy import Policy


def policies(text: str) -> list[Policy]:
    crontab = parse(text)
    assert crontab.errors == ()
    return [entry.policy for entry in crontab.entries]


def names(text: str) -> list[str]:
    return [entry.name for entry in parse(text).entries]


def test_directives_belong_to_the_next_entry_only() -> None:
    first, second = policies("# gcron: timeout=2h\n# gcron: overlap=allow\n\nA=1\n0 1 * * * a\n0 2 * * * b\n")

    assert first == Policy(timeout=7200.0, overlap="allow")
    assert second == Policy()


def test_defaults_hold_for_all_entries_below_and_are_overridden() -> None:
    text = "0 1 * * * a\n# gcron-defaults: timeout=1m kill-after=5s\n# gcron: timeout=2m\n0 2 * * * b\n0 3 * * * c\n"

    assert policies(text) == [
        Policy(),
        Policy(timeout=120.0, kill_after=5.0),
        Policy(timeout=60.0, kill_after=5.0),
    ]


def test_entries_with_the_same_defaults_share_one_policy() -> None:
    first, second = policies("# gcron-defaults: timeout=1m\n0 1 * * * a\n0 2 * * * b\n")

    assert first is second


def test_a_value_may_be_quoted() -> None:
    (policy,) = policies("# gcron: description='nightly dump' cwd=\"/srv/a b\"\n0 1 * * * a\n")

    assert (policy.description, policy.cwd) == ("nightly dump", "/srv/a b")


def test_tz_overrides_cron_tz() -> None:
    text = "CRON_TZ=Asia/Tokyo\n# gcron: tz=UTC\n0 1 * * * a\n0 1 * * * b\n"

    assert [entry.tz for entry in parse(text).entries] == ["UTC", "Asia/Tokyo"]


def test_a_commented_directive_is_a_comment() -> None:
    assert policies("## gcron: timeout=2h\n# see gcron: the manual\n0 1 * * * a\n") == [Policy()]


def test_a_bad_entry_takes_its_directives_with_it() -> None:
    crontab = parse("# gcron: timeout=2h\n61 * * * * a\n0 2 * * * b\n")

    assert [entry.policy for entry in crontab.entries] == [Policy()]
    assert len(crontab.errors) == 1


@given(st.text(alphabet=" \t'\"\\abc#=é", max_size=20))
def test_words_are_those_of_shlex(text: str) -> None:
    try:
        expected: list[str] | None = shlex.split(text)
    except ValueError:
        expected = None

    try:
        found: list[str] | None = [unquote(text, start, end) for start, end in split_words(text)]
    except LineError:
        found = None

    assert found == expected


def test_every_replaces_the_fields_that_other_crons_read() -> None:
    entry = parse("# gcron: every=2s\n* * * * * date\n").entries[0]

    assert entry.schedule_text == "@every 2s"
    assert entry.schedule.next_after(10) == 12
    assert entry.command == "date"


def test_fields_that_every_replaces_are_still_checked() -> None:
    (problem,) = parse("# gcron: every=2s\n61 * * * * date\n").errors

    assert (problem.line, problem.column) == (2, 1)


def test_a_bad_period_is_an_error_at_its_place() -> None:
    (problem,) = parse("# gcron: every=soon\n* * * * * date\n").errors

    assert (problem.line, problem.column) == (1, 16)
    assert "every cannot be 'soon'" in problem.message

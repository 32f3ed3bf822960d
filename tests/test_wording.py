"""Numbers in words."""

from __future__ import annotations

import doctest

import pytest

from gcron import wording


def test_the_examples_are_true() -> None:
    found = doctest.testmod(wording)
    assert (found.failed, found.attempted > 4) == (0, True)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1000, "1,000 runs"), (1_234_567, "1,234,567 runs")]
)
def test_counts_read_alike_in_all_views(count: int, text: str) -> None:
    """There were two functions: the pages wrote 1,000 runs and the commands 1000 runs."""
    assert wording.plural(count, "run") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"), (86_400, "1 d 0 h")],
)
def test_a_time_to_wait_is_rounded(seconds: float, text: str) -> None:
    assert wording.describe_span(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(95, "1m35s"), (60, "1m"), (5400, "1h30m"), (90_000, "25h"), (0, "0s")])
def test_messages_write_lengths_of_time_as_options_do(seconds: float, text: str) -> None:
    """A message wrote `95s` where the log and the options write `1m35s`."""
    assert wording.option_span(seconds) == text

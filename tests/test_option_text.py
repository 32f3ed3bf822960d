"""Options as people write them: what is shown can be put into a directive, and means the same."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.policy import OPTIONS
from gcron.policy.wording import option_text


def plain(value: Any) -> Any:
    """As the API has it."""
    if isinstance(value, Enum):
        return value.name
    return sorted(value) if isinstance(value, frozenset) else list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("timeout", "2h"),
        ("timeout", "none"),
        ("expect-within", "25h"),
        ("keep-for", "30d"),
        ("kill-after", "1h30m"),
        ("jitter", "1.5s"),
        ("jitter", "0s"),
        ("notify-again", "8d6h"),
        ("retry-backoff", "1.5"),
        ("retries", "3"),
        ("enabled", "no"),
        ("stop-signal", "INT"),
        ("success-codes", "0,3"),
        ("after", "a,b"),
        ("umask", "027"),
        ("nice", "-5"),
        ("keep-output", "64K"),
        ("rlimit-as", "2G"),
        ("rlimit-core", "unlimited"),
        ("rlimit-cpu", "60"),
        ("rlimit-nofile", "1024"),
        ("memory-max", "512M"),
        ("cpu-max", "150%"),
        ("tasks-max", "100"),
        ("on-failure", "logger it failed"),
    ],
)
def test_an_option_is_shown_as_people_write_it(name: str, text: str) -> None:
    """`gcron status JOB` showed timeout=7200.0."""
    assert option_text(name, plain(OPTIONS[name].read(text))) == text


@given(st.sampled_from(["timeout", "jitter", "kill-after"]), st.floats(0.001, 10_000_000).map(lambda at: round(at, 3)))
def test_a_duration_that_is_shown_means_the_same(name: str, seconds: float) -> None:
    assert OPTIONS[name].read(option_text(name, seconds)) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("name", [name for name, row in OPTIONS.items() if row.default is not None])
def test_each_default_that_is_shown_means_the_same(name: str) -> None:
    value = OPTIONS[name].read(OPTIONS[name].default)
    assert OPTIONS[name].read(option_text(name, plain(value))) == value

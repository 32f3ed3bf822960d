"""The table of options: values, keyword arguments, and the tables in the documentation."""

import re
import signal
from itertools import takewhile
from pathlib import Path
from typing import get_args

import pytest

from gcron.policy import OPTIONS, Policy, PolicyError, options_of
from gcron.policy.keywords import CommandOptions, FunctionOptions, ServiceOptions
from gcron.policy.options import Scope
from gcron.policy.services import find_useless
from gcron.schedule import parse
from gcron.scheduler import Job

KEYWORDS = (CommandOptions, ServiceOptions, FunctionOptions)
FIELDS = Policy.__match_args__  # type: ignore[attr-defined]
DOCS = Path(__file__).parents[1] / "docs" / "crontab.md"
LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


def test_every_row_is_a_field_and_every_field_a_row() -> None:
    """A row has its name written twice, for the table and for type checkers: the two must be the same."""
    assert [option.attribute for option in OPTIONS.values()] == list(FIELDS)


def test_a_row_has_a_help_text_and_a_default_that_its_reader_takes() -> None:
    for option in OPTIONS.values():
        assert option.help
        assert getattr(Policy(), option.attribute) == (None if option.default is None else option.read(option.default))


@pytest.mark.parametrize("scope", get_args(Scope))
def test_the_documentation_has_each_row_with_its_help_and_default(scope: str) -> None:
    rows = [
        f"| `{option.name}` | {f'`{option.default}` ' if option.default else ''}| {option.help} |"
        for option in OPTIONS.values()
        if option.scope == scope
    ]

    assert rows
    assert documented_rows(scope) == rows


def documented_rows(scope: str) -> list[str]:
    """The rows below the heading for the scope in docs/crontab.md, section 4, with the texts of links."""
    lines = iter(DOCS.read_text(encoding="utf-8").splitlines())
    assert f"### Options of {scope}" in lines
    return [LINK.sub(r"\1", line) for line in takewhile(lambda line: line[:1] != "#", lines) if line.startswith("| `")]


def test_no_options_are_the_defaults() -> None:
    assert Policy.from_options({}) == Policy()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("overlap", "allow", "allow"),
        ("timeout", 60, 60.0),
        ("timeout", "1h30m", 5400.0),
        ("timeout", None, None),
        ("timeout", "none", None),
        ("kill_after", 0, 0.0),
        ("stop_signal", "INT", signal.SIGINT),
        ("stop_signal", "SIGINT", signal.SIGINT),
        ("stop_signal", signal.SIGQUIT, signal.SIGQUIT),
        ("retries", "3", 3),
        ("retries", 0, 0),
        ("retry_delay", "1m", 60.0),
        ("retry_backoff", "1.5", 1.5),
        ("retry_max_delay", 5, 5.0),
        ("jitter", "2s", 2.0),
        ("success_codes", "0,3", frozenset({0, 3})),
        ("success_codes", (0, 3), frozenset({0, 3})),
        ("success_codes", 3, frozenset({3})),
        ("cwd", "/srv", "/srv"),
        ("shell", "/bin/bash", "/bin/bash"),
        ("enabled", "no", False),
        ("enabled", True, True),
        ("description", "nightly", "nightly"),
        ("group", "db", "db"),
        ("catchup", "last", "last"),
        ("start_deadline", "1h", 3600.0),
        ("user", "www-data", "www-data"),
        ("user", 33, "33"),
        ("umask", "027", 0o27),
        ("umask", 0o77, 0o77),
        ("nice", "-5", -5),
        ("nice", 19, 19),
        ("env_file", "/etc/backup.env", "/etc/backup.env"),
        ("rlimit_as", "512M", 512 << 20),
        ("rlimit_fsize", "1g", 1 << 30),
        ("rlimit_core", 0, 0),
        ("rlimit_nofile", "1024", 1024),
        ("rlimit_nproc", "unlimited", -1),
        ("memory_max", "512M", 512 << 20),
        ("memory_max", 1, 1),
        ("memory_max", "unlimited", None),
        ("cpu_max", "150%", 150),
        ("cpu_max", 20, 20),
        ("cpu_max", "unlimited", None),
        ("tasks_max", "100", 100),
        ("tasks_max", None, None),
        ("output", "raw", "raw"),
        ("expect_within", "25h", 90000.0),
        ("expect_within", "none", None),
        ("after", "cache, db", ("cache", "db")),
        ("after", ["cache", "cache"], ("cache",)),
        ("after", "", ()),
        ("restart", "on-failure", "on-failure"),
        ("restart_delay", 0, 0.0),
        ("restart_limit", "5", 5),
        ("min_uptime", "10s", 10.0),
        ("ready_when", "redis-cli ping", "redis-cli ping"),
        ("ready_line", "^Ready", "^Ready"),
        ("keep_runs", "1000000", 1_000_000),  # it was refused as no whole number
    ],
)
def test_a_value_is_read(key: str, value: object, expected: object) -> None:
    assert getattr(Policy.from_options({key: value}), key) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("overlap", "wait"),
        ("queue_limit", -1),
        ("overlap", ["skip"]),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", float("inf")),
        ("timeout", float("nan")),
        ("timeout", True),
        ("timeout", "soon"),
        ("kill_after", "9" * 400),
        ("kill_after", None),
        ("stop_signal", "15"),
        ("stop_signal", 15.0),
        ("retries", -1),
        ("retries", "many"),
        ("retries", 1.5),
        ("retries", True),
        ("retries", "9" * 30),
        ("retry_delay", "soon"),
        ("retry_backoff", 0.5),
        ("retry_backoff", "inf"),
        ("retry_backoff", "nan"),
        ("retry_backoff", None),
        ("jitter", -1),
        ("success_codes", ""),
        ("success_codes", "256"),
        ("success_codes", (True,)),
        ("success_codes", -1),
        ("success_codes", None),
        ("cwd", ""),
        ("cwd", "a\0b"),
        ("shell", 3),
        ("enabled", "maybe"),
        ("enabled", 1),
        ("description", 3),
        ("group", "two words"),
        ("catchup", "first"),
        ("start_deadline", None),
        ("user", "a b"),
        ("user", ""),
        ("user", -1),
        ("umask", "9"),
        ("umask", 0o1000),
        ("umask", True),
        ("nice", 20),
        ("nice", "-21"),
        ("nice", "low"),
        ("env_file", ""),
        ("rlimit_as", "512X"),
        ("rlimit_as", "-1M"),
        ("rlimit_as", True),
        ("rlimit_cpu", "60M"),
        ("rlimit_nofile", 1 << 63),
        ("memory_max", 0),
        ("memory_max", "0M"),
        ("memory_max", "half"),
        ("cpu_max", "1.5"),
        ("cpu_max", "150"),
        ("cpu_max", 1.5),
        ("cpu_max", "0%"),
        ("cpu_max", True),
        ("tasks_max", "100M"),
        ("tasks_max", 0),
        ("output", "file"),
        ("expect_within", 0),
        ("after", "a,,b"),
        ("after", 3),
        ("restart", "yes"),
        ("restart_limit", -1),
        ("min_uptime", None),
        ("ready_when", " "),
        ("ready_line", "("),
        ("ready_line", 3),
    ],
)
def test_a_bad_value_is_refused_with_its_key(key: str, value: object) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.from_options({key: value})

    assert caught.value.key.replace("-", "_") == key


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.from_options({"kil_after": 3})

    assert (caught.value.key, caught.value.hint) == ("kil_after", "did you mean kill_after?")


def test_the_typed_keywords_are_the_rows() -> None:
    command, service, function = (set(options.__annotations__) for options in KEYWORDS)

    assert command | service == set(FIELDS)
    assert function == (command | service) - set(options_of("processes"))


@pytest.mark.parametrize(("keywords", "schedule"), [(CommandOptions, "@daily"), (ServiceOptions, "@service")])
def test_the_typed_keywords_are_those_that_mean_something(keywords: type, schedule: str) -> None:
    everything = Policy(**dict.fromkeys(FIELDS, object()))  # no value is the default
    useless = find_useless(Job("job", parse(schedule), lambda: None, everything))

    assert set(keywords.__annotations__) == set(FIELDS) - {name.replace("-", "_") for name in useless}

"""The table of options, as Python calls use it."""

import dataclasses
import signal

import pytest

from gcron.policy import OPTIONS, Policy, PolicyError
from gcron.policy.keywords import CommandOptions, FunctionOptions, ServiceOptions
from gcron.policy.services import find_useless
from gcron.schedule import parse
from gcron.scheduler import Job
from gcron.supervise.command import OF_PROCESSES

KEYWORDS = (CommandOptions, ServiceOptions, FunctionOptions)


def test_every_option_is_a_field_and_every_field_an_option() -> None:
    fields = {field.name for field in dataclasses.fields(Policy)}

    assert {option.attribute for option in OPTIONS.values()} == fields


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
    ],
)
def test_a_value_is_taken(key: str, value: object, expected: object) -> None:
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
def test_a_bad_value_is_refused_by_its_key(key: str, value: object) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.from_options({key: value})

    assert caught.value.key.replace("-", "_") == key


def test_an_unknown_key_is_refused_with_the_nearest() -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.from_options({"kil_after": 3})

    assert (caught.value.key, caught.value.hint) == ("kil_after", "did you mean kill_after?")


def test_the_typed_keywords_are_the_options() -> None:
    command, service, function = (set(options.__annotations__) for options in KEYWORDS)

    assert command | service == {field.name for field in dataclasses.fields(Policy)}
    assert function == (command | service) - set(OF_PROCESSES)


@pytest.mark.parametrize(("keywords", "schedule"), [(CommandOptions, "@daily"), (ServiceOptions, "@service")])
def test_the_typed_keywords_are_those_that_mean_something(keywords: type, schedule: str) -> None:
    names = [field.name for field in dataclasses.fields(Policy)]
    everything = Policy(**dict.fromkeys(names, object()))  # no value as it is by default
    useless = find_useless(Job("job", parse(schedule), lambda: None, everything))

    assert set(keywords.__annotations__) == set(names) - {name.replace("-", "_") for name in useless}

"""The variables that gcron gives to jobs and commands: one table, and none of them is a setting."""

from __future__ import annotations

import argparse

from gcron.cli.options import make_parser
from gcron.cli.parser import variables_of
from gcron.notify.command import variables_of as variables_of_message
from gcron.notify.message import Message
from gcron.supervise.command import Identity
from gcron.variables import NO_SETTINGS, OF_MESSAGES, OF_NODES, OF_RUNS


def settings() -> set[str]:
    (commands,) = [each for each in make_parser()._actions if isinstance(each, argparse._SubParsersAction)]
    return {variable for command in commands.choices.values() for variable, _ in variables_of(command)}


def test_what_jobs_and_commands_get_is_in_the_table() -> None:
    assert Identity("a", "r", 7, 2, "m").variables() == {
        "GCRON_JOB": "a",
        "GCRON_RUN_ID": "r",
        "GCRON_FIRE_AT": "7",
        "GCRON_ATTEMPT": "2",
        "GCRON_MARK": "m",
    }
    assert Identity("a", "r").variables().keys() == OF_RUNS.keys()
    assert Identity("a", "r", node="b").variables().keys() - OF_RUNS.keys() == {"GCRON_NODE"}
    shared = Identity("a", "r", node="b", fence=8).variables()
    assert (shared["GCRON_NODE"], shared["GCRON_FENCE"]) == ("b", "8")
    assert shared.keys() == OF_RUNS.keys() | OF_NODES.keys()
    assert variables_of_message(Message("m", "failure", 0.0, "t")).keys() == OF_MESSAGES.keys()


def test_a_value_of_zero_is_no_missing_value() -> None:
    variables = variables_of_message(Message("m", "success", 0.0, "t", record={"exit_code": 0, "reason": None}))

    assert (variables["GCRON_EXIT_CODE"], variables["GCRON_REASON"], variables["GCRON_TIMES"]) == ("0", "", "1")


def test_no_setting_has_the_name_of_such_a_variable() -> None:
    """`GCRON_COUNT` and `GCRON_OUTCOME` of an `on-failure=` command acted as `--count` and `--outcome`."""
    assert "GCRON_COUNT" in settings()
    assert not settings() & NO_SETTINGS

"""`argparse` as gcron's commands use it: it suggests what was meant, and takes defaults from the environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from typing import Any, NoReturn

from gcron.cli.terminal import columns

__all__ = ["CommandParser", "Parser"]

# Set in the environment of each job. A gcron that a job starts must not take it for an option.
_OF_JOBS = {"GCRON_JOB"}
_SWITCH = {
    "1": True,
    "yes": True,
    "true": True,
    "on": True,
    "": False,
    "0": False,
    "no": False,
    "false": False,
    "off": False,
}


class _Formatter(argparse.HelpFormatter):
    """Wraps a description to the width of the terminal. Text of several lines (examples) stays as it is."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """The parser of a command line; an error names the nearest valid word and where to read on."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, formatter_class=_Formatter, **settings)

    def print_help(self, file: Any = None) -> None:
        """See `ArgumentParser.print_help`; that one ignores an error of the write."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """See `ArgumentParser.error`."""
        super().error(f"{message} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        hint = _did_you_mean(str(value), choices) or f" (choose from {', '.join(choices)})"
        raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint}")


class CommandParser(Parser):
    """The parser of one command. `GCRON_…` variables are the defaults of its long options."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `ArgumentParser.parse_known_args`."""
        for action in self._actions:
            self._take_default_from_environment(action)
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:  # an error here, with the usage of this command; argparse would print that of `gcron`
            hint = _did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return parsed, unknown

    def _take_default_from_environment(self, action: argparse.Action) -> None:
        option = next((option for option in action.option_strings if option.startswith("--")), "--help")
        variable = "GCRON_" + option[2:].replace("-", "_").upper()
        value = os.environ.get(variable)
        if value is None or option == "--help" or variable in _OF_JOBS:
            return
        try:
            action.default = _read_switch(value) if action.nargs == 0 else self._get_values(action, [value])
        except (argparse.ArgumentError, ValueError) as error:
            self.error(f"{variable}: {getattr(error, 'message', error)}")


def _read_switch(value: str) -> bool:
    if value.lower() not in _SWITCH:
        raise ValueError(f"cannot be {value!r}: yes or no")
    return _SWITCH[value.lower()]


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    from gcron.policy import closest  # slow to import, and only needed for errors

    close = closest(word, known)
    return "" if close is None else f"; did you mean {close}?"

"""`argparse` as gcron's commands use it: it suggests what was meant, and takes defaults from the environment."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

from gcron.cli.messages import say
from gcron.cli.terminal import columns
from gcron.spelling import closest
from gcron.variables import NO_SETTINGS

__all__ = ["CommandParser", "Parser", "Several", "read_count", "variables_of"]

_PREFIX = "GCRON_"
_MACHINE_FORMATS = ("json", "logfmt")
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


class Several(argparse.Action):
    """An option that may be given several times. Its `type` returns a tuple; the tuples are joined.

    On the command line it replaces what the environment says, as all options do.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """See `argparse.Action.__call__`."""
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if before is self.default else before + values)


class CommandParser(Parser):
    """The parser of one command. `GCRON_…` variables are the defaults of its long options.

    The result has two more attributes. `variables`: which options have their value from the environment, and from
    which variable. `other_variables`: the `GCRON_…` variables that are no options of this command.
    """

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, **settings)
        self.find_mistake: Callable[[argparse.Namespace], str] = lambda parsed: ""
        """Returns what is wrong with the arguments taken together, or an empty text."""
        self._words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `ArgumentParser.parse_known_args`."""
        self._words = args = self._join_moments(args or ())
        variables = dict(variables_of(self))
        found = {variable: action for variable, action in variables.items() if variable in os.environ}
        for variable, action in found.items():
            self._take_default(action, variable, os.environ[variable])
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:  # an error here, with the usage of this command; argparse would print that of `gcron`
            hint = _did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        if mistake := self.find_mistake(parsed):
            self.error(mistake)
        # A value from the command line is another object than the default, even if both are equal.
        parsed.variables = {
            action.dest: variable
            for variable, action in found.items()
            if getattr(parsed, action.dest) is action.default
        }
        settings = {name for name in os.environ if name.startswith(_PREFIX)}
        parsed.other_variables = sorted(settings - variables.keys() - NO_SETTINGS)
        return parsed, unknown

    def _join_moments(self, words: Sequence[str]) -> list[str]:
        """Make `--since=-1d` of `--since -1d`: argparse takes every word that begins with a dash for an option."""
        joined: list[str] = []
        for word in words:
            action = self._option_string_actions.get(joined[-1]) if joined else None
            if action is not None and action.nargs is None and word[:1] == "-" and word[1:2].isdigit():
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        return joined

    def error(self, message: str) -> NoReturn:
        """See `Parser.error`. A log for machines gets a record, and no usage."""
        log_format = self._log_format()
        if log_format in _MACHINE_FORMATS:
            say(message, "error", log_format)
            self.exit(2)
        super().error(message)

    def _log_format(self) -> str:
        """Return the value of `--log-format` in a command line that may be wrong; "text" for other commands."""
        if "--log-format" not in self._option_string_actions:
            return "text"
        words = [word.removeprefix("--log-format=") for word in self._words if word.startswith("--log-format=")]
        words += [after for word, after in zip(self._words, self._words[1:], strict=False) if word == "--log-format"]
        return words[-1] if words else os.environ.get("GCRON_LOG_FORMAT", "text")

    def _take_default(self, action: argparse.Action, variable: str, value: str) -> None:
        try:
            action.default = _read_switch(value) if action.nargs == 0 else self._get_values(action, [value])
        except (argparse.ArgumentError, ValueError) as error:
            self._refuse(f"{variable}: {getattr(error, 'message', error)}")

    def _refuse(self, message: str) -> NoReturn:
        """End with one line: the usage would not help, for the words of the command line are right."""
        if self._log_format() in _MACHINE_FORMATS:
            self.error(message)
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def variables_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Yield the variables that a command reads, each with its option."""
    for action in parser._actions:
        option = next((option for option in action.option_strings if option.startswith("--")), "--help")
        variable = _PREFIX + option[2:].replace("-", "_").upper()
        if option != "--help" and variable not in NO_SETTINGS:
            yield variable, action


def _read_switch(value: str) -> bool:
    if value.lower() not in _SWITCH:
        raise ValueError(f"cannot be {value!r}: yes or no")
    return _SWITCH[value.lower()]


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = closest(word, known)
    return "" if close is None else f"; did you mean {close}?"


def read_count(text: str) -> int:
    """Read an option that is a number of things. Raises ArgumentTypeError."""
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):  # SQLite refuses larger ones
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)

"""The options of `gcron`'s commands: what they are called, what they take, and what `--help` says of them.

Each command has its parser here, so that `--help` answers without loading what the command needs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from typing import Any, NoReturn

from gcron.cli import texts
from gcron.version import __version__

__all__ = ["make_parser"]

# What a job finds in its environment says who it is; to a gcron that it starts, it is no option.
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
_FILES_HELP = "crontab files, or directories of them in the manner of cron.d"
_OR_STDIN = "; - is standard input"


class _Parser(argparse.ArgumentParser):
    """Says what was probably meant. Help that cannot be written is an error as for any other output, not silence."""

    def print_help(self, file: Any = None) -> None:
        """See `ArgumentParser.print_help`."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """See `ArgumentParser.error`."""
        super().error(f"{message} ({self.prog} --help tells more)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        hint = _did_you_mean(str(value), choices) or f" (choose from {', '.join(choices)})"
        raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint}")


class _CommandParser(_Parser):
    """The options of one command. Each has its default from the environment, when this command is called for."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `ArgumentParser.parse_known_args`."""
        for action in self._actions:
            self._take_default_from_environment(action)
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:  # told here, with the usage of this command; argparse would print that of the whole
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
            action.default = self._switch(value) if action.nargs == 0 else self._get_values(action, [value])
        except (argparse.ArgumentError, ValueError) as error:
            self.error(f"{variable}: {getattr(error, 'message', error)}")

    def _switch(self, value: str) -> bool:
        if value.lower() not in _SWITCH:
            raise ValueError(f"cannot be {value!r}: yes or no")
        return _SWITCH[value.lower()]


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        "gcron",
        description=texts.DESCRIPTION,
        epilog=texts.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gcron {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_CommandParser)
    _add_run(commands)
    _add_exec(commands)
    _add_check(commands)
    _add_next(commands)
    _add_explain(commands)
    _add_timeline(commands)
    _add_help(commands)
    _add_completion(commands, parser)
    return parser


def _add_run(commands: argparse._SubParsersAction[_CommandParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="run the jobs, in the foreground",
        description="Run the jobs of crontab files in the foreground, until TERM or Ctrl-C: then no new job starts, "
        "running ones may finish for --grace seconds, and what still runs is ended with its whole process tree.",
    )
    _add_files(parser, stdin="")
    parser.add_argument(
        "--grace",
        type=_seconds,
        default=30.0,
        metavar="DURATION",
        help="how long running jobs may take to finish at shutdown, such as 90s or 5m (default 30s)",
    )
    _add_log(parser)
    parser.add_argument(
        "--no-watch", action="store_true", help="reload at HUP and USR2 only, not when a file has changed"
    )


def _add_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-format",
        choices=("text", "json", "logfmt"),
        default="text",
        help="text for people, json and logfmt for machines",
    )
    parser.add_argument(
        "--split-logs",
        action="store_true",
        help="job output alone on stdout, what gcron itself has to say on stderr",
    )
    parser.add_argument(
        "--on-stall",
        choices=("drop", "block"),
        default="drop",
        help="when nobody reads the log any more: drop job output and count it (default), or let jobs wait",
    )


def _add_exec(commands: argparse._SubParsersAction[_CommandParser]) -> None:
    parser = commands.add_parser(
        "exec",
        help="run one job now, in the foreground",
        description="Run one job now, in the foreground, exactly as the scheduler would: with its\n"
        "environment, user, directory and limits, without a terminal. What it prints is\n"
        "passed through, byte for byte.",
        epilog=texts.EXEC_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs=1, metavar="FILE", help="crontab file, or a directory of them")
    parser.add_argument("job", metavar="JOB", help="the job's name, as gcron next shows it")
    parser.add_argument("--system", action="store_true", help="the file has a user column, like /etc/crontab")
    parser.set_defaults(tz=None)


def _add_check(commands: argparse._SubParsersAction[_CommandParser]) -> None:
    parser = commands.add_parser(
        "check",
        help="say everything that is wrong with crontab files",
        description="Report every error and warning with file, line and column, and what would be\nright.",
        epilog=texts.CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_files(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a problem")
    parser.add_argument("--strict", action="store_true", help="warnings are a reason to fail, too")


def _add_next(commands: argparse._SubParsersAction[_CommandParser]) -> None:
    parser = commands.add_parser(
        "next",
        help="show what fires when",
        description="Show the fires to come, in order, with local times that are skipped or repeated\nmarked.",
        epilog=texts.NEXT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_files(parser)
    count = "how many fires (default 10; with --to, all of them up to 1000)"
    parser.add_argument("-n", "--count", type=_count, metavar="N", help=count)
    parser.add_argument("--job", metavar="NAME", help="only this job")
    _add_from(parser)
    parser.add_argument("--to", dest="end", metavar="TIME", help="up to and including this time")
    parser.add_argument("--json", action="store_true", help="one JSON object a fire")


def _add_explain(commands: argparse._SubParsersAction[_CommandParser]) -> None:
    parser = commands.add_parser(
        "explain",
        help="say a schedule in words",
        description="Say a schedule in words: its fields, its next fires, and what the next two\n"
        "changes of the clock (daylight saving time) do to it.",
        epilog=texts.EXPLAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("expression", nargs="+", metavar="EXPR", help="five fields in quotes, or a nickname")
    parser.add_argument(
        "--fields",
        choices=("seconds-first", "seconds-last", "year-last", "seconds-first+year"),
        metavar="ORDER",
        help="what six or seven fields are, as a crontab says by `# gcron-file: fields=`: seconds-first, "
        "seconds-last, year-last or seconds-first+year",
    )
    parser.add_argument("--tz", metavar="ZONE", help="zone of the schedule (default: this machine's)")
    parser.add_argument("--job", metavar="NAME", help="the job's name, from which H and ~ draw their values")
    parser.add_argument("-n", "--count", type=_count, default=5, metavar="N", help="how many fires (default 5)")
    _add_from(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_timeline(commands: argparse._SubParsersAction[_CommandParser]) -> None:
    parser = commands.add_parser(
        "timeline",
        help="draw the coming day",
        description="Draw the coming day, hours across and jobs down, to see where jobs pile up.",
    )
    _add_files(parser)
    _add_from(parser)
    parser.add_argument("--to", dest="end", metavar="TIME", help="up to this time (default: a day)")
    parser.add_argument("--rows", type=_count, metavar="N", help="how many jobs have a row of their own (default 40)")
    parser.add_argument("--json", action="store_true", help="one JSON object, with the fires of each job and column")


def _add_help(commands: argparse._SubParsersAction[_CommandParser]) -> None:
    parser = commands.add_parser(
        "help",
        help="show the documentation",
        description="Show a page of the documentation, or a part of one; without TOPIC, the list of\nthem.",
        epilog=texts.HELP_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="such as crontab, options, signals")
    parser.add_argument("--no-pager", action="store_true", help="print it all at once, not by $PAGER")


def _add_completion(commands: argparse._SubParsersAction[_CommandParser], whole: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "completion",
        help="print the script that completes gcron's options in your shell",
        description="Print the script with which a shell completes gcron's commands and options.",
        epilog=texts.COMPLETION_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), metavar="SHELL", help="bash, zsh or tcsh")
    parser.set_defaults(whole_parser=whole, command_parsers=tuple(commands.choices.values()))


def _add_from(parser: argparse.ArgumentParser) -> None:
    described = "start here: now, +2d, 2027-03-28 or 2027-03-28T02:30+01:00 (default now; without offset: in --tz)"
    parser.add_argument("--from", dest="start", default="now", metavar="TIME", help=described)


def _add_files(parser: argparse.ArgumentParser, stdin: str = _OR_STDIN) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=_FILES_HELP + stdin)
    parser.add_argument("--system", action="store_true", help="the files have a user column, like /etc/crontab")
    parser.add_argument("--tz", metavar="ZONE", help="zone of schedules that name none (default: this machine's)")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    from gcron.policy import closest

    close = closest(word, known)
    return "" if close is None else f"; did you mean {close}?"


def _seconds(text: str) -> float:
    from gcron.schedule import ScheduleError, parse_duration

    try:
        return parse_duration(text)
    except ScheduleError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)

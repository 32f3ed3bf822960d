"""The options of `gcron`'s commands: what they are called, what they take, and what `--help` says of them.

Each command has its parser here, so that `--help` answers without loading what the command needs.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from gcron.version import __version__

__all__ = ["make_parser"]

_DESCRIPTION = """\
A cron that supervises what it starts.

  gcron run crontab.example      run its jobs, here in the foreground
  gcron exec crontab.example JOB run one job now
  gcron check crontab.example    say everything that is wrong with it
  gcron next crontab.example     show what fires when
  gcron explain '30 2 * * mon'   say a schedule in words
"""
_EPILOG = """\
Every long option but --job can also be set in the environment: --log-format as GCRON_LOG_FORMAT.

Exit status: 0 all well; 1 a crontab, schedule or time is wrong or cannot be read; 2 the command line is wrong;
3 jobs had to be killed at shutdown; 4 something that cannot be killed is left; 130 Ctrl-C.
"""
_CHECK_EPILOG = """\
examples:
  gcron check crontab                 say what is wrong, with the place
  gcron check --strict crontab        fail on warnings too, in a pre-commit hook
  gcron check --system /etc/crontab   a file with a user column
  gcron check --json crontab          one object a line, for editors

exit status: 0 no errors; 1 errors, or with --strict warnings; 2 the command line is wrong
"""
_EXEC_EPILOG = """\
examples:
  gcron exec crontab backup                   works in my shell, but not in cron?
  gcron exec --system /etc/crontab logrotate  a file with a user column, as root
  gcron exec crontab report > report.csv      what it prints is all that goes there

exit status: the job's own; 128 + N when signal N has ended it, or gcron exec was told to stop by it; 124 when its
timeout has; 125 when gcron itself fails: the file, the job's name; 126, 127 when it cannot be started
"""
_NEXT_EPILOG = """\
examples:
  gcron next crontab                                        the next ten fires of all jobs
  gcron next -n 3 --job backup crontab                      the next three of one job
  gcron next --from 2027-03-28 --to 2027-03-29 crontab      what happens on the night of a clock change
  gcron next --from=-1d --to now crontab                    what was due since yesterday

exit status: 0 shown; 1 a file, job or time is wrong; 2 the command line is wrong
"""
_EXPLAIN_EPILOG = """\
examples:
  gcron explain '30 2 1 * mon'                  the 1st or a Monday? either
  gcron explain '30 2 * * *' --tz Europe/Paris  with what clock changes in Paris do to it
  gcron explain 'H H * * *' --job backup        the time that the job named backup draws
  gcron explain '@every 90s'

exit status: 0 explained; 1 the schedule, zone or time is wrong; 2 the command line is wrong
"""
_COMPLETION_EPILOG = """\
put it where the shell looks:
  gcron completion bash > ~/.local/share/bash-completion/completions/gcron
  gcron completion zsh > ~/.zfunc/_gcron      with fpath+=~/.zfunc before compinit in .zshrc
  gcron completion tcsh > ~/.gcron.tcsh       with source ~/.gcron.tcsh in .tcshrc
"""
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


class _CommandParser(argparse.ArgumentParser):
    """The options of one command. Each has its default from the environment, when this command is called for."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `ArgumentParser.parse_known_args`."""
        for action in self._actions:
            self._take_default_from_environment(action)
        return super().parse_known_args(args, namespace)

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
    parser = argparse.ArgumentParser(
        "gcron", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"gcron {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_CommandParser)
    _add_run(commands)
    _add_exec(commands)
    _add_check(commands)
    _add_next(commands)
    _add_explain(commands)
    _add_timeline(commands)
    _add_completion(commands, parser)
    return parser


def _add_run(commands: argparse._SubParsersAction[_CommandParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="run the jobs, in the foreground",
        description="Run the jobs of crontab files in the foreground, until TERM or Ctrl-C: then no new job starts, "
        "running ones may finish for --grace seconds, and what still runs is ended with its whole process tree.",
    )
    _add_files(parser)
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
        description="Run one job now, in the foreground, exactly as the scheduler would: with its environment, user,\n"
        "directory and limits, without a terminal. What it prints is passed through, byte for byte.",
        epilog=_EXEC_EPILOG,
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
        description="Report every error and warning with file, line and column, and what would be right.",
        epilog=_CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_files(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a problem")
    parser.add_argument("--strict", action="store_true", help="warnings are a reason to fail, too")


def _add_next(commands: argparse._SubParsersAction[_CommandParser]) -> None:
    parser = commands.add_parser(
        "next",
        help="show what fires when",
        description="Show the fires to come, in order, with local times that are skipped or repeated marked.",
        epilog=_NEXT_EPILOG,
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
        description="Say a schedule in words: its fields, its next fires, and what the next two changes of the clock\n"
        "(daylight saving time) do to it.",
        epilog=_EXPLAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("expression", nargs="+", metavar="EXPR", help="five fields in quotes, or a nickname")
    parser.add_argument(
        "--fields",
        choices=("seconds-first", "seconds-last", "year-last", "seconds-first+year"),
        help="what six or seven fields are, as a crontab says by `# gcron-file: fields=`",
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


def _add_completion(commands: argparse._SubParsersAction[_CommandParser], whole: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "completion",
        help="print the script that completes gcron's options in your shell",
        description="Print the script with which a shell completes gcron's commands and options.",
        epilog=_COMPLETION_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), metavar="SHELL", help="bash, zsh or tcsh")
    parser.set_defaults(whole_parser=whole, command_parsers=tuple(commands.choices.values()))


def _add_from(parser: argparse.ArgumentParser) -> None:
    described = "start here: now, +2d, 2027-03-28 or 2027-03-28T02:30+01:00 (default now; without offset: in --tz)"
    parser.add_argument("--from", dest="start", default="now", metavar="TIME", help=described)


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=_FILES_HELP)
    parser.add_argument("--system", action="store_true", help="the files have a user column, like /etc/crontab")
    parser.add_argument("--tz", metavar="ZONE", help="zone of schedules that name none (default: this machine's)")


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

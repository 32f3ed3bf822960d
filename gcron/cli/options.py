"""The commands of `gcron`: their options, and what `--help` prints.

All of them are here and in `control_options.py`, so that `--help` answers without loading what a command needs. The
module is long because most of its lines are texts of `--help`. Examples and statuses are written for terminals of 80
columns.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from gcron.cli.control_options import CONTROL_COMMANDS, add_http_options, add_run_options
from gcron.cli.node_options import add_node_options, find_useless_node_options
from gcron.cli.option_values import (
    read_instance,
    read_mailer,
    read_notify_keep,
    read_paths,
    read_record_limit,
    read_seconds,
    read_user_ids,
    read_watchdog,
    reader_of,
)
from gcron.cli.parser import CommandParser, Parser, Several, read_count, variables_of
from gcron.version import __version__

__all__ = ["describe_unknown_settings", "make_parser"]

_Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line. With the name of a command it knows `only` this one: that is quicker."""
    parser = Parser("gcron", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"gcron {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog="gcron", parser_class=CommandParser
    )
    for name in [only] if only in _COMMANDS else _COMMANDS:
        _COMMANDS[name](commands)
    return parser


_DESCRIPTION = """\
A cron that supervises what it starts.

  gcron run crontab.example      run its jobs, here in the foreground
  gcron exec crontab.example JOB run one job now
  gcron check crontab.example    show everything that is wrong with it
  gcron list crontab.example     list its jobs
  gcron next crontab.example     show what fires when
  gcron explain '30 2 * * mon'   explain a schedule in words
  gcron status                   show how the jobs of a gcron that runs stand
  gcron logs backup              show what its job backup printed last
  gcron help                     list the topics of the documentation
"""
_EPILOG = """\
Every long option except --job, --node and --outcome can also be set in the
environment: --log-format as GCRON_LOG_FORMAT.

Exit status: 0 all well; 1 a crontab, schedule or time is wrong or cannot be
read, or a request was refused; 2 the command line is wrong; 130 Ctrl-C.
Of run: 3 jobs had to be killed at shutdown; 4 a process that cannot be killed
is left; 5 a service has failed for good; 6 a part of gcron itself has died.
Of the commands from status to reload, which talk to a gcron that runs:
3 no gcron to talk to; 4 there is no such job.
"""


def describe_unknown_settings(variables: Sequence[str]) -> Iterator[str]:
    """Yield a message for each of these variables that no command reads."""
    if not variables:
        return
    from gcron.spelling import closest

    commands = argparse.ArgumentParser().add_subparsers(parser_class=CommandParser)
    for add in _COMMANDS.values():
        add(commands)
    known = {variable for command in commands.choices.values() for variable, _ in variables_of(command)}
    for variable in variables:
        if variable not in known:
            close = closest(variable, known)
            hint = "" if close is None else f"; did you mean {close}?"
            yield f"the variable {variable} is no setting of gcron{hint}"


def _add_run(commands: _Commands) -> None:
    parser = commands.add_parser(
        "run",
        help="run the jobs, in the foreground",
        description="Run the jobs of crontab files in the foreground, until TERM or Ctrl-C. Then no new job starts, "
        "running jobs have --grace seconds to finish, and those that still run are ended with their process trees.",
    )
    _add_files(parser)
    parser.add_argument(
        "--grace",
        type=read_seconds,
        metavar="DURATION",
        help="how long running jobs may take to finish at shutdown, such as 90s or 5m (default 30s; 8s as process 1)",
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json", "logfmt"),
        default="text",
        help="text for people, json and logfmt for machines",
    )
    parser.add_argument(
        "--split-logs", action="store_true", help="job output alone on stdout, gcron's own messages on stderr"
    )
    parser.add_argument(
        "--record-limit",
        type=read_record_limit,
        default=16384,
        metavar="BYTES",
        help="how long one record of the log may be (default 16384, at least 4096); longer lines are cut into pieces",
    )
    parser.add_argument(
        "--on-stall",
        choices=("drop", "block"),
        default="drop",
        help="when nobody reads the log: drop job output and count it (default), or let jobs wait",
    )
    parser.add_argument(
        "--watchdog",
        type=read_watchdog,
        default=1.0,
        metavar="DURATION",
        help="after how long the log names what keeps gcron itself busy, so that no job starts; or off (default 1s)",
    )
    add_run_options(parser)
    _add_mailer(parser)
    parser.add_argument(
        "--notify-keep",
        type=read_notify_keep,
        metavar="DURATION",
        help="for how long a message is tried, also over a restart, before it is given up (default 1d)",
    )
    parser.add_argument(
        "--no-watch", action="store_true", help="reload at HUP and USR2 only, not when a file has changed"
    )
    history = parser.add_argument_group("history (gcron help state)")
    _add_state(
        history,
        "a directory for it, memory, or postgresql://USER@HOST/DATABASE (default: /var/lib/gcron/NAME, or one in your "
        "home directory)",
        "its name (default: made of the FILEs)",
        "PLACE",
    )
    history.add_argument(
        "--keep-output", type=reader_of("keep-output"), metavar="SIZE", help="how much of a run's output (default 1M)"
    )
    history.add_argument(
        "--keep-runs", type=reader_of("keep-runs"), metavar="N", help="how many runs of a job (default 100)"
    )
    history.add_argument(
        "--keep-for", type=reader_of("keep-for"), metavar="DURATION", help="for how long, at most (default 30d)"
    )
    add_node_options(parser)
    add_http_options(parser)
    parser.find_mistake = lambda parsed: _find_no_files(parsed) or find_useless_node_options(parsed)


def _add_exec(commands: _Commands) -> None:
    parser = commands.add_parser(
        "exec",
        help="run one job now, in the foreground",
        description="Run one job now, in the foreground, as the scheduler would: with its environment, user, "
        "directory and limits, without a terminal. Its output is passed through, byte for byte.",
        epilog="""\
examples:
  gcron exec crontab backup                   works in the shell, not in cron?
  gcron exec --system /etc/crontab logrotate  a file with a user column, as root
  gcron exec crontab report > report.csv      the job's output, nothing else

exit status: the job's own; 128 + N if signal N ended the job or stopped gcron
exec; 124 after the job's timeout; 125 if gcron itself fails: a wrong file, or
no such job; 126, 127 if the job cannot be started
""",
    )
    _add_files(parser, tz=False)
    parser.find_mistake = lambda parsed: _find_no_files(parsed) and "FILE and JOB are required"
    parser.add_argument("job", metavar="JOB", help="its name, a part of it, or FILE:LINE, as gcron list shows them")


def _add_check(commands: _Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="show everything that is wrong with crontab files",
        description="Show every error and warning with file, line and column, and what would be right.",
        epilog="""\
examples:
  gcron check crontab                 errors and warnings, with their place
  crontab -l | gcron check -          your crontab in an ordinary cron
  gcron check --strict crontab        fail on warnings too, in a pre-commit hook
  gcron check --system /etc/crontab   a file with a user column
  gcron check --json crontab          one object a line, for editors

exit status: 0 no errors; 1 errors, or with --strict warnings; 2 the command
line is wrong
""",
    )
    _add_files(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a problem")
    parser.add_argument("--strict", action="store_true", help="fail on warnings, too")
    parser.add_argument(
        "--state",
        metavar="PLACE",
        help="as for gcron run: with postgresql://…, also what several machines cannot share is an error",
    )


def _add_next(commands: _Commands) -> None:
    parser = commands.add_parser(
        "next",
        help="show what fires when",
        description="Show the next fire of each job. With --all, -n, --job or --to, show all fires in their order. "
        "Local times that a clock change skips or repeats are marked.",
        epilog="""\
examples:
  gcron next crontab                      the next fire of each job
  gcron next --all crontab                the next ten fires of all jobs
  gcron next -n 3 --job backup crontab    the next three of one job
  gcron next --from=-1d --to now crontab  what was due since yesterday

  what happens on the night of a clock change:
  gcron next --from 2027-03-28 --to 2027-03-29 crontab

exit status: 0 shown; 1 a file, job or time is wrong; 2 the command line is
wrong
""",
    )
    _add_files(parser)
    count = "how many fires, in their order (default 10; with --to, all of them up to 1000)"
    parser.add_argument("-n", "--count", type=read_count, metavar="N", help=count)
    parser.add_argument("--job", metavar="JOB", help="only the fires of this job: its name, a part of it, or FILE:LINE")
    parser.add_argument("--all", action="store_true", help="all fires in their order, not only the first of each job")
    _add_from(parser)
    parser.add_argument("--to", dest="end", metavar="TIME", help="up to and including this time")
    parser.add_argument("--json", action="store_true", help="one JSON object a fire")


def _add_list(commands: _Commands) -> None:
    parser = commands.add_parser(
        "list",
        help="list the jobs",
        description="List the jobs, one line each: name, schedule, next fire, user, and the line in its file.",
        epilog="""\
examples:
  gcron list crontab
  gcron list --system /etc/crontab /etc/cron.d --spool /var/spool/cron/crontabs

exit status: 0 listed; 1 a file is wrong; 2 the command line is wrong
""",
    )
    _add_files(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a job")


def _add_edit(commands: _Commands) -> None:
    parser = commands.add_parser(
        "edit",
        help="edit a crontab, and replace it only if it is right",
        description="Open an editor on a copy of the crontab. If gcron check finds no error in it, the copy replaces "
        "the crontab in one step, with its owner and mode. Else its errors are shown, and it can be edited again.",
        epilog="""\
examples:
  gcron edit crontab                with $VISUAL, $EDITOR, or the usual editor
  EDITOR=nano gcron edit --system /etc/cron.d/backup

exit status: 0 replaced, or nothing to change; 1 not replaced; 2 the command
line is wrong
""",
    )
    parser.add_argument("files", nargs=1, metavar="FILE", help="the crontab; it is made if there is none")
    parser.add_argument("--system", action="store_true", help="the file has a user column, like /etc/crontab")
    _add_trust_owner(parser)
    _add_tz(parser)
    parser.set_defaults(spool=())


def _add_explain(commands: _Commands) -> None:
    parser = commands.add_parser(
        "explain",
        help="explain a schedule in words",
        description="Explain a schedule in words: its fields, its next fires, and what the next two clock changes "
        "(daylight saving time) do to it.",
        epilog="""\
examples:
  gcron explain '30 2 1 * mon'                  the 1st or a Monday? either
  gcron explain '30 2 * * *' --tz Europe/Paris  with the clock changes there
  gcron explain 'H H * * *' --job backup        the time drawn from that name
  gcron explain '@every 90s'
  gcron explain crontab backup                  a job of a file, with its limits

exit status: 0 explained; 1 the schedule, zone or time is wrong; 2 the command
line is wrong
""",
    )
    parser.add_argument(
        "expression", nargs="+", metavar="EXPR", help="five fields in quotes, or a nickname; or FILE JOB"
    )
    parser.add_argument("--system", action="store_true", help="FILE has a user column, like /etc/crontab")
    parser.set_defaults(spool=(), trust_owner=())
    parser.add_argument(
        "--fields",
        choices=("seconds-first", "seconds-last", "year-last", "seconds-first+year"),
        metavar="ORDER",
        help="the order of six or seven fields, as `# gcron-file: fields=` sets it in a crontab: seconds-first, "
        "seconds-last, year-last or seconds-first+year",
    )
    parser.add_argument("--tz", metavar="ZONE", help="zone of the schedule (default: this machine's)")
    parser.add_argument("--job", metavar="JOB", help="the job's name, from which H and ~ draw their values")
    parser.add_argument("-n", "--count", type=read_count, default=5, metavar="N", help="how many fires (default 5)")
    _add_from(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_timeline(commands: _Commands) -> None:
    parser = commands.add_parser(
        "timeline",
        help="draw the coming day",
        description="Draw the coming day, hours across and jobs down, to see where jobs pile up.",
    )
    _add_files(parser)
    _add_from(parser)
    parser.add_argument("--to", dest="end", metavar="TIME", help="up to this time (default: one day)")
    parser.add_argument("--rows", type=read_count, metavar="N", help="how many jobs have their own row (default 40)")
    parser.add_argument("--json", action="store_true", help="one JSON object, with the fires of each job and column")


def _add_suggest(commands: _Commands) -> None:
    parser = commands.add_parser(
        "suggest",
        help="suggest quiet times of the day for one more job",
        description="Suggest times of the day at which little of the files is due, for one more job.",
    )
    _add_files(parser)
    parser.add_argument("-n", "--count", type=read_count, default=3, metavar="N", help="how many times (default 3)")
    _add_from(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_state_command(commands: _Commands) -> None:
    parser = commands.add_parser(
        "state",
        help="show, check, compact, export or prune the history",
        description="Show where the history is and how large, or look after it. All of it can be done while gcron "
        "runs.",
        epilog="""\
examples:
  gcron state                       where it is, how large, who uses it
  gcron state check                 is the database whole?
  gcron state export > runs.jsonl   all runs, one JSON object a line
  gcron state prune --keep-for 7d   forget what is older
  gcron state compact               give space back to the disk

exit status: 0 done; 1 there is no history, it is damaged, or it cannot be
read; 2 the command line is wrong
""",
    )
    actions = ("show", "check", "compact", "export", "prune")
    parser.add_argument("action", nargs="?", choices=actions, default="show", metavar="ACTION", help=", ".join(actions))
    _add_state(
        parser,
        "the directory of the history (default: the only one of this user)",
        "the name of the gcron whose history it is, as `gcron status` shows it",
    )
    parser.add_argument(
        "--keep-runs", type=reader_of("keep-runs"), metavar="N", help="prune: instead of each job's own"
    )
    parser.add_argument(
        "--keep-for", type=reader_of("keep-for"), metavar="DURATION", help="prune: instead of each job's own"
    )
    parser.add_argument("--json", action="store_true", help="show: one JSON object a history")


def _add_notify(commands: _Commands) -> None:
    parser = commands.add_parser(
        "notify",
        help="send a test message to a target, and show what came back",
        description="Send a test message to a target of a crontab file, and show what came back.",
        epilog="""\
examples:
  gcron notify crontab ops             the target of `# gcron-notify: ops url=…`
  gcron notify crontab me@example.com  a mail, as MAILTO= would send it

exit status: 0 delivered; 1 not delivered, or the file is wrong; 2 the command
line is wrong
""",
    )
    parser.add_argument("files", nargs=1, metavar="FILE", help="crontab file, or a directory of them")
    parser.add_argument("target", metavar="TARGET", help="the name of a target, or an address for mail")
    parser.add_argument("--system", action="store_true", help="the file has a user column, like /etc/crontab")
    _add_trust_owner(parser)
    _add_mailer(parser)
    parser.set_defaults(tz=None, spool=())


def _add_mailer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mailer",
        type=read_mailer,
        metavar="MAILER",
        help="what sends mail: sendmail, the path of such a program, smtp://[USER@]HOST[:PORT][?password-file=PATH], "
        "or off (default: /usr/sbin/sendmail if there is one)",
    )


def _add_help(commands: _Commands) -> None:
    parser = commands.add_parser(
        "help",
        help="show the documentation",
        description="Show a page of the documentation, or a part of one. Without TOPIC, list them all.",
        epilog="""\
examples:
  gcron help                    the list of topics
  gcron help options            what may follow # gcron:
  gcron help next               what the command prints, with samples
  gcron help crontab | less     in a pipe it is plain Markdown

exit status: 0 shown; 2 there is no such topic
""",
    )
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="such as crontab, options, signals")
    parser.add_argument("--no-pager", action="store_true", help="print it all at once, without $PAGER")


def _add_completion(commands: _Commands) -> None:
    parser = commands.add_parser(
        "completion",
        help="print the script that completes gcron's options in your shell",
        description="Print the script with which a shell completes gcron's commands and options.",
        epilog="""\
save it where the shell looks for it:
  gcron completion bash > ~/.local/share/bash-completion/completions/gcron
  gcron completion zsh > ~/.zfunc/_gcron   # fpath+=~/.zfunc before compinit
  gcron completion tcsh > ~/.gcron.tcsh    # source ~/.gcron.tcsh in .tcshrc
""",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), metavar="SHELL", help="bash, zsh or tcsh")


# In the order of `gcron --help`.
_COMMANDS = {
    "run": _add_run,
    "exec": _add_exec,
    "check": _add_check,
    "edit": _add_edit,
    "list": _add_list,
    "next": _add_next,
    "explain": _add_explain,
    "timeline": _add_timeline,
    "suggest": _add_suggest,
    "state": _add_state_command,
    **CONTROL_COMMANDS,
    "notify": _add_notify,
    "help": _add_help,
    "completion": _add_completion,
}


def _add_from(parser: argparse.ArgumentParser) -> None:
    described = "start here: now, +2d, 2027-03-28 or 2027-03-28T02:30+01:00 (default now; without offset: in --tz)"
    parser.add_argument("--from", dest="start", default="now", metavar="TIME", help=described)


def _add_files(parser: CommandParser, tz: bool = True) -> None:
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="crontab files, or directories like cron.d; - is standard input"
    )
    parser.add_argument("--system", action="store_true", help="the files have a user column, like /etc/crontab")
    parser.add_argument(
        "--spool",
        action=Several,
        type=read_paths,
        default=(),
        metavar="DIR",
        help="also the user crontabs in this directory, such as /var/spool/cron/crontabs: a file's name is its user",
    )
    _add_trust_owner(parser)
    if tz:
        _add_tz(parser)
    else:
        parser.set_defaults(tz=None)
    parser.find_mistake = _find_no_files


def _add_trust_owner(parser: CommandParser) -> None:
    parser.add_argument(
        "--trust-owner",
        action=Several,
        type=read_user_ids,
        default=(),
        metavar="UID",
        help="as root, also read files that belong to this user, for example in a bind mount",
    )


def _add_tz(parser: CommandParser) -> None:
    parser.add_argument("--tz", metavar="ZONE", help="zone of schedules that name none (default: this machine's)")


def _find_no_files(parsed: argparse.Namespace) -> str:
    return "" if parsed.files or parsed.spool else "the following arguments are required: FILE"


def _add_state(parser: argparse._ActionsContainer, state: str, instance: str, metavar: str = "DIR") -> None:
    parser.add_argument("--state", metavar=metavar, help=state)
    parser.add_argument("--instance", type=read_instance, metavar="NAME", help=instance)

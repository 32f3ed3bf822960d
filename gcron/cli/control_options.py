"""The commands that talk to a gcron that runs: their options, and what `--help` prints."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from gcron.cli.parser import CommandParser, Several, read_count

__all__ = ["CONTROL_COMMANDS", "add_http_options", "add_run_options"]

T = TypeVar("T")

_Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"

_STATUSES = """\
exit status: 0 done; 1 refused or failed; 2 the command line is wrong; 3 no
gcron to talk to; 4 there is no such job
"""
_JOB = "its name, a part of it, or FILE:LINE"


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the option of `gcron run` that concerns the control socket."""
    parser.add_argument(
        "--no-control", action="store_true", help="no control socket: gcron status and the like do not reach this gcron"
    )


def add_http_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `gcron run` that concern the pages."""
    group = parser.add_argument_group("pages for a browser, and the API over TCP (gcron help web)")
    group.add_argument(
        "--http",
        type=_http_address,
        metavar="ADDRESS",
        help="serve them: HOST:PORT, such as 127.0.0.1:9180 or [::1]:9180, or unix:PATH; the log shows the link",
    )
    group.add_argument("--http-token-file", metavar="FILE", help="your own token is in this file")
    group.add_argument(
        "--http-anonymous",
        choices=("none", "health", "metrics", "read"),
        default="health",
        help="what may be asked without the token (default health: /healthz); each includes the ones before it",
    )
    group.add_argument(
        "--http-host",
        action=Several,
        type=_http_hosts,
        default=(),
        metavar="NAME",
        help="another name by which clients call this machine, such as cron.example.org",
    )
    group.add_argument("--http-prefix", type=_http_prefix, default="", metavar="PATH", help="below this path, as /cron")
    group.add_argument(
        "--http-proxy",
        type=_http_proxies,
        metavar="LIST",
        help="believe X-Forwarded-For, -Proto and -Host of these addresses and networks, or of unix",
    )
    group.add_argument(
        "--metrics-file",
        metavar="FILE",
        help="write the metrics of /metrics into it each minute, for node_exporter's textfile collector",
    )


def _add_status(commands: _Commands) -> None:
    parser = _add(
        commands,
        "status",
        "show how the jobs of the running gcron stand",
        "Show how the jobs of the running gcron stand: the last outcome, the last ten, and the next fire. "
        "With JOB, show all about one job.",
        """\
examples:
  gcron status                 a table of all jobs, services below
  gcron status backup          one job: definition, next fires, last runs
  gcron status --json | jq '.jobs[] | select(.overdue)'

the last ten outcomes, the newest last:
  . succeeded  F failed  T timed out  K killed  S did not start  - skipped
  m missed  ? lost or unknown  o was asked to end, and ended
""",
    )
    parser.add_argument("job", nargs="?", metavar="JOB", help=_JOB)
    parser.add_argument("--names", action="store_true", help="only the names of the jobs, one a line")


def _add_top(commands: _Commands) -> None:
    parser = _add(
        commands,
        "top",
        "show how the jobs stand, live",
        "Show how the jobs of the running gcron stand, live: the table of gcron status, the worst first. "
        "With the extra gcron[tui], keys show runs and output, trigger, pause and stop.",
        """\
keys with gcron[tui]:
  enter  the runs of a job; the output of a run
  t      trigger            p  pause, resume         s  stop (asks first)
  /      filter by name     ?  help                  q  quit
""",
        has_json=False,
    )
    parser.add_argument("--plain", action="store_true", help="the table alone, also with gcron[tui]")


def _add_history(commands: _Commands) -> None:
    parser = _add(
        commands,
        "history",
        "show the last runs, with their outcomes",
        "Show the last runs of all jobs, or of one: when, outcome, how long, and why.",
        """\
examples:
  gcron history                          the last 20 runs of all jobs
  gcron history backup -n 100
  gcron history --failed --since -1d     what went wrong since yesterday
  gcron history --json --since -7d > runs.jsonl
""",
    )
    parser.add_argument("job", nargs="?", metavar="JOB", help=_JOB)
    parser.add_argument("-n", "--count", type=read_count, metavar="N", help="how many (default 20; with --since, all)")
    parser.add_argument("--failed", action="store_true", help="only those that failed in any way")
    parser.add_argument("--outcome", metavar="LIST", help="only these outcomes, such as skipped,missed")
    parser.add_argument("--node", metavar="NAME", help="only those of this node, where several share the jobs")
    parser.add_argument("--since", metavar="TIME", help="from this time on: -1d, 2027-03-28 or 2027-03-28T02:30")
    parser.add_argument("--until", metavar="TIME", help="before this time")


def _add_messages(commands: _Commands) -> None:
    parser = _add(
        commands,
        "messages",
        "show where messages go, and which were not delivered",
        "Show the targets of messages with their counts and last errors, and what became of the newest messages.",
        """\
examples:
  gcron messages
  gcron messages -n 500 --json | jq '.messages[] | select(.state == "given-up")'
""",
    )
    parser.add_argument(
        "-n", "--count", type=read_count, metavar="N", help="how many messages (default 20, at most 500)"
    )
    parser.set_defaults(module="notifications")


def _add_logs(commands: _Commands) -> None:
    parser = _add(
        commands,
        "logs",
        "show what a run printed, also while it runs",
        "Show what the last run of a job printed, or another run of it.",
        """\
examples:
  gcron logs backup                  the last run that printed something
  gcron logs backup -f               the present run and those after it, as they print
  gcron logs backup 3f2a91c04be7d655
  gcron logs backup --tail 20
""",
        has_json=False,
    )
    parser.add_argument("job", metavar="JOB", help=_JOB)
    parser.add_argument("run", nargs="?", metavar="RUN", help="id of a run, as gcron history shows it")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what it prints; without RUN, also in its next runs"
    )
    parser.add_argument("--tail", type=read_count, metavar="N", help="only the last N lines")
    parser.add_argument("--timestamps", action="store_true", help="each line after its time and its stream")


def _add_trigger(commands: _Commands) -> None:
    parser = _add(
        commands,
        "trigger",
        "run a job now",
        "Run a job now, whatever its schedule. While another run of it is under way, its `overlap` decides.",
        """\
examples:
  gcron trigger backup
  gcron trigger backup --wait && echo done
  gcron trigger backup --why 'after the disk was changed'

exit status with --wait: the job's own; 128 + N if signal N ended it; 124 after
its timeout; 125 if it was skipped or gcron itself failed; 126, 127 if it could
not be started. Ctrl-C ends the waiting, and not the job
""",
    )
    parser.add_argument("job", metavar="JOB", help=_JOB)
    parser.add_argument("--wait", action="store_true", help="show what it prints as it comes, and wait for its end")
    _add_why(parser)
    parser.set_defaults(module="acting")


def _add_stop(commands: _Commands) -> None:
    parser = _add(
        commands,
        "stop",
        "end the runs of a job, or a service",
        "End all runs of a job with their process trees, as at a time-out; or a service, which then stays so. "
        "Instead of a job, the id of one run may be given.",
        """\
examples:
  gcron stop backup
  gcron stop 3f2a91c04be7d655
  gcron stop backup --now          by KILL, without asking first
""",
    )
    parser.add_argument("job", metavar="JOB", help=f"{_JOB}; or the id of a run")
    parser.add_argument("--now", action="store_true", help="kill at once")
    _add_why(parser)
    parser.set_defaults(module="acting")


def _add_pause(commands: _Commands) -> None:
    parser = _add(
        commands,
        "pause",
        "let a job not be due for a time",
        "Let a job not be due until it is resumed, or for a time. Runs under way go on. What would have been due "
        "meanwhile is neither run later nor missed.",
        """\
examples:
  gcron pause refresh --for 2h
  gcron pause refresh --until 2027-03-28T06:00 --why 'a deploy'
""",
    )
    parser.add_argument("job", metavar="JOB", help=_JOB)
    parser.add_argument("--for", dest="duration", metavar="DURATION", help="for so long: 90s, 2h, 1d12h")
    parser.add_argument("--until", metavar="TIME", help="until then: 2027-03-28, 2027-03-28T06:00, 21:00 or +2d")
    _add_why(parser)
    parser.set_defaults(module="acting")


def _add_resume(commands: _Commands) -> None:
    parser = _add(
        commands, "resume", "let a paused job be due again", "Let a paused job be due again, from now on.", ""
    )
    parser.add_argument("job", metavar="JOB", help=_JOB)
    parser.set_defaults(module="acting")


def _add_restart(commands: _Commands) -> None:
    parser = _add(
        commands,
        "restart",
        "restart a service",
        "End the present life of a service, if it has one, and start it again.",
        "",
    )
    parser.add_argument("job", metavar="SERVICE", help=_JOB)
    _add_why(parser)
    parser.set_defaults(module="acting")


def _add_reload(commands: _Commands) -> None:
    parser = _add(
        commands,
        "reload",
        "read the crontabs again now",
        "Have the running gcron read its crontabs again, and show what has changed, or all that is wrong.",
        "",
    )
    parser.set_defaults(module="acting")


def _add_why_command(commands: _Commands) -> None:
    parser = _add(
        commands,
        "why",
        "explain why a job ran, or did not run, at a time",
        "Explain why a job ran, or did not run, at a time: whether it was due, which field of its schedule says no, "
        "what a clock change did, and what came of it.",
        """\
examples:
  gcron why transform                     now
  gcron why backup 02:30                  the last 02:30 of its time zone
  gcron why backup 2027-03-28T02:30
  gcron why backup 2027-03-28T01:30Z
""",
    )
    parser.add_argument("job", metavar="JOB", help=_JOB)
    parser.add_argument(
        "time",
        metavar="TIME",
        nargs="?",
        default="now",
        help="02:30, 2027-03-28, or 2027-03-28T02:30, with Z or +02:00 if you like; without it: now",
    )


def _add_token(commands: _Commands) -> None:
    parser = commands.add_parser(
        "token",
        help="print the link to the pages of the running gcron",
        description="Print the link to the pages of the running gcron, with the token that signs you in.",
        epilog="""\
examples:
  gcron token                    open the link in a browser
  curl -H "Authorization: Bearer $(gcron token --bare)" \\
    http://127.0.0.1:9180/api/v1/jobs

exit status: 0 printed; 1 it serves no pages (gcron run --http ADDRESS); 3 no
gcron to talk to
""",
    )
    _add_instance(parser)
    parser.add_argument("--bare", action="store_true", help="the token alone")


def _add(
    commands: _Commands, name: str, help: str, description: str, epilog: str, has_json: bool = True
) -> CommandParser:
    epilog = f"{epilog}\n{_STATUSES}" if epilog else _STATUSES
    parser = commands.add_parser(name, help=help, description=description, epilog=epilog)
    _add_instance(parser)
    parser.add_argument("--socket", metavar="PATH", help="the socket of a program that called serve_control(PATH)")
    if has_json:
        parser.add_argument("--json", action="store_true", help="JSON, as the API has it")
    return parser


def _add_instance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--instance", metavar="NAME", help="which gcron, if several run: its name, or a crontab that it runs"
    )


def _add_why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--why", metavar="TEXT", help="the reason, for the log and the history")


CONTROL_COMMANDS: Mapping[str, Callable[[_Commands], None]] = MappingProxyType(
    {
        "status": _add_status,
        "top": _add_top,
        "history": _add_history,
        "logs": _add_logs,
        "messages": _add_messages,
        "why": _add_why_command,
        "trigger": _add_trigger,
        "stop": _add_stop,
        "pause": _add_pause,
        "resume": _add_resume,
        "restart": _add_restart,
        "reload": _add_reload,
        "token": _add_token,
    }
)
"""In the order of `gcron --help`."""


def _http_address(text: str) -> Any:
    from gcron.web.address import read_address

    return _read(read_address, text)


def _http_hosts(text: str) -> tuple[str, ...]:
    from gcron.web.settings import read_host

    return tuple(_read(read_host, text))


def _http_prefix(text: str) -> str:
    from gcron.web.settings import read_prefix

    return _read(read_prefix, text)


def _http_proxies(text: str) -> Any:
    from gcron.web.forwarded import read_proxies

    return _read(read_proxies, text)


def _read(read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

"""`gcron completion`: the script with which a shell completes `gcron`'s commands, options and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from gcron.cli.help import find_topics
from gcron.cli.options import make_parser

__all__ = ["main"]

# The jobs of the gcron that runs; none when none does.
_JOBS = {"bash": "_gcron_jobs", "zsh": "_gcron_jobs", "tcsh": "`gcron status --names |& grep -v ^gcron:`"}
_PREAMBLE = {
    "bash": """\
_gcron_jobs() {
  compgen -W "$(gcron status --names 2>/dev/null)" -- "$1"
}
""",
    "zsh": """\
_gcron_jobs() {
  local -a jobs
  jobs=(${(f)"$(gcron status --names 2>/dev/null)"})
  compadd -a jobs
}
""",
}


def main(options: argparse.Namespace) -> int:
    """Print the script for one shell."""
    parser = make_parser()
    for action in _actions(parser):
        if action.dest == "files":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        if action.dest == "job" and not action.option_strings and action.metavar != "FILE":
            action.complete = _JOBS  # type: ignore[attr-defined]
        if action.dest == "topic":
            action.choices = tuple(find_topics())
    print(shtab.complete(parser, shell=options.shell, preamble=_PREAMBLE.get(options.shell, "")))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options and arguments of all commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from command._actions

"""`gcron completion`: the script with which a shell completes `gcron`'s commands, options and files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import shtab

from gcron.cli.topics import find_topics

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Print the script for one shell."""
    options.whole_parser.prog = "gcron"  # also where it was called by another name
    _complete_values(options.command_parsers)
    print(shtab.complete(options.whole_parser, shell=options.shell))
    return 0


def _complete_values(parsers: Sequence[argparse.ArgumentParser]) -> None:
    for parser in parsers:
        for action in parser._actions:
            if action.dest == "files":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            if action.dest == "topic":
                action.choices = tuple(find_topics())

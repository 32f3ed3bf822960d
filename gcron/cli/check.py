"""`gcron check`: everything that is wrong with crontab files."""

from __future__ import annotations

import argparse
import json
import sys

from gcron.cli.files import complain, load_files, plural
from gcron.cli.times import TimeError

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Print the problems; returns 1 if there is an error, and with `--strict` if there is a warning."""
    try:
        loaded = load_files(options)
    except TimeError as error:
        print(f"gcron: {error}", file=sys.stderr)
        return 1
    status = 1 if loaded.errors or (options.strict and loaded.problems) else 0
    if options.json:
        for problem in loaded.problems:
            print(json.dumps(problem._asdict()))
        return status
    complain(loaded.problems)
    errors = len(loaded.errors)
    warnings = len(loaded.problems) - errors
    jobs = plural(len(loaded.entries), "job")
    print(f"{', '.join(options.files)}: {jobs}, {plural(errors, 'error')}, {plural(warnings, 'warning')}")
    return status

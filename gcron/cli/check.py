"""`gcron check`: everything that is wrong with crontab files."""

from __future__ import annotations

import argparse
import json

from gcron.cli.files import Crontabs
from gcron.cli.messages import complain, plural, say
from gcron.cli.times import TimeError
from gcron.escaping import escape_line

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Print the problems; returns 1 if there is an error, and with `--strict` if there is a warning."""
    crontabs = Crontabs(options)
    try:
        loaded = crontabs.load()
    except TimeError as error:
        say(str(error))
        return 1
    # Not `loaded.errors`: a user's error does not stop a gcron that runs, but it is one.
    errors = sum(problem.severity == "error" for problem in loaded.problems)
    status = 1 if errors or (options.strict and loaded.problems) else 0
    if options.json:
        for problem in loaded.problems:
            print(json.dumps(problem._asdict()))
        return status
    complain(loaded.problems)
    warnings = len(loaded.problems) - errors
    jobs = plural(len(loaded.entries), "job")
    print(f"{escape_line(str(crontabs))}: {jobs}, {plural(errors, 'error')}, {plural(warnings, 'warning')}")
    return status

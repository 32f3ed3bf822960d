"""`gcron check`: everything that is wrong with crontab files, at once."""

from __future__ import annotations

import argparse
import dataclasses
import json

from gcron.cli.files import complain, load_files, plural

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Print the problems; returns 1 when there is an error, and with `--strict` when there is a warning."""
    loaded = load_files(options)
    status = 1 if loaded.errors or (options.strict and loaded.problems) else 0
    if options.json:
        for problem in loaded.problems:
            print(json.dumps(dataclasses.asdict(problem)))
        return status
    complain(loaded.problems)
    errors = len(loaded.errors)
    warnings = len(loaded.problems) - errors
    jobs = plural(len(loaded.entries), "job")
    print(f"{', '.join(options.files)}: {jobs}, {plural(errors, 'error')}, {plural(warnings, 'warning')}")
    return status

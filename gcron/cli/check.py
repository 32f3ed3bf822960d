"""`gcron check`: everything that is wrong with crontab files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence

from gcron.cli.files import Crontabs
from gcron.cli.messages import complain, say
from gcron.cli.times import TimeError
from gcron.crontab import Entry, Problem
from gcron.escaping import escape_line
from gcron.policy import Policy
from gcron.wording import plural

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Print the problems; returns 1 if there is an error, and with `--strict` if there is a warning."""
    crontabs = Crontabs(options)
    try:
        loaded = crontabs.load()
    except TimeError as error:
        say(str(error))
        return 1
    problems = (*loaded.problems, *_find_lost_limits(loaded.entries))
    # Not `loaded.errors`: a user's error does not stop a gcron that runs, but it is one.
    errors = sum(problem.severity == "error" for problem in problems)
    status = 1 if errors or (options.strict and problems) else 0
    if options.json:
        for problem in problems:
            print(json.dumps(problem._asdict()))
        return status
    complain(problems)
    warnings = len(problems) - errors
    jobs = plural(len(loaded.entries), "job")
    print(f"{escape_line(str(crontabs))}: {jobs}, {plural(errors, 'error')}, {plural(warnings, 'warning')}")
    return status


def _find_lost_limits(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Yield a warning for each entry with limits that this machine cannot keep."""
    limited = [entry for entry in entries if _has_limits(entry.policy)]
    if not limited:
        return
    from gcron.supervise.cgroup_limits import foresee  # loads the runtime, which no other check needs
    from gcron.supervise.command import cgroup_limits_of

    for entry in limited:
        if message := foresee(cgroup_limits_of(entry.policy)):
            yield Problem(entry.path, entry.line, 1, 2, "warning", message, "the job runs without")


def _has_limits(policy: Policy) -> bool:
    return (policy.memory_max, policy.cpu_max, policy.tasks_max) != (None, None, None)

"""`gcron state`: where the history is and how large; checks, compacts, exports and prunes it."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator

from gcron.cli.messages import plural
from gcron.errors import StateError
from gcron.escaping import escape, escape_line
from gcron.scheduler.records import Record, instant, stored_run_record
from gcron.sizes import describe_size
from gcron.state.database import Damaged, Refused
from gcron.state.places import DATABASE, NoHome, find_holder, find_instances, state_home
from gcron.state.upkeep import Upkeep

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Do what is asked, and return the exit status."""
    try:
        directories = _find_directories(options)
        if options.action == "show":
            return _show(directories, options.json)
        if len(directories) > 1:
            names = ", ".join(os.path.basename(directory) for directory in directories)
            raise StateError(f"there are {len(directories)} histories: say which one by --instance: {names}")
        return _ACTIONS[options.action](directories[0], options)
    except (StateError, NoHome, Damaged, Refused) as error:
        print(f"gcron: {escape(str(error))}", file=sys.stderr)
    except sqlite3.Error as error:
        print(f"gcron: the history cannot be read: {escape(str(error))}", file=sys.stderr)
    except PermissionError as error:
        print(f"gcron: {escape_line(str(error.filename))}: {error.strerror}", file=sys.stderr)
    return 1


def _find_directories(options: argparse.Namespace) -> list[str]:
    """The histories that are meant. Raises StateError when there are none."""
    if options.state is not None:
        found = [os.path.abspath(options.state)]
    elif options.instance is not None:
        found = [os.path.join(state_home(), options.instance)]
    else:
        found = list(find_instances(state_home()))
        if not found:
            raise StateError(f"there is no history in {state_home()}: gcron run begins one")
    for directory in found:
        if not os.path.isdir(directory):
            raise StateError(f"there is no history in {directory}")
    return [directory for directory in found if os.path.exists(os.path.join(directory, DATABASE))] or found


# -- show -------------------------------------------------------------------------------------------------------


def _show(directories: list[str], as_json: bool) -> int:
    for number, directory in enumerate(directories):
        record = _describe(directory)
        if as_json:
            print(json.dumps(record))
            continue
        if number:
            print()
        print("\n".join(map(escape_line, _lines(record))))
    return 0


def _describe(directory: str) -> Record:
    record: Record = {"instance": os.path.basename(directory), "directory": directory}
    try:
        holder = find_holder(directory)
    except FileNotFoundError:
        holder = None
    record |= {
        "in_use": holder is not None,
        "pid": None if holder is None else holder.pid,
        "since": None if holder is None else instant(holder.since),
    }
    facts = Upkeep(directory).facts()
    return record | {
        "jobs": facts.jobs,
        "runs": facts.runs,
        "oldest": instant(facts.oldest),
        "database_bytes": facts.size,
        "output_bytes": facts.output_size,
    }


def _lines(record: Record) -> Iterator[str]:
    yield f"{record['instance']}: {record['directory']}"
    if record["in_use"]:
        yield f"  used by    process {record['pid']}, since {record['since']}"
    else:
        yield "  used by    nobody now"
    oldest = f", the oldest of {record['oldest']}" if record["oldest"] else ""
    yield f"  history    {plural(record['runs'], 'run')} of {plural(record['jobs'], 'job')}{oldest}"
    yield f"  database   {describe_size(record['database_bytes'])}"
    yield f"  output     {describe_size(record['output_bytes'])}"


# -- the other actions ------------------------------------------------------------------------------------------


def _check(directory: str, options: argparse.Namespace) -> int:
    problems = Upkeep(directory).check()
    for problem in problems:
        print(escape(problem))
    if not problems:
        print("the history is whole")
    return 1 if problems else 0


def _compact(directory: str, options: argparse.Namespace) -> int:
    upkeep = Upkeep(directory)
    before = upkeep.facts().size
    upkeep.compact()
    print(f"{describe_size(before)} before, {describe_size(upkeep.facts().size)} now")
    return 0


def _export(directory: str, options: argparse.Namespace) -> int:
    for run in Upkeep(directory).export():
        print(json.dumps(stored_run_record(run)))
    return 0


def _prune(directory: str, options: argparse.Namespace) -> int:
    runs = Upkeep(directory).prune(options.keep_runs, options.keep_for)
    print(f"{plural(runs, 'run')} forgotten")
    return 0


_ACTIONS: dict[str, Callable[[str, argparse.Namespace], int]] = {
    "check": _check,
    "compact": _compact,
    "export": _export,
    "prune": _prune,
}

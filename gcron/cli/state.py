"""`gcron state`: where the history is and how large; checks, compacts, exports and prunes it."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator

from gcron.cli.node_options import is_shared
from gcron.errors import StateError
from gcron.escaping import escape, escape_line
from gcron.scheduler.records import Record, instant, stored_run_record
from gcron.state.database import Damaged, Refused
from gcron.state.places import DATABASE, Holder, NoHome, find_holder, find_instances, state_home
from gcron.state.upkeep import Upkeep
from gcron.wording import describe_size, plural

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Do what is asked, and return the exit status."""
    try:
        directories = _find_directories(options)
        if options.action == "show":
            return _show(directories, options.json)
        return _ACTIONS[options.action](_choose(directories, options.action), options)
    except (StateError, NoHome, Damaged, Refused) as error:
        print(f"gcron: {escape(str(error))}", file=sys.stderr)
    except sqlite3.Error as error:
        print(f"gcron: the history cannot be read: {escape(str(error))}", file=sys.stderr)
    except PermissionError as error:
        print(f"gcron: {escape_line(str(error.filename))}: {error.strerror}", file=sys.stderr)
    return 1


def _find_directories(options: argparse.Namespace) -> list[str]:
    """The histories that are meant. Raises StateError when there are none."""
    if is_shared(options):
        text = "`gcron history` and `gcron status` show it, and PostgreSQL's own tools look after it"
        raise StateError(f"this command is for a history in a directory, and this one is in PostgreSQL: {text}")
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


def _choose(directories: list[str], action: str) -> str:
    """The one history that is meant: the only one; to read, the one in use. Raises StateError when it is not clear."""
    if len(directories) == 1:
        return directories[0]
    used = [directory for directory in directories if _holder(directory) is not None]
    if len(used) == 1 and action in _READING:
        return used[0]
    names = ", ".join(
        os.path.basename(directory) + (" (in use)" if directory in used else "") for directory in directories
    )
    example = f"gcron state {action} --instance {os.path.basename((used or directories)[0])}"
    raise StateError(f"there are {len(directories)} histories: {names}: name one, such as `{example}`")


def _holder(directory: str) -> Holder | None:
    try:
        return find_holder(directory)
    except FileNotFoundError:
        return None


# -- show -------------------------------------------------------------------------------------------------------


def _show(directories: list[str], as_json: bool) -> int:
    """Show each. One that cannot be read does not hide the others; it is an error when none can be read."""
    problems = 0
    for number, directory in enumerate(directories):
        try:
            record = _describe(directory)
        except (StateError, Damaged, Refused, sqlite3.Error, PermissionError) as error:
            if len(directories) == 1:
                raise
            problems += 1
            record = {"instance": os.path.basename(directory), "directory": directory, "problem": str(error)}
        if as_json:
            print(json.dumps(record))
            continue
        if number:
            print()
        print("\n".join(map(escape_line, _lines(record))))
    return 1 if problems == len(directories) else 0


def _describe(directory: str) -> Record:
    holder = _holder(directory)
    record: Record = {
        "instance": os.path.basename(directory),
        "directory": directory,
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
    if "problem" in record:
        yield f"{record['instance']}: {record['problem']}"
        return
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
        print(f"{escape_line(os.path.basename(directory))}: the history is whole")
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
_READING = ("check", "export")

"""`gcron trigger`, `stop`, `pause`, `resume`, `restart` and `reload`: what changes the running gcron."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from gcron.cli.logs import follow_run
from gcron.cli.talking import REFUSED, find, local_time, talk
from gcron.control.client import Client, NoGcron
from gcron.escaping import escape

__all__ = ["describe_pause", "describe_resume", "describe_stop", "describe_trigger", "main"]

# As in `gcron exec`: statuses that are not the job's.
_TIMED_OUT = 124
_NO_STATUS = 125
_CANNOT_START = 126
_RUN_ID = re.compile(r"[0-9a-f]{16}")

Record = dict[str, Any]


def main(options: argparse.Namespace) -> int:
    """Do what the command says; returns the exit status."""
    return talk(options, lambda client: _COMMANDS[options.command](client, options))


def _report(options: argparse.Namespace, record: Record, text: str) -> None:
    print(json.dumps(record) if options.json else escape(text))


def _say(text: str) -> None:
    print(f"gcron: {escape(text)}", file=sys.stderr)


# -- runs ---------------------------------------------------------------------------------------------------------


def _trigger(client: Client, options: argparse.Namespace) -> int:
    name = find(client, options.job)["job"]
    run = client.post("jobs", name, "trigger", why=options.why)
    decision = run["decision"]
    if decision == "skipped":
        _report(options, run, describe_trigger(run))
        return _NO_STATUS if options.wait else REFUSED
    if not options.wait:
        _report(options, run, describe_trigger(run))
        return 0
    if decision != "started":
        _say(describe_trigger(run))
    return _wait(client, name, run["run_id"], options)


def describe_trigger(run: Record) -> str:
    """Return what became of a trigger, in words."""
    words = {
        "skipped": f"skipped: {run['reason']}",
        "started": f"started, run {run['run_id']}",
        "queued": f"waits for the end of a run that is under way, run {run['run_id']}",
        "replaced": f"replaces the run that is under way, run {run['run_id']}",
        "alive": f"is alive already, run {run['run_id']}",
    }
    return f"{run['job']}: {words[run['decision']]}"


def _wait(client: Client, name: str, run_id: str, options: argparse.Namespace) -> int:
    try:
        ended = follow_run(client, run_id)
    except NoGcron as error:
        _say(f"{name}: {error}")
        return _NO_STATUS
    except KeyboardInterrupt:
        _say(f"{name} goes on; gcron logs {name} {run_id} -f")
        raise
    if options.json:
        print(json.dumps(ended), file=sys.stderr)
    elif ended["outcome"] not in ("succeeded", "failed"):
        _say(f"{name}: {ended['outcome']}: {ended['reason']}")
    return _status(ended)


def _status(run: Record) -> int:
    """The exit status for a run, as `gcron exec` has it."""
    code: int | None = run["exit_code"]
    if run["outcome"] == "timed-out":
        return _TIMED_OUT
    if run["outcome"] == "start-failed":
        return code or _CANNOT_START
    if code is None:
        return 0 if run["outcome"] == "succeeded" else _NO_STATUS
    return code if code >= 0 else 128 - code


def _stop(client: Client, options: argparse.Namespace) -> int:
    if _RUN_ID.fullmatch(options.job):
        run = client.post("runs", options.job, "kill" if options.now else "stop", why=options.why)
        _report(options, run, describe_stop(run, "killed" if options.now else "stopped"))
        return 0
    name = find(client, options.job)["job"]
    stopped = client.post("jobs", name, "stop", why=options.why, now=options.now or None)
    _report(options, stopped, describe_stop(stopped, "killed" if options.now else "stopped"))
    return 0


def describe_stop(stopped: Record, done: str = "stopped") -> str:
    """Return what became of the stop of a job, a service or a run, in words. `done`: or `killed`."""
    if "run_id" in stopped:
        return f"{stopped['job']}: run {stopped['run_id']} is being {done}{_by_others(stopped)}"
    if "stopped" not in stopped:
        return f"{stopped['job']}: {stopped['service']['state']}"
    runs = f"run{'' if len(stopped['stopped']) == 1 else 's'} {', '.join(stopped['stopped'])}"
    return f"{stopped['job']}: {runs}: being {done}{_by_others(stopped)}"


def _by_others(stopped: Record) -> str:
    """That other nodes were told, and how long it takes."""
    nodes = stopped.get("sent_to", [])
    return f" by node {', '.join(nodes)}, which takes up to 5 s" if nodes else ""


# -- pauses -------------------------------------------------------------------------------------------------------


def _pause(client: Client, options: argparse.Namespace) -> int:
    if options.until and options.duration:
        _say("give --for or --until, not both")
        return 2
    until = None
    if options.until:
        from gcron.cli.times import TimeError, read_near, read_zone, utc_text

        try:
            until = utc_text(read_near(options.until, int(time.time()), read_zone(None), is_past=False))
        except TimeError as error:
            _say(str(error))
            return 2
    name = find(client, options.job)["job"]
    job = client.post("jobs", name, "pause", until=until, why=options.why, **{"for": options.duration})
    _report(options, job, describe_pause(job))
    return 0


def describe_pause(job: Record) -> str:
    """Return how long a job is paused, in words."""
    end = job["pause"]["until"]
    return f"{job['job']}: paused until {local_time(end) if end else 'gcron resume ' + job['job']}"


def _resume(client: Client, options: argparse.Namespace) -> int:
    before = find(client, options.job)
    name = before["job"]
    job = client.post("jobs", name, "resume")
    _report(options, job, describe_resume(job, before["paused"]))
    return 0


def describe_resume(job: Record, was_paused: bool) -> str:
    """Return that a job is due again, and when, in words."""
    due = f"due next at {local_time(job['next_fire'])}" if job["next_fire"] else job["waits"] or "not due at any time"
    return f"{job['job']}: {'resumed' if was_paused else 'was not paused'}, {due}"


# -- services and crontabs ----------------------------------------------------------------------------------------


def _restart(client: Client, options: argparse.Namespace) -> int:
    name = find(client, options.job)["job"]
    job = client.post("services", name, "restart", why=options.why)
    _report(options, job, f"{name}: restarting")
    return 0


def _reload(client: Client, options: argparse.Namespace) -> int:
    changes = client.post("reload")
    lines = [f"{kind} {', '.join(changes[kind])}" for kind in ("added", "changed", "removed") if changes[kind]]
    _report(options, changes, f"{changes['jobs']} jobs: " + ("; ".join(lines) or "nothing has changed"))
    return 0


_COMMANDS: dict[str, Callable[[Client, argparse.Namespace], int]] = {
    "trigger": _trigger,
    "stop": _stop,
    "pause": _pause,
    "resume": _resume,
    "restart": _restart,
    "reload": _reload,
}

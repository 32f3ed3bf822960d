"""`gcron status`: how the jobs of the running gcron stand."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from gcron.cli.columns import Column, print_columns, with_nodes
from gcron.cli.node_rows import NODE_COLUMNS, node_row
from gcron.cli.talking import (
    ago,
    colour,
    find,
    local_time,
    peak,
    reason_of,
    seconds_since,
    span,
    style_of,
    talk,
    word_of,
)
from gcron.cli.terminal import print_wrapped
from gcron.control.client import Client
from gcron.control.failures import FAILURES, is_failing
from gcron.control.node_words import node_problems
from gcron.escaping import escape_line
from gcron.policy.wording import option_text
from gcron.wording import plural

__all__ = [
    "JOB_COLUMNS",
    "RUN_COLUMNS",
    "SERVICE_COLUMNS",
    "headlines",
    "is_crashing",
    "job_row",
    "main",
    "run_row",
    "service_row",
    "strip",
]

_SIGNS = {
    "succeeded": ".",
    "failed": "F",
    "timed-out": "T",
    "killed": "K",
    "start-failed": "S",
    "skipped": "-",
    "missed": "m",
    "stopped": "o",
}
_STRIP = 10
_RUNS_SHOWN = 10
# Seconds in which a service that was started again after a failure does not count as well.
_NEW_LIFE = 60.0
# Columns of a title of a fact, with two blanks.
_TITLE = len("last success") + 2

Record = dict[str, Any]


def main(options: argparse.Namespace) -> int:
    """Print a table of all jobs, or all about one."""
    return talk(options, lambda client: _one(client, options) if options.job else _all(client, options))


def strip(recent: list[str]) -> str:
    """Return the last ten outcomes, a character each, the newest last."""
    return "".join(_SIGNS.get(outcome, "?") for outcome in recent[-_STRIP:])


# -- all jobs -----------------------------------------------------------------------------------------------------


def _all(client: Client, options: argparse.Namespace) -> int:
    instance = client.get("instance")
    jobs = list(client.pages("jobs", "jobs", limit=500))
    if options.names:
        print("".join(f"{escape_line(job['job'])}\n" for job in jobs), end="")
        return 0
    if options.json:
        print(json.dumps({"instance": instance, "jobs": jobs}))
        return 0
    now, nodes = instance["now"], instance["nodes"]
    scheduled = [job for job in jobs if "service" not in job]
    services = [job for job in jobs if "service" in job]
    for text, name in headlines(instance, scheduled):
        print_wrapped(text, paint=partial(colour, name=name) if name else str)
    if scheduled:
        print()
        print_columns(JOB_COLUMNS, [job_row(job, now) for job in scheduled])
    if services:
        print()
        print_columns(SERVICE_COLUMNS, [service_row(job, now) for job in services])
    if len(nodes) > 1:
        print()
        print_columns(NODE_COLUMNS, [node_row(node, now) for node in nodes])
    return 0


def headlines(instance: Record, jobs: Sequence[Record]) -> list[tuple[str, str]]:
    """Return what is to be known before the tables, each with its colour; empty for none."""
    failing = sum(is_failing(job["recent"]) for job in jobs)
    counts = [
        plural(len(jobs), "job"),
        f"{sum(bool(job['running']) for job in jobs)} running",
        f"{failing} failing",
        f"{sum(job['overdue'] for job in jobs)} overdue",
    ]
    since = f"since {local_time(instance['since'])[:16]} ({ago(seconds_since(instance['since'], instance['now']))})"
    lines = [(f"{instance['instance']}: {since}, {', '.join(counts)}", "")]
    if instance["stopping"]:
        lines.append(("gcron is stopping", "yellow"))
    problem = (instance["reload"] or {}).get("problem")
    if problem:
        lines.append(("the crontabs on disk are wrong, and the jobs of before go on: see gcron check", "red"))
    if instance["store"]["problem"]:
        lost = f" ({instance['store']['lost']} records lost)" if instance["store"]["lost"] else ""
        lines.append((f"history: {instance['store']['problem']}{lost}", "red"))
    lines += [(text, "red") for text in node_problems(instance["nodes"])]
    for counts in instance["messages"]:
        is_bad = counts["given_up"] or counts["last_error"]
        lines.append((_message_line(counts), "yellow" if is_bad else ""))
    return lines


def _message_line(counts: Record) -> str:
    """What became of the messages for a target."""
    numbers = f"{counts['sent']} sent, {counts['waiting']} waiting, {counts['given_up']} given up"
    where = f" ({counts['where']})" if counts["where"] else ""
    error = f": {counts['last_error']}" if counts["last_error"] else ""
    return f"messages to {counts['target']}{where}: {numbers}{error}"


def is_crashing(job: Record, now: str) -> bool:
    """Whether a service runs again after a life that failed less than a minute ago."""
    service = job["service"]
    is_new = seconds_since(service["since"], now) < _NEW_LIFE
    runs = service["state"] in ("starting", "ready")
    return runs and is_new and service["restarts"] > 0 and not FAILURES.isdisjoint(job["recent"][-1:])


JOB_COLUMNS = (
    Column("JOB", 12),
    Column("SCHEDULE", 10, leaves=2),
    Column("LAST", 7, style=style_of),
    Column("AGO", 3),
    Column("TOOK", 6, leaves=1),
    Column("LAST TEN", 10, leaves=3),
    Column("NEXT", 7, style=lambda cell: "yellow" if cell in ("paused", "off") else ""),
)
_SERVICE_STYLES = {"ready": "green", "failed": "red", "backing-off": "yellow", "restarted": "yellow"}
SERVICE_COLUMNS = (
    Column("SERVICE", 12),
    Column("STATE", 8, style=lambda cell: _SERVICE_STYLES.get(cell, "")),
    Column("SINCE", 5),
    Column("RESTARTS", 8, leaves=2),
    Column("WHY", 12, leaves=1),
)


def job_row(job: Record, now: str) -> list[str]:
    """Return the cells of a job."""
    last, since, took = _last(job, now)
    return [job["job"], job["schedule"], last, since, took, strip(job["recent"]), _next(job, now)]


def _last(job: Record, now: str) -> tuple[str, str, str]:
    """The last outcome, or that it runs; how long ago; how long it took."""
    if job["running"]:
        run = job["running"][0]
        began = run["started"] or run["created"]
        word = "running" if run["state"] == "running" else run["state"]
        return word, "", span(seconds_since(began, now))
    if not job["recent"] or job["last_ended"] is None:
        return "-", "", ""
    return word_of(job["recent"][-1]), ago(seconds_since(job["last_ended"], now)), span(job["last_duration"])


def _next(job: Record, now: str) -> str:
    if job["paused"]:
        until = (job["pause"] or {}).get("until")
        return "paused" if until is None else f"paused {ago(seconds_since(now, until))}"
    if not job["enabled"]:
        return "off"
    if awaited := [each["job"] for each in job["after_jobs"] if not each["succeeded"]]:
        return f"waits for {awaited[0] if len(awaited) == 1 else plural(len(awaited), 'job')}"
    if job["running"] and (waits := job["running"][0].get("waits_for")):
        return str(waits).partition(":")[0]
    return "-" if job["next_fire"] is None else f"in {ago(seconds_since(now, job['next_fire']))}"


def service_row(job: Record, now: str) -> list[str]:
    """Return the cells of a service."""
    service = job["service"]
    return [
        job["job"],
        "restarted" if is_crashing(job, now) else service["state"],
        ago(seconds_since(service["since"], now)),
        str(service["restarts"]),
        service["reason"],
    ]


# -- one job ------------------------------------------------------------------------------------------------------


def _one(client: Client, options: argparse.Namespace) -> int:
    name = find(client, options.job)["job"]
    job = client.get("jobs", name)
    runs = client.get("jobs", name, "runs", limit=_RUNS_SHOWN)["runs"]
    if options.json:
        print(json.dumps(job | {"last_runs": runs}))
        return 0
    now = client.get("instance")["now"]
    for title, text in _facts(job, now):
        if text:
            print_wrapped(text, f"{title:{_TITLE}}", " " * _TITLE)
    if runs:
        print()
        print_columns(*with_nodes(RUN_COLUMNS, [run_row(run) for run in runs], runs))
    return 0


def _facts(job: Record, now: str) -> list[tuple[str, str]]:
    rate = job["success_rate"]
    done = f"{job['succeeded']} succeeded, {job['failed']} failed, {job['skipped']} skipped, {job['missed']} missed"
    durations = f"on average {span(job['mean_duration'])}, at most {span(job['longest_duration'])}"
    service = job.get("service")
    return [
        ("job", job["job"]),
        ("", job["description"]),
        ("schedule", f"{job['schedule']}  ({job['timezone']})"),
        ("", job["words"]),
        ("defined in", job["source"]),
        ("command", job["command"] or job["function"] or ""),
        ("user", job["user"] or ""),
        ("options", ", ".join(f"{name}={option_text(name, value)}" for name, value in job["options"].items())),
        ("limits", job["limits_problem"] or ""),
        ("state", _state(job, now)),
        ("service", "" if service is None else _service(service)),
        ("next", job["waits"] or ", ".join(local_time(fire) for fire in job["next_fires"][:5])),
        ("so far", done if job["runs"] else ""),
        ("", "" if rate is None else f"{rate:.1%} of the runs succeeded"),
        ("takes", durations if job["mean_duration"] is not None else ""),
        ("last success", "" if job["last_success"] is None else f"{ago(seconds_since(job['last_success'], now))} ago"),
    ]


def _service(service: Record) -> str:
    reason = f": {service['reason']}" if service["reason"] else ""
    return f"{service['state']} since {local_time(service['since'])}{reason}; {service['restarts']} restarts"


def _state(job: Record, now: str) -> str:
    states = []
    for run in job["running"]:
        took = span(seconds_since(run["started"] or run["created"], now))
        pid = "" if run["pid"] is None else f", pid {run['pid']}"
        pid += f" on node {run['node']}" if "node" in run else ""
        waits = f"; it {run['waits_for']}" if "waits_for" in run else ""
        states.append(f"{run['state']} for {took} (run {run['run_id']}{pid}){waits}")
    if job["pause"] is not None:
        pause = job["pause"]
        until = "" if pause["until"] is None else f" until {local_time(pause['until'])}"
        who = f" by {pause['who']}" if pause["who"] else ""
        why = f": {pause['why']}" if pause["why"] else ""
        states.append(f"paused since {local_time(pause['since'])}{until}{who}{why}")
    if not job["enabled"]:
        states.append("not enabled (enabled=no)")
    if job["overdue"]:
        states.append("overdue: it has not succeeded within its expect-within")
    return "; ".join(states)


RUN_COLUMNS = (
    Column("RUN", 16),
    Column("WHEN", 19, leaves=4),
    Column("OUTCOME", 9, style=style_of),
    Column("TOOK", 5, leaves=5),
    Column("CPU", 4, leaves=2),
    Column("PEAK", 4, leaves=1),
    Column("WHY", 12, leaves=3),
)


def run_row(run: Record) -> list[str]:
    """Return the cells of a run."""
    outcome = word_of(run["outcome"]) or run["state"]
    used = [span(run["cpu_seconds"]), peak(run["max_rss_bytes"])]
    return [run["run_id"], local_time(run["created"]), outcome, span(run["duration"]), *used, reason_of(run)]

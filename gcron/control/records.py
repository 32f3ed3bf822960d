"""Jobs as plain data, and runs as they stand now: what `gcron.scheduler.records` does for events and the history.

Names are those of the log's JSON. Times are RFC 3339 in UTC, durations are seconds. No secret of a command is in a
record: see `without_secrets`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from gcron.policy import Policy
from gcron.policy.options import OPTIONS
from gcron.schedule import (
    AfterEndSchedule,
    AfterJobsSchedule,
    CronSchedule,
    EverySchedule,
    OnceSchedule,
    Schedule,
    ScheduleError,
    Unscheduled,
    core_of,
)
from gcron.schedule.layouts import NICKNAMES
from gcron.schedule.limit_wording import describe_limits
from gcron.schedule.wording import describe, describe_after_jobs, describe_delay, describe_period
from gcron.scheduler.history import JobSummary, StoredRun, Upstream
from gcron.scheduler.job import Job
from gcron.scheduler.records import (
    Record,
    instant,
    pause_record,
    run_record,
    service_record,
    stored_run_record,
    summary_record,
)
from gcron.scheduler.status import JobStatus
from gcron.supervise.cgroup_limits import divide
from gcron.supervise.command import Command
from gcron.supervise.run import Run

__all__ = [
    "full_run_record",
    "job_details",
    "job_record",
    "live_run_record",
    "remote_run_record",
    "schedule_words",
    "without_secrets",
    "zone_name",
]

_DEFAULTS = Policy()
_UNSCHEDULED = {
    "reboot": "Once, when gcron starts",
    "service": "Kept running",
    "manual": "Only when it is triggered",
}
_HIDDEN = "\N{HORIZONTAL ELLIPSIS}"
# `TOKEN=…`, `--password=…` and `--password …`, `https://user:…@host`, `?key=…`.
_ASSIGNMENT = r"(?<![\w-])((?:-{1,2})?[A-Za-z_][\w-]*=)(?:'[^']*'|\"(?:[^\"\\]|\\.)*\"|[^\s;&|<>()'\"])+"
_OPTION = r"(?i)(--?(?:pass(?:word|wd|phrase)?|token|secret|api-?key|auth|user|credentials?)\s+)(?!-)\S+"
_USER_OF_URL = r"(://)[^/\s@'\"]+@"
_QUERY_OF_URL = r"(://[^\s?'\"]*\?)[^\s'\"]+"
_HEADER = r"(?i)((?:authorization|cookie|x-[\w-]*(?:key|token)):\s*)[^'\"]+"


def job_record(
    status: JobStatus, summary: JobSummary | None, now: float, elsewhere: Sequence[StoredRun] = ()
) -> Record:
    """How a job stands: when it is due, what of it runs, and how it did. `elsewhere`: its runs on other nodes."""
    job = status.job
    done = summary_record(summary or JobSummary(job.name))
    pause = None if status.pause is None else pause_record(status.pause)
    record: Record = {
        "job": job.name,
        "kind": _kind(job.schedule),
        "schedule": job.schedule.text,
        "timezone": zone_name(job.schedule),
        "source": job.source,
        "description": job.policy.description,
        "enabled": job.policy.enabled,
        "paused": status.is_paused,
        "overdue": status.is_overdue,
        "next_fire": None if status.next_fire is None else instant(int(status.next_fire.timestamp())),
        "running": [
            *(live_run_record(run, now) for run in status.running),
            *(remote_run_record(run, now) for run in elsewhere),
        ],
        "after_jobs": [_upstream_record(each) for each in status.upstream],
        "group": job.policy.group,
        **done,
        "pause": pause,
    }
    if status.service is not None:
        record["service"] = service_record(status.service, now)
    return record


def _upstream_record(each: Upstream) -> Record:
    return {
        "job": each.job,
        "succeeded": each.has_succeeded,
        "outcome": each.outcome or None,
        "ended": instant(each.ended),
        "reason": each.reason,
    }


def job_details(job: Job) -> Record:
    """How a job is defined: what `job_record` leaves out."""
    policy = job.policy
    options = {
        name: _plain(value)
        for name, row in OPTIONS.items()
        if (value := getattr(policy, row.attribute)) != getattr(_DEFAULTS, row.attribute)
    }
    action = job.action
    return {
        "words": schedule_words(job.schedule, job.name),
        "command": without_secrets(action.text) if isinstance(action, Command) else None,
        "function": None if isinstance(action, Command) else getattr(action, "__qualname__", type(action).__name__),
        "user": action.user if isinstance(action, Command) else None,
        "options": options,
        "limits_problem": (divide(action.cgroup_limits)[1] or None) if isinstance(action, Command) else None,
    }


def live_run_record(run: Run, now: float) -> Record:
    """A run of which this process knows: under way, or just ended."""
    live = run_record(run, now)
    return {
        "job": run.job,
        "run_id": run.run_id,
        "state": live["state"],
        "outcome": live.get("outcome"),
        "reason": live.get("reason", ""),
        "reason_code": live.get("reason_code", ""),
        "fire_at": live["fire_at"],
        "who": run.who,
        "why": run.why,
        "created": live["created"],
        "started": live["started"],
        "ended": live["ended"],
        "pid": live["pid"],
        "attempts": live["attempt"],
        "exit_code": live.get("exit_code"),
        "duration": None if run.started_at is None else live.get("duration", live["seconds"]),
        "cpu_seconds": live.get("cpu_seconds"),
        "max_rss_bytes": live.get("max_rss_bytes"),
        "output_bytes": live.get("output_bytes", 0),
        **{name: live[name] for name in ("node", "fence") if name in live},
        **({"left_behind": live["left_behind"]} if "left_behind" in live else {}),
        **({"waits_for": waits} if (waits := run.describe_wait()) and run.outcome is None else {}),
    }


def full_run_record(run: StoredRun) -> Record:
    """A run of the history, with the fields of a run under way."""
    record = stored_run_record(run)
    return {"job": run.job, "run_id": run.run_id, "state": "ended" if run.outcome else "unknown", **record}


def remote_run_record(run: StoredRun, now: float) -> Record:
    """A run under way on another node."""
    began = run.started or run.created
    return full_run_record(run) | {"state": "running", "duration": max(0.0, round(now - began, 3))}


def zone_name(schedule: Schedule) -> str:
    """The zone's name in the tz database, or the name that it gives itself."""
    tz = schedule.zone.tz
    return str(getattr(tz, "key", None) or tz)


def schedule_words(schedule: Schedule, job: str) -> str:
    """A schedule in words, without a full stop; empty for an expression whose order of fields is not known."""
    return _core_words(core_of(schedule), job) + describe_limits(schedule)


def _core_words(core: Schedule, job: str) -> str:
    if isinstance(core, AfterJobsSchedule):
        return f"Runs {describe_after_jobs(core.jobs)}"
    if isinstance(core, Unscheduled):
        return _UNSCHEDULED.get(core.kind, core.kind)
    if isinstance(core, EverySchedule):
        return describe_period(core.period).capitalize()
    if isinstance(core, AfterEndSchedule):
        return describe_delay(core.delay)
    if isinstance(core, OnceSchedule):
        return f"Once, at {datetime.fromtimestamp(core.instant, core.zone.tz):%Y-%m-%d %H:%M:%S}"
    if not isinstance(core, CronSchedule):
        return core.text
    try:
        return describe(NICKNAMES.get(core.text, core.text), job)
    except (ScheduleError, ValueError):
        return ""  # six fields: which ones, the crontab declares


def _kind(schedule: Schedule) -> str:
    core = core_of(schedule)
    if isinstance(core, Unscheduled):
        return core.kind
    if isinstance(core, CronSchedule):
        return "cron"
    return {EverySchedule: "every", AfterEndSchedule: "after-end", OnceSchedule: "once"}.get(type(core), "custom")


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def without_secrets(command: str) -> str:
    """A command with an ellipsis in the place of what may be a secret.

    Hidden are the values of assignments, of options such as `--password`, of headers, and the user and the query of a
    URL: more than what is secret, and not what a program alone knows to be so.

    >>> without_secrets("TOKEN=abc curl -u ann:xyz https://ann:xyz@example.org/ping?key=1")
    'TOKEN=… curl -u … https://…@example.org/ping?…'
    """
    text = re.sub(_HEADER, rf"\1{_HIDDEN}", command)
    text = re.sub(_USER_OF_URL, rf"\1{_HIDDEN}@", text)
    text = re.sub(_QUERY_OF_URL, rf"\1{_HIDDEN}", text)
    text = re.sub(r"(?<!\S)(-u\s+)[^\s:]+:\S+", rf"\1{_HIDDEN}", text)
    text = re.sub(_OPTION, rf"\1{_HIDDEN}", text)
    return re.sub(_ASSIGNMENT, rf"\1{_HIDDEN}", text)

"""What the pages of a job, a run, services and events show. Pure: records in, data of templates out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup

from gcron.policy.wording import option_text
from gcron.scheduler.events import asked_words
from gcron.scheduler.history import OutputPart
from gcron.scheduler.records import Record
from gcron.web.charts import durations_chart, percentile
from gcron.web.output_html import newest_html
from gcron.web.paging import items_on, page_count
from gcron.web.standing import standing_of
from gcron.web.words import ago, exact, outcome_word, seconds_of, short_exact, span, until
from gcron.wording import describe_size

__all__ = [
    "MOST_OUTPUT",
    "SERVICES_ON_PAGE",
    "events_view",
    "job_page",
    "problem_view",
    "run_page",
    "runs_view",
    "services_view",
]

MOST_OUTPUT = 80 * 1024
"""Bytes of the output in a page, as HTML: the page stays below 100 KB."""

SERVICES_ON_PAGE = 100
"""The page stays below 100 KB."""
_NAMED_IN_GROUP = 20
_PROBLEM_LINES = 200

View = dict[str, Any]

_LOOKS = {"error": "bad", "warning": "warn", "info": "new"}
_FRAME = frozenset({"time", "event", "job", "level", "run_id"})


def job_page(base: str, job: Record, runs: Sequence[Record], now: float) -> View:
    """All about one job."""
    durations = [run["duration"] for run in runs if run["outcome"] == "succeeded" and run["duration"] is not None]
    zone = _zone(job["timezone"])
    rate = job["success_rate"]
    return {
        "standing": standing_of(job),
        "chart": durations_chart(base, runs),
        "rate": None if rate is None else f"{rate:.1%}".replace(".0%", "%"),
        "median": percentile(durations, 0.5),
        "p95": percentile(durations, 0.95),
        "fires": [_fire(time, zone, now) for time in job["next_fires"]],
        "rows": [_run_row(run, now) for run in runs],
        "options": {name: option_text(name, value) for name, value in job["options"].items() if name != "description"},
        "state_words": _state_words(job, now),
    }


def _zone(name: str) -> tzinfo | None:
    """The zone of a job; None, which stands for that of the machine, when it has no name that is known."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None
    except KeyError:
        return None


def _fire(time: str, zone: tzinfo | None, now: float) -> View:
    at = seconds_of(time)
    return {"t": int(at), "exact": exact(time, zone), "text": until(at - now)}


def _state_words(job: Record, now: float) -> list[str]:
    texts = []
    if job["pause"] is not None:
        pause = job["pause"]
        end = "" if pause["until"] is None else f" until {exact(pause['until'])}"
        texts.append(asked_words(f"Paused since {exact(pause['since'])}{end}", pause["who"], pause["why"]))
    if job["overdue"]:
        texts.append("Overdue: it has not succeeded within its expect-within")
    if not job["enabled"]:
        texts.append("Not enabled (enabled=no)")
    if job["last_success"] is not None:
        texts.append(f"Last success {ago(now - seconds_of(job['last_success']))} ({exact(job['last_success'])})")
    return texts


def _run_row(run: Record, now: float) -> View:
    look, word = outcome_word(run)
    at = seconds_of(run["created"])
    return {
        "job": run["job"],
        "run_id": run["run_id"],
        "look": look,
        "word": word,
        "reason": run["reason"] if look != "ok" else "",
        "t": int(at),
        "text": ago(now - at),
        "exact": exact(run["created"]),
        "took": span(run["duration"]),
        "attempts": run["attempts"],
        "count": run.get("count", 1),
        "node": run.get("node", ""),
    }


def runs_view(runs: Sequence[Record], now: float) -> View:
    """A page of runs of all jobs."""
    return {"rows": [_run_row(run, now) for run in runs]}


def run_page(run: Record, parts: Sequence[OutputPart], now: float) -> View:
    """One run, and what it wrote."""
    look, word = outcome_word(run)
    facts = [
        ("Due", exact(run["fire_at"]) if run["fire_at"] else "by hand"),
        ("Created", exact(run["created"])),
        ("Started", exact(run["started"])),
        ("Ended", exact(run["ended"])),
        ("Took", span(run["duration"])),
        ("Attempts", str(run["attempts"]) if run["attempts"] else ""),
        ("Exit status", "" if run["exit_code"] is None else str(run["exit_code"])),
        ("Process", "" if run["pid"] is None else str(run["pid"])),
        ("Processor time", span(run["cpu_seconds"])),
        ("Most memory", "" if run["max_rss_bytes"] is None else describe_size(run["max_rss_bytes"])),
        ("Output", f"{run['output_bytes']:,} bytes" if run["output_bytes"] else ""),
        ("Left behind", run.get("left_behind", "")),
        ("Node", run.get("node", "")),
        ("Claim", str(run.get("fence", ""))),
    ]
    start, output = newest_html(parts, MOST_OUTPUT)
    return {
        "look": look,
        "word": word,
        "is_under_way": not run["outcome"] and run["state"] not in ("ended", "unknown"),
        "facts": [(name, value) for name, value in facts if value],
        "output": Markup(output),
    } | ({"start": start} if parts else {})


def services_view(services: Sequence[Record], groups: Sequence[Record], page: int, now: float) -> View:
    """A page of services with their states, and all groups."""
    rows = []
    for job in items_on(page, services, SERVICES_ON_PAGE):
        standing = standing_of(job)
        service = job["service"]
        since = seconds_of(service["since"])
        rows.append(
            {
                "job": job["job"],
                "look": standing.look,
                "word": service["state"].replace("-", " "),
                "reason": service["reason"],
                "restarts": service["restarts"],
                "t": int(since),
                "text": ago(now - since),
                "exact": exact(service["since"]),
                "pid": None if service["life"] is None else service["life"]["pid"],
                "runs": service["state"] not in ("stopped", "failed"),
            }
        )
    return {
        "rows": rows,
        "total": len(services),
        "page": page,
        "pages": page_count(len(services), SERVICES_ON_PAGE),
        "groups": [
            {
                "group": group["group"],
                "limit": group["limit"],
                "running": _some(group["running"]),
                "waiting": _some(group["waiting"]),
            }
            for group in groups
        ],
    }


def _some(runs: Sequence[Record]) -> View:
    return {"first": runs[:_NAMED_IN_GROUP], "count": len(runs), "more": max(0, len(runs) - _NAMED_IN_GROUP)}


def problem_view(problem: str) -> View:
    """What is wrong with the crontabs on disk."""
    lines = problem.splitlines()
    return {"lines": lines[:_PROBLEM_LINES], "more": max(0, len(lines) - _PROBLEM_LINES)}


def events_view(events: Iterable[Record], now: float) -> list[View]:
    """Events, in the order in which they are given."""
    views = []
    for event in events:
        at = seconds_of(event["time"])
        more = [f"{name}={value}" for name, value in event.items() if name not in _FRAME and value not in (None, "")]
        views.append(
            {
                "look": _LOOKS.get(event.get("level", "info"), "new"),
                "kind": event["event"].replace("-", " "),
                "job": event.get("job", ""),
                "run_id": event.get("run_id", ""),
                "t": int(at),
                "text": ago(now - at),
                "exact": short_exact(event["time"], now) + exact(event["time"])[-3:],
                "more": " ".join(more),
            }
        )
    return views

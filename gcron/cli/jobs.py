"""What lists of jobs say about an entry: its schedule, its user, its place, and why it has no fire."""

from __future__ import annotations

from datetime import datetime

from gcron.cli.times import utc_text
from gcron.crontab import Entry
from gcron.schedule import AfterEndSchedule, AfterJobsSchedule, Unscheduled, core_of
from gcron.schedule.limit_wording import describe_limits
from gcron.schedule.wording import describe_after_jobs, describe_delay

__all__ = ["job_record", "limits_of", "next_fire", "place_of", "schedule_of", "user_of", "why_never"]

# Instead of a next fire: in a few letters, and as the end of a sentence about the job.
_UNSCHEDULED = {
    "reboot": ("at start", "runs once when gcron starts, not by the clock"),
    "service": ("service", "is kept running, not started by the clock"),
    "manual": ("by hand", "runs only when it is triggered"),
}


def next_fire(entry: Entry, start: int) -> int | None:
    """Return the first fire from `start` on; None if there is none, or the entry is switched off."""
    return entry.schedule.next_after(start - 1) if entry.policy.enabled else None


def schedule_of(entry: Entry) -> str:
    """Return the schedule on one line, with single blanks."""
    return " ".join(entry.schedule_text.split())


def limits_of(entry: Entry) -> str:
    """Return the limits of the schedule in words; empty if it has none."""
    return describe_limits(entry.schedule).lstrip(",; ")


def user_of(entry: Entry) -> str | None:
    """Return the user that the entry names; None for gcron's own."""
    return entry.policy.user or entry.user


def place_of(entry: Entry) -> str:
    """Return `crontab:12`, by which commands find the job, too."""
    return f"{entry.path}:{entry.line}"


def why_never(entry: Entry) -> tuple[str, str]:
    """Return why the clock never starts the entry: in a word or two, and as the end of a sentence about it."""
    if not entry.policy.enabled:
        return "off", "is switched off (enabled=no)"
    schedule = core_of(entry.schedule)
    if isinstance(schedule, AfterJobsSchedule):
        return "after jobs", f"runs {describe_after_jobs(schedule.jobs)}"
    if isinstance(schedule, Unscheduled):
        return _UNSCHEDULED[schedule.kind]
    if isinstance(schedule, AfterEndSchedule):
        return "after runs", f"runs {describe_delay(schedule.delay)}"
    return "never", "never fires again: its schedule names no day to come"


def job_record(entry: Entry, fire: int | None) -> dict[str, object]:
    """Return an entry and one of its fires for machines."""
    return {
        "at": None if fire is None else utc_text(fire),
        "local": None if fire is None else datetime.fromtimestamp(fire, entry.schedule.zone.tz).isoformat(),
        "job": entry.name,
        "schedule": schedule_of(entry),
        "user": user_of(entry),
        "file": entry.path,
        "line": entry.line,
    }

"""Why a job ran, or did not run, at a time: what the schedule says, what the clock did, and what came of the fire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from gcron.control.errors import ControlError
from gcron.control.instance import Instance
from gcron.control.nodes import others_up, own_node, why_not_here
from gcron.control.operations import ask_history
from gcron.control.records import full_run_record, live_run_record, remote_run_record, schedule_words, zone_name
from gcron.control.why_chained import why_chained
from gcron.frozen import replace
from gcron.policy.services import is_chained, is_service, is_shared
from gcron.schedule import (
    CronSchedule,
    DelayedSchedule,
    LimitedSchedule,
    Occurrence,
    Schedule,
    ScheduleError,
    Shift,
    Unscheduled,
    core_of,
    occurrence,
    shifts,
)
from gcron.schedule.days import day_rule, place_in_month
from gcron.schedule.fields import Field, parse_field
from gcron.schedule.layouts import DAY, HOUR, MINUTE, MONTH, NICKNAMES, SECOND, WEEKDAY, YEAR, layout_of
from gcron.schedule.wording import describe_fields
from gcron.schedule.wrapped import WrappedSchedule
from gcron.scheduler.events import asked_words
from gcron.scheduler.history import Pause, RunQuery, StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.records import Record, instant, pause_record

__all__ = ["AskedTime", "read_moment", "why"]

_DAY = 86400
_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)
# Two days inside what a `datetime` can hold, so that it has all days around a time, in all zones.
_FIRST = (datetime(1, 1, 3) - _EPOCH) // _SECOND
_LAST = (datetime(9999, 12, 29) - _EPOCH) // _SECOND
_HINT = "write 02:30, 2027-03-28, 2027-03-28T02:30 (in the zone of the job), or with Z or an offset such as +02:00"
_EVERY_DAY = Field((1 << 32) - 2, starred=True)
_EVERY_WEEKDAY = Field((1 << 7) - 1, starred=True)
_FIELDS_OF_CRON = 5
# Pages of history that are looked through for a fire.
_MOST_PAGES, _PAGE = 10, 200


class AskedTime(NamedTuple):
    """A time that was asked about: an instant, and the width of what was meant: a minute, or a second."""

    instant: int
    width: int
    clock: str = ""
    """What the clock did to it: skipped, or showed it twice. Empty for nothing."""


def why(gcron: Instance, name: str, at: str) -> Record:
    """Whether the job was due then, which field of its schedule says no, and what came of the fire."""
    job = gcron.job(name)
    asked = read_moment(at, job.schedule, int(gcron.clock.now()))
    if not _FIRST <= asked.instant <= _LAST:
        raise ControlError("bad-request", f"{at!r} is not in the years 1 to 9999, or at their very edge")
    moment = _span_of(asked, job.schedule, is_now=at.strip().lower() == "now")
    fire = job.schedule.previous_before(asked.instant + 1)
    if fire is None or fire < moment.instant:
        fire = job.schedule.next_after(moment.instant - 1)
    is_due = fire is not None and fire < moment.instant + moment.width
    before, after = job.schedule.previous_before(asked.instant), job.schedule.next_after(asked.instant)
    record: Record = {
        "job": job.name,
        "at": instant(asked.instant),
        "due": is_due,
        "fire_at": instant(fire) if is_due else None,
        "schedule": job.schedule.text,
        "words": schedule_words(job.schedule, job.name),
        "timezone": zone_name(job.schedule),
        "clock": moment.clock,
        "mark": str(occurrence(job.schedule, fire)) if is_due and fire is not None else "",
        "fields": [] if is_due else list(_fields(job, asked.instant)),
        "previous_fire": instant(before),
        "following_fire": instant(after),
        "run": None,
    }
    if is_chained(job):
        return record | why_chained(gcron, job, moment.instant, moment.width)
    if is_due and fire is not None:
        return record | _what_came(gcron, job, fire)
    explanation = _standing(gcron, job, asked.instant) + _why_not_due(job, asked, record["fields"])
    return record | (
        _find_trigger(gcron, job, moment, explanation) or {"verdict": "not-due", "explanation": explanation}
    )


# -- the time -----------------------------------------------------------------------------------------------------


def read_moment(text: str, schedule: Schedule, now: int) -> AskedTime:
    """The time that a text means; without an offset it is a wall time of the schedule's zone.

    A time of day alone is the last one that is not to come. Raises ControlError.
    """
    words = text.strip()
    if words.lower() == "now":
        return AskedTime(now, 60 if now % 60 == 0 else 1)
    zone = schedule.zone
    try:
        if len(words) <= len("02:30:00") and ":" in words:
            today = datetime.fromtimestamp(now, zone.tz).date()
            time = datetime.strptime(words, "%H:%M:%S" if words.count(":") > 1 else "%H:%M").time()
            read = datetime.combine(today, time)
            moment = _from_wall(schedule, read)
            return moment if moment.instant <= now else _from_wall(schedule, read - timedelta(days=1))
        read = datetime.fromisoformat(words)
        if read.tzinfo is None:
            return _from_wall(schedule, read)
        at = (read - datetime(1970, 1, 1, tzinfo=UTC)) // _SECOND
        return AskedTime(at, 60 if at % 60 == 0 else 1)
    except (ValueError, OverflowError):
        raise ControlError("bad-request", f"{text!r} is no time: {_HINT}") from None


def _span_of(asked: AskedTime, schedule: Schedule, *, is_now: bool) -> AskedTime:
    """The whole minute where the schedule knows no seconds, and for `now`; otherwise what was asked about."""
    if asked.width > 1 or not (is_now or _has_minutes_only(schedule)):
        return asked
    wall = asked.instant + schedule.zone.offset_at(asked.instant)
    return asked._replace(instant=asked.instant - wall % 60, width=60)


def _has_minutes_only(schedule: Schedule) -> bool:
    core = core_of(schedule)
    return isinstance(core, CronSchedule) and len(NICKNAMES.get(core.text, core.text).split()) == _FIELDS_OF_CRON


def _from_wall(schedule: Schedule, read: datetime) -> AskedTime:
    zone = schedule.zone
    wall = (read - _EPOCH) // _SECOND
    width = 60 if wall % 60 == 0 else 1
    offsets = {zone.offset_at(wall - _DAY), zone.offset_at(wall + _DAY)}
    instants = sorted(wall - offset for offset in offsets if zone.offset_at(wall - offset) == offset)
    if not instants:
        skipped = next(shift for shift in shifts(zone, wall - 2 * _DAY, wall + 2 * _DAY) if _skips(shift, wall))
        return AskedTime(skipped.instant, width, f"the clock skipped {read:%H:%M} that day: {_described(skipped)}")
    if len(instants) == 1:
        return AskedTime(instants[0], width)
    due = [at for at in instants if (fire := schedule.next_after(at - 1)) is not None and fire < at + width]
    shift = next(shift for shift in shifts(zone, instants[0], instants[-1]))
    return AskedTime((due or instants)[0], width, f"the clock showed {read:%H:%M} twice that day: {_described(shift)}")


def _skips(shift: Shift, wall: int) -> bool:
    return shift.instant + shift.before <= wall < shift.instant + shift.after


def _described(shift: Shift) -> str:
    before, after = (_EPOCH + timedelta(seconds=shift.instant + offset) for offset in (shift.before, shift.after))
    return f"at {before:%H:%M} it was set to {after:%H:%M}"


# -- not due ------------------------------------------------------------------------------------------------------


def _fields(job: Job, at: int) -> Iterator[Record]:
    """Each field of a cron expression, what the clock showed, and whether that fits."""
    schedule = job.schedule
    while isinstance(schedule, WrappedSchedule):
        if isinstance(schedule, DelayedSchedule):
            at -= schedule.delay
        schedule = schedule.schedule
    if not isinstance(schedule, CronSchedule):
        return
    expression = NICKNAMES.get(schedule.text, schedule.text)
    try:
        words = describe_fields(expression, job.name)
        kinds = layout_of(len(words), None)
        parsed = {kind: parse_field(kind, field.text, job.name) for kind, field in zip(kinds, words, strict=True)}
    except (ScheduleError, ValueError):
        return  # six fields: which ones, the crontab declares
    wall = at + schedule.zone.offset_at(at)
    shown = _EPOCH + timedelta(seconds=wall)
    _, month, day, shape = place_in_month(wall // _DAY)
    by_day = day_rule(parsed[DAY], parsed[MONTH], _EVERY_WEEKDAY).by_shape[shape] >> day & 1
    by_weekday = day_rule(_EVERY_DAY, parsed[MONTH], parsed[WEEKDAY]).by_shape[shape] >> day & 1
    either = day_rule(parsed[DAY], parsed[MONTH], parsed[WEEKDAY]).by_shape[shape] >> day & 1
    values = {
        SECOND: (shown.second, None),
        MINUTE: (shown.minute, None),
        HOUR: (shown.hour, None),
        DAY: (day, by_day or either),
        MONTH: (month, None),
        WEEKDAY: (shown.isoweekday() % 7, by_weekday or either),
        YEAR: (shown.year, None),
    }
    for kind, field in zip(kinds, words, strict=True):
        value, fits = values[kind]
        if fits is None:
            fits = parsed[kind].bits >> value & 1
        yield {"field": kind.name, "text": field.text, "words": field.words, "value": value, "fits": bool(fits)}


def _why_not_due(job: Job, moment: AskedTime, fields: list[Record]) -> str:
    clock = f"{moment.clock}; " if moment.clock else ""
    if isinstance(core := core_of(job.schedule), Unscheduled):
        how = {"reboot": "once when gcron starts", "service": "as a service", "manual": "only when it is triggered"}
        return f"{clock}not due at any time of the clock: it runs {how.get(core.kind, core.kind)}"
    if job.schedule.follows_end:
        return f"{clock}due by the end of its last run, not by the clock"
    if (limit := _limit_that_says_no(job.schedule, moment.instant)) is not None:
        return f"{clock}not due: {limit}"
    wrong = [
        f"the {field['field']} was {field['value']}, and the schedule says {field['words']}"
        for field in fields
        if not field["fits"]
    ]
    return f"{clock}not due: " + ("; ".join(wrong) if wrong else "its schedule has no fire then")


def _standing(gcron: Instance, job: Job, at: int) -> str:
    """That the job is not enabled, or was paused then: what somebody decided comes before what the schedule says."""
    if not job.policy.enabled:
        return "it is not enabled (enabled=no); besides, "
    pause = gcron.scheduler.status(job.name).pause
    return f"it is {_pause_words(pause)}; besides, " if pause is not None and pause.since <= at else ""


def _pause_words(pause: Pause) -> str:
    return asked_words(f"paused since {instant(int(pause.since))}", pause.who, pause.why)


def _find_trigger(gcron: Instance, job: Job, moment: AskedTime, why_not: str) -> Record | None:
    """The run that somebody triggered then."""
    begin, end = moment.instant, moment.instant + moment.width
    for live in gcron.scheduler.status(job.name).running:
        if begin <= live.created_at < end and _was_triggered(job, live.fire_at, live.who, live.why):
            words = f"{why_not}; {asked_words('triggered', live.who, live.why)}; it is under way: {live.state}"
            record = live_run_record(live, gcron.clock.now())
            return {"verdict": "triggered", "explanation": words, "run": record}
    for run in _pages(gcron, RunQuery(job=job.name, since=begin, until=end, limit=_PAGE)):
        if _was_triggered(job, run.fire_at, run.who, run.why):
            lead = f"{why_not}; {asked_words('triggered', run.who, run.why)}; "
            if _is_under_way_elsewhere(gcron, run):
                words, record = f"it is under way on node {run.node}", remote_run_record(run, gcron.clock.now())
            else:
                words, record = _run_words(run, int(run.created)), full_run_record(run)
            return {"verdict": "triggered", "explanation": lead + words, "run": record}
    return None


def _was_triggered(job: Job, fire_at: int | None, who: str, why: str) -> bool:
    """Whether somebody triggered a run. One that began with gcron, or of a service, has no time either."""
    return fire_at is None and bool(who or why or not (job.starts_with_scheduler or is_service(job)))


def _limit_that_says_no(schedule: Schedule, at: int) -> str | None:
    """Which limit forbids a fire that the schedule within the limits has."""
    while isinstance(schedule, WrappedSchedule) and not isinstance(schedule, LimitedSchedule):
        schedule = schedule.schedule
    if not isinstance(schedule, LimitedSchedule) or schedule.schedule.next_after(at - 1) != at:
        return None
    if at < schedule.start:
        return f"its first moment (start) is {instant(schedule.start)}"
    if at > schedule.end:
        return f"its last moment (end) was {instant(schedule.end)}"
    return "the day is one of those in except-on"


# -- due ----------------------------------------------------------------------------------------------------------


def _what_came(gcron: Instance, job: Job, fire: int) -> Record:
    """What came of a fire: its run or the span in which it was missed, or why there is none."""
    now = gcron.clock.now()
    lead = _clock_words(job.schedule, fire)
    for run in gcron.scheduler.status(job.name).running:
        if run.fire_at == fire:
            waits = f"; it {words}" if (words := run.describe_wait()) else ""
            explanation = f"{lead}its run {run.run_id} is under way: {run.state}{waits}"
            return {"verdict": "under-way", "explanation": explanation, "run": live_run_record(run, now)}
    if fire > now:
        return _to_come(gcron, job, lead)
    stored = _find_run(gcron, job, fire)
    if stored is not None and _is_under_way_elsewhere(gcron, stored):
        explanation = f"{lead}its run {stored.run_id} is under way on node {stored.node}"
        return {"verdict": "under-way", "explanation": explanation, "run": remote_run_record(stored, now)}
    if stored is not None:
        verdict = stored.outcome if stored.outcome in ("skipped", "missed") else "ran"
        return {"verdict": verdict, "explanation": lead + _run_words(stored, fire), "run": full_run_record(stored)}
    return _without_record(gcron, job, fire, lead)


def _clock_words(schedule: Schedule, fire: int) -> str:
    mark = occurrence(schedule, fire)
    if mark is Occurrence.MADE_UP:
        return "due, made up right after a clock change that skipped its time; "
    if mark in (Occurrence.FIRST_PASS, Occurrence.SECOND_PASS):
        return f"due, in the {mark} of a time that the clock showed twice; "
    return "due; "


def _run_words(run: StoredRun, fire: int) -> str:
    reason = f": {run.reason}" if run.reason else ""
    if run.outcome == "missed":
        return f"missed{reason}"
    if run.outcome == "skipped":
        return f"skipped{f' by node {run.node}' if run.node else ''}{reason}"
    late = run.created - fire
    delay = f", {late:.0f} s after it was due" if late >= 1 else ""
    where = f" on node {run.node}" if run.node else ""
    return f"it ran{where}{delay}; outcome {run.outcome or 'unknown: the record has no end'}{reason}"


def _to_come(gcron: Instance, job: Job, lead: str) -> Record:
    status = gcron.scheduler.status(job.name)
    if not job.policy.enabled:
        return {"verdict": "not-enabled", "explanation": f"{lead}but it is not enabled (enabled=no)"}
    if status.pause is not None and (status.pause.until is None or status.next_fire is None):
        return {"verdict": "paused", "explanation": f"{lead}but it is paused", "pause": pause_record(status.pause)}
    elsewhere = f"; {words}" if (words := why_not_here(gcron, job)) else ""
    return {"verdict": "to-come", "explanation": f"{lead}that time is still to come{elsewhere}"}


def _without_record(gcron: Instance, job: Job, fire: int, lead: str) -> Record:
    if not job.policy.enabled:
        return {"verdict": "not-enabled", "explanation": f"{lead}but it is not enabled (enabled=no)"}
    pause = gcron.scheduler.status(job.name).pause
    if pause is not None and pause.since <= fire:
        explanation = f"{lead}but it was {_pause_words(pause)}"
        return {"verdict": "paused", "explanation": explanation, "pause": pause_record(pause)}
    if words := why_not_here(gcron, job):
        return {"verdict": "no-record", "explanation": f"{lead}but {words}, and no other node has a record of it"}
    if fire < gcron.since:
        text = f"{lead}but this gcron started only at {instant(int(gcron.since))}, and the history has no record of it"
        return {"verdict": "before-start", "explanation": text}
    text = f"{lead}but there is no record of it: the job was paused, new or different then, or the record is gone"
    return {"verdict": "no-record", "explanation": text}


def _is_under_way_elsewhere(gcron: Instance, run: StoredRun) -> bool:
    return not run.outcome and run.node in others_up(gcron)


def _find_run(gcron: Instance, job: Job, fire: int) -> StoredRun | None:
    """The record of that fire. Most are made within two minutes of it, some much later: after a restart, or a wait.

    Of a job that each node has for itself (`run-on=every`), other nodes have fires at the same time: they do not count.
    """
    node = "" if is_shared(job) else own_node(gcron)
    soon = RunQuery(job=job.name, since=fire - 1, until=fire + 120, limit=_PAGE)
    missed = RunQuery(job=job.name, outcomes=frozenset({"missed"}), since=fire - 1, limit=_PAGE)
    later = RunQuery(job=job.name, since=fire - 1, limit=_PAGE)
    for query in (soon, missed, later):
        for run in _pages(gcron, query):
            if node and run.node != node:
                continue
            if run.fire_at is not None and run.fire_at <= fire <= (run.last_fire_at or run.fire_at):
                return run
    return None


def _pages(gcron: Instance, query: RunQuery) -> Iterator[StoredRun]:
    for _ in range(_MOST_PAGES):
        page = ask_history(partial(gcron.scheduler.store.runs, query))
        yield from page.runs
        if not page.cursor:
            return
        query = replace(query, cursor=page.cursor)

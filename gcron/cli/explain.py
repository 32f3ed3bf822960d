"""`gcron explain`: a schedule in words, with its next fires and what the next clock changes do to it.

It is long because it prints the same in two ways: as text for people, and as a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from gcron.cli.clock_changes import change_title, change_words, coming_changes, mark_words
from gcron.cli.files import load_or_complain
from gcron.cli.jobs import place_of
from gcron.cli.messages import say
from gcron.cli.terminal import FIXED_BLANK, print_wrapped, width
from gcron.cli.times import TimeError, offset_text, read_moment, read_zone, relative_text, utc_text, zone_name
from gcron.crontab import Entry, JobNotFound, find_job
from gcron.escaping import escape
from gcron.frozen import frozen
from gcron.schedule import (
    LAYOUTS,
    AfterEndSchedule,
    AfterJobsSchedule,
    CronSchedule,
    DelayedSchedule,
    EverySchedule,
    Schedule,
    ScheduleError,
    ScheduleWarning,
    Shift,
    Unscheduled,
    check,
    core_of,
    occurrence,
    parse,
)
from gcron.schedule.clock import SystemClock
from gcron.schedule.layouts import DAY, NICKNAMES, WEEKDAY
from gcron.schedule.limit_wording import describe_limits
from gcron.schedule.wall_clock import DayGrid
from gcron.schedule.wording import (
    FieldWords,
    describe,
    describe_after_jobs,
    describe_delay,
    describe_fields,
    describe_period,
)

__all__ = ["main"]

_CHANGES = 2
_UNSCHEDULED = {
    "reboot": "Once, when gcron starts; not when it reads its files again",
    "service": "Kept running: started with gcron, and again each time it ends",
    "manual": "Never by the clock, only when it is triggered",
}
_WILDCARD = (
    "wildcard entry (minute or hour begins with *): it follows the wall clock. Times that a clock change "
    "skips do not run; times that come twice run both times."
)
_FIXED = (
    "fixed-time entry (neither minute nor hour begins with *): it runs once for each of its times. If a "
    "clock change of less than 3 h skips a time, it runs once at the change; if a time comes twice, it runs only the "
    "first time."
)
_EVERY = "fixed grid: every multiple of the period since 1970 in UTC, the same on every host and after every restart."
_AFTER_JOBS = (
    "chained job: it runs when each of them has succeeded since its own last start. Two successes of one of them count "
    "as one."
)
_ANCHORED = "fixed grid: every multiple of the period since its start, the same on every host and after every restart."


@frozen
class _Subject:
    """A schedule to explain: of a command line, or of a job in a crontab."""

    schedule: Schedule
    seed: str = ""
    """What decides `H` and `~`."""
    layout: str | None = None
    """The order of its fields, if there are six or seven."""
    job: str | None = None
    place: str = ""
    """The file and the line of the job, if it is in a file."""

    @property
    def text(self) -> str:
        return " ".join(self.schedule.text.split())

    @property
    def expression(self) -> str:
        """Its fields; empty if it has none."""
        core = core_of(self.schedule)
        if not isinstance(core, CronSchedule) or isinstance(core.pattern, DayGrid):
            return ""
        return NICKNAMES.get(self.text, self.text)


class _Explanation(NamedTuple):
    """Everything to show, to people and to machines."""

    subject: _Subject
    words: str
    fields: list[FieldWords]
    notes: list[tuple[str, str]]
    warnings: list[ScheduleWarning]
    fires: list[int]
    changes: list[Shift]
    start: int
    is_now: bool

    @property
    def schedule(self) -> Schedule:
        return self.subject.schedule


def main(options: argparse.Namespace) -> int:
    """Explain one schedule; returns 1 if it is wrong."""
    try:
        if os.path.isfile(options.expression[0]) and len(options.expression) <= 2:
            subject = _subject_in_file(options)
        else:
            subject = _subject_of_words(options)
        if subject is None:
            return 1
        start = read_moment(options.start, int(SystemClock().now()), subject.schedule.zone.tz).instant
    except (TimeError, JobNotFound) as error:
        say(str(error))
        return 1
    explanation = _explain(subject, options, start)
    if options.json:
        print(json.dumps(_record(explanation)))
    else:
        _print(explanation)
    return 0


def _subject_of_words(options: argparse.Namespace) -> _Subject | None:
    """Return the schedule that a command line spells out; None if it is wrong, which is printed."""
    timezone = read_zone(options.tz, options.variables.get("tz", "--tz"))
    text = " ".join(options.expression).strip()
    try:
        schedule = parse(text, timezone, seed=options.job or "", fields=options.fields)
    except ScheduleError as error:
        _print_error(text, error)
        if hint := _hint(options, text):
            print(f"  hint: {escape(hint)}", file=sys.stderr)
        return None
    # A nickname stands for five fields, whatever --fields says.
    layout = None if text in NICKNAMES else options.fields
    return _Subject(schedule, options.job or "", layout, options.job)


def _subject_in_file(options: argparse.Namespace) -> _Subject | None:
    """Return the schedule of the job that FILE and JOB name; None if the file is wrong, which is printed.

    Raises JobNotFound.
    """
    file, *jobs = [*options.expression, options.job] if options.job else options.expression
    options.files = [file]
    loaded = load_or_complain(options)
    if loaded is None:
        return None
    if len(jobs) != 1 and len(loaded.entries) != 1:
        say(f"that is a file: name one of its jobs, too (`gcron list {shlex.quote(file)}` lists them)")
        return None
    entry = find_job(jobs[0], loaded.entries) if jobs else loaded.entries[0]
    seed, layout = _seed_and_layout(entry)
    return _Subject(entry.schedule, seed, layout, entry.name, place_of(entry))


def _seed_and_layout(entry: Entry) -> tuple[str, str | None]:
    """Return what the schedule of an entry was made with: an entry does not say it, so it is tried."""
    core = core_of(entry.schedule)
    for layout in (None, *LAYOUTS):
        for seed in (entry.name, entry.command, f"{entry.name.partition(':')[0]}:{entry.command}"):
            with suppress(ScheduleError):
                if parse(core.text, core.zone.tz, seed=seed, fields=layout) == core:
                    return seed, layout
    return entry.name, None


def _explain(subject: _Subject, options: argparse.Namespace, start: int) -> _Explanation:
    schedule, expression = subject.schedule, subject.expression
    fields = describe_fields(expression, subject.seed, fields=subject.layout) if expression else []
    return _Explanation(
        subject,
        words=_words(subject) + describe_limits(schedule),
        fields=fields,
        notes=list(_notes(subject, fields)),
        warnings=[] if subject.place else check(subject.text, fields=options.fields),
        fires=list(islice(_fires(schedule, start - 1), options.count)),
        changes=coming_changes(schedule, start, _CHANGES) if expression else [],
        start=start,
        is_now=options.start == "now",
    )


def _fires(schedule: Schedule, start: int) -> Iterator[int]:
    fire = schedule.next_after(start)
    while fire is not None:
        yield fire
        fire = schedule.next_after(fire)


def _words(subject: _Subject) -> str:
    schedule = core_of(subject.schedule)
    if isinstance(schedule, AfterJobsSchedule):
        return f"Runs {describe_after_jobs(schedule.jobs)}"
    if isinstance(schedule, Unscheduled):
        return _UNSCHEDULED[schedule.kind]
    if isinstance(schedule, EverySchedule):
        return describe_period(schedule.period).capitalize()
    if isinstance(schedule, AfterEndSchedule):
        return describe_delay(schedule.delay)
    if isinstance(schedule, CronSchedule) and isinstance(schedule.pattern, DayGrid):
        return describe_period(schedule.pattern.period).capitalize()
    return describe(subject.expression, subject.seed, fields=subject.layout)


def _notes(subject: _Subject, fields: Sequence[FieldWords]) -> Iterator[tuple[str, str]]:
    """Yield what else one should know, each with a title."""
    schedule = core_of(subject.schedule)
    if isinstance(schedule, EverySchedule):
        yield "kind", _EVERY if schedule.anchor is None else _ANCHORED
    if isinstance(schedule, AfterJobsSchedule):
        yield "kind", _AFTER_JOBS
    if isinstance(subject.schedule, DelayedSchedule):
        yield "RANDOM_DELAY", f"{subject.schedule.delay // 60} minutes, by the job's name; always the same."
    if not isinstance(schedule, CronSchedule):
        return
    yield "kind", _WILDCARD if schedule.wildcard else _FIXED
    days = [field.text for field in fields if field.name in (DAY.name, WEEKDAY.name)]
    if fields and not any(text in ("*", "?") for text in days):
        starred = [text for text in days if text.startswith("*")]
        if starred:
            yield "days", f"both day fields must match, since {starred[0]} begins with *."
        else:
            yield "days", "either day field is enough, since neither begins with *."
    drawn = [field.name for field in fields if field.drawn]
    if drawn and subject.job is None:
        names = " and ".join(drawn)
        yield "H, ~", f"the job's name decides the {names}: give it with --job. Shown are the values without a name."
    elif drawn:
        yield "H, ~", f"drawn for the job {subject.job!r}; the same on every host and after every restart."


# -- for people ---------------------------------------------------------------------------------------------------


def _print(explanation: _Explanation) -> None:
    subject = explanation.subject
    if subject.place:
        print_wrapped(f"{subject.job} ({subject.place})")
    text, expression = subject.text, subject.expression
    print_wrapped(f"{text} = {expression}" if expression not in ("", text) else text)
    print_wrapped(f"{explanation.words}.", "", "")
    if explanation.fields:
        print()
        _print_fields(explanation.fields)
    if explanation.notes:
        print()
    for title, note in explanation.notes:
        print_wrapped(note, f"{title}: ", "  ")
    for warning in explanation.warnings:
        print_wrapped(f"{warning.message}; {warning.hint}", "warning: ", "  ")
    _print_fires(explanation)
    _print_changes(explanation)


def _print_fields(fields: Sequence[FieldWords]) -> None:
    names = max(len(field.name) for field in fields) + 2
    texts = max(len(field.text) for field in fields) + 2
    for field in fields:
        words = f"{field.words} (drawn)" if field.drawn else field.words
        lead = f"  {field.name:{names}}"
        # On a narrow terminal a long list of values would leave no room for its meaning.
        if names + texts + 20 > width():
            print_wrapped(f"{field.text}  {words}", lead, " " * len(lead))
        else:
            print_wrapped(words, f"{lead}{field.text:{texts}}", " " * (len(lead) + texts))


def _print_fires(explanation: _Explanation) -> None:
    schedule = explanation.schedule
    if isinstance(core_of(schedule), Unscheduled | AfterEndSchedule):
        return
    print()
    print_wrapped(f"next fires, {zone_name(schedule.zone)}:")
    if not explanation.fires:
        print("  none")
    shown_offset: int | None = None
    has_seconds = any(fire % 60 for fire in explanation.fires)
    for fire in explanation.fires:
        offset = schedule.zone.offset_at(fire)
        when = datetime.fromtimestamp(fire, schedule.zone.tz)
        line = when.strftime("  %a %Y-%m-%d %H:%M" + (":%S" if has_seconds else ""))
        line += f" {offset_text(offset) if offset != shown_offset else '':6}"
        shown_offset = offset
        rest = [relative_text(fire - explanation.start, explanation.is_now), mark_words(schedule, fire)]
        # No line breaks within a duration: `2 h` at the end of a line and `30 min` on the next is hard to read.
        words = ", ".join(part.replace(" ", FIXED_BLANK) for part in rest if part)
        print_wrapped(f"{line.replace(' ', FIXED_BLANK)}  {words}", "", "      ")


def _print_changes(explanation: _Explanation) -> None:
    schedule = explanation.schedule
    if not isinstance(core_of(schedule), CronSchedule):
        return
    if not explanation.changes:
        print()
        print_wrapped(f"{zone_name(schedule.zone)} has no clock change in the next three years.")
        return
    print("\nclock changes:")
    for change in explanation.changes:
        print_wrapped(change_words(schedule, change), f"  {change_title(change)}  ", "      ")


def _print_error(text: str, error: ScheduleError) -> None:
    print(f"gcron: {escape(error.message)}", file=sys.stderr)
    if text and text.isprintable():
        print(f"  {text}", file=sys.stderr)
        print("  " + " " * error.start + "^" * max(1, error.end - error.start), file=sys.stderr)
    if error.hint:
        print(f"  hint: {escape(error.hint)}", file=sys.stderr)


def _hint(options: argparse.Namespace, text: str) -> str:
    """Return what the user may have meant by a command line without a valid schedule; else an empty string."""
    words: list[str] = options.expression
    if len(words) > 1 and not text.startswith("@"):
        return "put the schedule in quotes, or the shell replaces each * by the names of files"
    fields = text.split()
    if _is_command(fields[5:]):
        return f"give the schedule alone: gcron explain '{' '.join(fields[:5])}'"
    if len(fields) == 6 and options.fields is None:
        return "--fields=seconds-first (seconds-last, year-last) explains one of them"
    return ""


def _is_command(rest: Sequence[str]) -> bool:
    """Whether what follows five fields cannot be a sixth field: then the text is a whole line of a crontab."""
    if not rest or rest[0][0].isdigit():
        return False
    try:
        parse(f"* * * * {rest[0]}")
    except ScheduleError:
        return True
    return False


# -- for machines -------------------------------------------------------------------------------------------------


def _record(explanation: _Explanation) -> dict[str, Any]:
    schedule = explanation.schedule
    return {
        "job": explanation.subject.job,
        "schedule": explanation.subject.text,
        "expression": explanation.subject.expression or None,
        "timezone": zone_name(schedule.zone),
        "words": explanation.words,
        "limits": describe_limits(schedule).lstrip(",; "),
        "kind": _kind(schedule),
        "fields": [field._asdict() for field in explanation.fields],
        "notes": [note for _, note in explanation.notes],
        "warnings": [warning.message for warning in explanation.warnings],
        "fires": [
            {
                "at": utc_text(fire),
                "local": datetime.fromtimestamp(fire, schedule.zone.tz).isoformat(),
                "mark": str(occurrence(schedule, fire)),
            }
            for fire in explanation.fires
        ],
        "changes": [
            {
                "at": utc_text(change.instant),
                "offset_before": change.before,
                "offset_after": change.after,
                "words": change_words(schedule, change),
            }
            for change in explanation.changes
        ],
    }


def _kind(schedule: Schedule) -> str:
    schedule = core_of(schedule)
    if isinstance(schedule, CronSchedule):
        return "wildcard" if schedule.wildcard else "fixed-time"
    if isinstance(schedule, AfterEndSchedule):
        return "after-end"
    return schedule.kind if isinstance(schedule, Unscheduled) else "every"

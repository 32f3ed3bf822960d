"""From the bytes of a crontab to its entries and problems (docs/crontab.md, sections 1 and 4).

Pure: it touches no file, and bad content never makes it raise. Time and memory are linear in the text.
"""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo

from gcron.crontab.entry import Crontab, Entry
from gcron.crontab.line import EntryLine, bare_percents, check_command, looks_like_user, read_entry_line
from gcron.crontab.naming import Names
from gcron.crontab.outline import Outline, Place
from gcron.crontab.problem import LineError, Problems
from gcron.crontab.text import split_lines
from gcron.crontab.user import check_user
from gcron.crontab.zone import check_zone
from gcron.schedule import CronSchedule, Schedule, ScheduleError, ScheduleWarning, put_off
from gcron.schedule import check as check_schedule
from gcron.schedule import parse as parse_schedule

__all__ = ["parse"]

# `H` and `~` draw from the job's name: such a schedule is one job's own.
_DRAWN = re.compile(r"~|(?:^|[ \t,])[Hh]")

MAX_PERCENTS = 9
"""Warnings of bare `%` on one line, which may hold a million of them."""


def parse(
    data: bytes | str,
    path: str = "<crontab>",
    *,
    system: bool = False,
    timezone: str | tzinfo | None = None,
    now: float | None = None,
) -> Crontab:
    """The entries and problems of a crontab's text; `path` is what the problems call it.

    `system` expects a user between schedule and command; `timezone` is for entries without `tz=` or CRON_TZ;
    `now`, in seconds since 1970 (None: the clock's), tells which schedules are over: they are warned about.
    Whatever the data hold, the result has all its problems; raises ValueError only for an unknown `timezone`.
    """
    if isinstance(timezone, str) and (hint := check_zone(timezone)) is not None:
        raise ValueError(f"unknown time zone {timezone!r}: {hint}")
    problems = Problems(path)
    outline = Outline(problems)
    with _no_garbage_collection():
        outline.read(split_lines(data, problems))
        form = _Form(path, system, outline.fields, timezone, int(time.time() if now is None else now))
        entries = _EntryReader(form, Names(outline.names), problems).read(outline.entries)
    return Crontab(path, entries, problems.in_order(), tuple(outline.groups.values()))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Reading makes no garbage in cycles; looking for it takes an eighth of the time that 100,000 lines take."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Form:
    """What holds for all entries of the file."""

    path: str
    system: bool
    fields: str | None
    timezone: str | tzinfo | None
    now: int


class _EntryReader:
    """The second pass: makes each entry line an `Entry`."""

    def __init__(self, form: _Form, names: Names, problems: Problems) -> None:
        self._form = form
        self._names = names
        self._problems = problems
        self._schedules: dict[tuple[str, str | None], tuple[str, Schedule, bool]] = {}
        self._step_warnings: dict[str, list[ScheduleWarning]] = {}
        self._user_hints: dict[str, str | None] = {}

    def read(self, places: list[Place]) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        for place in places:
            try:
                entries.append(self._entry(place))
            except LineError as error:
                self._problems.error(place.number, place.line, error)
                if self._problems.full:
                    break
        return tuple(entries)

    def _entry(self, place: Place) -> Entry:
        parts = read_entry_line(place.line, self._form.system, self._form.fields)
        context = place.context
        name = context.name or self._names.derive(parts.text.strip())
        schedule_text, schedule, is_over = self._schedule(parts, context.tz, name)
        if context.every is not None:
            schedule_text, schedule = context.every, parse_schedule(context.every, context.tz or self._form.timezone)
        elif is_over:
            self._warn_of_the_past(place, parts)
        if context.random_delay:
            schedule = put_off(schedule, context.random_delay, name)
        check_command(parts)
        self._warn_of_slips(place, parts)
        return Entry(
            name=name,
            path=self._form.path,
            line=place.number,
            schedule=schedule,
            schedule_text=schedule_text,
            tz=context.tz,
            command=parts.command,
            stdin=parts.stdin,
            environment=context.environment,
            policy=context.policy,
            user=parts.user,
            mail_on_failure=parts.mail_on_failure,
            quiet=parts.quiet,
        )

    def _schedule(self, parts: EntryLine, tz: str | None, name: str) -> tuple[str, Schedule, bool]:
        """The schedule, its text and whether it is over; one object for all entries that share both text and zone."""
        text = parts.schedule
        found = self._schedules.get((text, tz))
        if found is not None:
            return found
        try:
            schedule = parse_schedule(text, tz or self._form.timezone, seed=name, fields=self._form.fields)
        except ScheduleError as error:
            start = parts.schedule_start
            raise LineError(error.message, start + error.start, start + error.end, error.hint) from None
        # Only years end a schedule: the others need not be asked.
        in_years = isinstance(schedule, CronSchedule) and schedule.in_years
        found = text, schedule, in_years and schedule.next_after(self._form.now) is None
        if not _DRAWN.search(text):
            self._schedules[text, tz] = found
        return found

    def _warn_of_slips(self, place: Place, parts: EntryLine) -> None:
        if "/" in parts.schedule:
            self._warn_of_steps(place, parts)
        if not self._form.system and looks_like_user(parts.text):
            user = parts.text.split(None, 1)[0]
            start = parts.text_start
            hint = f"only a system crontab has that column: check with --system, or drop {user}"
            message = f"{user} looks like a user, and is the command here"
            self._warn(place, message, start, start + len(user), hint)
        if parts.user is not None:
            self._warn_of_unknown_user(place, parts, parts.user)
        if "%" in parts.text:
            self._warn_of_percents(place, parts)
        if parts.text.endswith("\\"):
            end = parts.text_start + len(parts.text)
            message = "the backslash does not continue the line: it is the command's"
            self._warn(place, message, end - 1, end, "write the command on one line, or into a script")
        if parts.quiet:
            start = parts.schedule_start
            self._warn(place, "the leading - has no effect here", start - 1, start, "gcron logs every run")
        if parts.mail_on_failure:
            start = parts.text_start
            self._warn(place, "-n has no effect here", start, start, "gcron sends no mail, so none on success either")

    def _warn_of_the_past(self, place: Place, parts: EntryLine) -> None:
        start = parts.schedule_start
        hint = "drop the line, or name years to come"
        self._warn(place, "this schedule is over: it never fires again", start, start + len(parts.schedule), hint)

    def _warn_of_steps(self, place: Place, parts: EntryLine) -> None:
        warnings = self._step_warnings.get(parts.schedule)
        if warnings is None:
            warnings = self._step_warnings[parts.schedule] = check_schedule(parts.schedule, fields=self._form.fields)
        start = parts.schedule_start
        for warning in warnings:
            self._warn(place, warning.message, start + warning.start, start + warning.end, warning.hint)

    def _warn_of_unknown_user(self, place: Place, parts: EntryLine, user: str) -> None:
        if user not in self._user_hints:  # the answer may come over the network
            self._user_hints[user] = check_user(user)
        hint = self._user_hints[user]
        if hint is not None:
            start = place.line.index(user, parts.schedule_start + len(parts.schedule))
            self._warn(place, f"there is no user {user!r} on this machine", start, start + len(user), hint)

    def _warn_of_percents(self, place: Place, parts: EntryLine) -> None:
        columns = bare_percents(parts.text)
        hint = "write \\% for a percent sign"
        message = "a bare % ends the command: what follows is its standard input"
        for column in columns[:MAX_PERCENTS]:
            start = parts.text_start + column
            self._warn(place, message, start, start + 1, hint)
            message = "a bare % in the standard input is a newline"
        if len(columns) > MAX_PERCENTS:
            start = parts.text_start + columns[MAX_PERCENTS]
            message = f"{len(columns) - MAX_PERCENTS} more bare % on this line"
            self._warn(place, message, start, start + 1, hint)

    def _warn(self, place: Place, message: str, start: int, end: int, hint: str) -> None:
        self._problems.warning(place.number, place.line, LineError(message, start, end, hint))

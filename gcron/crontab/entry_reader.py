"""The second pass over a crontab: from the line of an entry, and what holds there, to the entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo

from gcron.crontab.calendars import Calendars
from gcron.crontab.entry import Entry
from gcron.crontab.foreign import foreign_blank, is_of_anacron, recognize
from gcron.crontab.lines import PLAIN_LINE, EntryLine, bare_percents, looks_like_user, read_entry_line
from gcron.crontab.machine import MAX_ARGUMENT, Users, is_too_long
from gcron.crontab.naming import Names
from gcron.crontab.problem import LineError, Problems
from gcron.crontab.scanner import Context, Place
from gcron.crontab.spool import job_name
from gcron.schedule import (
    NO_LIMITS,
    CronSchedule,
    Limits,
    Schedule,
    ScheduleError,
    ScheduleWarning,
    Unscheduled,
    limited,
    put_off,
)
from gcron.schedule import check as check_schedule
from gcron.schedule import parse as parse_schedule
from gcron.schedule.fields import is_seeded

__all__ = ["EntryReader"]

_LONG = 4096
"""Characters of a line from which the length of its command is looked at."""

_PLAIN_CONTEXT = (None, 0, None, NO_LIMITS)
"""What a context holds after the zone, for an entry without a name, a delay, or limits."""

_KnownSchedule = tuple[str, Schedule, list[ScheduleWarning]]
"""The text of a schedule, the schedule, and what is odd about it, with columns in the text."""


class EntryReader:
    """Makes an `Entry` of each entry's line. `user`: of all entries, in that user's own crontab. `users`: all."""

    def __init__(
        self,
        path: str,
        system: bool,
        fields: str | None,
        timezone: str | tzinfo | None,
        now: float,
        problems: Problems,
        calendars: Calendars,
        user: str | None,
        users: Users,
    ) -> None:
        self._path = path
        self._system = system
        self._fields = fields
        self._timezone = timezone
        self._now = int(now)
        self._may_be_plain = not system and fields is None
        self._problems = problems
        self._schedules: dict[tuple[str, str | None], _KnownSchedule] = {}
        self._calendars = calendars
        self._user = user
        self._prefix = "" if user is None else job_name(user, "")
        self._plain_context: Context | None = None
        self.after_lines: dict[int, str] = {}
        """See `Crontab.after_lines`."""
        self._users = users

    def read(self, places: list[Place], names: Names) -> tuple[Entry, ...]:
        """Return the entries of the lines that are right; what is wrong is in the problems."""
        entries: list[Entry] = []
        for number, line, context in places:
            try:
                entry = self._plain_entry(number, line, context, names) if self._may_be_plain else None
                entries.append(entry or self._entry(number, line, context, names))
            except LineError as error:
                self._problems.error(number, line, recognize(line, error))
                if self._problems.full:
                    break
        return tuple(entries)

    def _plain_entry(self, number: int, line: str, context: Context, names: Names) -> Entry | None:
        """Return the entry of a line as most are; None if `_entry` must look at it."""
        # HOT PATH: `benchmarks/crontabs.py`.
        if context is not self._plain_context:  # most entries share one
            if context[3:] != _PLAIN_CONTEXT:
                return None
            self._plain_context = context
        match = PLAIN_LINE.fullmatch(line)
        if match is None or len(line) > _LONG:
            return None
        text, command, program = match.groups()
        path, user, (environment, policy, tz) = self._path, self._user, context[:3]
        name = names.make_up(path, command, self._prefix, program)
        known = self._schedules.get((text, tz)) or self._schedule(text, 0, tz, self._prefix + command)
        if known[2]:
            self._warn(number, line, 0, known[2])
        return Entry(
            name, path, number, known[1], text, tz, command, None, environment, policy, user, False, False, user or ""
        )

    def _entry(self, number: int, line: str, context: Context, names: Names) -> Entry:
        environment, policy, tz, name, random_delay, instead, limits = context
        parts = read_entry_line(line, self._system, self._fields)
        quiet, schedule_text, start, user, option_start, text, _, command, stdin = parts
        # The seed of a job without a name is its command: a number in a made-up name may change.
        seed = self._prefix + (name or text)
        if name is None:
            name = names.make_up(self._path, command, self._prefix)
        elif self._prefix:
            name = self._prefix + name
        # One object for all entries that share both text and zone.
        known = self._schedules.get((schedule_text, tz)) or self._schedule(schedule_text, start, tz, seed)
        schedule_text, schedule, warnings = known
        if instead is not None:
            schedule_text, schedule, warnings = instead, parse_schedule(instead, tz or self._timezone), []
        if limits is not NO_LIMITS:
            schedule, warnings = self._limited(schedule, limits, schedule_text, start, warnings)
        self._warn(number, line, start, warnings)
        if random_delay:
            schedule = put_off(schedule, random_delay, seed)
        self._check(number, line, parts, environment)
        if len(line) > _LONG:
            _check_length(line, command)
        return Entry(
            name,
            self._path,
            number,
            schedule,
            schedule_text,
            tz,
            command,
            stdin,
            environment,
            policy,
            self._user or user,
            option_start is not None,
            quiet,
            self._user or "",
        )

    def _warn(self, number: int, line: str, start: int, warnings: list[ScheduleWarning]) -> None:
        for message, first, end, hint in warnings:
            self._problems.warning(number, line, message, start + first, start + end, hint)

    def _schedule(self, text: str, start: int, tz: str | None, seed: str) -> _KnownSchedule:
        """Return the schedule's text, the schedule, and its warnings. `start` is its column in the line."""
        try:
            schedule = parse_schedule(text, tz or self._timezone, seed=seed, fields=self._fields)
        except ScheduleError as error:
            raise LineError(error.message, start + error.start, start + error.end, error.hint) from None
        warnings = check_schedule(text, fields=self._fields)
        if isinstance(schedule, CronSchedule) and schedule.in_years and schedule.next_after(self._now) is None:
            warnings.append(_is_over(text, "drop the line, or name years to come"))
        found = text, schedule, warnings
        if not any(map(is_seeded, text.split())):
            self._schedules[text, tz] = found
        return found

    def _limited(
        self, schedule: Schedule, limits: Limits, text: str, start: int, warnings: list[ScheduleWarning]
    ) -> tuple[Schedule, list[ScheduleWarning]]:
        """Return the schedule with its limits, and the warnings with those about limits."""
        try:
            found = limited(schedule, limits, self._calendars.days_of)
        except ScheduleError as error:
            raise LineError(error.message, start, start + len(text), error.hint) from None
        if isinstance(schedule, Unscheduled):
            message = f"start, end, except-on and now mean nothing to {text}"
            return found, [*warnings, ScheduleWarning(message, 0, len(text), "they are ignored")]
        warnings = [*warnings, *self._past_calendars(found, limits, text)]
        if not found.follows_end and limits.end is not None and found.next_after(self._now) is None:
            warnings.append(_is_over(text, "drop the line, or give it a later end="))
        return found, warnings

    def _past_calendars(self, schedule: Schedule, limits: Limits, text: str) -> Iterator[ScheduleWarning]:
        """Yield a warning for each calendar file whose last day is over: it excludes nothing any more."""
        today = datetime.fromtimestamp(self._now, schedule.zone.tz).date()
        for path in limits.except_on:
            if isinstance(path, str):
                last = max((last for _, last in self._calendars.days_of(path, schedule.zone)), default=None)
                if last is None or last < today:
                    message = f"{path} has no day " + ("at all" if last is None else f"after {last}")
                    yield ScheduleWarning(message, 0, len(text), "get a newer calendar")

    # -- what is wrong, or was probably not meant ---------------------------------------------------------------------

    def _check(self, number: int, line: str, parts: EntryLine, environment: Mapping[str, str]) -> None:
        quiet, schedule, schedule_start, user, option_start, text, text_start, command, _ = parts
        if not command.strip(" \t"):
            raise _no_command(parts)
        if schedule.startswith("@after") and not schedule.startswith("@after-"):
            self.after_lines[number] = line
        warn = self._problems.warning
        if user is not None:
            self._warn_of_unknown_user(number, line, parts, user)
        elif looks_like_user(text):
            word = text.split(None, 1)[0]
            hint = f"only a system crontab has that column: check with --system, or drop {word}"
            message = f"{word} looks like a user, and is the command here"
            warn(number, line, message, text_start, text_start + len(word), hint)
        if "%" in text:
            self._warn_of_percents(number, line, parts)
        if text.endswith("\\"):
            end = text_start + len(text)
            message = "the backslash does not continue the line: it is the command's"
            warn(number, line, message, end - 1, end, "write the command on one line, or into a script")
        if quiet:
            message = "the leading - has no effect here"
            warn(number, line, message, schedule_start - 1, schedule_start, "gcron logs every run")
        if option_start is not None and not environment.get("MAILTO"):
            hint = "it means mail only on failure: say where to with MAILTO="
            warn(number, line, "-n has no effect without MAILTO", option_start, option_start + len("-n"), hint)
        if blank := foreign_blank(text, 0, 1):
            hint = "the shell does not take it for a blank: remove it"
            warn(number, line, f"{blank[1]} is part of the command", text_start, text_start + 1, hint)
        if is_of_anacron(schedule, text):
            hint = "anacron has period, delay, name and command; write @monthly COMMAND"
            warn(number, line, "this looks like a line of an anacrontab", text_start, text_start + len(text), hint)

    def _warn_of_unknown_user(self, number: int, line: str, parts: EntryLine, user: str) -> None:
        hint = self._users.check(user)
        if hint is not None:
            start = line.index(user, parts.schedule_start + len(parts.schedule))
            message = f"there is no user {user!r} on this machine"
            self._problems.warning(number, line, message, start, start + len(user), hint)

    def _warn_of_percents(self, number: int, line: str, parts: EntryLine) -> None:
        columns = [parts.text_start + column for column in bare_percents(parts.text)]
        if not columns:
            return
        message = "a bare % ends the command: what follows is its standard input"
        if len(columns) > 1:
            message += ", where each further bare % is a newline"
        self._problems.warning(number, line, message, columns[0], columns[0] + 1, "write \\% for a percent sign")


def _is_over(text: str, hint: str) -> ScheduleWarning:
    return ScheduleWarning("this schedule is over: it never fires again", 0, len(text), hint)


def _check_length(line: str, command: str) -> None:
    if is_too_long(command):
        message = f"the command is longer than {MAX_ARGUMENT} bytes, and the system refuses to start it"
        raise LineError(message, len(line) - len(command), len(line), "put it into a script")


def _no_command(parts: EntryLine) -> LineError:
    start = parts.text_start
    if parts.stdin is None:
        return LineError("no command after the schedule", start, start, "what should run?")
    return LineError("no command before the %", start, start + 1, "write \\% for a percent sign")

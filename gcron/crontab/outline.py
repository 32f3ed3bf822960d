"""The first pass over a crontab: what stands on each line, and what holds for each entry by its place.

Assignments and directives speak of lines below them. They are gathered here, so that the second pass, in
`parser`, can take the entries one by one. It may not look into entry lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

from gcron.crontab.assignment import Assignment, Environment, History, read_assignment
from gcron.crontab.directive import DEFAULTS, ENTRY, FILE, Directive, Setting, read_directive, read_name, read_settings
from gcron.crontab.entry import Group
from gcron.crontab.problem import LineError, Problems
from gcron.crontab.zone import check_zone
from gcron.policy import Policy

__all__ = ["Context", "Outline", "Place"]

_BLANKS = " \t\r"
# First characters of an entry: fields, nicknames, the quiet `-`. Anything else may be an assignment.
_ENTRY_STARTS = frozenset("0123456789*@-?~,/")
_EXPANSION = re.compile(r"\$(?:[A-Za-z_]\w*|\{\w+\})")
_EXPORT = re.compile(r"[ \t]*+(export|set|setenv)[ \t]++[A-Za-z_]\w*+[ \t]*+=")
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MINUTES = re.compile(r"[0-9]{0,6}")
# What cron acts upon and this version does not, with the values that ask for nothing: told, not ignored.
_WITHOUT_EFFECT = {
    "MAILTO": ("", "gcron sends no mail: what a job says is in gcron's log"),
    "MAILFROM": ("", "gcron sends no mail: what a job says is in gcron's log"),
}


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for an entry by its place in the file."""

    environment: Environment
    policy: Policy
    tz: str | None = None
    """From `tz=` or CRON_TZ."""
    name: str | None = None
    """From `name=`."""
    random_delay: int = 0
    """From RANDOM_DELAY: minutes up to which a fire is put off."""
    every: str | None = None
    """From `every=`: the schedule that stands in the place of the line's own."""


# A tuple and no dataclass: one is made for each entry.
class Place(NamedTuple):
    """A line (its number from 1) that is neither comment nor assignment, so an entry."""

    number: int
    line: str
    context: Context


class Outline:
    """Reads the lines of one file in order."""

    def __init__(self, problems: Problems) -> None:
        self.entries: list[Place] = []
        self.names: dict[str, int] = {}
        """The names that directives give, and the lines of their entries."""
        self.fields: str | None = None
        """The layout of the schedules' fields that the file declares, a key of `gcron.schedule.LAYOUTS`."""
        self.groups: dict[str, Group] = {}
        self._problems = problems
        self._history = History()
        self._cron_tz: str | None = None
        self._defaults: dict[str, object] = {}
        self._below = Context(Environment(), Policy())
        """The context of an entry without directives of its own."""
        self._pending: dict[str, Setting] = {}
        """The settings for the next entry."""
        self._directives: list[tuple[int, str]] = []
        """The lines that wait for the next entry."""

    def read(self, lines: Iterable[str]) -> None:
        """Read all lines; stops early when there are too many errors."""
        for number, line in enumerate(lines, 1):
            text = line.lstrip(_BLANKS)
            if not text:
                continue
            first = text[0]
            if first in _ENTRY_STARTS:
                self._entry(number, line)
            else:
                try:
                    self._comment(number, line) if first == "#" else self._assignment_or_entry(number, line)
                except LineError as error:
                    self._problems.error(number, line, error)
            if self._problems.full:
                return
        self._refuse_pending()

    def _entry(self, number: int, line: str) -> None:
        context = self._own_context(number) if self._directives else self._below
        self.entries.append(Place(number, line, context))

    def _own_context(self, number: int) -> Context:
        values: dict[str, object] = {key: setting.value for key, setting in self._pending.items()}
        name = cast("str | None", values.pop("name", None))
        if name is not None:
            self.names.setdefault(name, number)
        tz = cast("str | None", values.pop("tz", self._below.tz))
        every = cast("str | None", values.pop("every", None))
        policy = self._below.policy.with_options(values)
        self._pending = {}
        self._directives.clear()
        return replace(self._below, policy=policy, tz=tz, name=name, every=every)

    def _comment(self, number: int, line: str) -> None:
        directive = read_directive(line)
        if directive is None:
            return
        if directive.scope == ENTRY:
            self._add_pending(number, line, self._settings(number, line, directive))
        elif directive.scope == DEFAULTS:
            self._add_defaults(self._settings(number, line, directive))
        elif directive.scope == FILE:
            self._declare_file(number, line, directive)
        else:
            self._declare_group(number, line, directive)

    def _settings(self, number: int, line: str, directive: Directive) -> dict[str, Setting]:
        return read_settings(line, directive, lambda error: self._problems.error(number, line, error))

    def _declare_file(self, number: int, line: str, directive: Directive) -> None:
        declared = self._settings(number, line, directive).get("fields")
        if declared is None:
            return
        columns = declared.start, declared.end
        if self.fields is not None:
            raise LineError("fields is given twice", *columns, "once for a file")
        # The layout is the file's: it would be odd if the lines above had another.
        if self.entries:
            hint = f"put it above line {self.entries[0].number}"
            raise LineError("fields must stand above the first entry", *columns, hint)
        self.fields = str(declared.value)

    def _declare_group(self, number: int, line: str, directive: Directive) -> None:
        behind = read_name(line, directive)
        name = line[directive.start : behind.start].strip()
        columns = line.index(name, directive.start), behind.start
        limit = self._settings(number, line, behind).get("limit")
        if name in self.groups:
            raise LineError(
                f"the group {name} is declared in line {self.groups[name].line}", *columns, "once is enough"
            )
        if limit is None and "limit=" in line[behind.start :]:
            return  # that one is wrong, and was told
        if limit is None:
            raise LineError(
                f"the group {name} has no limit", *columns, "say how many of its jobs may run at once: limit=2"
            )
        self.groups[name] = Group(name, cast("int", limit.value), number)

    def _add_defaults(self, settings: dict[str, Setting]) -> None:
        values = {key: setting.value for key, setting in settings.items()}
        self._defaults.update(values)
        values.pop("tz", None)
        self._below = replace(self._below, policy=self._below.policy.with_options(values), tz=self._tz())

    def _tz(self) -> str | None:
        return cast("str | None", self._defaults.get("tz", self._cron_tz))

    def _add_pending(self, number: int, line: str, settings: dict[str, Setting]) -> None:
        self._directives.append((number, line))
        for key, setting in settings.items():
            if key in self._pending:
                error = LineError(f"{key} is given twice", setting.start, setting.end, "once for an entry")
                self._problems.error(number, line, error)
            elif key == "name" and str(setting.value) in self.names:
                self._refuse_taken_name(number, line, setting)
            else:
                self._pending[key] = setting

    def _refuse_taken_name(self, number: int, line: str, setting: Setting) -> None:
        message = f"the name {setting.value} is taken by line {self.names[str(setting.value)]}"
        error = LineError(message, setting.start, setting.end, "names are unique in a file")
        self._problems.error(number, line, error)

    def _refuse_pending(self) -> None:
        for number, line in self._directives:
            start = line.index("#")
            hint = "it belongs above an entry; # gcron-defaults: is for all entries below"
            error = LineError("a directive with no entry behind it", start, len(line), hint)
            self._problems.error(number, line, error)

    def _assignment_or_entry(self, number: int, line: str) -> None:
        assignment = read_assignment(line)
        if assignment is not None:
            self._assign(number, line, assignment)
            return
        slip = _EXPORT.match(line)
        if slip:
            hint = f"an assignment is NAME=value, without {slip[1]}"
            raise LineError("a command of the shell, not of a crontab", slip.start(1), slip.end(1), hint)
        self._entry(number, line)

    def _assign(self, number: int, line: str, assignment: Assignment) -> None:
        self._check_value(assignment)
        self._warn_of_slips(number, line, assignment)
        if assignment.name == "CRON_TZ":
            self._cron_tz = assignment.value or None
        environment = self._history.assign(number, assignment.name, assignment.value)
        random_delay = self._below.random_delay
        if assignment.name == "RANDOM_DELAY":
            random_delay = int(assignment.value or 0)
        self._below = replace(self._below, environment=environment, tz=self._tz(), random_delay=random_delay)

    def _check_value(self, assignment: Assignment) -> None:
        """The two names whose values have a form."""
        value, columns = assignment.value, (assignment.start, assignment.end)
        if assignment.name == "CRON_TZ" and value and (hint := check_zone(value)) is not None:
            raise LineError(f"unknown time zone {value!r}", *columns, hint)
        if assignment.name == "RANDOM_DELAY" and not _MINUTES.fullmatch(value):
            raise LineError(f"RANDOM_DELAY cannot be {value!r}", *columns, "a whole number of minutes")

    def _warn_of_slips(self, number: int, line: str, assignment: Assignment) -> None:
        nothing, hint = _WITHOUT_EFFECT.get(assignment.name, (assignment.value, ""))
        if assignment.value not in ("", nothing):
            error = LineError(f"{assignment.name} has no effect here", assignment.start, assignment.end, hint)
            self._problems.warning(number, line, error)
        expansion = _EXPANSION.search(line, assignment.start, assignment.end)
        if expansion:
            hint = "an assignment is not read by the shell; write the value out"
            error = LineError(f"{expansion[0]} stays as it is", *expansion.span(), hint)
            self._problems.warning(number, line, error)
        if not _SHELL_NAME.fullmatch(assignment.name):
            hint = "letters, digits and _, no digit first"
            error = LineError(f"no shell can read a variable named {assignment.name!r}", 0, len(line), hint)
            self._problems.warning(number, line, error)

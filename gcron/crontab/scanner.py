"""The first pass over a crontab: what each line is, and what holds for each entry by its place.

Assignments and directives hold for lines below them. They are gathered here, so that the second pass, in `parser`, can
take the entries one by one. This module does not look into the lines of entries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple, cast

from gcron.crontab.assignment import Assignment, Environment, History, read_assignment
from gcron.crontab.directive import (
    DEFAULTS,
    ENTRY,
    FILE,
    GROUP,
    Directive,
    Setting,
    hide_urls,
    read_directive,
    read_directive_name,
    read_settings,
)
from gcron.crontab.entry import Group
from gcron.crontab.machine import MAX_ARGUMENT, Users, check_zone, has_mailer, has_variable, is_too_long
from gcron.crontab.mail_address import addressees, is_sender
from gcron.crontab.problem import LineError, Problems
from gcron.crontab.target import VARIABLE, Target, target_of
from gcron.frozen import replace
from gcron.policy import Policy, PolicyError
from gcron.schedule.limits import NO_LIMITS, Limits, Span

__all__ = ["Context", "Place", "Scanner"]

_BLANKS = " \t\r"
# First characters of an entry: fields, nicknames, the quiet `-`. Anything else may be an assignment.
_ENTRY_STARTS = frozenset("0123456789*@-?~,/")
# As text: `re` compiles each at its first use.
_EXPANSION = r"""\$(?:[A-Za-z_]\w*|\{\w+\})|(?<=[:=\s'"])~(?=[/:'"]|$)"""
_EXPORT = r"[ \t]*+(export|set|setenv)[ \t]++[A-Za-z_]\w*+[ \t]*+="
_SHELL_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_MINUTES = r"[0-9]{0,6}"
_OPTIONS = r"(?<=\s)-\S.*"
_FILES = ("env-file", "url-file", "secret-file", "body-file")
"""Options that name a file beside the crontab."""
_INSTEAD = ("every", "after-end", "after-jobs")
_LIMITS = ("start", "end", "except-on", "now")
_OF_THE_USER = ("USER", "LOGNAME")


class Context(NamedTuple):
    """What holds for an entry by its place in the file."""

    environment: Environment
    policy: Policy
    tz: str | None = None
    """From `tz=` or CRON_TZ."""
    name: str | None = None
    """From `name=`."""
    random_delay: int = 0
    """From RANDOM_DELAY: the most minutes by which its fires are delayed."""
    instead: str | None = None
    """From `every=`, `after-end=` or `after-jobs=`: the schedule that is used instead of the line's own."""
    limits: Limits = NO_LIMITS
    """From `start=`, `end=`, `except-on=` and `now=`."""


Place = tuple[int, str, Context]
"""An entry's line: its number from 1, its text, and what holds there."""


def _with_limits(limits: Limits, values: dict[str, object]) -> Limits:
    """Take the limits out of the values of directives, and return `limits` with them."""
    changes = {key.replace("-", "_"): values.pop(key) for key in _LIMITS if key in values}
    return replace(limits, **changes) if changes else limits


class Scanner:
    """Reads the lines of one file in order. `users`: those of this machine. `names_mailer`: see `LoadSettings`."""

    def __init__(self, problems: Problems, path: str, users: Users, names_mailer: bool) -> None:
        self._path = path
        self._directory = os.path.dirname(path)
        """Of the file; paths of files in directives are relative to it."""
        self.entries: list[Place] = []
        self.names: dict[str, int] = {}
        """The names that directives give, and the lines of their entries."""
        self.fields: str | None = None
        """The order of the schedules' fields that the file declares, a key of `gcron.schedule.LAYOUTS`."""
        self.groups: dict[str, Group] = {}
        self.targets: dict[str, Target] = {}
        self._problems = problems
        self._users = users
        self._names_mailer = names_mailer
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
        """Read all lines. Stops early if there are too many errors."""
        # HOT PATH: `benchmarks/crontabs.py`.
        for number, line in enumerate(lines, 1):
            if line[:1] in _ENTRY_STARTS:
                self.entries.append((number, line, self._own_context(number) if self._directives else self._below))
            elif line:
                self._read_other(number, line)
                if self._problems.full:
                    return
        self._refuse_pending()

    def _read_other(self, number: int, line: str) -> None:
        text = line.lstrip(_BLANKS)
        if not text:
            return
        try:
            if text[0] == "#":
                self._comment(number, line)
            elif text[0] in _ENTRY_STARTS or not self._is_assignment(number, line):
                self.entries.append((number, line, self._own_context(number) if self._directives else self._below))
        except LineError as error:
            self._problems.error(number, line, error)

    def _own_context(self, number: int) -> Context:
        values: dict[str, object] = {key: setting.value for key, setting in self._pending.items()}
        name = cast("str | None", values.pop("name", None))
        if name is not None:
            self.names.setdefault(name, number)
        tz = cast("str | None", values.pop("tz", self._below.tz))
        instead = cast("str | None", next((values.pop(key) for key in _INSTEAD if key in values), None))
        limits = _with_limits(self._below.limits, values)
        policy = self._below.policy.with_options(values)
        self._pending = {}
        self._directives.clear()
        return self._below._replace(policy=policy, tz=tz, name=name, instead=instead, limits=limits)

    # -- directives ---------------------------------------------------------------------------------------------------

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
        elif directive.scope == GROUP:
            self._declare_group(number, line, directive)
        else:
            self._declare_target(number, line, directive)

    def _settings(self, number: int, line: str, directive: Directive) -> dict[str, Setting]:
        report = partial(self._problems.error, number, line)
        settings = self._beside_files(read_settings(line, directive, report))
        if days := settings.get("except-on"):
            items = cast("tuple[Span | str, ...]", days.value)
            paths = tuple(self._beside(item) if isinstance(item, str) else item for item in items)
            settings["except-on"] = days._replace(value=paths)
        if user := settings.get("user"):
            self._warn_of_unknown_user(number, line, user)
        return settings

    def _warn_of_unknown_user(self, number: int, line: str, setting: Setting) -> None:
        user = str(setting.value)
        if user.isdigit():  # a number needs no account
            return
        hint = self._users.check(user)
        if hint is not None:
            start = setting.start + len("user=")
            message = f"there is no user {user!r} on this machine"
            self._problems.warning(number, line, message, start, setting.end, hint)

    def _beside_files(self, settings: dict[str, Setting]) -> dict[str, Setting]:
        for key in _FILES:
            if (file := settings.get(key)) and file.value:
                settings[key] = file._replace(value=self._beside(cast("str", file.value)))
        return settings

    def _beside(self, path: str) -> str:
        """Return the path of a file that a directive names: a relative one begins at the crontab's directory."""
        return os.path.join(self._directory, path)

    def _add_pending(self, number: int, line: str, settings: dict[str, Setting]) -> None:
        self._directives.append((number, line))
        for key, setting in settings.items():
            if key in self._pending:
                error = LineError(f"{key} is given twice", setting.start, setting.end, "once for an entry")
                self._problems.error(number, line, error)
            elif key in _INSTEAD and (other := next((name for name in _INSTEAD if name in self._pending), None)):
                error = LineError(f"{other} and {key} exclude each other", setting.start, setting.end, "choose one")
                self._problems.error(number, line, error)
            elif key == "name" and (taken := self.names.get(str(setting.value))):
                message = f"the name {setting.value} is taken by line {taken}"
                error = LineError(message, setting.start, setting.end, "names are unique in a file")
                self._problems.error(number, line, error)
            else:
                self._pending[key] = setting

    def _refuse_pending(self) -> None:
        for number, line in self._directives:
            start = line.index("#")
            hint = "it belongs above an entry; # gcron-defaults: is for all entries below"
            error = LineError("a directive with no entry after it", start, len(line), hint)
            self._problems.error(number, line, error)

    def _add_defaults(self, settings: dict[str, Setting]) -> None:
        values = {key: setting.value for key, setting in settings.items()}
        self._defaults.update(values)
        values.pop("tz", None)
        limits = _with_limits(self._below.limits, values)
        policy = self._below.policy.with_options(values)
        self._below = self._below._replace(policy=policy, tz=self._tz(), limits=limits)

    def _tz(self) -> str | None:
        return cast("str | None", self._defaults.get("tz", self._cron_tz))

    def _declare_file(self, number: int, line: str, directive: Directive) -> None:
        declared = self._settings(number, line, directive).get("fields")
        if declared is None:
            return
        columns = declared.start, declared.end
        if self.fields is not None:
            raise LineError("fields is given twice", *columns, "once for a file")
        # It holds for the whole file: the lines above would have to be read again.
        if self.entries:
            hint = f"put it above line {self.entries[0][0]}"
            raise LineError("fields must stand above the first entry", *columns, hint)
        self.fields = str(declared.value)

    def _declare_group(self, number: int, line: str, directive: Directive) -> None:
        name, after_name = read_directive_name(line, directive)
        columns = line.index(name, directive.start), after_name.start
        limit = self._settings(number, line, after_name).get("limit")
        if name in self.groups:
            raise LineError(
                f"the group {name} is declared in line {self.groups[name].line}", *columns, "once is enough"
            )
        if limit is None and "limit=" in line[after_name.start :]:
            return  # its value is wrong, which was reported
        if limit is None:
            raise LineError(
                f"the group {name} has no limit", *columns, "say how many of its jobs may run at once: limit=2"
            )
        self.groups[name] = Group(name, cast("int", limit.value), number)

    def _declare_target(self, number: int, line: str, directive: Directive) -> None:
        errors: list[LineError] = []
        try:
            name, after_name = read_directive_name(line, directive)
            columns = line.index(name, directive.start), after_name.start
            settings = self._beside_files(read_settings(line, after_name, errors.append))
            if name in self.targets:
                message = f"the target {name} is declared in line {self.targets[name].line}"
                raise LineError(message, *columns, "once is enough")
            if not errors:
                target = _target(name, settings, columns, self._path, number)
                sender = target.mail_from or self._below.environment.get("MAILFROM", "").strip()
                self.targets[name] = replace(target, mail_from=sender)
                self._warn_of_missing_variables(number, line, settings)
        except LineError as error:
            errors.append(error)
        for found in errors:
            self._problems.error(number, hide_urls(line), found)

    def _warn_of_missing_variables(self, number: int, line: str, settings: dict[str, Setting]) -> None:
        for setting in (settings[key] for key in ("url", "ping") if key in settings):
            for match in re.compile(VARIABLE).finditer(line, setting.start, setting.end):
                if not has_variable(match[1]):
                    message = f"the environment has no variable {match[1]}, so nothing can be sent to this target"
                    hint = f"gcron run needs it: Environment={match[1]}=… in a unit, -e {match[1]}=… for a container"
                    self._problems.warning(number, hide_urls(line), message, *match.span(), hint)

    # -- assignments --------------------------------------------------------------------------------------------------

    def _is_assignment(self, number: int, line: str) -> bool:
        """Take the line if it is an assignment."""
        assignment = read_assignment(line)
        if assignment is not None:
            self._assign(number, line, assignment)
            return True
        if slip := re.match(_EXPORT, line):
            hint = f"an assignment is NAME=value, without {slip[1]}"
            raise LineError("a command of the shell, not of a crontab", slip.start(1), slip.end(1), hint)
        return False

    def _assign(self, number: int, line: str, assignment: Assignment) -> None:
        name, value, start, end = assignment
        if name == "CRON_TZ" and value and (hint := check_zone(value)) is not None:
            raise LineError(f"unknown time zone {value!r}", start, end, hint)
        if name == "RANDOM_DELAY" and not re.fullmatch(_MINUTES, value):
            raise LineError(f"RANDOM_DELAY cannot be {value!r}", start, end, "a whole number of minutes")
        if name == "SHELL" and (options := re.compile(_OPTIONS).search(line, start, end)):
            hint = "name the program alone; the command may begin with set -o pipefail"
            raise LineError("SHELL is a program without options", *options.span(), hint)
        if is_too_long(f"{name}={value}"):
            message = f"the variable is longer than {MAX_ARGUMENT} bytes, and the system refuses to start jobs with it"
            raise LineError(message, start, end, "put the value into a file")
        self._warn_of_mistakes(number, line, assignment)
        if name == "CRON_TZ":
            self._cron_tz = value or None
        random_delay = int(value or 0) if name == "RANDOM_DELAY" else self._below.random_delay
        environment = self._history.assign(number, name, value)
        self._below = self._below._replace(environment=environment, tz=self._tz(), random_delay=random_delay)

    def _warn_of_mistakes(self, number: int, line: str, assignment: Assignment) -> None:
        name, value, start, end = assignment
        if name == "MAILTO" and value and not self._names_mailer and not has_mailer():
            hint = "there is no /usr/sbin/sendmail: name a mailer with gcron run --mailer"
            self._problems.warning(number, line, "nothing on this machine sends mail", start, end, hint)
        if name == "MAILTO" and value.strip() and not addressees(value):
            hint = "MAILTO=ops@example.com, or several with commas between them"
            self._problems.warning(number, line, f"{value!r} is no address: no mail is sent", start, end, hint)
        if name == "MAILFROM" and value.strip() and not is_sender(value.strip()):
            hint = "MAILFROM=backup@example.com; mail comes from gcron's own address instead"
            self._problems.warning(number, line, f"{value!r} is no address for a mail to come from", start, end, hint)
        if name in _OF_THE_USER and value:
            message, hint = f"{name} does not decide who a job runs as", "# gcron: user=NAME above the entry does"
            self._problems.warning(number, line, message, start, end, hint)
        if ("$" in value or "~" in value) and (expansion := re.compile(_EXPANSION).search(line, start, end)):
            hint = "an assignment is not read by the shell; write the value out"
            self._problems.warning(number, line, f"{expansion[0]} stays as it is", *expansion.span(), hint)
        if not re.fullmatch(_SHELL_NAME, name):
            hint = "letters, digits and _, no digit first"
            message = f"no shell can read a variable named {name!r}"
            self._problems.warning(number, line, message, 0, len(line), hint)


def _target(name: str, settings: dict[str, Setting], columns: tuple[int, int], path: str, number: int) -> Target:
    try:
        return target_of(name, {key: setting.value for key, setting in settings.items()}, path, number)
    except PolicyError as error:
        wrong = settings.get(error.key)
        place = columns if wrong is None else (wrong.start, wrong.end)
        raise LineError(error.message, *place, error.hint) from None

"""`# gcron: key=value …` comments: which they are, and the options that they set (docs/crontab.md, section 4).

It may not know which entry they are for; that is a matter of the lines around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gcron.crontab.problem import LineError
from gcron.crontab.words import split_words, unquote
from gcron.crontab.zone import check_zone
from gcron.policy import OPTIONS, Option, PolicyError, is_name, nearest
from gcron.policy import read_name as read_name_value
from gcron.schedule import LAYOUTS, ScheduleError
from gcron.schedule import parse as parse_schedule

__all__ = ["DEFAULTS", "ENTRY", "FILE", "GROUP", "Directive", "Setting", "read_directive", "read_name", "read_settings"]

ENTRY = "gcron"
"""The next entry's own options."""
DEFAULTS = "gcron-defaults"
"""Options of all entries below."""
FILE = "gcron-file"
"""The file as a whole."""
GROUP = "gcron-group"
"""A group of jobs: its name, then its options."""
_SCOPES = (ENTRY, DEFAULTS, FILE, GROUP)

_OF_ONE_ENTRY = ("name", "every")

_DIRECTIVE = re.compile(r"[ \t]*+#[ \t]*+(gcron(?>(?:-[\w-]*+)?))[ \t]*+:", re.IGNORECASE)
_WITHOUT_COLON = re.compile(r"[ \t]*+#[ \t]*+(gcron(?>(?:-defaults|-file|-group)?))[ \t]++[a-z-]++=", re.IGNORECASE)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_LIMIT = re.compile("[1-9][0-9]{0,5}")

MAX_ERRORS = 10
"""Errors told of one line; a line of a megabyte may hold a hundred thousand."""


@dataclass(frozen=True, slots=True)
class Directive:
    """The head of a directive line: for what it is, and the column (from 0) where its words begin."""

    scope: str
    start: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One option that a directive sets; the columns are those of its word (from 0, end exclusive)."""

    key: str
    value: object
    start: int
    end: int


def read_directive(line: str) -> Directive | None:
    """The directive that a comment line is, or None for an ordinary comment; raises LineError."""
    match = _DIRECTIVE.match(line)
    if match is None:
        _refuse_without_colon(line)
        return None
    if match[1] in _SCOPES:
        return Directive(match[1], match.end())
    hint = (
        "the directives are # gcron: (for the next entry), # gcron-defaults: (for all below), # gcron-file: and "
        "# gcron-group:"
    )
    raise LineError(f"unknown directive {match[1]!r}", match.start(1), match.end(1), hint)


def read_settings(line: str, directive: Directive, report: Callable[[LineError], None]) -> dict[str, Setting]:
    """The options that a directive sets, by key; whatever is wrong with one of them is reported.

    The keys of entries are those of `gcron.policy.OPTIONS`, and `name`, `tz` and `every`; the file has `fields`, a
    group has `limit`.
    """
    settings: dict[str, Setting] = {}
    errors = 0
    for start, end in split_words(line, directive.start):
        try:
            setting = _read_setting(line, start, end, directive.scope)
            _refuse_twice(setting, settings)
        except LineError as error:
            report(error)
            errors += 1
        else:
            settings[setting.key] = setting
        if errors == MAX_ERRORS:
            report(LineError("too many errors: the rest of the line was not read", start, end))
            break
    return settings


def read_name(line: str, directive: Directive) -> Directive:
    """Check the name that a `# gcron-group:` begins with; the directive behind it. Raises LineError."""
    start, end = next(split_words(line, directive.start), (len(line), len(line)))
    if is_name(line[start:end]):
        return Directive(directive.scope, end)
    hint = "# gcron-group: NAME limit=2; a name is letters, digits and . _ : @ + -"
    raise LineError("a group needs a name", start, end, hint)


def _refuse_without_colon(line: str) -> None:
    slip = _WITHOUT_COLON.match(line)
    if slip:
        hint = f"# {slip[1].lower()}: key=value"
        raise LineError("a directive without its colon", slip.start(1), slip.end(1), hint)


def _refuse_twice(setting: Setting, settings: Mapping[str, Setting]) -> None:
    if setting.key in settings:
        raise LineError(f"{setting.key} is given twice", setting.start, setting.end, "leave one of them out")


def _read_setting(line: str, start: int, end: int, scope: str) -> Setting:
    key, equals, _ = line[start:end].partition("=")
    if not equals or not _KEY.fullmatch(key):
        raise LineError("not an option", start, end, "options are key=value, separated by blanks")
    key_end = start + len(key)
    readers = _READERS.get(scope, _ENTRY_READERS)
    read = readers.get(key)
    if read is None:
        raise LineError(f"unknown option {key!r}", start, key_end, nearest(key, readers))
    if key in _OF_ONE_ENTRY and scope == DEFAULTS:
        raise LineError(f"{key} belongs to one entry", start, key_end, "give it in a # gcron: line")
    text = unquote(line, key_end + 1, end)
    try:
        return Setting(key, read(text), start, end)
    except PolicyError as error:
        raise LineError(error.message, key_end + 1, end, error.hint) from None


def _read_zone(text: str) -> str:
    hint = check_zone(text)
    if hint is None:
        return text
    raise PolicyError(f"unknown time zone {text!r}", key="tz", hint=hint)


def _read_every(text: str) -> str:
    """The schedule text that stands in the place of the line's own fields, which other crons read."""
    schedule = f"@every {text}"
    try:
        parse_schedule(schedule)
    except ScheduleError as error:
        raise PolicyError(f"every cannot be {text!r}: {error.message}", key="every", hint=error.hint) from None
    return schedule


def _read_layout(text: str) -> str:
    if text in LAYOUTS:
        return text
    raise PolicyError(f"fields cannot be {text!r}", key="fields", hint="one of " + ", ".join(LAYOUTS))


def _read_limit(text: str) -> int:
    if _LIMIT.fullmatch(text):
        return int(text)
    raise PolicyError(f"limit cannot be {text!r}", key="limit", hint="how many of its jobs may run at once: 1 or more")


_ENTRY_READERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "name": Option("name", read_name_value).read,
        "tz": _read_zone,
        "every": _read_every,
        **{option.name: option.read for option in OPTIONS.values()},
    }
)
_READERS: Mapping[str, Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {FILE: {"fields": _read_layout}, GROUP: {"limit": _read_limit}}
)

"""`# gcron: key=value …` comments: which they are, and the options that they set (docs/crontab.md, section 4).

This module does not know for which entry a directive is: that depends on the lines around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from gcron.crontab.machine import check_zone
from gcron.crontab.problem import LineError
from gcron.crontab.target import TARGET_OPTIONS
from gcron.policy import OPTIONS, Option, PolicyError, is_name, nearest
from gcron.policy import read_name as read_name_value
from gcron.schedule import LAYOUTS, ScheduleError
from gcron.schedule import parse as parse_schedule
from gcron.schedule.limits import read_days, read_moment

__all__ = [
    "DEFAULTS",
    "ENTRY",
    "FILE",
    "GROUP",
    "Directive",
    "Setting",
    "hide_urls",
    "read_directive",
    "read_directive_name",
    "read_settings",
    "split_words",
    "unquote",
]

ENTRY = "gcron"
"""The next entry's own options."""
DEFAULTS = "gcron-defaults"
"""Options of all entries below."""
FILE = "gcron-file"
"""The file as a whole."""
GROUP = "gcron-group"
"""A group of jobs: its name, then its options."""
NOTIFY = "gcron-notify"
"""A target for messages: its name, then its options."""
_SCOPES = (ENTRY, DEFAULTS, FILE, GROUP, NOTIFY)

_OF_ONE_ENTRY = ("name", "every", "after-end", "after-jobs", "now")

# As text: `re` compiles each at its first use.
_DIRECTIVE = r"(?i)[ \t]*+#[ \t]*+(gcron(?>(?:-[\w-]*+)?))[ \t]*+:"
_WITHOUT_COLON = r"(?i)[ \t]*+#[ \t]*+(gcron(?>(?:-defaults|-file|-group|-notify)?))[ \t]++[a-z-]++="
_KEY = "[A-Za-z][A-Za-z0-9_-]*"
_LIMIT = "[1-9][0-9]{0,5}"

# Possessive (`++`, `*+`): a match never goes back, so the time is linear for any text. Groups are atomic (`(?>…)`)
# instead: before 3.11.5, Python loses text after a possessive group (python/cpython#100061).
_SHELL_WORD = r"""(?>(?:[^ \t\r\n'"\\]++|'[^']*+'|"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"|\\.)+)"""
_PIECE = r"""([^'"\\]++)|'([^']*+)'|"([^"\\]*+(?>(?:\\.[^"\\]*+)*))"|\\(.)"""
# Of a target: what follows the scheme of a URL may be a secret.
_URL_VALUE = r"""(?i)\b((?:url|ping)=["']?(?>(?:[a-z][a-z0-9+.-]*+:/*+)?))(\S++)"""
_BLANKS = " \t\r\n"

MAX_ERRORS = 10
"""Errors reported for one line; a line of a megabyte may hold a hundred thousand."""


class Directive(NamedTuple):
    """The head of a directive: its scope, and the column (from 0) where its words begin."""

    scope: str
    start: int


class Setting(NamedTuple):
    """One option that a directive sets, and the columns of its word (from 0, end exclusive)."""

    key: str
    value: object
    start: int
    end: int


def read_directive(line: str) -> Directive | None:
    """Return the directive in a comment line, or None for an ordinary comment. Raises LineError."""
    if "gcron" not in line.lower():
        return None
    match = re.match(_DIRECTIVE, line)
    if match is None:
        if slip := re.match(_WITHOUT_COLON, line):
            hint = f"# {slip[1].lower()}: key=value"
            raise LineError("a directive without its colon", slip.start(1), slip.end(1), hint)
        return None
    if match[1] in _SCOPES:
        return Directive(match[1], match.end())
    hint = (
        "the directives are # gcron: (for the next entry), # gcron-defaults: (for all below), # gcron-file:, "
        "# gcron-group: and # gcron-notify:"
    )
    raise LineError(f"unknown directive {match[1]!r}", match.start(1), match.end(1), hint)


def read_settings(line: str, directive: Directive, report: Callable[[LineError], None]) -> dict[str, Setting]:
    """Return the options that a directive sets, by key. Calls `report` with what is wrong.

    The keys of entries are those of `gcron.policy.OPTIONS`, `name`, and those of schedules: `tz`, `every`, `after-end`,
    `after-jobs`, `start`, `end`, `except-on` and `now`. A file has `fields`, a group has `limit`, a target those of
    `TARGET_OPTIONS`.
    """
    settings: dict[str, Setting] = {}
    errors = 0
    for start, end in split_words(line, directive.start):
        try:
            setting = _read_setting(line, start, end, directive.scope)
            if setting.key in settings:
                raise LineError(f"{setting.key} is given twice", start, end, "leave one of them out")
            settings[setting.key] = setting
        except LineError as error:
            report(error)
            errors += 1
        if errors == MAX_ERRORS:
            report(LineError("too many errors: the rest of the line was not read", start, end))
            break
    return settings


def read_directive_name(line: str, directive: Directive) -> tuple[str, Directive]:
    """Return the name that a `# gcron-group:` or `# gcron-notify:` begins with, and the rest. Raises LineError."""
    start, end = next(split_words(line, directive.start), (len(line), len(line)))
    if is_name(line[start:end]):
        return line[start:end], Directive(directive.scope, end)
    what, example = ("group", "limit=2") if directive.scope == GROUP else ("target", "url=https://…")
    hint = f"# {directive.scope}: NAME {example}; a name is letters, digits and . _ : @ + -"
    raise LineError(f"a {what} needs a name", start, end, hint)


def hide_urls(line: str) -> str:
    """Return the line of a target with stars in the place of its URL, for messages: columns stay as they are."""
    return re.sub(_URL_VALUE, lambda match: match[1] + "*" * len(match[2]), line)


# -- words as `shlex.split` reads them, with their columns ------------------------------------------------------------


def split_words(line: str, position: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the columns (from 0, end exclusive) of each word from `position` on, quotes included.

    A word with a quote that is not closed goes to the end of the line; `unquote` refuses it.
    """
    pattern = re.compile(_SHELL_WORD)
    blanks = re.compile(f"[{_BLANKS}]*+")
    while (start := _end_of_match(blanks, line, position)) < len(line):
        position = _end_of_match(pattern, line, start)
        if line[position : position + 1] in ("'", '"', "\\"):
            position = len(line)
        yield start, position


def unquote(line: str, start: int, end: int) -> str:
    """Return `line[start:end]`, a part of a word, without its quotes and backslashes. Raises LineError."""
    raw = line[start:end]
    if "'" not in raw and '"' not in raw and "\\" not in raw:
        return raw
    pattern = re.compile(_PIECE)
    pieces: list[str] = []
    position = start
    while position < end:
        match = pattern.match(line, position, end)
        if match is None:
            raise _unfinished(line, position)
        bare, single, double, escaped = match.groups()
        pieces.append(bare or single or escaped or "" if double is None else re.sub(r'\\(["\\])', r"\1", double))
        position = match.end()
    return "".join(pieces)


def _end_of_match(pattern: re.Pattern[str], line: str, position: int) -> int:
    match = pattern.match(line, position)
    return match.end() if match else position


def _unfinished(line: str, position: int) -> LineError:
    if line[position] == "\\":
        hint = "write \\\\ for a backslash"
        return LineError("a backslash with nothing after it", position, position + 1, hint)
    return LineError("the quote is not closed", position, position + 1, f"close it with {line[position]}")


# -- settings ---------------------------------------------------------------------------------------------------------


def _read_setting(line: str, start: int, end: int, scope: str) -> Setting:
    key, equals, _ = line[start:end].partition("=")
    if not equals or not re.fullmatch(_KEY, key):
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


def _instead(key: str, nickname: str) -> Callable[[str], str]:
    """Return a reader for the schedule that is used instead of the line's own fields, which other crons read."""

    def read(text: str) -> str:
        schedule = f"{nickname} {re.sub(' *, *', ',', text)}"
        try:
            parse_schedule(schedule)
        except ScheduleError as error:
            raise PolicyError(f"{key} cannot be {text!r}: {error.message}", key=key, hint=error.hint) from None
        return schedule

    return read


def _limit(key: str, reader: Callable[[str], object]) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return reader(text)
        except ScheduleError as error:
            raise PolicyError(f"{key} cannot be {text!r}: {error.message}", key=key, hint=error.hint) from None

    return read


def _read_now(text: str) -> bool:
    if text in ("yes", "no"):
        return text == "yes"
    raise PolicyError(f"now cannot be {text!r}", key="now", hint="yes or no")


def _read_layout(text: str) -> str:
    if text in LAYOUTS:
        return text
    raise PolicyError(f"fields cannot be {text!r}", key="fields", hint="one of " + ", ".join(LAYOUTS))


def _read_limit(text: str) -> int:
    if re.fullmatch(_LIMIT, text):
        return int(text)
    raise PolicyError(f"limit cannot be {text!r}", key="limit", hint="how many of its jobs may run at once: 1 or more")


_ENTRY_READERS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "name": Option("name", read_name_value).read,
        "tz": _read_zone,
        "every": _instead("every", "@every"),
        "after-end": _instead("after-end", "@after-end"),
        "after-jobs": _instead("after-jobs", "@after"),
        "start": _limit("start", read_moment),
        "end": _limit("end", read_moment),
        "except-on": _limit("except-on", read_days),
        "now": _read_now,
        **{option.name: option.read for option in OPTIONS.values()},
    }
)
_READERS: Mapping[str, Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        FILE: {"fields": _read_layout},
        GROUP: {"limit": _read_limit},
        NOTIFY: {option.name: option.read for option in TARGET_OPTIONS.values()},
    }
)

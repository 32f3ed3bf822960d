"""From the bytes of a file to its lines, and from an entry's line to its parts.

Bytes that are not UTF-8 are carried as `surrogateescape` does: a command reaches its job byte for byte. What is not
text is refused once, not a thousand times. This module does not know what a schedule means, nor what stands on other
lines.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gcron.crontab.problem import LineError, Problems
from gcron.schedule import ScheduleError, split_schedule

__all__ = ["PLAIN_LINE", "EntryLine", "bare_percents", "looks_like_user", "read_entry_line", "split_lines"]

_BOM = "\ufeff"
_CONTROLS = bytes([*range(1, 9), *range(14, 32), 127])
_BINARY_SHARE = 0.05
"""Random bytes hold 10 % of control characters, text in any encoding next to none."""
_BINARY_KINDS = 6
"""Different control characters that no text has. A share alone says nothing: colours are half of a short file."""

_BLANKS = " \t"
_WORD = r"[^ \t]+"
# As account databases have them, in any script; a Windows domain stands before a backslash.
_USER = r"\w[\w.@+-]*(?:\\[\w.@+-]+)?\$?"

# Cronie's do_command.c: in the command a backslash protects the next character, but only `\%` loses it.
_IN_COMMAND = r"\\.|%"
# In the input each `%` after a backslash stands for itself, whatever is before the backslash.
_IN_INPUT = r"\\%|%"

PLAIN_LINE = re.compile(
    r"([0-9*][^ \t]*+(?:[ \t]++[^ \t]++){4})[ \t]++(/(?>(?:[\w.+-]*/)*)([A-Za-z0-9][\w.+-]{0,31})(?![^ \t])[^%\\]*+)",
    re.ASCII,
)
"""Five fields and the path of a program, without `%` and backslash: most lines, whose parts need no checks.

Its groups are the schedule, the command, and the name of the program.
"""

# Owners of system jobs that are not programs; then those that are programs too, which a path after them gives away.
_USERS = frozenset({"root", "nobody", "www-data", "daemon", "apache", "_www", "ec2-user", "ubuntu", "debian"})
_USERS_AND_PROGRAMS = frozenset({"postgres", "mysql", "nginx", "git", "redis", "mail", "backup", "jenkins", "oracle"})
_LIKELY_USERS = _USERS | _USERS_AND_PROGRAMS


# -- the lines of a file ----------------------------------------------------------------------------------------------


def split_lines(data: bytes | str, problems: Problems) -> list[str]:
    """Return the lines without their ends; only a problem if the data are no text."""
    raw = _encoded(data, problems)
    if raw is None or _is_binary(raw, problems):
        return []
    text = raw.decode("utf-8", "surrogateescape")
    if text.startswith(_BOM):
        text = text[1:]
        problems.warning(1, "", "a byte order mark is dropped", 0, 1, "save without a BOM")
    return (_without_carriage_returns(text, problems) if "\r" in text else text).split("\n")


def _encoded(data: bytes | str, problems: Problems) -> bytes | None:
    if not isinstance(data, str):
        return data
    try:
        return data.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        number = data.count("\n", 0, error.start) + 1
        column = error.start - (data.rfind("\n", 0, error.start) + 1)
        message = "not a crontab: a surrogate that no file can hold"
        problems.error(number, "", LineError(message, column, column + 1))
        return None


def _is_binary(raw: bytes, problems: Problems) -> bool:
    nul = raw.find(b"\0")
    if nul >= 0:
        number = raw.count(b"\n", 0, nul) + 1
        column = nul - (raw.rfind(b"\n", 0, nul) + 1)
        message = "not a crontab: it holds a NUL byte"
        problems.error(number, "", LineError(message, column, column + 1, "a crontab is a text file"))
        return True
    controls = len(raw) - len(raw.translate(None, _CONTROLS))
    if controls <= len(raw) * _BINARY_SHARE or len(set(raw).intersection(_CONTROLS)) < _BINARY_KINDS:
        return False
    message = f"not a crontab: {controls} of its {len(raw)} bytes are control characters"
    problems.error(1, "", LineError(message, 0, 1, "a crontab is a text file"))
    return True


def _without_carriage_returns(text: str, problems: Problems) -> str:
    """Drop one at each line's end, where editors on Windows put it. One inside a line stays."""
    ends = text.count("\r\n") + text.endswith("\r")
    if ends:
        at = text.find("\r\n")
        message = "the carriage return at the end of the line is dropped"
        if ends > 1:
            message += f", here and on {ends - 1} more lines"
        _warn_at(text, at if at >= 0 else len(text) - 1, message, "save with LF line ends", problems)
        text = text.replace("\r\n", "\n").removesuffix("\r")
    inside = text.find("\r")
    if inside >= 0:
        _warn_at(text, inside, "a carriage return inside the line is kept", "line ends are LF", problems)
    return text


def _warn_at(text: str, position: int, message: str, hint: str, problems: Problems) -> None:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)]
    column = position - start
    problems.warning(text.count("\n", 0, position) + 1, line, message, column, column + 1, hint)


# -- the line of an entry ---------------------------------------------------------------------------------------------


class EntryLine(NamedTuple):
    """The parts of one entry's line."""

    quiet: bool
    """Whether a `-` stands before the schedule."""
    schedule: str
    schedule_start: int
    """Column of the schedule in the line, from 0."""
    user: str | None
    option_start: int | None
    """Column of a `-n` before the command (mail only on failure), from 0; None if there is none."""
    text: str
    """Everything after the options, as written."""
    text_start: int
    """Column of `text`, from 0."""
    command: str
    """What the shell gets."""
    stdin: bytes | None


def read_entry_line(line: str, system: bool, fields: str | None = None) -> EntryLine:
    """Return the parts of the line, with a user column if `system`. Raises LineError.

    `fields` is the order of fields that the file declares, if any. The command may be empty: the parser reports that
    after the errors of the schedule, which may be the reason.
    """
    start = len(line) - len(line.lstrip(_BLANKS))
    quiet = line.startswith("-", start)
    start += quiet
    schedule = line[start:]
    try:
        end = split_schedule(schedule, fields=fields)
    except ScheduleError as error:
        raise LineError(error.message, start + error.start, start + error.end, error.hint) from None
    text = schedule[end:].lstrip(_BLANKS)
    user, option_start = None, None
    if system:
        user, text = _read_user(line, text)
    elif text.startswith("*"):
        raise _starred_command(line, text)
    if text.startswith("-"):
        option_start, text = len(line) - len(text), _after_option(line, text)
    command, stdin = (text, None) if "%" not in text else _split_input(text)
    return EntryLine(quiet, schedule[:end], start, user, option_start, text, len(line) - len(text), command, stdin)


def bare_percents(text: str) -> list[int]:
    """Return the columns of the percent signs in an entry's text that do not stand for themselves."""
    first = _first_bare(text)
    if first < 0:
        return []
    inside = re.compile(_IN_INPUT).finditer(text, first + 1)
    return [first, *(match.start() for match in inside if match[0] == "%")]


def looks_like_user(text: str) -> bool:
    """Whether a command seems to begin with the user column of a system crontab."""
    if text.startswith("/"):
        return False  # as most commands do, of which there may be 100,000
    words = text.split(None, 1)
    if len(words) < 2 or words[0] not in _LIKELY_USERS:
        return False
    return words[0] in _USERS or words[1].startswith("/")


def _read_user(line: str, text: str) -> tuple[str, str]:
    """Return the user that `text`, the end of the line, begins with, and what follows."""
    start = len(line) - len(text)
    user, rest = _next_word(text)
    if not user:
        raise LineError("no user and no command after the schedule", start, start, "USER COMMAND")
    if not re.fullmatch(_USER, user):
        hint = "the sixth column of a system crontab is a user, such as root"
        raise LineError("no user before the command", start, start + len(user), hint)
    return user, rest


def _starred_command(line: str, text: str) -> LineError:
    start = len(line) - len(text)
    word = text.split(None, 1)[0]
    hint = "cron refuses it, as a field too many: write the program's path"
    return LineError("a command cannot begin with *", start, start + len(word), hint)


def _after_option(line: str, text: str) -> str:
    """Return what follows the option that `text`, the end of the line, begins with: `-n` is cronie's only one."""
    option, rest = _next_word(text)
    if option != "-n":
        start = len(line) - len(text)
        raise LineError("unknown option before the command", start, start + len(option), "the only one is -n, once")
    if rest.startswith("-"):
        start, second = len(line) - len(rest), _next_word(rest)[0]
        raise LineError("a second option before the command", start, start + len(second), "the only one is -n, once")
    return rest


def _next_word(text: str) -> tuple[str, str]:
    word = re.match(_WORD, text)
    end = word.end() if word else 0
    return text[:end], text[end:].lstrip(_BLANKS)


def _split_input(text: str) -> tuple[str, bytes | None]:
    """Command and input of an entry's text with a percent sign in it (cronie's do_command.c)."""
    first = _first_bare(text)
    if first < 0:
        return _unescape_command(text), None
    data = re.sub(_IN_INPUT, lambda match: "%" if len(match[0]) == 2 else "\n", text[first + 1 :])
    if data and not data.endswith("\n"):
        data += "\n"
    return _unescape_command(text[:first]), data.encode("utf-8", "surrogateescape")


def _first_bare(text: str) -> int:
    return next((match.start() for match in re.finditer(_IN_COMMAND, text) if match[0] == "%"), -1)


def _unescape_command(text: str) -> str:
    return re.sub(_IN_COMMAND, lambda match: "%" if match[0] == "\\%" else match[0], text)

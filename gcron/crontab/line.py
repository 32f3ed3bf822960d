"""An entry's line, taken apart: where its schedule stands, for which user, which command with which input.

It may not know what a schedule means; and nothing of the lines around it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gcron.crontab.problem import LineError
from gcron.crontab.text import to_bytes
from gcron.schedule import ScheduleError, split_schedule

__all__ = ["EntryLine", "bare_percents", "check_command", "looks_like_user", "read_entry_line"]

_BLANKS = " \t"
_WORD = re.compile(r"[^ \t]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*\$?")

# Cronie's do_command.c: in the command a backslash protects whatever is behind it, but only `\%` loses it.
_IN_COMMAND = re.compile(r"\\.|%")
# In the input each `%` stands for itself behind a backslash, whatever is in front of that.
_IN_INPUT = re.compile(r"\\%|%")

# Owners of system jobs that are no programs; then those that are programs too, told by the path behind them.
_USERS = frozenset({"root", "nobody", "www-data", "daemon", "apache", "_www", "ec2-user", "ubuntu", "debian"})
_USERS_AND_PROGRAMS = frozenset({"postgres", "mysql", "nginx", "git", "redis", "mail", "backup", "jenkins", "oracle"})
_LIKELY_USERS = _USERS | _USERS_AND_PROGRAMS


# A tuple and no dataclass: one is made for each entry, and a frozen dataclass takes three times as long.
class EntryLine(NamedTuple):
    """The parts of one entry line."""

    quiet: bool
    """A `-` stood in front of the schedule."""
    schedule: str
    schedule_start: int
    """Column of the schedule in the line, from 0."""
    user: str | None
    mail_on_failure: bool
    """`-n` stood before the command."""
    text: str
    """All behind the options, as written."""
    text_start: int
    """Column of `text`, from 0."""
    command: str
    """What the shell is given."""
    stdin: bytes | None


def read_entry_line(line: str, system: bool, fields: str | None = None) -> EntryLine:
    """The parts of the line, with a user column if `system`; raises LineError.

    `fields` is the layout that the file declares, if any.
    """
    start = len(line) - len(line.lstrip(_BLANKS))
    quiet = line.startswith("-", start)
    start += quiet
    end = _schedule_end(line, start, fields)
    position = _skip_blanks(line, end)
    user = None
    if system:
        user, position = _read_user(line, position)
    mail_on_failure, position = _read_options(line, position)
    text = line[position:]
    command, stdin = (text, None) if "%" not in text else _split_input(text)
    return EntryLine(quiet, line[start:end], start, user, mail_on_failure, text, position, command, stdin)


def check_command(parts: EntryLine) -> None:
    """Raises LineError if nothing is left to run: told after the schedule's errors, which may be why."""
    if parts.command.strip(_BLANKS):
        return
    start = parts.text_start
    if parts.stdin is None:
        raise LineError("no command behind the schedule", start, start, "what should run?")
    raise LineError("no command before the %", start, start + 1, "write \\% for a percent sign")


def bare_percents(text: str) -> list[int]:
    """The columns of the percent signs in an entry's text that do not stand for themselves."""
    first = _first_bare(text)
    if first < 0:
        return []
    return [first, *(match.start() for match in _IN_INPUT.finditer(text, first + 1) if match[0] == "%")]


def looks_like_user(text: str) -> bool:
    """Whether a command seems to begin with the user column of a system crontab."""
    if text.startswith("/"):
        return False  # as most commands do, of which there may be 100,000
    first = _WORD.match(text)
    if first is None or first[0] not in _LIKELY_USERS:
        return False
    rest = text[first.end() :].lstrip(_BLANKS)
    return rest.startswith("/") if first[0] in _USERS_AND_PROGRAMS else bool(rest)


def _schedule_end(line: str, start: int, fields: str | None) -> int:
    try:
        return start + split_schedule(line[start:], fields=fields)
    except ScheduleError as error:
        raise LineError(error.message, start + error.start, start + error.end, error.hint) from None


def _skip_blanks(line: str, position: int) -> int:
    return len(line) - len(line[position:].lstrip(_BLANKS))


def _read_user(line: str, position: int) -> tuple[str, int]:
    word = _WORD.match(line, position)
    if word is None:
        raise LineError("no user and no command behind the schedule", len(line), len(line), "USER COMMAND")
    if not _USER.fullmatch(word[0]):
        hint = "the sixth column of a system crontab is a user, such as root"
        raise LineError("no user before the command", word.start(), word.end(), hint)
    return word[0], _skip_blanks(line, word.end())


def _read_options(line: str, position: int) -> tuple[bool, int]:
    """Cronie's options before the command: `-n` is the only one."""
    if not line.startswith("-", position):
        return False, position
    word = _WORD.match(line, position)
    if word is None or word[0] != "-n":
        end = word.end() if word else position + 1
        raise LineError("unknown option before the command", position, end, "the only one is -n")
    return True, _skip_blanks(line, word.end())


def _split_input(text: str) -> tuple[str, bytes | None]:
    """Command and input of an entry's text with a percent sign in it (cronie's do_command.c)."""
    first = _first_bare(text)
    if first < 0:
        return _unescape_command(text), None
    data = _IN_INPUT.sub(lambda match: "%" if len(match[0]) == 2 else "\n", text[first + 1 :])
    if data and not data.endswith("\n"):
        data += "\n"
    return _unescape_command(text[:first]), to_bytes(data)


def _first_bare(text: str) -> int:
    return next((match.start() for match in _IN_COMMAND.finditer(text) if match[0] == "%"), -1)


def _unescape_command(text: str) -> str:
    return _IN_COMMAND.sub(lambda match: "%" if match[0] == "\\%" else match[0], text)

"""Lines that look like entries and are something else: what they are, once they are found to be wrong.

This module does not know how an entry is read.
"""

from __future__ import annotations

import re

from gcron.crontab.problem import LineError

__all__ = ["foreign_blank", "is_of_anacron", "recognize"]

_QUIET = r"[ \t]*+-[ \t]++"
_ASSIGNMENT = r"[ \t]*+([^\s=]++)[ \t]*+="
_FIELD = r"[0-9*?][0-9*?,/#LW~-]*|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)"
# Possessive (`++`, `*+`): a match never goes back, so the time is linear for any text.
_ANACRON = rf"[ \t]*+[0-9]++[ \t]++[0-9]++[ \t]++(?!(?:{_FIELD})[ \t])[\w.-]++[ \t]++(?!(?:{_FIELD})[ \t])[^ \t]"
_AFTER_ANACRON_PERIOD = r"[0-9]++[ \t]++[A-Za-z][\w.-]*+[ \t]++[^ \t]"
_ANACRON_PERIODS = ("@daily", "@weekly", "@monthly", "@yearly", "@annually")
# Characters that are seen as a blank, or not seen at all.
_BLANK_CATEGORIES = ("Zs", "Cf")


def recognize(line: str, error: LineError) -> LineError:
    """Return a better error for a line in which `error` was found: what the line probably is. Else `error` itself."""
    if blank := foreign_blank(line, error.start, error.end):
        hint = "only blanks and tabs separate fields: write one, or remove it"
        return LineError(f"{blank[1]} is part of the field", blank[0], blank[0] + 1, hint)
    if quiet := re.match(_QUIET, line):
        hint = "write -0 3 * * *, with the - directly before the minute"
        return LineError("a blank after the leading -", line.index("-"), quiet.end(), hint)
    if assignment := re.match(_ASSIGNMENT, line):
        hint = "a name is letters, digits and _, no digit first"
        return LineError(f"{assignment[1]!r} is no name of a variable", *assignment.span(1), hint)
    if re.match(_ANACRON, line):
        start = len(line) - len(line.lstrip(" \t"))
        hint = "anacron has period, delay, name and command; write when it should run, such as @daily COMMAND"
        return LineError("a line of an anacrontab, not of a crontab", start, len(line), hint)
    return error


def is_of_anacron(schedule: str, text: str) -> bool:
    """Whether an entry seems to be a line of an anacrontab: `@monthly 45 cron.monthly run-parts …`."""
    return schedule in _ANACRON_PERIODS and re.match(_AFTER_ANACRON_PERIOD, text) is not None


def foreign_blank(line: str, start: int, end: int) -> tuple[int, str] | None:
    """Return the column and the name of the first character in `line[start:end]` that only looks like a blank."""
    if line.isascii():
        return None
    import unicodedata  # only for what is odd

    for column in range(start, min(end, len(line))):
        if not line[column].isascii() and unicodedata.category(line[column]) in _BLANK_CATEGORIES:
            code = f"U+{ord(line[column]):04X}"
            return column, f"{code} ({unicodedata.name(line[column], 'an invisible character').lower()})"
    return None

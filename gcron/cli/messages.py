"""What a command says on stderr: for people, or as records where `--log-format` asks for those."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gcron.escaping import escape

if TYPE_CHECKING:
    from gcron.crontab import Problem
    from gcron.daemon.formats.format import Format, Level

__all__ = ["RecordStream", "complain", "machine_format", "say"]


def say(text: str, level: Level = "error", log_format: str = "text") -> None:
    """Print a message of gcron itself on stderr."""
    format = machine_format(log_format)
    if format is not None:
        _write(format.message(time.time(), text, level))
    else:
        print(f"gcron: {'warning: ' if level == 'warning' else ''}{escape(text)}", file=sys.stderr)


def complain(problems: Sequence[Problem], log_format: str = "text") -> None:
    """Print the problems of crontabs on stderr."""
    from gcron.crontab import render_all

    format = machine_format(log_format)
    if format is not None:
        for problem in problems:
            _write(format.report(time.time(), "crontab-problem", _fields(problem), [], problem.severity))
    elif problems:
        print(render_all(problems), file=sys.stderr)


def machine_format(log_format: str, limit: int | None = None) -> Format | None:
    """Return the format for machines of this name, with records of at most `limit` bytes; None for text."""
    if log_format == "text":
        return None
    from gcron.daemon.formats.format import RECORD_LIMIT

    limit = limit or RECORD_LIMIT
    if log_format == "json":
        from gcron.daemon.formats.json import JsonFormat

        return JsonFormat(limit)
    if log_format == "logfmt":
        from gcron.daemon.formats.logfmt import LogfmtFormat

        return LogfmtFormat(limit)
    return None


class RecordStream(io.TextIOBase):
    """Stands for `sys.stderr` and makes records of what Python writes there: tracebacks, warnings."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._text = ""

    def write(self, text: str) -> int:
        """Keep the text until its line is complete."""
        self._text += text
        if self._text.endswith("\n"):
            message, self._text = self._text.strip("\n"), ""
            if message:
                _write(self._format.message(time.time(), message, "error"))
        return len(text)


def _write(record: bytes) -> None:
    if sys.__stderr__ is not None:
        print(record.decode("ascii"), end="", file=sys.__stderr__, flush=True)


def _fields(problem: Problem) -> dict[str, object]:
    """Return a problem for the log: without the line, which may hold a password."""
    place = f"{problem.path}:{problem.line}:{problem.column}" if problem.line else problem.path
    return {"path": problem.path, "place": place, "message": problem.message, "hint": problem.hint}

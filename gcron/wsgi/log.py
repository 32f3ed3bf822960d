"""The logs of a server: one line per request, and errors."""

from __future__ import annotations

import io
import logging
import re
import sys
import time
from contextlib import suppress
from typing import Any

__all__ = ["access_line", "open_log", "write_line"]


# httptools takes them in a target (as bytes beyond ASCII); a terminal would take some for commands.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class _Silence(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


class _LoggerLines(io.TextIOBase):
    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger = logger
        self._level = level

    def write(self, text: str) -> int:
        if text.strip():
            self._logger.log(self._level, "%s", text.rstrip("\n"))
        return len(text)


def open_log(log: Any, level: int) -> Any:
    """Return a text file for `log`. "default": stderr. None: nothing. A `logging.Logger`: records of `level`.

    Raises `TypeError` for objects without `write`.
    """
    if log is None:
        return _Silence()
    if log == "default":
        return sys.stderr
    if isinstance(log, logging.Logger):
        return _LoggerLines(log, level)
    if not hasattr(log, "write"):
        raise TypeError(f"a log has a write method, or is 'default' or None; got {log!r}")
    return log


def write_line(log: Any, text: str) -> None:
    """Write to a log, and ignore errors: a full disk or a closed file loses log lines, never an answer."""
    with suppress(Exception):
        log.write(text)


def access_line(client: str, request_line: str, status: str, size: int, seconds: float) -> str:
    """Return one line in the common log format, plus the seconds that the request took."""
    when = time.strftime("%d/%b/%Y:%H:%M:%S %z")
    # A target may contain quotes. A reader of the log must not take one field for two.
    asked = request_line.replace("\\", "\\\\").replace('"', '\\"')
    asked = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", asked)
    return f'{client or "-"} - - [{when}] "{asked}" {status} {size} {seconds:.6f}\n'

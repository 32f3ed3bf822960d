"""Readers of the values of command line options. Each raises ArgumentTypeError.

What they need is imported when they read: `--help` needs none of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from gcron.cli.parser import read_count

__all__ = [
    "read_instance",
    "read_mailer",
    "read_notify_keep",
    "read_paths",
    "read_record_limit",
    "read_seconds",
    "read_user_ids",
    "read_watchdog",
    "reader_of",
]


def read_mailer(text: str) -> str:
    """Read what sends mail; see `gcron.notify.mailer`."""
    from gcron.notify.mailer import read_mailer

    try:
        read_mailer(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def read_paths(text: str) -> tuple[str, ...]:
    """Read directories separated by colons, as in PATH."""
    paths = tuple(path for path in text.split(":") if path)
    if not paths:
        raise argparse.ArgumentTypeError("is empty: want a directory")
    return paths


def read_user_ids(text: str) -> tuple[int, ...]:
    """Read the ids of users, separated by commas."""
    ids = text.split(",")
    if not all(word.isascii() and word.isdigit() for word in ids):
        raise argparse.ArgumentTypeError(f"{text!r} is not the id of a user, such as 1000 (`id -u NAME` prints it)")
    return tuple(map(int, ids))


def read_instance(text: str) -> str:
    """Read the name of an instance."""
    from gcron.state.places import is_instance_name

    if not is_instance_name(text):
        what = "is a path, and this command wants a name" if "/" in text else "is no name"
        raise argparse.ArgumentTypeError(f"{text!r} {what}: up to 64 letters, digits, . _ and -")
    return text


def reader_of(name: str) -> Callable[[str], Any]:
    """A reader of an option that jobs have, too."""

    def read(text: str) -> Any:
        from gcron.policy import OPTIONS, PolicyError

        try:
            return OPTIONS[name].read(text)
        except PolicyError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def read_notify_keep(text: str) -> float:
    """Read for how long messages are tried, in seconds."""
    from gcron.crontab.target import NOTIFY_KEEP
    from gcron.policy import PolicyError

    try:
        seconds: float = NOTIFY_KEEP.read(text)
    except PolicyError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return seconds


def read_watchdog(text: str) -> float | None:
    """Read seconds above 0; None for `off`."""
    if text == "off":
        return None
    seconds = read_seconds(text)
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration above 0, such as 1s, and not off")
    return seconds


def read_seconds(text: str) -> float:
    """Read a duration, in seconds."""
    from gcron.schedule import ScheduleError, parse_duration  # slow to import, and not needed for --help

    try:
        return parse_duration(text)
    except ScheduleError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_record_limit(text: str) -> int:
    """Read the bytes of a record of the log."""
    limit = read_count(text)
    if not 4096 <= limit <= 1 << 20:
        raise argparse.ArgumentTypeError(f"{text} is not a number of bytes from 4096 to 1048576")
    return limit

"""A job's `env-file`: lines as a crontab's assignments. Reading it may hang, so it is for a thread."""

from __future__ import annotations

from gcron.crontab.assignment import read_assignment
from gcron.crontab.problem import CrontabError, LineError
from gcron.crontab.source import read

__all__ = ["read_env_file"]


def read_env_file(path: str) -> dict[str, str]:
    """The variables of the file, which is to be as a crontab: regular, of at most 1 MiB, when root then root's alone.

    Blank lines and comments (`#` first) are skipped. Raises ValueError with file and line for what is no assignment.
    """
    try:
        text = read(path).decode("utf-8", "surrogateescape")
    except CrontabError as error:
        raise ValueError(f"env-file {path} {error.problems[0].message}") from None
    variables = {}
    # Not `splitlines`, which takes a dozen other characters for ends of lines.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.strip(" \t\r")
        if stripped and not stripped.startswith("#"):
            name, value = _assignment(line.removesuffix("\r"), f"env-file {path}:{number}")
            variables[name] = value
    return variables


def _assignment(line: str, place: str) -> tuple[str, str]:
    try:
        assignment = read_assignment(line)
    except LineError as error:
        raise ValueError(f"{place}:{error.start + 1}: {error.message} ({error.hint})") from None
    if assignment is None:
        raise ValueError(f"{place}: no assignment: NAME=value is one")
    if "\0" in line:
        raise ValueError(f"{place}: a NUL byte, which no variable can hold")
    return assignment.name, assignment.value

"""What to start, as data, and the exact argument vector, environment and standard input that come of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

__all__ = ["Command", "arguments", "environment", "open_stdin"]

DEFAULT_SHELL = "/bin/sh"
# Runs as the job itself, after exec: a directory that hangs can so hang nobody but its job.
_ENTER_AND_RUN = 'cd -- "$1" || exit 126; exec "$2" -c "$3"'


@dataclass(frozen=True, slots=True)
class Command:
    """A shell command and its surroundings."""

    text: str
    """Handed to the shell as it is; bytes that are not UTF-8 stand in it as `surrogateescape` carries them."""
    stdin: bytes | None = None
    """What it reads; None for the null device."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables added to those that gcron itself was started with."""
    shell: str | None = None
    """None for the environment's SHELL assignment, or /bin/sh."""
    cwd: str | None = None
    """Directory to start in; None for gcron's own."""


def arguments(command: Command) -> list[str]:
    """The argument vector to execute."""
    shell = command.shell or command.environment.get("SHELL") or DEFAULT_SHELL
    if command.cwd is None:
        return [shell, "-c", command.text]
    # `cd` looks a bare name up in CDPATH, and takes `-` for the directory before.
    cwd = command.cwd if command.cwd.startswith("/") else f"./{command.cwd}"
    return [DEFAULT_SHELL, "-c", _ENTER_AND_RUN, "gcron", cwd, shell, command.text]


def environment(command: Command, identity: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """The job's variables: `inherited`, then the command's own, then `identity` (GCRON_JOB and its kin).

    gcron's own settings (GCRON_…) are not passed on: they may hold secrets and would configure a gcron that the job
    itself starts.
    """
    passed_on = {name: value for name, value in inherited.items() if not name.startswith("GCRON_")}
    return {**passed_on, **command.environment, **identity}


def open_stdin(command: Command) -> BinaryIO | None:
    """A file at its start that holds what the command reads, or None for the null device.

    A file and not a pipe: nobody has to feed it, and a job that does not read blocks nothing.
    """
    if command.stdin is None:
        return None
    file: BinaryIO = _anonymous_file()
    file.write(command.stdin)
    file.seek(0)
    return file


def _anonymous_file() -> Any:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("gcron-stdin"), "w+b")
    return tempfile.TemporaryFile()

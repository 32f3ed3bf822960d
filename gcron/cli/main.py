"""`gcron`: from the command line to a command, and what holds for all of them. Commands are loaded when called for."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from gcron.cli.options import make_parser

__all__ = ["main"]

# What a write says when the disk under stdout is full or broken; no fault of ours, so no traceback.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
# In tables, which stay aligned.
_TWINS = {"…": "~", "→": ">"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    _open_standard_streams()
    try:
        try:
            options = make_parser().parse_args(arguments)
            command = import_module(f"gcron.cli.{options.command}")
            status = int(command.main(options))
        finally:
            # Here, where a reader that is gone is no news; `--help` ends by SystemExit and has printed, too.
            sys.stdout.flush()
    except BrokenPipeError:
        # `gcron next FILE | head`: the reader has seen enough.
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        print(f"gcron: cannot write the output: {os.strerror(error.errno)}", file=sys.stderr)
        _drop_output()
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _drop_output() -> None:
    """Let the rest of stdout go nowhere: Python would write it again while it exits, and complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_standard_streams() -> None:
    """Make 0, 1 and 2 what they are taken for, when we were started without: the next files would get these numbers."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - open as long as the process
    if sys.stderr is None:  # print(file=None) would write to stdout
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - open as long as the process
    codecs.register_error("gcron", _replace_unknown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="gcron")


def _replace_unknown(error: UnicodeError) -> tuple[str | bytes, int]:
    """What the terminal's encoding has no character for: our own signs have a twin there, of the same width."""
    if isinstance(error, UnicodeEncodeError) and (twin := _TWINS.get(error.object[error.start])):
        return twin, error.start + 1
    # Names of files and jobs need not be UTF-8.
    return codecs.backslashreplace_errors(error)

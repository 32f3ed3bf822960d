"""`gcron`: from the command line to a command, and what all commands have in common. Only one command is loaded."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from gcron.cli.messages import say
from gcron.cli.options import describe_unknown_settings, make_parser

__all__ = ["main"]

# Errors of a write when the disk under stdout is full or broken: not gcron's fault, so there is no traceback.
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
# For our own signs in tables, which stay aligned, if the terminal's encoding has no character for them.
_REPLACEMENTS = {"…": "~", "→": ">"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of the process; returns the exit status."""
    _open_standard_streams()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            options = make_parser(only=words[0] if words else None).parse_args(words)
            for text in describe_unknown_settings(options.other_variables):
                say(text, "warning", getattr(options, "log_format", "text"))
            command = import_module(f"gcron.cli.{getattr(options, 'module', options.command)}")
            status = int(command.main(options))
        finally:
            # Here, where a reader that is gone is handled; also for `--help`, which ends by SystemExit.
            sys.stdout.flush()
    except BrokenPipeError:
        # `gcron next FILE | head`: the reader has seen enough.
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        print(f"gcron: cannot write the output: {os.strerror(error.errno)}", file=sys.stderr)
        _drop_output()
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _drop_output() -> None:
    """Send the rest of stdout to /dev/null: Python would try to write it again at its exit, and complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_standard_streams() -> None:
    """Open descriptors 0, 1 and 2 if we were started without them: the next files would get these numbers."""
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
    """Replace a character that the encoding of stdout does not have."""
    if isinstance(error, UnicodeEncodeError) and (sign := _REPLACEMENTS.get(error.object[error.start])):
        return sign, error.start + 1
    return codecs.backslashreplace_errors(error)  # names of files and jobs need not be UTF-8

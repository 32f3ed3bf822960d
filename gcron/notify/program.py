"""Programs that deliver a message or make one: with a time-out, and ended when gcron stops. For threads."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

__all__ = ["end_programs", "run_program"]

_running: set[subprocess.Popen[bytes]] = set()


def run_program(
    arguments: Sequence[str], data: bytes, timeout: float, environment: Mapping[str, str], with_errors: bool
) -> tuple[int, bytes]:
    """Run a program with `data` as its input; returns exit status and output, `with_errors` also what is on stderr.

    Raises OSError when it cannot start, and TimeoutError once it has been ended, with its children, after `timeout`
    seconds.
    """
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
        cwd="/",
        env=environment,
        start_new_session=True,
    )
    _running.add(process)
    try:
        with process:
            try:
                output, _ = process.communicate(data, timeout)
            except subprocess.TimeoutExpired:
                _end(process)
                process.communicate()
                raise TimeoutError from None
    finally:
        _running.discard(process)
    return process.returncode, output


def end_programs() -> None:
    """End what still runs, in all threads: it would outlive gcron."""
    for process in tuple(_running):
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # Its id may be another's once it has been waited for.
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

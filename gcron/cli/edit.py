"""`gcron edit`: an editor on a copy of a crontab, which replaces the crontab only if it is right.

What somebody has typed is never lost: the copy is deleted only when it is installed, unchanged, or discarded.
"""

from __future__ import annotations

import argparse
import difflib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gcron.cli.files import Crontabs
from gcron.cli.messages import complain, say
from gcron.cli.times import TimeError
from gcron.crontab import CrontabError
from gcron.crontab.source import read
from gcron.frozen import frozen

__all__ = ["main"]

_EDITORS = ("sensible-editor", "editor", "vi", "nano")
_QUESTION = "[e]dit again, [d]iscard the changes, or [k]eep the copy? "
# A new crontab may hold passwords.
_MODE_OF_NEW = 0o600
# Seconds to wait for another `gcron edit` that replaces a file in the same directory.
_PATIENCE = 5.0


class _Stopped(Exception):
    """The crontab is not replaced; the text says why."""


@frozen
class _Version:
    """A crontab as it was at one moment."""

    data: bytes
    status: os.stat_result | None
    """None: it did not exist."""


def main(options: argparse.Namespace) -> int:
    """Edit the crontab; returns 1 if it is not replaced although the copy was changed."""
    # The target of a symbolic link is replaced, not the link.
    path = options.files[0]
    try:
        path = os.path.realpath(path)
        before = _read(path, options)
        copy = _make_copy(path, before)
    except CrontabError as error:
        complain(error.problems)
        return 1
    except OSError as error:
        say(f"{path}: {error.strerror}: the copy to edit, and then the new file, are made beside it")
        return 1
    try:
        return _edit(path, copy, before, options)
    except (_Stopped, TimeError) as error:
        say(f"{error}; {_keep(copy, before)}")
        return 1
    except OSError as error:
        say(f"{path} cannot be replaced: {error.strerror}; {_keep(copy, before)}")
        return 1
    except KeyboardInterrupt:
        if os.path.exists(copy):  # otherwise it has just been installed or discarded
            print(file=sys.stderr)  # after the question and ^C
            say(f"{path} is not changed; {_keep(copy, before)}")
        raise


def _keep(copy: str, before: _Version) -> str:
    """Delete the copy if nothing was typed into it; returns where the changes are."""
    with open(copy, "rb") as file:
        if file.read() != before.data:
            return f"your changes are in {copy}"
    os.unlink(copy)
    return "nothing was changed"


def _edit(path: str, copy: str, before: _Version, options: argparse.Namespace) -> int:
    while True:
        _run_editor(copy)
        with open(copy, "rb") as file:
            if file.read() == before.data:
                os.unlink(copy)
                say(f"{path}: no changes", "info")
                return 0
        if _is_right(path, copy, options):
            with _sole_writer(path):
                now = _read(path, options)
                if now.data == before.data:
                    _install(copy, path, now.status)
                    say(f"{path}: replaced", "info")
                    return 0
            _show_change(path, before, now)
            before = now  # once it has been shown, the copy may replace it
        answer = _ask()
        if answer == "d":
            os.unlink(copy)
            say(f"{path}: not changed", "info")
            return 1
        if answer == "k":
            raise _Stopped(f"{path} is not changed")


def _read(path: str, options: argparse.Namespace) -> _Version:
    """Raises CrontabError."""
    if not os.path.lexists(path):
        return _Version(b"", None)
    return _Version(read(path, frozenset(options.trust_owner)), os.stat(path))


def _make_copy(path: str, version: _Version) -> str:
    """Return the path of a copy beside the file: only there it can take its place in one step.

    A name with a dot is no crontab, for any cron. Relative paths in it mean what they mean in the file.
    """
    descriptor, copy = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", suffix=".edit", dir=os.path.dirname(path))
    with open(descriptor, "wb") as file:
        file.write(version.data)
    return copy


def _run_editor(copy: str) -> None:
    """Raises _Stopped."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or next(filter(shutil.which, _EDITORS), None)
    if editor is None:
        raise _Stopped("there is no editor: set VISUAL or EDITOR")
    # It may have arguments: `code --wait`.
    with subprocess.Popen(["/bin/sh", "-c", f'{editor} "$@"', editor, copy]) as process:
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                pass  # it was meant for the editor
    if status:
        raise _Stopped(f"the editor {editor!r} ended with status {status}")


def _is_right(path: str, copy: str, options: argparse.Namespace) -> bool:
    """Show what is wrong with the copy; returns whether it can replace the file. Raises TimeError."""
    options.files = [copy]
    problems = [
        problem._replace(path=path if problem.path == copy else problem.path)
        for problem in Crontabs(options).load().problems
    ]
    complain(problems)
    return not any(problem.severity == "error" for problem in problems)


@contextmanager
def _sole_writer(path: str) -> Iterator[None]:
    """Let no other `gcron edit` replace a file in this directory meanwhile. Raises _Stopped."""
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    deadline = time.monotonic() + _PATIENCE
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _Stopped(f"another program holds the lock of {os.path.dirname(path)}") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _install(copy: str, path: str, status: os.stat_result | None) -> None:
    """Put the copy into the place of the file, with its owner and mode."""
    descriptor = os.open(copy, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        own = os.fstat(descriptor)
        if status is not None and (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, _MODE_OF_NEW if status is None else status.st_mode & 0o7777)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(copy, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _show_change(path: str, before: _Version, now: _Version) -> None:
    say(f"{path} has changed while you edited it. To replace it, edit again and take over what you need of this:")
    old, new = (version.data.decode("utf-8", "backslashreplace").splitlines() for version in (before, now))
    for line in difflib.unified_diff(old, new, "when you began", "now", lineterm=""):
        print(line, file=sys.stderr)


def _ask() -> str:
    """Return what to do next: `e`, `d` or `k`. Nobody there means to keep the copy."""
    if not sys.stdin.isatty():
        return "k"
    while True:
        print(_QUESTION, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        answer = line.strip().lower()[:1] or "e"
        if not line or answer in ("e", "d", "k"):
            return answer if line else "k"

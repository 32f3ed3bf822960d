"""The argument vector of a command, and the start script that /bin/sh runs before the command's own shell.

The start script does all that may hang or needs the rights of the job's user: after exec and as that user. So a
directory that hangs delays only its own job, and a limit that is too low cannot hit gcron. Pure.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from gcron.supervise.command import Command

__all__ = ["DEFAULT_SHELL", "arguments", "needs_start_script", "why_refused"]

DEFAULT_SHELL = "/bin/sh"
# Any other shell may be on a file system that hangs, and the starter of a process waits until it is executed.
_NEAR = ("/bin/", "/usr/bin/")

# 126 is what shells mean by "cannot be executed".
_SCRIPT_NAME = "gcron-start"
_REFUSE = """refuse() { printf '%s\\n' "$0: $*" >&2; exit 126; }"""
_ENTER = """cd -- "$1" 2>/dev/null || {
  [ -d "$1" ] && refuse "may not enter the directory $1$4"
  refuse "there is no directory $1, or it may not be seen$4"
}
unset OLDPWD"""
_IT_IS_HOME = ": the home of its user, unless cwd= names another"
# `exec` would say "not found" of whatever is wrong.
_CHECK_SHELL = """case "$2" in
  */*)
    [ -e "$2" ] || refuse "there is no shell $2"
    [ -d "$2" ] && refuse "the shell $2 is a directory"
    [ -x "$2" ] || refuse "the shell $2 may not be executed" ;;
  *) command -v -- "$2" >/dev/null || refuse "there is no shell $2" ;;
esac"""
_RUN = 'exec "$2" -c "$3"'
_RUN_SILENTLY = f"{_RUN} >/dev/null 2>&1"
# By the names of the policy: the letters of `ulimit`, and the bytes that it counts by. dash, bash as sh and busybox
# agree on them but for the number of processes. Files come last, so that the shell itself has enough of them.
_ULIMIT = {
    "rlimit_as": ("-v", 1024),
    "rlimit_core": ("-c", 512),
    "rlimit_cpu": ("-t", 1),
    "rlimit_data": ("-d", 1024),
    "rlimit_fsize": ("-f", 512),
    "rlimit_nproc": ("-u", 1),
    "rlimit_stack": ("-s", 1024),
    "rlimit_nofile": ("-n", 1),
}

_LINE_NUMBER = re.compile(r"^(?:\w+ )?[0-9]+: ")


def needs_start_script(command: Command, home: str | None = None) -> bool:
    """True when /bin/sh has something to do before it executes the command's own shell."""
    # A negative niceness takes privileges that the job's user may not have: see `gcron.supervise.spawning`.
    asks = command.cwd or home or command.limits or command.nice > 0
    return bool(asks) or not _shell_of(command).startswith(_NEAR)


def arguments(command: Command, home: str | None = None, discard: bool = False) -> list[str]:
    """The argument vector to execute. It begins in the command's directory, or in `home` without one.

    `discard`: outputs go to the null device after the start script, if any.
    """
    shell = _shell_of(command)
    if not needs_start_script(command, home):
        return [shell, "-c", command.text]
    cwd = command.cwd or home
    steps = [_REFUSE]
    if cwd is not None:
        steps.append(_ENTER)
        # `cd` looks a bare name up in CDPATH, and takes `-` for the directory before.
        cwd = cwd if cwd.startswith("/") else f"./{cwd}"
    limits = dict(command.limits)
    steps += [_limit(name, limits[name]) for name in _ULIMIT if name in limits]
    steps += [_CHECK_SHELL, _RUN_SILENTLY if discard else _RUN]
    nicely = [_find_nice(), "-n", str(command.nice)] if command.nice > 0 else []
    hint = "" if command.cwd else _IT_IS_HOME
    return [*nicely, DEFAULT_SHELL, "-c", "\n".join(steps), _SCRIPT_NAME, cwd or "", shell, command.text, hint]


@lru_cache
def _find_nice() -> str:
    """The path of nice(1). Not by the job's PATH, which may lack it."""
    import shutil  # 2 ms of a start that most crontabs do not need

    return shutil.which("nice", path=os.defpath) or "nice"


def _shell_of(command: Command) -> str:
    return command.shell or command.environment.get("SHELL") or DEFAULT_SHELL


def _limit(name: str, value: int) -> str:
    letter, unit = _ULIMIT[name]
    number = "unlimited" if value < 0 else str(value // unit)
    attempts = [f"ulimit {letter} {number}"]
    if name == "rlimit_nproc":
        attempts = [f"ulimit {letter} {number} 2>/dev/null", f"ulimit -p {number}"]  # dash and busybox call it so
    option = name.replace("_", "-")
    return " || ".join([*attempts, f'refuse "{option} cannot be set to {number if unit == 1 else value}"'])


def why_refused(exit_code: int | None, output: bytes) -> str:
    """What the start script refused, by its exit status and output; empty when it reached the command."""
    prefix = f"{_SCRIPT_NAME}: ".encode()
    if exit_code not in (126, 127) or not output.startswith(prefix):
        return ""
    lines = [line.removeprefix(prefix) for line in output.splitlines() if line.startswith(prefix)]
    # Shells name the line of the script: `1: `, `line 1: `.
    reason = "; ".join(_LINE_NUMBER.sub("", line.decode("utf-8", "backslashreplace")) for line in lines)
    # The start script has seen the file: what is not found is its interpreter.
    return f"{reason} (or what its first line names)" if reason.endswith(": not found") else reason

"""The argument vector of a command, and the start script that /bin/sh runs before the command's own shell.

The start script does all that may hang or needs the rights of the job's user: after exec and as that user. So a
directory that hangs delays only its own job, and a limit that is too low cannot hit gcron. Pure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache

from gcron.supervise.command import Command

__all__ = ["DEFAULT_SHELL", "ScriptMessages", "arguments", "needs_start_script", "new_script_name", "why_refused"]

DEFAULT_SHELL = "/bin/sh"
# Any other shell may be on a file system that hangs, and the starter of a process waits until it is executed.
_NEAR = ("/bin/", "/usr/bin/")

# 126 is what shells mean by "cannot be executed".
_REFUSE = """refuse() { printf '%s\\n' "$0: $*" >&2; exit 126; }"""
_ENTER = """cd -- "$1" 2>/dev/null || {
  [ -d "$1" ] && refuse "may not enter the directory $1"
  refuse "there is no directory $1, or it may not be seen"
}
unset OLDPWD"""
# gcron lets it go on once it is in its control group (`gcron.supervise.limited_start`): no child escapes the limits.
_HOLD = "kill -STOP $$"
_NOTE = "note: "
# As cron does it.
_ENTER_HOME = f"""cd -- "$1" 2>/dev/null || {{
  [ -d "$1" ] && refuse "may not enter the directory $1: the home of its user, unless cwd= names another"
  printf '%s\\n' "$0: {_NOTE}there is no directory $1, the home of its user: it starts in /" >&2
  cd /
}}
unset OLDPWD"""
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


def new_script_name() -> str:
    """A name for one start script. It is secret, so that a job cannot speak as its start script."""
    return f"gcron-start-{os.urandom(8).hex()}"


def needs_start_script(command: Command, home: str | None = None) -> bool:
    """True when /bin/sh has something to do before it executes the command's own shell."""
    # A negative niceness takes privileges that the job's user may not have: see `gcron.supervise.spawning`.
    asks = command.cwd or home or command.limits or command.cgroup_limits or command.nice > 0
    return bool(asks) or not _shell_of(command).startswith(_NEAR)


def arguments(
    command: Command, home: str | None = None, discard: bool = False, script_name: str = "gcron-start"
) -> list[str]:
    """The argument vector to execute. It begins in the command's directory, or in `home` without one.

    `discard`: outputs go to the null device after the start script, if any, which speaks as `script_name`.
    """
    shell = _shell_of(command)
    if not needs_start_script(command, home):
        return [shell, "-c", command.text]
    cwd = command.cwd or home
    steps = [*([_HOLD] if command.cgroup_limits else []), _REFUSE]
    if cwd is not None:
        steps.append(_ENTER if command.cwd else _ENTER_HOME)
        # `cd` looks a bare name up in CDPATH, and takes `-` for the directory before.
        cwd = cwd if cwd.startswith("/") else f"./{cwd}"
    limits = dict(command.limits)
    steps += [_limit(name, limits[name]) for name in _ULIMIT if name in limits]
    steps += [_CHECK_SHELL, _RUN_SILENTLY if discard else _RUN]
    nicely = [_find_nice(), "-n", str(command.nice)] if command.nice > 0 else []
    return [*nicely, DEFAULT_SHELL, "-c", "\n".join(steps), script_name, cwd or "", shell, command.text]


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


class ScriptMessages:
    """Takes the messages of a start script out of the output of its job: `hear(message, is_note)`."""

    def __init__(self, script_name: str, hear: Callable[[str, bool], object]) -> None:
        self._prefix = f"{script_name}: ".encode()
        self._hear = hear
        self._unfinished = b""

    def take(self, data: bytes) -> bytes:
        """Return `data` without the messages. The shell may write one in pieces, and begins with the whole name."""
        data, self._unfinished = self._unfinished + data, b""
        if self._prefix not in data:
            return data
        rest = []
        *lines, last = data.split(b"\n")
        for line in lines:
            if line.startswith(self._prefix):
                self._report(line)
            else:
                rest.append(line)
        if last.startswith(self._prefix):
            self._unfinished, last = last, b""
        return b"\n".join([*rest, last])

    def finish(self) -> None:
        """Take a last message without a newline."""
        if self._unfinished:
            self._report(self._unfinished)

    def _report(self, line: bytes) -> None:
        message = line.removeprefix(self._prefix).decode("utf-8", "backslashreplace")
        self._hear(message.removeprefix(_NOTE), message.startswith(_NOTE))


def why_refused(exit_code: int | None, messages: list[str]) -> str:
    """What the start script refused, by its exit status and messages; empty when it reached the command."""
    if exit_code not in (126, 127) or not messages:
        return ""
    # Shells name the line of the script: `1: `, `line 1: `.
    reason = "; ".join(_LINE_NUMBER.sub("", message) for message in messages)
    # The start script has seen the file: what is not found is its interpreter.
    return f"{reason} (or what its first line names)" if reason.endswith(": not found") else reason

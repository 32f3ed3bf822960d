"""`Policy`: how a job is run, whatever its schedule. Each field is one option, declared by its row."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from gcron.policy.options import Option, PolicyError, Scope, option
from gcron.policy.spelling import nearest
from gcron.policy.values import (
    limit_of,
    one_of,
    read_command,
    read_count,
    read_exit_codes,
    read_factor,
    read_name,
    read_names,
    read_nice,
    read_path,
    read_pattern,
    read_seconds,
    read_signal,
    read_switch,
    read_text,
    read_time_limit,
    read_umask,
    read_user,
)

__all__ = ["OPTIONS", "Policy", "options_of"]

_SIZE = ": `512M`, `unlimited`"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a job is run, whatever its schedule (docs/crontab.md, section 4). Times are in seconds."""

    kill_after: float = option("10s", read_seconds, "every job", "the time from `stop-signal` to KILL")
    stop_signal: signal.Signals = option(
        "TERM", read_signal, "every job", "the signal that asks the whole process tree to stop"
    )
    success_codes: frozenset[int] = option(
        "0", read_exit_codes, "every job", "the exit statuses that count as success: `0,3`"
    )
    output: str = option(
        "lines",
        one_of("lines", "raw", "discard"),
        "every job",
        "where its output goes: `lines` into the log, `raw` unchanged to gcron's own outputs, `discard` nowhere",
    )
    after: tuple[str, ...] = option(
        "", read_names, "every job", "the services that must be ready before it starts: `cache,db`"
    )
    enabled: bool = option("yes", read_switch, "every job", "`no`: it is listed, but never fires")
    description: str = option("", read_text, "every job", "a line for people")

    overlap: str = option(
        "skip",
        one_of("skip", "queue", "replace", "allow"),
        "scheduled jobs",
        "what happens to a fire that is due while the job still runs: `skip` it, `queue` it until that run is over, "
        "`replace` that run, or `allow` both",
    )
    queue_limit: int = option(
        "1", read_count, "scheduled jobs", "with `overlap=queue`: how many fires may wait; further ones are skipped"
    )
    group: str | None = option(
        None, read_name, "scheduled jobs", "the jobs of a group share its limit, first come, first served"
    )
    timeout: float | None = option(
        "none", read_time_limit, "scheduled jobs", "the time after which an attempt is asked to stop, by `stop-signal`"
    )
    retries: int = option("0", read_count, "scheduled jobs", "how many more attempts may follow a failed one")
    retry_delay: float = option("10s", read_seconds, "scheduled jobs", "the time before the second attempt")
    retry_backoff: float = option(
        "2", read_factor, "scheduled jobs", "the factor by which each further delay is longer"
    )
    retry_max_delay: float = option("10m", read_seconds, "scheduled jobs", "the longest of these delays")
    catchup: str = option(
        "none",
        one_of("none", "last", "all"),
        "scheduled jobs",
        "which of the fires that gcron could not act on are made up: `none`, the `last`, or `all`",
    )
    start_deadline: float = option(
        "1h",
        read_seconds,
        "scheduled jobs",
        "how late a run may start: one that is made up, or that waits for services or its group",
    )
    jitter: float = option(
        "0", read_seconds, "scheduled jobs", "each fire is delayed by a time of its own, up to this long"
    )
    expect_within: float | None = option(
        "none", read_time_limit, "scheduled jobs", "an alarm is raised after this time without a success: `25h`"
    )

    restart: str = option(
        "always",
        one_of("always", "on-failure", "never"),
        "services",
        "after which ends it is started again: `always`, `on-failure`, `never`",
    )
    restart_delay: float = option(
        "1s",
        read_seconds,
        "services",
        "the time before it is started again if it ended before `min-uptime`; it doubles each time",
    )
    restart_max_delay: float = option("1m", read_seconds, "services", "the longest of these delays")
    restart_limit: int = option(
        "0", read_count, "services", "after how many such ends in a row it is given up; `0`: never"
    )
    min_uptime: float = option("1s", read_seconds, "services", "an end before this time is delayed and counted")
    ready_when: str | None = option(
        None, read_command, "services", "a command that succeeds once it can be used; repeated until it does"
    )
    ready_line: str | None = option(
        None, read_pattern, "services", "a regular expression that a line of its output matches once it can be used"
    )

    user: str | None = option(
        None, read_user, "processes", "the user of the process, by name or number; without it, gcron's own"
    )
    cwd: str | None = option(
        None, read_path, "processes", "the directory to start in; without it, gcron's own, or the home of `user`"
    )
    umask: int | None = option(
        None, read_umask, "processes", "the mask for the modes of files that it makes, octal: `027`"
    )
    nice: int | None = option(None, read_nice, "processes", "the number added to its niceness: `19` goes last")
    env_file: str | None = option(
        None, read_path, "processes", "a file of `NAME=value` lines, read before each attempt"
    )
    shell: str | None = option(
        None, read_path, "processes", "the program that reads the command; without it, `SHELL` or /bin/sh"
    )
    rlimit_as: int | None = option(None, limit_of("bytes"), "processes", f"bytes of address space{_SIZE}")
    rlimit_core: int | None = option(None, limit_of("bytes"), "processes", f"bytes of a core file{_SIZE}")
    rlimit_cpu: int | None = option(None, limit_of("seconds"), "processes", "seconds of processor time")
    rlimit_data: int | None = option(None, limit_of("bytes"), "processes", f"bytes of data{_SIZE}")
    rlimit_fsize: int | None = option(None, limit_of("bytes"), "processes", f"bytes of a file that it writes{_SIZE}")
    rlimit_nofile: int | None = option(None, limit_of("files"), "processes", "the number of open files")
    rlimit_nproc: int | None = option(None, limit_of("processes"), "processes", "the number of its user's processes")
    rlimit_stack: int | None = option(None, limit_of("bytes"), "processes", f"bytes of stack{_SIZE}")

    def delay_after(self, attempts: int) -> float | None:
        """Return the seconds to wait after so many failed attempts; None if there is no further one."""
        if attempts > self.retries:
            return None
        # Not the power itself: a thousand attempts at a back-off of 10 are more than a float holds.
        delay = self.retry_delay
        for _ in range(attempts - 1):
            if delay >= self.retry_max_delay or delay == 0:
                break
            delay *= self.retry_backoff
        return min(delay, self.retry_max_delay)

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Policy:
        """Return the defaults, changed by `options` (keys as in Python: `kill_after`).

        Raises PolicyError for an unknown key or a bad value.
        """
        return cls().with_options(options)

    def with_options(self, options: Mapping[str, object]) -> Policy:
        """Return a copy changed by `options`. Raises PolicyError for an unknown key or a bad value."""
        if not options:
            return self
        known = [(_option_named(key), value) for key, value in options.items()]
        return replace(self, **{row.attribute: row.read(value) for row, value in known})


def _rows() -> Iterator[Option]:
    for field in fields(Policy):
        row: Option = field.metadata["option"]
        yield row._replace(name=field.name.replace("_", "-"))


OPTIONS: Mapping[str, Option] = MappingProxyType({row.name: row for row in _rows()})
"""All options of a policy, by their names in directives."""


def options_of(scope: Scope) -> tuple[str, ...]:
    """Return the names in Python of the options with this scope."""
    return tuple(row.attribute for row in OPTIONS.values() if row.scope == scope)


def _option_named(key: str) -> Option:
    """Return the option that a directive or a keyword argument calls `key`. Raises PolicyError if there is none."""
    row = OPTIONS.get(key.replace("_", "-"))
    if row is None:
        known = [row.attribute for row in OPTIONS.values()]
        raise PolicyError(f"unknown option {key!r}", key=key, hint=nearest(key, known))
    return row

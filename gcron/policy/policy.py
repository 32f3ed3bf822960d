"""`Policy`: how a job is run, whatever its schedule. Each field is one option, declared by its row."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from gcron.frozen import frozen, replace
from gcron.policy.limits import limit_of, most_of, read_percent
from gcron.policy.options import OPTIONS, Option, PolicyError, option
from gcron.policy.values import (
    one_of,
    or_none,
    read_command,
    read_count,
    read_exit_codes,
    read_factor,
    read_name,
    read_names,
    read_nice,
    read_path,
    read_pattern,
    read_program,
    read_run_on,
    read_seconds,
    read_signal,
    read_switch,
    read_text,
    read_time_limit,
    read_umask,
    read_user,
)
from gcron.spelling import nearest

__all__ = ["Policy"]

_SIZE = ": `512M`, `unlimited`"


@frozen
class Policy:
    """How a job is run, whatever its schedule (docs/crontab.md, section 4). Times are in seconds."""

    # fmt: off
    kill_after: float = option("kill-after", read_seconds, "10s", "every job",
        "the time from `stop-signal` to KILL")
    stop_signal: signal.Signals = option("stop-signal", read_signal, "TERM", "every job",
        "the signal that asks the whole process tree to stop")
    success_codes: frozenset[int] = option("success-codes", read_exit_codes, "0", "every job",
        "the exit statuses that count as success: `0,3`")
    output: str = option("output", one_of("lines", "raw", "discard"), "lines", "every job",
        "where its output goes: `lines` into the log, `raw` unchanged to gcron's own outputs, `discard` nowhere")
    after: tuple[str, ...] = option("after", read_names, "", "every job",
        "what it waits for: services that must be ready, `@reboot` jobs that must have succeeded: `cache,db`")
    enabled: bool = option("enabled", read_switch, "yes", "every job",
        "`no`: it is listed, but never fires")
    description: str = option("description", read_text, "", "every job",
        "a line for people")
    keep_runs: int | None = option("keep-runs", or_none(read_count), None, "every job",
        "how many of its runs the history keeps, and its last 10 failures; without it, what `gcron run` is "
        "given, or 100")
    keep_for: float | None = option("keep-for", or_none(read_seconds), None, "every job",
        "for how long, at most; without it, what `gcron run` is given, or 30 days")
    notify: tuple[str, ...] = option("notify", read_names, "", "every job",
        "the targets that get messages about it: `ops,hc`")
    notify_again: float = option("notify-again", read_seconds, "6h", "every job",
        "the time after which a problem that stays is reported again, with its count")
    run_on: str | None = option("run-on", or_none(read_run_on), None, "every job",
        "on which of several nodes it runs: each fire on `one`, on `every`, or on one with that label, `label:NAME`; "
        "without it, `every` for services and `@reboot`, `one` for all others")

    overlap: str = option("overlap", one_of("skip", "queue", "replace", "allow"), "skip", "scheduled jobs",
        "what happens to a fire that is due while the job still runs: `skip` it, `queue` it until that run is over, "
        "`replace` that run, or `allow` both")
    queue_limit: int = option("queue-limit", read_count, "1", "scheduled jobs",
        "with `overlap=queue`: how many fires may wait; further ones are skipped")
    group: str | None = option("group", read_name, None, "scheduled jobs",
        "the jobs of a group share its limit, first come, first served")
    timeout: float | None = option("timeout", read_time_limit, "none", "scheduled jobs",
        "the time after which an attempt is asked to stop, by `stop-signal`")
    retries: int = option("retries", read_count, "0", "scheduled jobs",
        "how many more attempts may follow a failed one")
    retry_delay: float = option("retry-delay", read_seconds, "10s", "scheduled jobs",
        "the time before the second attempt")
    retry_backoff: float = option("retry-backoff", read_factor, "2", "scheduled jobs",
        "the factor by which each further delay is longer")
    retry_max_delay: float = option("retry-max-delay", read_seconds, "10m", "scheduled jobs",
        "the longest of these delays")
    catchup: str = option("catchup", one_of("none", "last", "all"), "none", "scheduled jobs",
        "which of the fires that gcron could not act on are made up: `none`, the `last`, or `all`")
    reboot: str = option("reboot", one_of("gcron", "machine"), "gcron", "scheduled jobs",
        "what `@reboot` means: each start of `gcron`, or the first one after each boot of the `machine`")
    retry_lost: bool = option("retry-lost", read_switch, "no", "scheduled jobs",
        "`yes`: a run that gcron lost when it was killed counts as failed, and `retries` apply")
    start_deadline: float = option("start-deadline", read_seconds, "1h", "scheduled jobs",
        "how late a run may start: one that is made up, or that waits for services or its group")
    jitter: float = option("jitter", read_seconds, "0", "scheduled jobs",
        "each fire is delayed by a time of its own, up to this long")
    expect_within: float | None = option("expect-within", read_time_limit, "none", "scheduled jobs",
        "an alarm is raised after this time without a success: `25h`")
    on_failure: str | None = option("on-failure", read_command, None, "scheduled jobs",
        "a command that is run when a run has failed")
    on_recovery: str | None = option("on-recovery", read_command, None, "scheduled jobs",
        "a command that is run at the first success after a failure")
    on_success: str | None = option("on-success", read_command, None, "scheduled jobs",
        "a command that is run after each success")
    on_overdue: str | None = option("on-overdue", read_command, None, "scheduled jobs",
        "a command that is run when `expect-within` is over")

    on_stop: str = option("on-stop", one_of("wait", "term"), "wait", "scheduled jobs",
        "what happens to its runs when gcron is told to stop: `wait` for them, or send `stop-signal` at once (`term`); "
        "both have the grace")

    restart: str = option("restart", one_of("always", "on-failure", "never"), "always", "services",
        "after which ends it is started again: `always`, `on-failure`, `never`")
    restart_delay: float = option("restart-delay", read_seconds, "1s", "services",
        "the time before it is started again if it ended before `min-uptime`; it doubles each time")
    restart_max_delay: float = option("restart-max-delay", read_seconds, "1m", "services",
        "the longest of these delays")
    restart_limit: int = option("restart-limit", read_count, "0", "services",
        "after how many such ends in a row it is given up; `0`: never")
    min_uptime: float = option("min-uptime", read_seconds, "1s", "services",
        "an end before this time is delayed and counted")
    on_failed: str = option("on-failed", one_of("continue", "stop"), "continue", "services",
        "what gcron does once the service has failed for good: `continue`, or `stop`, with status 5")
    ready_when: str | None = option("ready-when", read_command, None, "services",
        "a command that succeeds once it can be used; repeated until it does")
    ready_line: str | None = option("ready-line", read_pattern, None, "services",
        "a regular expression that a line of its output matches once it can be used")

    orphans: str = option("orphans", one_of("adopt", "kill", "leave"), "adopt", "processes",
        "what becomes of its processes when gcron was killed and starts again: `adopt` them, `kill` them, or `leave` "
        "them alone")
    user: str | None = option("user", read_user, None, "processes",
        "the user of the process, by name or number; without it, gcron's own")
    cwd: str | None = option("cwd", read_path, None, "processes",
        "the directory to start in; without it, gcron's own, or the home of `user`")
    umask: int | None = option("umask", read_umask, None, "processes",
        "the mask for the modes of files that it makes, octal: `027`")
    nice: int | None = option("nice", read_nice, None, "processes",
        "the number added to its niceness: `19` goes last")
    env_file: str | None = option("env-file", read_path, None, "processes",
        "a file of `NAME=value` lines, read before each attempt; a relative path begins at the crontab's directory")
    shell: str | None = option("shell", read_program, None, "processes",
        "the program that reads the command; without it, `SHELL` or /bin/sh")
    keep_output: int | None = option("keep-output", limit_of("bytes"), None, "processes",
        "how much of a run's output the history keeps: its beginning and its end; without it, what "
        "`gcron run` is given, or 1 MiB")
    rlimit_as: int | None = option("rlimit-as", limit_of("bytes"), None, "processes",
        f"bytes of address space{_SIZE}")
    rlimit_core: int | None = option("rlimit-core", limit_of("bytes"), None, "processes",
        f"bytes of a core file{_SIZE}")
    rlimit_cpu: int | None = option("rlimit-cpu", limit_of("seconds"), None, "processes",
        "seconds of processor time")
    rlimit_data: int | None = option("rlimit-data", limit_of("bytes"), None, "processes",
        f"bytes of data{_SIZE}")
    rlimit_fsize: int | None = option("rlimit-fsize", limit_of("bytes"), None, "processes",
        f"bytes of a file that it writes{_SIZE}")
    rlimit_nofile: int | None = option("rlimit-nofile", limit_of("files"), None, "processes",
        "the number of open files")
    rlimit_nproc: int | None = option("rlimit-nproc", limit_of("processes"), None, "processes",
        "the number of its user's processes")
    rlimit_stack: int | None = option("rlimit-stack", limit_of("bytes"), None, "processes",
        f"bytes of stack{_SIZE}")
    memory_max: int | None = option("memory-max", most_of("bytes"), None, "processes",
        f"bytes of memory of all its processes together; beyond that, the kernel kills one of them{_SIZE}")
    cpu_max: int | None = option("cpu-max", read_percent, None, "processes",
        "processor time of all its processes together, in percent of one processor; beyond that, they wait: `150%`")
    tasks_max: int | None = option("tasks-max", most_of("processes"), None, "processes",
        "the number of its processes and threads at one time; beyond that, fork(2) fails: `100`")
    # fmt: on

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


def _option_named(key: str) -> Option:
    """Return the option that a directive or a keyword argument calls `key`. Raises PolicyError if there is none."""
    row = OPTIONS.get(key.replace("_", "-"))
    if row is None:
        known = [row.attribute for row in OPTIONS.values()]
        raise PolicyError(f"unknown option {key!r}", key=key, hint=nearest(key, known))
    return row

"""`Policy`: how a job is run, whatever its schedule. Plain data, and the arithmetic of its delays."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gcron.policy.options import option_named

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How a job is run, whatever its schedule (docs/crontab.md, section 4)."""

    overlap: str = "skip"
    """What happens to a fire that is due while the previous run still runs: skip, queue, replace, allow."""
    queue_limit: int = 1
    """With `overlap="queue"`: how many fires may wait for the run under way; further ones are skipped."""
    group: str | None = None
    """Jobs of one group share its limit, first come, first served."""
    timeout: float | None = None
    """Seconds until an attempt is asked to stop; None for no limit."""
    kill_after: float = 10.0
    """Seconds from `stop_signal` to KILL."""
    stop_signal: signal.Signals = signal.SIGTERM
    """What the whole tree is asked to stop with."""
    retries: int = 0
    """How often a failed attempt is followed by another."""
    retry_delay: float = 10.0
    """Seconds between the first attempt and the second."""
    retry_backoff: float = 2.0
    """By how much each further delay is longer than the one before."""
    retry_max_delay: float = 600.0
    """Seconds that no delay exceeds."""
    catchup: str = "none"
    """Which of the fires that gcron could not act on are run when it can again: none, the last, or all of them."""
    start_deadline: float = 3600.0
    """Seconds after which a fire is not begun any more."""
    jitter: float = 0.0
    """Seconds up to which a fire is put off, each by its own."""
    success_codes: frozenset[int] = frozenset({0})
    """Exit codes that count as success."""
    user: str | None = None
    """Whom the process belongs to, by name or number; None for gcron's own user."""
    cwd: str | None = None
    """Directory of the process; None for the inherited one."""
    umask: int | None = None
    """Mask of the modes of files that it makes; None for the inherited one."""
    nice: int | None = None
    """What is added to its niceness: 19 goes last."""
    env_file: str | None = None
    """A file of `NAME=value` lines, read before each attempt."""
    shell: str | None = None
    """Program that reads the command; None for the crontab's SHELL, or /bin/sh."""
    rlimit_as: int | None = None
    """Bytes of address space. These are the limits of setrlimit(2); None for the inherited one, -1 for none."""
    rlimit_core: int | None = None
    """Bytes of a core file."""
    rlimit_cpu: int | None = None
    """Seconds of processor time."""
    rlimit_data: int | None = None
    """Bytes of data."""
    rlimit_fsize: int | None = None
    """Bytes of a file that it writes."""
    rlimit_nofile: int | None = None
    """Open files."""
    rlimit_nproc: int | None = None
    """Processes of its user."""
    rlimit_stack: int | None = None
    """Bytes of stack."""
    output: str = "lines"
    """Where it goes: `lines` into the log, `raw` as it is to gcron's own stdout and stderr, `discard` nowhere."""
    expect_within: float | None = None
    """Seconds without a success after which an alarm is raised; None for never."""
    after: tuple[str, ...] = ()
    """Services that are to be ready before it begins."""
    restart: str = "always"
    """Of a service: after which ends it is started again: always, on-failure, never."""
    restart_delay: float = 1.0
    """Seconds before a service that died young is started again; doubles each time."""
    restart_max_delay: float = 60.0
    """Seconds that no such delay exceeds."""
    restart_limit: int = 0
    """How often in a row a service may die young before it is given up; 0: it never is."""
    min_uptime: float = 1.0
    """Seconds; a service that dies earlier died young."""
    ready_when: str | None = None
    """A shell command that succeeds once the service can be used; asked again and again until it does."""
    ready_line: str | None = None
    """A regular expression; the service can be used once a line of its output matches."""
    enabled: bool = True
    """False: known and shown, never fired."""
    description: str = ""
    """One line for people."""

    def delay_after(self, attempts: int) -> float | None:
        """Seconds to wait after so many failed attempts; None when that is the end."""
        if attempts > self.retries:
            return None
        # Not the power itself: a thousand attempts at a back-off of 10 are beyond what a float holds.
        delay = self.retry_delay
        for _ in range(attempts - 1):
            if delay >= self.retry_max_delay or delay == 0:
                break
            delay *= self.retry_backoff
        return min(delay, self.retry_max_delay)

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Policy:
        """The defaults, changed by `options` (keys as in Python: `kill_after`).

        Raises PolicyError for an unknown key or a bad value.
        """
        return cls().with_options(options)

    def with_options(self, options: Mapping[str, object]) -> Policy:
        """A copy changed by `options`; raises PolicyError for an unknown key or a bad value."""
        if not options:
            return self
        known = [(option_named(key), value) for key, value in options.items()]
        return replace(self, **{option.attribute: option.read(value) for option, value in known})

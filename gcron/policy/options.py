"""The options of a job, in one table: what they are called, and what they accept.

A crontab's directives and the keyword arguments of Python calls both come through `OPTIONS`, so that they
cannot drift apart. This module may not know where an option came from, nor what is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gcron.policy.spelling import nearest
from gcron.policy.values import (
    Refused,
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

__all__ = ["OPTIONS", "Option", "PolicyError", "option_named"]


class PolicyError(ValueError):
    """An option that does not exist, or a value that it does not accept."""

    def __init__(self, message: str, *, key: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message = message
        self.key = key
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: an option's name in directives, and the check that its values go through."""

    name: str
    check: Callable[[Any], Any]

    @property
    def attribute(self) -> str:
        """Its name in Python: the keyword argument, and the field of `Policy`."""
        return self.name.replace("-", "_")

    def read(self, value: object) -> Any:
        """The checked value, from a directive's text or a Python object; raises PolicyError."""
        try:
            return self.check(value)
        except Refused as refused:
            message, hint = refused.args
            raise PolicyError(f"{self.name} {message}", key=self.name, hint=hint) from None


def option_named(key: str) -> Option:
    """The option that a directive or a keyword argument calls `key`; raises PolicyError when there is none."""
    option = OPTIONS.get(key.replace("_", "-"))
    if option is None:
        known = [option.attribute for option in OPTIONS.values()]
        raise PolicyError(f"unknown option {key!r}", key=key, hint=nearest(key, known))
    return option


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        option.name: option
        for option in (
            Option("overlap", one_of("skip", "queue", "replace", "allow")),
            Option("queue-limit", read_count),
            Option("group", read_name),
            Option("timeout", read_time_limit),
            Option("kill-after", read_seconds),
            Option("stop-signal", read_signal),
            Option("retries", read_count),
            Option("retry-delay", read_seconds),
            Option("retry-backoff", read_factor),
            Option("retry-max-delay", read_seconds),
            Option("catchup", one_of("none", "last", "all")),
            Option("start-deadline", read_seconds),
            Option("jitter", read_seconds),
            Option("success-codes", read_exit_codes),
            Option("user", read_user),
            Option("cwd", read_path),
            Option("umask", read_umask),
            Option("nice", read_nice),
            Option("env-file", read_path),
            Option("shell", read_path),
            Option("rlimit-as", limit_of("bytes")),
            Option("rlimit-core", limit_of("bytes")),
            Option("rlimit-cpu", limit_of("seconds")),
            Option("rlimit-data", limit_of("bytes")),
            Option("rlimit-fsize", limit_of("bytes")),
            Option("rlimit-nofile", limit_of("files")),
            Option("rlimit-nproc", limit_of("processes")),
            Option("rlimit-stack", limit_of("bytes")),
            Option("output", one_of("lines", "raw", "discard")),
            Option("expect-within", read_time_limit),
            Option("after", read_names),
            Option("restart", one_of("always", "on-failure", "never")),
            Option("restart-delay", read_seconds),
            Option("restart-max-delay", read_seconds),
            Option("restart-limit", read_count),
            Option("min-uptime", read_seconds),
            Option("ready-when", read_command),
            Option("ready-line", read_pattern),
            Option("enabled", read_switch),
            Option("description", read_text),
        )
    }
)
"""All options of a policy by their name in directives."""

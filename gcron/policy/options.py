"""The table of a job's options, one row for each. `Policy` declares them.

Directives, keyword arguments, their checks and messages, the lists of which option means something to which job, and
the tables in docs/crontab.md all come from these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar, cast

from gcron.errors import GcronError
from gcron.policy.values import Refused

__all__ = ["OPTIONS", "Option", "PolicyError", "Scope", "option", "options_of"]

Scope = Literal["every job", "scheduled jobs", "services", "processes"]
"""The jobs to which an option means something. `processes`: commands and services, but no Python functions."""

_T = TypeVar("_T")


class PolicyError(GcronError, ValueError):
    """An option that does not exist, or a value that it does not accept."""

    def __init__(self, message: str, *, key: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message = message
        self.key = key
        self.hint = hint


class Option(NamedTuple):
    """One row: an option's name in directives, what reads its values, for what it is, and its help."""

    name: str
    reader: Callable[[Any], Any]
    scope: Scope = "every job"
    default: str | None = None
    """As a directive would write it."""
    help: str = ""
    """What it means, with units, for docs/crontab.md."""

    @property
    def attribute(self) -> str:
        """Its name in Python: the keyword argument, and the field of `Policy`."""
        return self.name.replace("-", "_")

    def read(self, value: object) -> Any:
        """Return the checked value of a directive's text or a Python object. Raises PolicyError."""
        try:
            return self.reader(value)
        except Refused as refused:
            message, hint = refused.args
            raise PolicyError(f"{self.name} {message}", key=self.name, hint=hint) from None


def option(name: str, reader: Callable[[Any], _T], default: str | None, scope: Scope, help: str) -> _T:
    """Put a row into the table. Returns the default, for the field of `Policy` with this name.

    `default` is written as in a directive and read by `reader`; None stays None.
    """
    _rows[name] = Option(name, reader, scope, default, help)
    return cast("_T", None if default is None else reader(default))


_rows: dict[str, Option] = {}
OPTIONS: Mapping[str, Option] = MappingProxyType(_rows)
"""All options of a policy, by their names in directives."""


def options_of(scope: Scope) -> tuple[str, ...]:
    """Return the names in Python of the options with this scope."""
    return tuple(row.attribute for row in OPTIONS.values() if row.scope == scope)

"""`Option`: one row for each option of a job. A field of `Policy` is declared by its row.

Directives, keyword arguments, their checks and messages, the lists of which option means something to which job, and
the tables in docs/crontab.md all come from these rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, Literal, NamedTuple, TypeVar, cast

from gcron.policy.values import Refused

__all__ = ["Option", "PolicyError", "Scope", "option"]

Scope = Literal["every job", "scheduled jobs", "services", "processes"]
"""The jobs to which an option means something. `processes`: commands and services, but no Python functions."""

_T = TypeVar("_T")


class PolicyError(ValueError):
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


def option(default: str | None, reader: Callable[[Any], _T], scope: Scope, help: str) -> _T:
    """Declare a field of `Policy` by its row; its name is the field's.

    `default` is written as in a directive and read by `reader`; None stays None.
    """
    row = Option("", reader, scope, default, help)
    return cast("_T", field(default=None if default is None else reader(default), metadata={"option": row}))

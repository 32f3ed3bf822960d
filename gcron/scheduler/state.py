"""Where a scheduler keeps its state: a directory, memory, a store of the program's own, or nowhere.

This module must not know how a directory is opened and locked: `gcron.state` does. That is imported only where a
program asks for it. It is against the direction of imports: pyproject.toml names these exceptions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Protocol

from gcron.errors import ArgumentError
from gcron.schedule.clock import Clock
from gcron.scheduler.store import Store

if TYPE_CHECKING:
    from gcron.scheduler.recent import RecentRuns

__all__ = ["State", "state_of"]


class State(Protocol):
    """A store, and what has to be done before and after its use."""

    @property
    def store(self) -> Store:
        """Ask it only between `open` and `close`."""

    is_named: bool
    """It knows jobs by their names over restarts: a job without a name of its own would get another one's past."""
    opens_again: bool
    """It can be opened again after `close`."""

    @property
    def recent(self) -> RecentRuns | None:
        """The store, if it is the one that keeps the latest runs in memory, and wants the events themselves."""

    @property
    def is_open(self) -> bool:
        """True between `open` and `close`, and always when nothing has to be opened."""

    def open(self) -> str:
        """Take it for this scheduler alone; parks. Returns what people should know. Raises StateError."""

    def close(self) -> None:
        """Let others have it. The store is closed before. Does nothing when it is not open."""


class _Ready:
    """A store that needs no opening."""

    is_open = True

    def __init__(self, store: Store, is_named: bool, opens_again: bool, recent: RecentRuns | None = None) -> None:
        self.store = store
        self.recent = recent
        self.is_named = is_named
        self.opens_again = opens_again

    def open(self) -> str:
        """See `State.open`."""
        return ""

    def close(self) -> None:
        """See `State.close`."""


def state_of(
    state: str | os.PathLike[str] | Store | None,
    clock: Clock,
    node: str | None = None,
    labels: Iterable[str] = (),
    on_store_down: Literal["run", "skip"] | None = None,
) -> State:
    """The state that a program asks for: a directory, `memory`, a database, its own store, or None.

    None is for the latest runs only. `node`, `labels` and `on_store_down` are for a database. Raises TypeError,
    ArgumentError.
    """
    if isinstance(state, str) and state.startswith(("postgresql://", "postgres://")):
        from gcron.state.opening import database_of_program

        return database_of_program(state, node, frozenset(labels), on_store_down or "skip", clock.now)
    if node is not None or labels or on_store_down is not None:
        raise ArgumentError("node, labels and on_store_down are for a state that is shared: postgresql://…")
    if state is None:
        from gcron.scheduler.recent import RecentRuns  # not for `gcron run`

        recent = RecentRuns()
        return _Ready(recent, is_named=False, opens_again=True, recent=recent)
    if not isinstance(state, str | os.PathLike):
        if not callable(getattr(state, "claim", None)):
            raise TypeError(f"state is a directory, 'memory' or a store, not {state!r}")
        return _Ready(state, is_named=True, opens_again=False)
    path = os.fspath(state)
    if not isinstance(path, str) or not path:
        raise ArgumentError(f"state is a directory, 'memory' or a store, not {state!r}")
    if path == "memory":
        from gcron.state.memory import MemoryStore

        return _Ready(MemoryStore(now=clock.now), is_named=True, opens_again=True)
    from gcron.state.opening import state_of_program

    return state_of_program(path, clock.now)

"""Opens what `gcron run --state` names: a directory, memory, or what is usual here."""

from __future__ import annotations

import os

from gcron.frozen import frozen
from gcron.scheduler.store import Store
from gcron.state.places import NoHome, Place, StateError, open_place, state_home
from gcron.state.rules import Keep
from gcron.state.sqlite import SqliteStore

__all__ = ["Opened", "open_store"]


@frozen
class Opened:
    """A store that is ready."""

    store: Store
    place: Place | None
    """None: in memory."""
    note: str = ""
    """What people should know; empty when all is well."""

    def close(self) -> None:
        """Let others have the place. The store is closed before, by the scheduler."""
        if self.place is not None:
            self.place.close()


def open_store(state: str | None, instance: str, keep: Keep) -> Opened:
    """The store at `state`: a directory, `memory`, or None for the usual place of the instance.

    Where the usual place cannot be written, it is in memory, and the note says why. Raises StateError.
    """
    if state == "memory":
        return Opened(_in_memory(keep), None)
    if state is not None:
        return _open_directory(state, instance, keep)
    try:
        directory = os.path.join(state_home(), instance)
        place = open_place(directory, instance)
    except OSError as error:
        return Opened(_in_memory(keep), None, _note(f"{error.filename or directory}: {error.strerror}"))
    except NoHome as error:
        return Opened(_in_memory(keep), None, _note(str(error)))
    return Opened(SqliteStore(directory, keep), place, place.note)


def _open_directory(state: str, instance: str, keep: Keep) -> Opened:
    if "://" in state:
        raise StateError(f"history cannot be kept in {state}: give a directory, or memory")
    directory = os.path.abspath(state)
    try:
        place = open_place(directory, instance)
    except OSError as error:
        raise StateError(f"history cannot be kept in {directory}: {error.strerror}") from None
    return Opened(SqliteStore(directory, keep), place, place.note)


def _note(why: str) -> str:
    return f"history is kept in memory only, and is gone when gcron ends ({why}); --state DIR keeps it"


def _in_memory(keep: Keep) -> Store:
    from gcron.state.memory import MemoryStore  # for few

    return MemoryStore(keep)
